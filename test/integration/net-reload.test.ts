import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { PkiPair } from '../support/dev-pki.ts'
import { NetHarness, greet, pairOf, until } from '../support/net-harness.ts'

let net: NetHarness

beforeAll(async () => {
  net = await NetHarness.create()
})
afterEach(() => net.reset())
afterAll(() => {
  net.remove()
})

describe('certificates that change on disk', () => {
  function copyPair(pair: PkiPair, folder: string): { certFile: string; keyFile: string } {
    const certFile = join(folder, 'live.pem')
    const keyFile = join(folder, 'live-key.pem')
    copyFileSync(pair.keyFile, keyFile)
    copyFileSync(pair.certFile, certFile)
    return { certFile, keyFile }
  }

  test('are used for new handshakes under load, and no connection fails on the way', async () => {
    const names = Array.from({ length: 4 }, (_, at) => `generation-${at}`)
    const pairs: PkiPair[] = []
    for (const name of names) {
      pairs.push(await net.pki.ca.issue(name, { use: 'server', san: `DNS:${name}.example.org,IP:127.0.0.1` }))
    }
    const folder = net.folder()
    const files = copyPair(pairs[0]!, folder)
    const { port, context: served } = await net.serve(files)
    const dialer = await net.dialer(port)
    const longLived = await net.connected(dialer)
    const load = { isRunning: true }
    let failed = 0
    let done = 0
    const runners = Array.from({ length: 3 }, async () => {
      while (load.isRunning) {
        const connection = await net.connected(dialer).catch(() => null)
        if (connection === null) failed++
        else await greet(connection)
        connection?.finish('')
        done++
      }
    })
    for (const pair of pairs.slice(1)) {
      copyPair(pair, folder)
      const generation = served.generation
      await until(() => {
        expect(served.generation).toBeGreaterThan(generation)
      })
      const seen = net.rawTls(port, pairOf(net.pki.client))
      await new Promise((resolve) => seen.once('secureConnect', resolve))
      expect(seen.getPeerX509Certificate()?.fingerprint256).toBe(
        execFileSync('openssl', ['x509', '-in', pair.certFile, '-noout', '-fingerprint', '-sha256'])
          .toString()
          .trim()
          .split('=')[1],
      )
    }
    load.isRunning = false
    await Promise.all(runners)
    expect(failed).toBe(0)
    expect(done).toBeGreaterThan(10)
    await greet(longLived, 'still here')
    expect(net.stats.reloads).toBeGreaterThanOrEqual(3)
  })

  test('are followed when Kubernetes swaps the link of a mounted secret', async () => {
    const folder = net.folder()
    const mount = (version: string, pair: PkiPair): void => {
      mkdirSync(join(folder, version))
      copyFileSync(pair.certFile, join(folder, version, 'tls.crt'))
      copyFileSync(pair.keyFile, join(folder, version, 'tls.key'))
      symlinkSync(version, join(folder, '..data_tmp'))
      renameSync(join(folder, '..data_tmp'), join(folder, '..data'))
    }
    mount('..2026_01', net.pki.server)
    for (const name of ['tls.crt', 'tls.key']) symlinkSync(join('..data', name), join(folder, name))
    const files = { certFile: join(folder, 'tls.crt'), keyFile: join(folder, 'tls.key') }
    const { context: served } = await net.serve(files)
    const before = served.material.certificateSha256
    mount('..2026_02', await net.pki.ca.issue('swapped', { use: 'server', san: 'IP:127.0.0.1' }))
    await until(() => {
      expect(served.generation).toBe(2)
    })
    expect(served.material.certificateSha256).not.toBe(before)
    expect(net.stats).toMatchObject({ reloads: 1, reloadsFailed: 0 })
  })

  test('that do not fit together leave the last good ones in use', async () => {
    const folder = net.folder()
    const files = copyPair(net.pki.server, folder)
    const { port, context: served } = await net.serve(files)
    copyFileSync(net.pki.strayKeyFile, files.keyFile)
    await until(() => {
      expect(net.stats.reloadsFailed).toBe(1)
    })
    expect(served.isLastReloadOk).toBe(false)
    await greet(await net.connected(await net.dialer(port)))
    copyFileSync(net.pki.server.keyFile, files.keyFile)
    await until(() => {
      expect(served.isLastReloadOk).toBe(true)
    })
  })

  test('give a dialer a new generation, and the server sees the new certificate', async () => {
    const { port } = await net.serve()
    const second = await net.pki.ca.issue('second-client', { use: 'client', san: 'DNS:second.example.org' })
    const folder = net.folder()
    const files = copyPair(net.pki.client, folder)
    const dialer = await net.dialer(port, files)
    await greet(await net.connected(dialer))
    const generation = dialer.generation
    const onChange = vi.fn<() => void>()
    dialer.onChange = onChange
    copyPair(second, folder)
    await until(() => {
      expect(dialer.generation).toBe(generation + 1)
    })
    expect(onChange).toHaveBeenCalled()
    await greet(await net.connected(dialer))
    expect(net.acceptor.peers.map(({ dnsNames }) => dnsNames[0])).toEqual([
      'workload.example.org',
      'second.example.org',
    ])
  })

  test('close a live peer within 5 s when its CA is no longer trusted, and keep the others', async () => {
    const caFile = join(net.folder(), 'clients.pem')
    const bothCas = `${readFileSync(net.pki.ca.certFile, 'latin1')}${readFileSync(net.pki.strangerCa.certFile, 'latin1')}`
    writeFileSync(caFile, bothCas)
    const { port, context: served } = await net.serve({ caFile })
    const kept = await net.connected(await net.dialer(port, net.pki.client))
    const cut = await net.connected(await net.dialer(port, net.pki.stranger))
    await greet(kept)
    await greet(cut)
    const startMs = performance.now()
    copyFileSync(net.pki.ca.certFile, caFile)
    await until(() => {
      expect(cut.closings).toHaveLength(1)
    })
    expect(performance.now() - startMs).toBeLessThan(5_000)
    expect(net.stats.peersUntrusted).toBe(1)
    await greet(kept, 'kept')
    const { generation } = served
    writeFileSync(caFile, bothCas)
    await until(() => {
      expect(served.generation).toBeGreaterThan(generation)
    })
    await greet(await net.connected(await net.dialer(port, net.pki.stranger)))
  })

  test('close a live peer within 5 s when it is revoked', async () => {
    const gone = await net.pki.ca.issue('gone', { use: 'client', san: 'DNS:gone.example.org' })
    const crlFile = join(net.folder(), 'live.crl.pem')
    copyFileSync(await net.pki.ca.revoke('none', []), crlFile)
    const { port } = await net.serve({ crlFile })
    const kept = await net.connected(await net.dialer(port, net.pki.client))
    const cut = await net.connected(await net.dialer(port, gone))
    await greet(kept)
    await greet(cut)
    copyFileSync(await net.pki.ca.revoke('some', [gone]), crlFile)
    await until(() => {
      expect(cut.closings).toHaveLength(1)
    })
    await greet(kept, 'kept')
  })

  test('close a peer at its certificate’s notAfter', async () => {
    const brief = await net.pki.ca.issue('brief', {
      use: 'client',
      san: 'DNS:brief.example.org',
      notAfter: new Date(Math.ceil((Date.now() + 1_200) / 1_000) * 1_000),
    })
    const { port } = await net.serve()
    const connection = await net.connected(await net.dialer(port, brief))
    await greet(connection)
    await until(() => {
      expect(net.acceptor.connections[0]!.isDraining).toBe(true)
    })
    await until(() => {
      expect(connection.closings).toHaveLength(1)
    })
    expect(net.stats.peersExpired).toBe(1)
  })
})

/**
 * Certificates, authorities and revocation lists are replaced under load: no call fails, no connection that is still
 * trusted is dropped, one that is not is cut within 5 s, and a broken file changes nothing but a metric and a log line.
 */
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { makeAuthority } from '../support/dev-pki.ts'
import type { PkiAuthority, PkiPair } from '../support/dev-pki.ts'
import { waitFor } from '../support/gateway-pair.ts'
import { EXPORT_PATH, openStage } from '../support/scenario-stage.ts'
import type { Stage } from '../support/scenario-stage.ts'

function replace(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

async function moveTo(
  stage: Stage,
  authority: PkiAuthority,
  old: PkiAuthority,
  settleMs: number,
): Promise<void> {
  const bundle = join(stage.folder, 'ca.pem')
  replace(bundle, `${old.certificatePem}\n${authority.certificatePem}`)
  await sleep(settleMs)
  const leaves: [PkiPair, PkiPair][] = [
    [
      stage.pki.server,
      await authority.issue('next-server', { use: 'server', san: 'DNS:localhost,IP:127.0.0.1' }),
    ],
    [
      stage.pki.client,
      await authority.issue('next-client', { use: 'client', san: 'URI:spiffe://example.org/workload' }),
    ],
  ]
  for (const [{ certFile, keyFile }, next] of leaves) {
    replace(keyFile, next.keyPem)
    replace(certFile, next.certificatePem)
  }
  await sleep(settleMs)
  replace(bundle, authority.certificatePem)
  await sleep(settleMs)
}

/** Ten callers without pause; gives the count of calls and of those that failed. */
async function underLoad(
  stage: Stage,
  work: () => Promise<void>,
): Promise<{ calls: number; failed: string[] }> {
  const isOver = { value: false }
  const failed: string[] = []
  let calls = 0
  const load = Array.from({ length: 10 }, async () => {
    while (!isOver.value) {
      const { status, reason, message } = await stage.call()
      calls++
      if (status !== 'OK') failed.push(`${status} ${reason} ${message}`)
      await sleep(5)
    }
  })
  await work()
  isOver.value = true
  await Promise.all(load)
  return { calls, failed }
}

test('certificates and their authority are replaced 20 times under load: no call fails', async () => {
  await using stage = await openStage({ shape: 'both' })
  const { calls, failed } = await underLoad(stage, async () => {
    let old: PkiAuthority = stage.pki.ca
    for (let count = 0; count < 20; count++) {
      const next = await makeAuthority(stage.folder, `ca-${count}`, `authority ${count}`)
      await moveTo(stage, next, old, 300)
      old = next
    }
  })
  expect(failed).toEqual([])
  expect(calls).toBeGreaterThan(1_000)
  expect(await stage.metric('authgw_reloads_total', { result: 'ok' })).toBeGreaterThanOrEqual(40)
  expect(await stage.metric('authgw_reloads_total', { result: 'failed' })).toBe(0)
  // Connections made with an older certificate have ended by themselves before it lost its authority.
  expect(await stage.metric('authgw_peers_closed_total')).toBe(0)
}, 60_000)

test('a stream stays open while the certificates of both sides are replaced under the same authority', async () => {
  await using stage = await openStage({ shape: 'both' })
  const call = stage.connect().open({ path: EXPORT_PATH })
  await call.send(Buffer.from('one'))
  expect((await call.next())!.toString()).toBe('one')
  for (let count = 0; count < 20; count++) {
    const { ca, server, client } = stage.pki
    const nextServer = await ca.issue(`s-${count}`, { use: 'server', san: 'DNS:localhost,IP:127.0.0.1' })
    const nextClient = await ca.issue(`c-${count}`, {
      use: 'client',
      san: 'URI:spiffe://example.org/workload',
    })
    replace(server.keyFile, nextServer.keyPem)
    replace(server.certFile, nextServer.certificatePem)
    replace(client.keyFile, nextClient.keyPem)
    replace(client.certFile, nextClient.certificatePem)
    await sleep(150)
    await call.send(Buffer.from(`again ${count}`))
    expect((await call.next())!.toString()).toBe(`again ${count}`)
  }
  call.end()
  expect((await call.outcome).status).toBe(0)
  expect(await stage.metric('authgw_peers_closed_total')).toBe(0)
}, 30_000)

test('a peer whose certificate is revoked is cut within 5 s, others are not', async () => {
  let list = ''
  await using stage = await openStage({
    shape: 'control_plane',
    beforeStart: async ({ pki }) => {
      list = await pki.ca.revoke('revoked', [])
    },
    listenTls: 'crl_file: %folder%/revoked.crl.pem',
  })
  stage.upstream.respond = async (call) => {
    call.sendHead({})
    await call.cancelled
  }
  const other = await stage.pki.ca.issue('other', { use: 'client', san: 'URI:spiffe://example.org/other' })
  const metadata = { authorization: [`Bearer ${await stage.token()}`] }
  const open = async (certificate?: PkiPair): Promise<{ ended: Promise<number>; isOpen: () => boolean }> => {
    const call = stage.connect(certificate).open({ path: EXPORT_PATH, metadata })
    await call.send(Buffer.from('begin'))
    const state = { isOpen: true }
    const ended = call.outcome.then(({ status }) => {
      state.isOpen = false
      return status
    })
    return { ended, isOpen: () => state.isOpen }
  }
  const [revoked, honest] = await Promise.all([open(), open(other)])
  await sleep(300)
  const fresh = await stage.pki.ca.revoke('fresh', [stage.pki.client])
  const revokedAtMs = performance.now()
  renameSync(fresh, list)
  expect(await revoked.ended).toBe(14)
  expect(performance.now() - revokedAtMs).toBeLessThan(5_000)
  await sleep(500)
  expect(honest.isOpen()).toBe(true)
  expect(await stage.metric('authgw_peers_closed_total')).toBe(1)
  const again = await stage
    .connect()
    .unary(Buffer.alloc(5), { path: EXPORT_PATH, metadata, timeoutMs: 1_000 })
  expect([4, 14]).toContain(again.status)
})

test('a peer whose authority is no longer trusted is cut within 5 s', async () => {
  await using stage = await openStage({ shape: 'control_plane' })
  stage.upstream.respond = async (call) => {
    call.sendHead({})
    await call.cancelled
  }
  const metadata = { authorization: [`Bearer ${await stage.token()}`] }
  const call = stage.connect().open({ path: EXPORT_PATH, metadata })
  await call.send(Buffer.from('begin'))
  await sleep(300)
  const changedAtMs = performance.now()
  replace(join(stage.folder, 'ca.pem'), stage.pki.strangerCa.certificatePem)
  expect((await call.outcome).status).toBe(14)
  expect(performance.now() - changedAtMs).toBeLessThan(5_000)
})

test.each([
  ['a certificate that is cut off', 'server.pem', (text: string) => text.slice(0, 200)],
  ['a key that does not fit', 'server-key.pem', null],
  ['a bundle that is empty', 'ca.pem', () => ''],
])('%s changes nothing but a metric and a log line', async (_name, file, change) => {
  await using stage = await openStage({ shape: 'both' })
  const { calls, failed } = await underLoad(stage, async () => {
    const { readFileSync } = await import('node:fs')
    const path = join(stage.folder, file)
    const source = change === null ? stage.pki.strayKeyFile : path
    const text = readFileSync(source, 'utf8')
    replace(path, change === null ? text : change(text))
    const isTold = async (): Promise<boolean> =>
      (await stage.metric('authgw_reloads_total', { result: 'failed' })) > 0
    await waitFor(isTold, 3_000, 'the metric counts the failure')
    await sleep(500)
  })
  expect(failed).toEqual([])
  expect(calls).toBeGreaterThan(20)
  const reader = stage.connect()
  expect((await reader.unary(Buffer.alloc(5), { path: EXPORT_PATH, timeoutMs: 3_000 })).status).toBe(0)
  expect(await stage.metric('authgw_last_reload_success', { target: 'certificate_ingress' })).toBe(0)
  expect(await stage.logs()).toMatch(/"level":"(warn|error)".*(reload|kept|certificate)/i)
})

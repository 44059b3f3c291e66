import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { connect as connectTcp, createServer } from 'node:net'
import { join } from 'node:path'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import type { ConnectionOptions } from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { TransportError } from '../../src/base/index.ts'
import { NetHarness, ended, greet, pairOf, until } from '../support/net-harness.ts'

let net: NetHarness

beforeAll(async () => {
  net = await NetHarness.create()
})
afterEach(() => net.reset())
afterAll(() => {
  net.remove()
})

describe('a listener with client_auth: require', () => {
  test('knows a client by its certificate: SHA-256, DNS names, URIs, notAfter', async () => {
    const { port } = await net.serve()
    const connection = await net.connected(await net.dialer(port))
    await greet(connection)
    const [peer] = net.acceptor.peers
    expect(peer).toMatchObject({
      isVerified: true,
      isLocal: true,
      address: '127.0.0.1',
      uris: ['spiffe://example.org/workload'],
      dnsNames: ['workload.example.org'],
    })
    const fingerprint = execFileSync('openssl', [
      'x509',
      '-in',
      net.pki.client.certFile,
      '-noout',
      '-fingerprint',
      '-sha256',
    ])
    const hex = fingerprint.toString().trim().split('=')[1]!.replaceAll(':', '')
    expect(peer!.certificateSha256).toBe(Buffer.from(hex, 'hex').toString('base64url'))
    expect(peer!.notAfterMs).toBeGreaterThan(Date.now())
  })

  test('tells a client without a certificate from other failures', async () => {
    const { port } = await net.serve()
    expect(await net.refusal(await net.dialer(port, null))).toBeInstanceOf(TransportError)
    await until(() => {
      expect(net.stats).toMatchObject({ certificatesMissing: 1, certificatesRefused: 0, handshakesFailed: 0 })
      expect(net.stats).toMatchObject({ ingressOpen: 0, handshakesPending: 0 })
    })
    expect(net.acceptor.peers).toEqual([])
  })

  test.each([
    ['a certificate of a CA that it does not trust', () => net.pki.stranger],
    ['an expired certificate', () => net.pki.expiredClient],
    ['a certificate that is not valid yet', () => net.pki.futureClient],
    ['a certificate for servers only', () => net.pki.server],
  ])('refuses a client with %s before the relay sees it', async (_what, pair) => {
    const { port } = await net.serve()
    expect(await net.refusal(await net.dialer(port, pair()))).toBeInstanceOf(TransportError)
    await until(() => {
      expect(net.stats).toMatchObject({ certificatesRefused: 1, certificatesMissing: 0, handshakesFailed: 0 })
      expect(net.stats).toMatchObject({ ingressOpen: 0, handshakesPending: 0 })
    })
    expect(net.acceptor.peers).toEqual([])
  })

  test('tells the client by a TLS alert that a certificate is missing', async () => {
    const { port } = await net.serve()
    const error = await net.refusal(await net.dialer(port, null))
    expect(error?.code).toBe('tls_handshake')
    expect(error?.message).toContain('certificate required')
  })

  test('refuses a revoked certificate', async () => {
    const revoked = await net.pki.ca.issue('revoked', { use: 'client', san: 'DNS:revoked.example.org' })
    const crlFile = await net.pki.ca.revoke('one-revoked', [revoked])
    const { port } = await net.serve({ crlFile })
    expect(await net.refusal(await net.dialer(port, revoked))).toBeInstanceOf(TransportError)
    expect(net.stats.certificatesRefused).toBe(1)
    await greet(await net.connected(await net.dialer(port, net.pki.client)))
  })

  test('lets in only the names of allowed_sans', async () => {
    const { port } = await net.serve({ allowedSans: ['spiffe://example.org/workload'] })
    await greet(await net.connected(await net.dialer(port)))
    const other = await net.pki.ca.issue('other', { use: 'client', san: 'URI:spiffe://example.org/other' })
    expect(await net.refusal(await net.dialer(port, other))).toBeInstanceOf(TransportError)
    expect(net.stats.namesRefused).toBe(1)
  })
})

describe('a listener with client_auth: optional', () => {
  test('lets a client in without a certificate, as unverified', async () => {
    const { port } = await net.serve({ clientAuth: 'optional' })
    await greet(await net.connected(await net.dialer(port, null)))
    expect(net.acceptor.peers[0]).toMatchObject({
      isVerified: false,
      certificateSha256: null,
      uris: [],
      dnsNames: [],
    })
  })

  test('refuses a client whose certificate does not verify, rather than calling it unverified', async () => {
    const { port } = await net.serve({ clientAuth: 'optional' })
    expect(await net.refusal(await net.dialer(port, net.pki.stranger))).toBeInstanceOf(TransportError)
    expect(net.stats.certificatesRefused).toBe(1)
    expect(net.acceptor.peers).toEqual([])
  })

  test('knows a client whose certificate verifies', async () => {
    const { port } = await net.serve({ clientAuth: 'optional' })
    await greet(await net.connected(await net.dialer(port)))
    expect(net.acceptor.peers[0]).toMatchObject({ isVerified: true, uris: ['spiffe://example.org/workload'] })
  })
})

describe('any TLS listener', () => {
  test('with client_auth: none takes no identity from a certificate that a client shows', async () => {
    const { port } = await net.serve({ clientAuth: 'none', caFile: null })
    await greet(await net.connected(await net.dialer(port)))
    expect(net.acceptor.peers[0]).toMatchObject({ isVerified: false, uris: [] })
  })

  test('refuses a client that offers another protocol by ALPN', async () => {
    const { port } = await net.serve()
    const socket = net.rawTls(port, { ALPNProtocols: ['http/1.1'], ...pairOf(net.pki.client) })
    await ended(socket)
    expect(net.acceptor.peers).toEqual([])
    expect(net.stats.handshakesFailed).toBe(1)
  })

  test('refuses a client that offers nothing by ALPN', async () => {
    const { port } = await net.serve()
    const socket = connectTls({
      host: '127.0.0.1',
      port,
      ca: readFileSync(net.pki.ca.certFile),
      ...pairOf(net.pki.client),
    })
    socket.on('error', () => {})
    socket.resume()
    await ended(socket)
    expect(net.acceptor.peers).toEqual([])
    expect(net.stats.alpnRefused).toBe(1)
  })

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('resumes no session over %s', async (version) => {
    const { port } = await net.serve()
    let session: Buffer | undefined
    const options: ConnectionOptions = { minVersion: version, maxVersion: version, ...pairOf(net.pki.client) }
    const first = net.rawTls(port, options)
    first.on('session', (ticket: Buffer) => {
      session = ticket
    })
    await new Promise((resolve) => first.once('secureConnect', resolve))
    first.write('x')
    await new Promise((resolve) => first.once('data', resolve))
    session ??= first.getSession()
    first.destroy()
    const second = net.rawTls(port, { ...options, ...(session && { session }) })
    await new Promise((resolve) => second.once('secureConnect', resolve))
    expect(second.isSessionReused()).toBe(false)
    second.write('y')
    await new Promise((resolve) => second.once('data', resolve))
    expect(net.acceptor.peers.map(({ isVerified }) => isVerified)).toEqual([true, true])
  })

  test('refuses TLS 1.2 renegotiation', async () => {
    const { port } = await net.serve()
    const socket = net.rawTls(port, { maxVersion: 'TLSv1.2', ...pairOf(net.pki.client) })
    await new Promise((resolve) => socket.once('secureConnect', resolve))
    let outcome = 'unanswered'
    socket.renegotiate({}, (error) => {
      outcome = error === null ? 'renegotiated' : 'refused'
    })
    // The server answers with a warning that Node's client does not pass on.
    await new Promise((resolve) => setTimeout(resolve, 300))
    expect(outcome).not.toBe('renegotiated')
  })

  test('refuses TLS 1.1', async () => {
    const { port } = await net.serve()
    const socket = net.rawTls(port, {
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    })
    await ended(socket)
    await until(() => {
      expect(net.stats.handshakesFailed).toBe(1)
    })
  })

  test('closes a handshake that is not finished in time', async () => {
    const { port } = await net.serve({}, { handshakeTimeoutMs: 200 })
    const socket = connectTcp({ host: '127.0.0.1', port })
    socket.on('error', () => {})
    socket.resume()
    await ended(socket)
    expect(net.stats.handshakesTimedOut).toBe(1)
    await until(() => {
      expect(net.stats).toMatchObject({ handshakesPending: 0, ingressOpen: 0 })
    })
  })

  test('lets slow handshakes give way, so that an honest client still gets in', async () => {
    const { port } = await net.serve({}, { limits: { maxPendingHandshakes: 4 } })
    const slow = Array.from({ length: 4 }, () => {
      const socket = connectTcp({ host: '127.0.0.1', port })
      socket.on('error', () => {})
      socket.resume()
      net.onEnd(() => socket.destroy())
      return socket
    })
    await until(() => {
      expect(net.stats.handshakesPending).toBe(4)
    })
    const fifth = connectTcp({ host: '127.0.0.1', port })
    fifth.on('error', () => {})
    fifth.resume()
    await ended(fifth)
    expect(net.stats.refusedByHandshakes).toBe(1)
    const firstGone = ended(slow[0]!)
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    await greet(await net.connected(await net.dialer(port)))
    await firstGone
    expect(slow[1]!.destroyed).toBe(false)
  })

  test('counts only unverified peers against their address', async () => {
    const { port } = await net.serve({ clientAuth: 'optional' }, { limits: { maxConnectionsPerAddress: 2 } })
    const verified = await net.dialer(port)
    for (let i = 0; i < 4; i++) await greet(await net.connected(verified))
    const anonymous = await net.dialer(port, null)
    await greet(await net.connected(anonymous))
    await greet(await net.connected(anonymous))
    expect(await net.refusal(anonymous)).toBeInstanceOf(TransportError)
    expect(net.stats.refusedByAddress).toBe(1)
  })

  test('survives garbage, and a client that goes in the middle of a handshake', async () => {
    const { port } = await net.serve()
    const garbage = connectTcp({ host: '127.0.0.1', port })
    garbage.on('error', () => {})
    garbage.resume()
    garbage.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await ended(garbage)
    const half = connectTcp({ host: '127.0.0.1', port })
    half.on('error', () => {})
    half.write(Buffer.from('160301020001', 'hex'))
    await new Promise((resolve) => setTimeout(resolve, 20))
    half.resetAndDestroy()
    await until(() => {
      expect(net.stats).toMatchObject({ handshakesFailed: 2, ingressOpen: 0, handshakesPending: 0 })
    })
    await greet(await net.connected(await net.dialer(port)))
  })

  test('says so when TLS is asked for on a UNIX socket', async () => {
    await expect(net.serve({}, { endpoint: `unix://${join(net.folder(), 'x.sock')}` })).rejects.toThrow(
      /leave tls out/,
    )
  })
})

describe('a TLS dial', () => {
  test('checks the IP address against the certificate', async () => {
    const server = await net.pki.ca.issue('named', { use: 'server', san: 'DNS:gateway.example.org' })
    const { port } = await net.serve({ certFile: server.certFile, keyFile: server.keyFile })
    const error = await net.refusal(await net.dialer(port))
    expect(error?.code).toBe('peer_name')
    expect(error?.message).toContain('the certificate is not for "127.0.0.1"')
    expect(error?.message).toContain('it names DNS:gateway.example.org')
    expect(error?.message).toContain('set server_name_override')
    expect(net.stats).toMatchObject({ egressNamesRefused: 1, egressHandshakesFailed: 0 })
    await greet(
      await net.connected(
        await net.dialer(port, net.pki.client, { serverNameOverride: 'gateway.example.org' }),
      ),
    )
  })

  test('never takes the common name for a name', async () => {
    const server = await net.pki.ca.issue('cn-only', {
      use: 'server',
      commonName: 'gateway.example.org',
      san: 'URI:spiffe://example.org/gateway',
    })
    const { port } = await net.serve({ certFile: server.certFile, keyFile: server.keyFile })
    const error = await net.refusal(
      await net.dialer(port, net.pki.client, { serverNameOverride: 'gateway.example.org' }),
    )
    expect(error?.code).toBe('peer_name')
  })

  test('pins names when allowed_sans is set', async () => {
    const { port } = await net.serve()
    const error = await net.refusal(
      await net.dialer(port, net.pki.client, { allowedSans: ['spiffe://example.org/gateway'] }),
    )
    expect(error?.code).toBe('peer_name')
    expect(error?.message).toContain('allowed_sans')
    await greet(await net.connected(await net.dialer(port, net.pki.client, { allowedSans: ['localhost'] })))
  })

  test('refuses a server of a CA that it does not trust, and says which file is meant', async () => {
    const { port } = await net.serve()
    const error = await net.refusal(
      await net.dialer(port, net.pki.client, { caFile: net.pki.strangerCa.certFile }),
    )
    expect(error?.code).toBe('tls_handshake')
    expect(error?.message).toContain('ca_file')
    expect(net.stats).toMatchObject({ egressCertificatesRefused: 1, egressHandshakesFailed: 0 })
  })

  test('refuses an expired server', async () => {
    const { certFile, keyFile } = net.pki.expiredServer
    const { port } = await net.serve({ certFile, keyFile })
    const error = await net.refusal(await net.dialer(port))
    expect(error?.message).toContain('the certificate has expired')
  })

  test('talks to anyone with insecure_skip_verify', async () => {
    const { certFile, keyFile } = net.pki.expiredServer
    const { port } = await net.serve({ certFile, keyFile })
    const connection = await net.connected(
      await net.dialer(port, net.pki.client, { insecureSkipVerify: true }),
    )
    await greet(connection)
    expect(connection.text).toBe('hello')
  })

  test('refuses a server that does not speak h2', async () => {
    const { certFile, keyFile } = net.pki.server
    const serverPair = { cert: readFileSync(certFile), key: readFileSync(keyFile) }
    const server = createTlsServer({ ...serverPair, ALPNProtocols: ['http/1.1'] })
    server.on('tlsClientError', () => {})
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    net.onEnd(() => server.close())
    const { port } = server.address() as { port: number }
    const error = await net.refusal(await net.dialer(port))
    expect(error?.code).toBe('alpn')
    const silent = createTlsServer(serverPair)
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    net.onEnd(() => silent.close())
    const other = await net.refusal(await net.dialer((silent.address() as { port: number }).port))
    expect(other?.code).toBe('alpn')
    expect(other?.message).toContain('with no ALPN')
    expect(net.stats.egressAlpnRefused).toBe(2)
  })

  test('ends in time when the server does not go on with the handshake', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.resume()
      net.onEnd(() => socket.destroy())
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    net.onEnd(() => server.close())
    const startMs = performance.now()
    const error = await net.refusal(await net.dialer((server.address() as { port: number }).port))
    expect(error).toMatchObject({ code: 'connect_timeout' })
    expect(error?.message).toContain('the TLS handshake was not finished within 2000 ms')
    expect(net.stats).toMatchObject({ egressHandshakesTimedOut: 1, egressHandshakesFailed: 0 })
    expect(performance.now() - startMs).toBeLessThan(4_000)
  })

  test('says that the peer speaks no TLS', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    net.onEnd(() => server.close())
    const error = await net.refusal(await net.dialer((server.address() as { port: number }).port))
    expect(error?.message).toContain('the peer does not speak TLS')
  })
})

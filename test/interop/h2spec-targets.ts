/**
 * The four settings in which h2spec judges us: our core alone with a static answer, and the control plane role with
 * authentication off in front of an ordinary node:http2 server; each in plaintext and over TLS.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeAuthority } from '../support/dev-pki.ts'
import { startGateway } from '../support/gateway-process.ts'
import { startStaticResponder, type KeyPairFiles } from './static-responder.ts'

/** A server to judge. */
export interface Target {
  host: string
  port: number
  isTls: boolean
  /** How many requests reached what answers them, or null where nobody counts. */
  requestCount(): number | null
  stop(): Promise<void>
}

/** The server behind the proxy: answers every request with a body long enough for the flow-control cases. */
async function startOrdinaryServer(): Promise<{ port: number; count(): number; stop(): void }> {
  const server = http2.createServer()
  let count = 0
  server.on('sessionError', () => undefined)
  server.on('stream', (stream: http2.ServerHttp2Stream) => {
    count++
    stream.on('error', () => undefined)
    stream.resume()
    // Answering earlier could overtake the malformed end of a request, to which the proxy has to object.
    stream.once('end', () => {
      if (stream.destroyed) return
      stream.respond({ ':status': 200, 'content-type': 'text/plain' })
      stream.end('an ordinary answer\n'.repeat(8))
    })
  })
  const sessions = new Set<http2.ServerHttp2Session>()
  server.on('session', (session) => {
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
  })
  await new Promise<void>((done) => {
    server.listen(0, '127.0.0.1', () => done())
  })
  return {
    port: (server.address() as AddressInfo).port,
    count: () => count,
    stop() {
      for (const session of sessions) session.destroy()
      server.close()
    },
  }
}

/** The control plane role with authentication off, in front of an ordinary server. */
async function startProxy(tls: KeyPairFiles | null): Promise<Target> {
  const server = await startOrdinaryServer()
  const tlsYaml =
    tls === null ? '' : `    tls: {cert_file: ${tls.certFile}, key_file: ${tls.keyFile}, client_auth: none}\n`
  try {
    const gateway = await startGateway(`control_plane:
  unsafe_allow: [no_authentication]
  listen:
    endpoint: 127.0.0.1:%ingress%
${tlsYaml}  upstream: {endpoint: 127.0.0.1:${server.port}}
drain: {delay: 0s, timeout: 2s}
`)
    return {
      host: '127.0.0.1',
      port: gateway.ports['ingress']!,
      isTls: tls !== null,
      requestCount: () => server.count(),
      async stop() {
        await gateway.stop()
        server.stop()
      },
    }
  } catch (error) {
    server.stop()
    throw error
  }
}

/** The core alone, with a static answer. */
async function startCodec(tls: KeyPairFiles | null): Promise<Target> {
  const responder = await startStaticResponder(tls)
  return {
    host: '127.0.0.1',
    port: responder.port,
    isTls: tls !== null,
    requestCount: () => responder.count(),
    stop: () => responder.stop(),
  }
}

/** Gives `start` a certificate in a folder that lasts as long as the target. */
async function withCertificate(start: (tls: KeyPairFiles) => Promise<Target>): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), 'authgw-h2spec-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true })
  try {
    const ca = await makeAuthority(folder)
    const leaf = await ca.issue('server', { use: 'server', san: 'DNS:localhost,IP:127.0.0.1' })
    const target = await start({ certFile: leaf.certFile, keyFile: leaf.keyFile })
    return { ...target, stop: () => target.stop().finally(remove) }
  } catch (error) {
    remove()
    throw error
  }
}

/** The settings by name. */
export const TARGETS: Readonly<Record<string, () => Promise<Target>>> = {
  codec: () => startCodec(null),
  'codec-tls': () => withCertificate(startCodec),
  proxy: () => startProxy(null),
  'proxy-tls': () => withCertificate(startProxy),
}

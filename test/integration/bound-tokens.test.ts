/**
 * Tokens that are bound to a client certificate (RFC 8705 §3) before two workers: what counts is the connection that a call comes on, not
 * the process that it comes to, nor what either of them has seen of the token before.
 */
import { createHash, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makePki } from '../support/dev-pki.ts'
import type { Pki, PkiPair } from '../support/dev-pki.ts'
import { waitFor } from '../support/gateway-pair.ts'
import { startGateway } from '../support/gateway-process.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { readMetrics } from '../support/gateway-readings.ts'
import { echo } from '../support/grpc-peer.ts'
import type { GrpcCaller, GrpcServed, Outcome } from '../support/grpc-peer.ts'
import { connectNodeHttp2, nodeHttp2 } from '../support/node-http2-kit.ts'
import { startProvider } from '../support/oidc-provider.ts'
import type { RunningProvider } from '../support/oidc-provider.ts'
import { exportPath } from '../support/otlp-proto.ts'

const HELLO = Buffer.from('hello')
const UNAUTHENTICATED = 16

let folder: string
let pki: Pki
let provider: RunningProvider
let upstream: GrpcServed
let gateway: GatewayProcess

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'authgw-bound-'))
  pki = await makePki(folder)
  provider = await startProvider({
    audience: 'control-plane',
    clients: [{ clientId: 'workload', secret: 'marker-known-to-everyone' }],
  })
  upstream = await nodeHttp2.serve()
  upstream.respond = echo
  gateway = await startGateway(`
workers: 2
control_plane:
  listen:
    endpoint: 127.0.0.1:%ingress%
    tls: {cert_file: ${pki.server.certFile}, key_file: ${pki.server.keyFile}, client_ca_file: ${pki.ca.certFile}}
  upstream: {endpoint: 127.0.0.1:${upstream.port}}
  oidc:
    providers: [{issuer_url: '${provider.issuer}', audience: control-plane}]
admin: {endpoint: 127.0.0.1:%admin%}
drain: {delay: 0s, timeout: 1s}
`)
})
afterAll(async () => {
  await gateway?.stop()
  await upstream?.close()
  await provider?.close()
  rmSync(folder, { recursive: true, force: true })
})

const thumbprint = ({ certificatePem }: PkiPair): string =>
  createHash('sha256').update(new X509Certificate(certificatePem).raw).digest('base64url')

/** A new connection with this certificate, on which each call brings a token of its own. */
function connect({ certFile, keyFile }: PkiPair): GrpcCaller {
  const tls = {
    ca: readFileSync(pki.ca.certFile),
    cert: readFileSync(certFile),
    key: readFileSync(keyFile),
  }
  return connectNodeHttp2({ port: gateway.ports['ingress']!, tls, token: null })
}

const send = (caller: GrpcCaller, token: string): Promise<Outcome> =>
  caller.unary(HELLO, {
    path: exportPath('traces'),
    metadata: { authorization: [`Bearer ${token}`] },
    timeoutMs: 10_000,
  })

/** Calls that each worker has had, as the status page says. */
async function callsByWorker(): Promise<number[]> {
  const page = await (await fetch(`http://127.0.0.1:${gateway.ports['admin']}/`)).text()
  return [...page.matchAll(/worker \d+ +process \d+, (\d+) calls/g)].map(([, calls]) => Number(calls))
}

test('a bound token passes on connections of its certificate, and on no other, whichever worker has them', async () => {
  const certificates = [
    await pki.ca.issue('client-a', { use: 'client', san: 'URI:spiffe://example.org/a' }),
    await pki.ca.issue('client-b', { use: 'client', san: 'URI:spiffe://example.org/b' }),
  ]
  const tokens = await Promise.all(
    certificates.map((pair) => provider.mintToken({ cnf: { 'x5t#S256': thumbprint(pair) } })),
  )
  // Connections are dealt out in turn. 1, 2, 4, 8 calls tell from the workers' counts who has which.
  const connections: { readonly owner: number; readonly caller: GrpcCaller; readonly calls: number }[] = []
  try {
    for (const [at, owner] of [0, 0, 1, 1].entries()) {
      const caller = connect(certificates[owner]!)
      connections.push({ owner, caller, calls: 2 ** at })
      for (let call = 0; call < 2 ** at; call++) expect((await send(caller, tokens[owner]!)).status).toBe(0)
    }
    await waitFor(
      async () => (await callsByWorker()).reduce((sum, calls) => sum + calls, 0) === 15,
      5_000,
      'the workers have reported their calls',
    )
    const counts = await callsByWorker()
    expect(counts).toHaveLength(2)
    for (const count of counts) {
      expect([1, 2]).toContain(count & 3)
      expect([4, 8]).toContain(count & 12)
    }

    // Every worker now knows both tokens, as accepted. That must not help on the other's connection.
    for (let round = 0; round < 3; round++)
      for (const { owner, caller } of connections) {
        const [own, foreign] = await Promise.all([
          send(caller, tokens[owner]!),
          send(caller, tokens[1 - owner]!),
        ])
        expect(own).toMatchObject({ status: 0, replies: [HELLO] })
        expect(foreign).toMatchObject({
          status: UNAUTHENTICATED,
          message: 'invalid token: binding',
          replies: [],
        })
        expect(foreign.trailers['authgw-reason']).toEqual(['token_binding'])
      }
    const readings = await readMetrics(gateway.ports['admin']!)
    expect(readings.sum('authgw_decisions_total', { reason: 'token_binding' })).toBe(12)
    expect(readings.sum('authgw_decisions_total', { decision: 'permit' })).toBe(27)
  } finally {
    for (const { caller } of connections) caller.close()
  }
})

test('a token that was refused on another certificate’s connection first passes on its own afterwards', async () => {
  const owner = await pki.ca.issue('client-c', { use: 'client', san: 'URI:spiffe://example.org/c' })
  const token = await provider.mintToken({ cnf: { 'x5t#S256': thumbprint(owner) } })
  const foreign = [connect(pki.client), connect(pki.client)]
  const own = [connect(owner), connect(owner)]
  try {
    for (const caller of foreign) expect((await send(caller, token)).status).toBe(UNAUTHENTICATED)
    for (const caller of own) expect((await send(caller, token)).status).toBe(0)
    for (const caller of foreign) expect((await send(caller, token)).status).toBe(UNAUTHENTICATED)
  } finally {
    for (const caller of [...foreign, ...own]) caller.close()
  }
})

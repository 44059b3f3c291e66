/**
 * Six callers that the control plane must turn away, and one that it must not, each by a real gRPC call over TLS.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client, credentials, Metadata, status } from '@grpc/grpc-js'
import type { ServiceError } from '@grpc/grpc-js'
import { decodeJwt, decodeProtectedHeader, generateKeyPair, SignJWT } from 'jose'
import { readMetrics } from './gateway-readings.ts'
import { exportPath } from './otlp-proto.ts'
import { CLIENT_ID, CLIENT_SECRET, OTHER_AUDIENCE } from './whole-pattern.ts'
import type { WholePattern } from './whole-pattern.ts'

/** How a call must end. */
export interface Expectation {
  readonly code: status
  /** The `authgw-reason` trailer; empty where the answer has none. */
  readonly reason: string
}

/** How a call ended. */
export interface Outcome extends Expectation {
  readonly message: string
  /** What grew in the control plane's metrics: a reason of its decisions, or of its TLS handshakes; empty for none. */
  readonly countedAs: string
}

const TLS = 'TLS: '

/** Whether caller and gateway both say what they should. Without a TLS session there is no status of the gateway's. */
export function isAsExpected({ expected }: Caller, outcome: Outcome): boolean {
  const { code, reason, countedAs } = outcome
  const isCounted = code === status.UNAVAILABLE ? countedAs.startsWith(TLS) : countedAs === reason
  return code === expected.code && reason === expected.reason && isCounted
}

/** A caller. */
export interface Caller {
  readonly name: string
  readonly expected: Expectation
  call(pattern: WholePattern): Promise<Outcome>
}

const TRACES = exportPath('traces')

/** The callers: six to be refused and, last, one to pass. */
export const CALLERS: readonly Caller[] = [
  caller('no token', status.UNAUTHENTICATED, 'token_missing', () => ({ path: TRACES, token: null })),
  caller('forged signature', status.UNAUTHENTICATED, 'token_signature', async (pattern) => ({
    path: TRACES,
    token: await forge(await fetchToken(pattern)),
  })),
  caller('expired token', status.UNAUTHENTICATED, 'token_expired', async ({ provider }) => ({
    path: TRACES,
    token: await provider.mintToken({ iat: minutesAgo(20), exp: minutesAgo(10) }),
  })),
  caller('token for another audience', status.UNAUTHENTICATED, 'token_audience', async (pattern) => ({
    path: TRACES,
    token: await fetchToken(pattern, OTHER_AUDIENCE),
  })),
  caller('no client certificate', status.UNAVAILABLE, '', async (pattern) => ({
    path: TRACES,
    token: await fetchToken(pattern),
    hasNoCertificate: true,
  })),
  caller('a method that is not OTLP', status.PERMISSION_DENIED, 'policy_denied', async (pattern) => ({
    path: '/demo.Billing/DeleteAllInvoices',
    token: await fetchToken(pattern),
  })),
  caller('all in order', status.OK, '', async (pattern) => ({
    path: TRACES,
    token: await fetchToken(pattern),
  })),
]

function caller(
  name: string,
  code: status,
  reason: string,
  request: (pattern: WholePattern) => Promise<CallRequest> | CallRequest,
): Caller {
  const call = async (pattern: WholePattern): Promise<Outcome> => {
    const asked = await request(pattern)
    const before = await refusalCounts(pattern)
    const outcome = await callControlPlane(pattern, asked)
    const grown = [...(await refusalCounts(pattern))].filter(
      ([what, count]) => count > (before.get(what) ?? 0),
    )
    return { ...outcome, countedAs: grown.map(([what]) => what).join(', ') }
  }
  return { name, expected: { code, reason }, call }
}

/** In Unix seconds. */
const minutesAgo = (minutes: number): number => Math.floor(Date.now() / 1000) - minutes * 60

/** What a caller sends. */
interface CallRequest {
  readonly path: string
  readonly token: string | null
  readonly hasNoCertificate?: boolean
}

/** Sends an empty message, which OTLP takes as "nothing to export". */
async function callControlPlane(
  pattern: WholePattern,
  request: CallRequest,
): Promise<Omit<Outcome, 'countedAs'>> {
  const pem = (name: string): Buffer => readFileSync(join(pattern.folder, name))
  const own = request.hasNoCertificate ? [null, null] : [pem('workload-key.pem'), pem('workload.pem')]
  const client = new Client(
    `localhost:${pattern.controlPlane.ports['ingress']}`,
    credentials.createSsl(pem('ca.pem'), own[0], own[1]),
  )
  const metadata = new Metadata()
  if (request.token !== null) metadata.set('authorization', `Bearer ${request.token}`)
  const same = (bytes: Buffer): Buffer => bytes
  const deadline = Date.now() + 5_000
  const error = await new Promise<ServiceError | null>((done) => {
    client.makeUnaryRequest(request.path, same, same, Buffer.alloc(0), metadata, { deadline }, done)
  })
  client.close()
  if (error === null) return { code: status.OK, reason: '', message: '' }
  const reason = error.metadata?.get('authgw-reason').join() ?? ''
  const alert = /tlsv1\d? alert ([a-z ]+)/.exec(error.details)
  const message = alert === null ? (error.details.split('\n')[0] ?? '') : `TLS alert: ${alert[1]}`
  return { code: error.code, reason, message }
}

async function refusalCounts({ controlPlane }: WholePattern): Promise<Map<string, number>> {
  const readings = await readMetrics(controlPlane.ports['admin']!)
  const handshakes = readings.by('authgw_tls_handshake_failures_total', 'reason', { leg: 'ingress' })
  return new Map([
    ...readings.by('authgw_decisions_total', 'reason', { decision: 'refuse' }),
    ...[...handshakes].map(([reason, count]) => [TLS + reason, count] as const),
  ])
}

/** A token as any client of the provider gets it. */
async function fetchToken(pattern: WholePattern, resource?: string): Promise<string> {
  const basic = Buffer.from(`${CLIENT_ID}:${CLIENT_SECRET}`).toString('base64')
  const answer = await fetch(`${pattern.provider.issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${basic}` },
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      scope: 'otlp.write',
      ...(resource !== undefined && { resource }),
    }),
    signal: AbortSignal.timeout(5_000),
  })
  const { access_token: token } = (await answer.json()) as { access_token?: string }
  if (token === undefined) throw new Error(`the provider gave no token: HTTP ${answer.status}`)
  return token
}

/** The same header and claims, signed by somebody else. */
async function forge(token: string): Promise<string> {
  const { privateKey } = await generateKeyPair('RS256')
  return new SignJWT(decodeJwt(token))
    .setProtectedHeader({ ...decodeProtectedHeader(token), alg: 'RS256' })
    .sign(privateKey)
}

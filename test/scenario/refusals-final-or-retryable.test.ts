/**
 * Every reason for which the control plane refuses a call, once each, as a client with a certificate sees it: a table of inputs
 * and answers, printed at the end. What a later attempt can mend is UNAVAILABLE with RetryInfo; all else is final.
 * More inputs for the reasons that are final: forged-and-malformed-tokens.test.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { status } from '@grpc/grpc-js'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { REFUSAL_REASONS } from '../../src/auth/index.ts'
import type { RefusalReason } from '../../src/auth/index.ts'
import { SignatureVerifier } from '../../src/auth/jwt/verify.ts'
import { SERVER_ERROR, KEYS_PATH } from '../support/fault-proxy.ts'
import { AUDIENCE, GRPC_HEAD, openStage } from '../support/scenario-stage.ts'
import type { Stage, StageAnswer } from '../support/scenario-stage.ts'
import { dialRaw } from '../support/raw-caller.ts'

let stage: Stage
/** Input, status, reason, RetryInfo. */
const table: string[][] = []

beforeAll(async () => {
  stage = await openStage({
    shape: 'control_plane',
    oidc: 'max_lifetime: 2h',
    oidcProviders: ({ proxy }) =>
      `[{issuer_url: '${proxy.url}', audience: ${AUDIENCE}, allowed_clients: [workload]}]`,
  })
})
afterAll(async () => {
  await stage[Symbol.asyncDispose]()
  const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => row[column]!.length)))
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  process.stdout.write(`\n${lines.join('\n')}\n`)
})

const inSeconds = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds
const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const unsigned = (header: object): string => {
  const claims = {
    iss: stage.proxy.url,
    aud: AUDIENCE,
    client_id: 'workload',
    iat: inSeconds(0),
    exp: inSeconds(300),
  }
  return `${encoded({ alg: 'RS256', kid: 'signing-1', ...header })}.${encoded(claims)}.${'A'.repeat(342)}`
}

/** Whether there is RetryInfo: of 5 s, of another time that exporters accept, or of none that they do. */
type Kind = 'final' | 'retry in 5 s' | 'retry in 1 to 10 s'

/** What a caller sends, and how the answer must be. */
type Row = readonly [
  input: string,
  reason: RefusalReason,
  kind: Kind,
  token: (() => string | Promise<string>) | null,
]

const minted = (claims: Record<string, unknown>, header?: Record<string, unknown>) => () =>
  stage.provider.mintToken(claims, header)

async function tampered(): Promise<string> {
  const [header, claims, signature] = (await stage.token()).split('.') as [string, string, string]
  return `${header}.${claims}.${signature.split('').reverse().join('')}`
}

const ROWS: readonly Row[] = [
  ['no token', 'token_missing', 'final', null],
  ['three words', 'token_malformed', 'final', () => 'not.a.token'],
  ['17 KiB', 'token_too_large', 'final', () => `${encoded({})}.${'A'.repeat(17_000)}.AAAA`],
  ['five segments', 'token_encrypted', 'final', async () => `${await stage.token()}.AAAA.AAAA`],
  ['alg none', 'token_alg', 'final', () => unsigned({ alg: 'none' })],
  ['a crit', 'token_header', 'final', () => unsigned({ crit: ['exp'], exp: 1 })],
  ['an ID token', 'token_type', 'final', minted({ typ: 'ID' })],
  ['another issuer', 'token_issuer', 'final', minted({ iss: 'https://somebody.example' })],
  ['another audience', 'token_audience', 'final', minted({ aud: 'billing' })],
  ['no exp', 'token_claims', 'final', minted({ exp: undefined })],
  ['a life of a day', 'token_lifetime', 'final', minted({ iat: inSeconds(0), exp: inSeconds(86_400) })],
  ['another client', 'token_client', 'final', minted({ client_id: 'billing', azp: 'billing' })],
  [
    'expired for an hour',
    'token_expired',
    'final',
    minted({ iat: inSeconds(-7_000), exp: inSeconds(-3_600) }),
  ],
  [
    'expired for a minute',
    'token_expired_recently',
    'retry in 5 s',
    minted({ iat: inSeconds(-400), exp: inSeconds(-60) }),
  ],
  [
    'from two minutes ahead',
    'token_not_yet_valid',
    'retry in 5 s',
    minted({ iat: inSeconds(120), exp: inSeconds(420) }),
  ],
  [
    'from an hour ahead',
    'token_not_yet_valid',
    'final',
    minted({ nbf: inSeconds(3_600), exp: inSeconds(7_000) }),
  ],
  ['another signature', 'token_signature', 'final', tampered],
  ['ES256 under an RSA key', 'token_key_unusable', 'final', () => unsigned({ alg: 'ES256' })],
  ['bound to another certificate', 'token_binding', 'final', minted({ cnf: { 'x5t#S256': 'A'.repeat(43) } })],
]

/** What was answered, in the words of `answerFor`; noted in the table. */
function noted(input: string, { status: name, reason, retrySeconds }: StageAnswer): object {
  const told = retrySeconds === null ? 'final' : `retry after ${retrySeconds} s`
  table.push([input, name, reason ?? '', told])
  const isFar = retrySeconds !== null && (retrySeconds < 1 || retrySeconds > 10)
  const kind = retrySeconds === null ? 'final' : isFar ? told : retrySeconds === 5 ? 'retry in 5 s' : 'retry'
  return { status: name, reason, kind }
}

/** What must be answered: UNAVAILABLE exactly where a later attempt can pass. */
function answerFor(reason: RefusalReason, kind: Kind): object {
  const denial = reason === 'policy_denied' ? 'PERMISSION_DENIED' : 'UNAUTHENTICATED'
  return {
    status: kind === 'final' ? denial : 'UNAVAILABLE',
    reason,
    kind: kind === 'retry in 1 to 10 s' ? expect.stringMatching(/^retry( in 5 s)?$/) : kind,
  }
}

test.each(ROWS)('%s: %s, %o', async (input, reason, kind, token) => {
  expect(noted(input, await stage.call({ token: token === null ? null : await token() }))).toEqual(
    answerFor(reason, kind),
  )
})

test('two authorization fields: final', async () => {
  const bearer = ['authorization', `Bearer ${await stage.token()}`] as const
  const caller = await dialRaw(stage.port, stage.clientTls())
  const { fields } = await caller.request([...GRPC_HEAD, bearer, bearer], Buffer.alloc(5))
  caller.close()
  table.push(['two fields', status[Number(fields['grpc-status'])]!, fields['authgw-reason']!, 'final'])
  expect(fields).toMatchObject({ 'grpc-status': '16', 'authgw-reason': 'token_duplicate' })
  expect(fields).not.toHaveProperty('grpc-status-details-bin')
})

test('a method that nobody allows: final', async () => {
  const answer = await stage.call({ path: '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo' })
  expect(noted('reflection', answer)).toEqual(answerFor('policy_denied', 'final'))
})

test('signatures that do not get their turn: retryable', async () => {
  vi.spyOn(SignatureVerifier.prototype, 'verify').mockResolvedValue('overload')
  const answer = await stage.call({ token: await stage.provider.mintToken({ jti: 'not seen before' }) })
  vi.restoreAllMocks()
  expect(noted('no turn for the signature', answer)).toEqual(
    answerFor('verification_overload', 'retry in 1 to 10 s'),
  )
})

test('a key that is not known yet: retryable until a fetch after the call has not brought it, then final', async () => {
  const token = await stage.provider.mintToken({}, { kid: 'nobody-knows' })
  const early = await stage.call({ token })
  // The fetch at the start may be more than ten seconds ago; then this call has just made the next one.
  if (early.reason === 'keys_unavailable') {
    expect(noted('unknown key, while fetches rest', early)).toEqual(
      answerFor('keys_unavailable', 'retry in 1 to 10 s'),
    )
    await sleep(early.retrySeconds! * 1_000)
    const later = await stage.call({ token })
    expect(noted('unknown key, after a fresh fetch', later)).toEqual(answerFor('token_unknown_key', 'final'))
  } else {
    expect(noted('unknown key, after a fresh fetch', early)).toEqual(answerFor('token_unknown_key', 'final'))
    const resting = await stage.call({ token })
    expect(noted('unknown key, while fetches rest', resting)).toEqual(
      answerFor('keys_unavailable', 'retry in 1 to 10 s'),
    )
  }
}, 30_000)

test('keys that were never loaded: retryable', async () => {
  await using young = await openStage({
    shape: 'control_plane',
    waitsUntilWell: false,
    beforeStart: ({ proxy }) => proxy.misbehave(KEYS_PATH, SERVER_ERROR),
  })
  expect(noted('no keys ever', await young.call())).toEqual(
    answerFor('keys_unavailable', 'retry in 1 to 10 s'),
  )
})

test('every reason of the control plane is in the table', () => {
  const seen = new Set(table.map((row) => row[2]))
  const own = Object.keys(REFUSAL_REASONS).filter((reason) => !reason.startsWith('credential_'))
  expect(own.filter((reason) => !seen.has(reason))).toEqual([])
})

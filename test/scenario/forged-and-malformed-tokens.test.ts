/**
 * Row 9 of the no-loss contract, and every refusal of a token: a table of inputs and answers, printed at the end.
 * Through a control plane gateway with mTLS, against a real provider; none accepted, none retryable when it is final.
 */
import { createHash, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { status } from '@grpc/grpc-js'
import { base64url, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { KEYS_PATH } from '../support/fault-proxy.ts'
import { dialRaw } from '../support/raw-caller.ts'
import { AUDIENCE, GRPC_HEAD, openStage } from '../support/scenario-stage.ts'
import type { Stage, StageAnswer } from '../support/scenario-stage.ts'

let stage: Stage
const table: string[][] = []

beforeAll(async () => {
  stage = await openStage({ shape: 'control_plane' })
})
afterAll(async () => {
  await stage[Symbol.asyncDispose]()
  const widths = [0, 1, 2, 3].map((column) => Math.max(...table.map((row) => row[column]!.length)))
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  )
  process.stdout.write(`\n${lines.join('\n')}\n`)
})

const nowSeconds = (): number => Math.floor(Date.now() / 1000)
const segment = (value: unknown): string => base64url.encode(JSON.stringify(value))
const FUTURE = 4_102_444_800

/** A header and claims as they stand, with a signature of no worth: checks before the signature see them. */
const unsigned = (header: unknown, claims: unknown): string =>
  `${typeof header === 'string' ? base64url.encode(header) : segment(header)}.${typeof claims === 'string' ? base64url.encode(claims) : segment(claims)}.${'A'.repeat(342)}`

const usual = (): Record<string, unknown> => ({
  iss: stage.proxy.url,
  aud: AUDIENCE,
  sub: 'workload',
  client_id: 'workload',
  iat: nowSeconds(),
  exp: nowSeconds() + 300,
})
const HEADER = { alg: 'RS256', typ: 'at+jwt', kid: 'signing-1' }

/** What a caller sends, and the reason it must be given. */
type Case = readonly [input: string, reason: string, make: () => Promise<string> | string]

const minted =
  (claims: Record<string, unknown>, header?: Record<string, unknown>): (() => Promise<string>) =>
  () =>
    stage.provider.mintToken(claims, header)

async function signedByStranger(header: Record<string, unknown>): Promise<string> {
  const { privateKey } = await generateKeyPair('RS256')
  return new SignJWT(usual()).setProtectedHeader({ ...HEADER, ...header }).sign(privateKey)
}

/** The classic: the public key's text as an HMAC secret. */
async function signedWithPublicKey(): Promise<string> {
  const { keys } = (await (await fetch(`${stage.provider.url}${KEYS_PATH}`)).json()) as { keys: object[] }
  const secret = new TextEncoder().encode(JSON.stringify(keys[0]))
  return new SignJWT(usual()).setProtectedHeader({ ...HEADER, alg: 'HS256' }).sign(secret)
}

async function signedByKeyInHeader(): Promise<string> {
  const { privateKey, publicKey } = await generateKeyPair('RS256')
  const jwk = await exportJWK(publicKey)
  return new SignJWT(usual()).setProtectedHeader({ ...HEADER, jwk }).sign(privateKey)
}

const altered = async (part: 0 | 1 | 2, change: (text: string) => string): Promise<string> => {
  const parts = (await stage.token()).split('.')
  parts[part] = change(parts[part]!)
  return parts.join('.')
}

const CASES: readonly Case[] = [
  ['three words', 'token_malformed', () => 'not.a.token'],
  ['one segment', 'token_malformed', () => 'token'],
  ['two segments', 'token_malformed', async () => (await stage.token()).split('.').slice(0, 2).join('.')],
  ['an empty signature', 'token_malformed', async () => altered(2, () => '')],
  ['padding', 'token_malformed', async () => altered(2, (text) => `${text}==`)],
  ['base64 in place of base64url', 'token_malformed', async () => altered(2, (text) => `+/${text.slice(2)}`)],
  [
    'a space within',
    'token_malformed',
    async () => altered(1, (text) => `${text.slice(0, 4)} ${text.slice(4)}`),
  ],
  ['an encrypted token', 'token_encrypted', async () => `${await stage.token()}.AAAA.AAAA`],
  ['17 KiB', 'token_too_large', () => `${segment(HEADER)}.${'A'.repeat(17_000)}.AAAA`],
  ['a header of 1.5 KiB', 'token_too_large', () => unsigned({ ...HEADER, x: 'x'.repeat(1_500) }, usual())],
  ['a header that is no object', 'token_malformed', () => unsigned('[]', usual())],
  ['claims that are no object', 'token_malformed', () => unsigned(HEADER, '"text"')],
  ['claims that are no JSON', 'token_malformed', () => unsigned(HEADER, '{')],
  ['a member twice', 'token_malformed', () => unsigned(HEADER, `{"aud":"a","aud":"${AUDIENCE}"}`)],
  ['nesting of 9', 'token_malformed', () => unsigned(HEADER, `{"a":${'['.repeat(9)}${']'.repeat(9)}}`)],
  ['alg: none', 'token_alg', () => unsigned({ ...HEADER, alg: 'none' }, usual())],
  ['alg: None', 'token_alg', () => unsigned({ ...HEADER, alg: 'None' }, usual())],
  ['alg: HS256 with the public key as secret', 'token_alg', signedWithPublicKey],
  ['alg: ES256K', 'token_alg', () => unsigned({ ...HEADER, alg: 'ES256K' }, usual())],
  ['alg missing', 'token_alg', () => unsigned({ kid: 'signing-1' }, usual())],
  ['alg: ES256 under an RSA key', 'token_key_unusable', () => unsigned({ ...HEADER, alg: 'ES256' }, usual())],
  ['crit', 'token_header', () => unsigned({ ...HEADER, crit: ['exp'], exp: FUTURE }, usual())],
  ['zip', 'token_header', () => unsigned({ ...HEADER, zip: 'DEF' }, usual())],
  ['b64: false', 'token_header', () => unsigned({ ...HEADER, b64: false }, usual())],
  ['typ of another kind', 'token_type', minted({}, { typ: 'dpop+jwt' })],
  ['typ ID in the claims (Keycloak)', 'token_type', minted({ typ: 'ID' })],
  ['typ Refresh in the claims (Keycloak)', 'token_type', minted({ typ: 'Refresh' })],
  ['iss of nobody', 'token_issuer', minted({ iss: 'https://somebody.example' })],
  [
    'iss with a slash more',
    'token_issuer',
    async () => stage.provider.mintToken({ iss: `${stage.proxy.url}/` }),
  ],
  ['iss missing', 'token_issuer', minted({ iss: undefined })],
  ['iss an array', 'token_issuer', async () => stage.provider.mintToken({ iss: [stage.proxy.url] })],
  ['aud of another', 'token_audience', minted({ aud: 'billing' })],
  ['aud missing', 'token_audience', minted({ aud: undefined })],
  ['aud an empty array', 'token_audience', minted({ aud: [] })],
  ['exp missing', 'token_claims', minted({ exp: undefined })],
  ['exp a text', 'token_claims', minted({ exp: '4102444800' })],
  ['nbf a text', 'token_claims', minted({ nbf: 'now' })],
  ['exp an hour ago', 'token_expired', minted({ iat: nowSeconds() - 7_200, exp: nowSeconds() - 3_600 })],
  ['nbf in an hour', 'token_not_yet_valid', minted({ nbf: nowSeconds() + 3_600, exp: nowSeconds() + 7_200 })],
  [
    'another signature',
    'token_signature',
    async () => altered(2, (text) => text.split('').reverse().join('')),
  ],
  [
    'other claims under the signature',
    'token_signature',
    async () => altered(1, () => segment({ ...usual(), sub: 'admin' })),
  ],
  ['a stranger’s signature', 'token_signature', () => signedByStranger({})],
  ['a key of its own in the header', 'token_signature', signedByKeyInHeader],
  [
    'jku to a stranger’s keys',
    'token_signature',
    () => signedByStranger({ jku: 'https://somebody.example/jwks' }),
  ],
  ['cnf of another certificate', 'token_binding', minted({ cnf: { 'x5t#S256': 'A'.repeat(43) } })],
  ['cnf.jkt (DPoP)', 'token_binding', minted({ cnf: { jkt: 'A'.repeat(43) } })],
]

function note(input: string, answer: StageAnswer): void {
  const retry = answer.retrySeconds === null ? '' : `RetryInfo ${answer.retrySeconds} s`
  table.push([input, answer.status, answer.reason ?? '', retry])
}

test.each(CASES)('%s is refused for good: %s', async (input, reason, make) => {
  const answer = await stage.call({ token: await make() })
  note(input, answer)
  expect(answer).toMatchObject({ status: 'UNAUTHENTICATED', retrySeconds: null, reason })
  expect(answer.message).toBe(`invalid token: ${reason.replace(/^token_/, '').replaceAll('_', ' ')}`)
})

test('no token at all is refused for good', async () => {
  const answer = await stage.call({ token: null })
  note('none', answer)
  expect(answer).toMatchObject({ status: 'UNAUTHENTICATED', retrySeconds: null, reason: 'token_missing' })
})

test.each([
  ['scheme Basic', (token: string) => [`Basic ${token}`], 'token_malformed'],
  ['two spaces', (token: string) => [`Bearer  ${token}`], 'token_malformed'],
  ['no scheme', (token: string) => [token], 'token_malformed'],
])('%s is refused for good', async (input, make, reason) => {
  const authorization = make(await stage.token())
  const answer = await stage.call({ token: null, metadata: { authorization } })
  note(input, answer)
  expect(answer).toMatchObject({ status: 'UNAUTHENTICATED', retrySeconds: null, reason })
})

test('two authorization fields are refused for good, even when they agree', async () => {
  const bearer = ['authorization', `Bearer ${await stage.token()}`] as const
  const caller = await dialRaw(stage.port, stage.clientTls())
  const { fields } = await caller.request([...GRPC_HEAD, bearer, bearer], Buffer.alloc(5))
  caller.close()
  table.push([
    'two authorization fields',
    status[Number(fields['grpc-status'])]!,
    fields['authgw-reason']!,
    '',
  ])
  expect(fields).toMatchObject({ 'grpc-status': '16', 'authgw-reason': 'token_duplicate' })
  expect(fields).not.toHaveProperty('grpc-status-details-bin')
})

const certificateHash = (): string => {
  const { raw } = new X509Certificate(readFileSync(stage.pki.client.certFile))
  return createHash('sha256').update(raw).digest('base64url')
}

test.each([
  ['a token as the provider gives it', () => stage.token()],
  ['aud an array with ours in it', minted({ aud: ['billing', AUDIENCE] })],
  ['typ JWT', minted({}, { typ: 'JWT' })],
  [
    'cnf of this certificate',
    async () => stage.provider.mintToken({ cnf: { 'x5t#S256': certificateHash() } }),
  ],
  ['a member called __proto__', minted(JSON.parse('{"__proto__":{"aud":"x"}}') as Record<string, unknown>)],
  ['expired 10 s ago, within the leeway', minted({ iat: nowSeconds() - 300, exp: nowSeconds() - 10 })],
] as const)('%s is accepted', async (input, make) => {
  // The connection of the forgeries above waits before another of its tokens is looked at (docs/adr/0018-forgers-wait.md).
  stage.hangUp()
  const answer = await stage.call({ token: await make() })
  note(input, answer)
  expect(answer).toMatchObject({ status: 'OK', reason: null })
})

test('scheme bearer in lower case is accepted (RFC 9110 §11.1)', async () => {
  const token = await stage.token()
  const answer = await stage.call({ token: null, metadata: { authorization: [`bearer ${token}`] } })
  expect(answer.status).toBe('OK')
})

test('none of it has made a bug, a crash, or more than one fetch of keys', async () => {
  expect(await stage.metric('authgw_bugs_total')).toBe(0)
  expect((await stage.call()).status).toBe('OK')
  expect(stage.proxy.attempts(KEYS_PATH)).toHaveLength(1)
})

test('what is refused is logged with its kid, issuer and reason, never with the token', async () => {
  const marked = await stage.provider.mintToken({ aud: 'billing', jti: 'marker' })
  await stage.call({ token: marked })
  const logs = await stage.logs()
  expect(logs).toContain('"reason":"token_audience"')
  expect(logs).toContain('"kid":"signing-1"')
  for (const part of marked.split('.')) expect(logs).not.toContain(part.slice(0, 60))
})

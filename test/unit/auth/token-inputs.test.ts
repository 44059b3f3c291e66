import { base64url } from 'jose'
import { expect, test } from 'vitest'
import type { CallFacts, RefusalReason } from '../../../src/auth/index.ts'
import { SIGNATURE_ALGORITHMS } from '../../../src/base/index.ts'
import { gateBench, permitted, refused, verifiedPeer, type GateBench } from '../../support/gate-bench.ts'
import { segment, type MintOptions } from '../../support/issuer.ts'

type Answer = RefusalReason | 'permit'

/** What is sent, and what comes back. The expected status is 16 (UNAUTHENTICATED) for every refusal here. */
const MINTED: [what: string, options: MintOptions, answer: Answer][] = [
  ['a token as Keycloak issues it', { claims: { typ: 'Bearer' } }, 'permit'],
  ['typ at+jwt (RFC 9068)', { header: { typ: 'at+jwt' } }, 'permit'],
  ['typ application/at+jwt in other case', { header: { typ: 'Application/AT+JWT' } }, 'permit'],
  ['no typ, as Kubernetes issues it', { header: { typ: undefined } }, 'permit'],
  ['aud as an array with ours in it', { claims: { aud: ['account', 'control-plane'] } }, 'permit'],
  ['scope as a string', { claims: { scope: 'otlp.write openid' } }, 'permit'],
  ['scope as an array', { claims: { scope: ['otlp.write'] } }, 'permit'],
  ['a fraction in exp', { claims: { exp: 2_000_000_000.5 } }, 'permit'],
  ['no iat and no nbf', { claims: { iat: undefined } }, 'permit'],
  ['a claim called __proto__', { claims: JSON.parse('{"__proto__": {"aud": "x"}}') }, 'permit'],
  [
    'jku, jwk, x5u, x5c in the header',
    { header: { jku: 'https://evil.example/k', jwk: {}, x5u: 'x', x5c: [] } },
    'permit',
  ],
  ['nbf just ahead, within the leeway', { claims: { nbf: Date.UTC(2026, 10, 22) / 1000 + 29 } }, 'permit'],
  ['expired, within the leeway', { expiresInSeconds: -29 }, 'permit'],
  ['alg none', { header: { alg: 'none' } }, 'token_alg'],
  ['alg None', { header: { alg: 'None' } }, 'token_alg'],
  ['HS256 with the public key as secret', { header: { alg: 'HS256' } }, 'token_alg'],
  ['an algorithm nobody knows', { header: { alg: 'XY999' } }, 'token_alg'],
  ['alg as a number', { header: { alg: 5 } }, 'token_alg'],
  ['no alg', { header: { alg: undefined } }, 'token_alg'],
  ['another algorithm than the key is for', { header: { alg: 'RS512' } }, 'token_key_unusable'],
  ['ES256 under the kid of an RSA key', { header: { alg: 'ES256' } }, 'token_key_unusable'],
  ['a crit that nobody understands', { header: { crit: ['exp'], exp: 1 } }, 'token_header'],
  ['b64 false', { header: { b64: false, crit: ['b64'] } }, 'token_header'],
  ['b64 false without crit', { header: { b64: false } }, 'token_header'],
  ['a compressed token', { header: { zip: 'DEF' } }, 'token_header'],
  ['kid as a number', { header: { kid: 7 } }, 'token_malformed'],
  ['a kid of 1000 characters', { header: { kid: 'k'.repeat(1_000) } }, 'token_too_large'],
  ['a kid of 300 characters', { header: { kid: 'k'.repeat(300) } }, 'token_malformed'],
  ['a header over 1 KiB', { header: { pad: 'x'.repeat(1_024) } }, 'token_too_large'],
  ['typ as a number', { header: { typ: 1 } }, 'token_type'],
  ['typ of an ID token of OpenID Connect logout', { header: { typ: 'logout+jwt' } }, 'token_type'],
  ["Keycloak's ID token", { claims: { typ: 'ID' } }, 'token_type'],
  ["Keycloak's refresh token", { claims: { typ: 'Refresh' } }, 'token_type'],
  ["Keycloak's offline token", { claims: { typ: 'Offline' } }, 'token_type'],
  [
    'an issuer with a slash more',
    { claims: { iss: 'https://idp.example/realms/opentelemetry/' } },
    'token_issuer',
  ],
  ['an issuer nobody configured', { claims: { iss: 'https://evil.example' } }, 'token_issuer'],
  ['no issuer', { claims: { iss: undefined } }, 'token_issuer'],
  ['another audience', { claims: { aud: 'account' } }, 'token_audience'],
  ['an audience that begins like ours', { claims: { aud: 'control-plane-2' } }, 'token_audience'],
  ['no audience', { claims: { aud: undefined } }, 'token_audience'],
  ['an empty array of audiences', { claims: { aud: [] } }, 'token_audience'],
  ['an audience that is a number', { claims: { aud: 5 } }, 'token_claims'],
  ['an audience in an array of arrays', { claims: { aud: [['control-plane']] } }, 'token_claims'],
  ['no exp', { claims: { exp: undefined } }, 'token_claims'],
  ['exp as a string', { claims: { exp: '2000000000' } }, 'token_claims'],
  ['a negative exp', { claims: { exp: -1 } }, 'token_claims'],
  ['exp beyond exact numbers', { claims: { exp: 1e300 } }, 'token_claims'],
  ['nbf as a string', { claims: { nbf: 'now' } }, 'token_claims'],
  ['iat as an object', { claims: { iat: {} } }, 'token_claims'],
  ['sub as a number', { claims: { sub: 1 } }, 'token_claims'],
  ['azp as an array', { claims: { azp: ['a'] } }, 'token_claims'],
  ['scope as a number', { claims: { scope: 1 } }, 'token_claims'],
  ['expired an hour ago', { issuedAgoSeconds: 7_200, expiresInSeconds: -3_600 }, 'token_expired'],
  ['nbf an hour ahead', { claims: { nbf: Date.UTC(2026, 10, 22) / 1000 + 3_600 } }, 'token_not_yet_valid'],
  ['iat an hour ahead', { issuedAgoSeconds: -3_600, expiresInSeconds: 7_200 }, 'token_not_yet_valid'],
  ['bound to a key by DPoP', { claims: { cnf: { jkt: 'abc' } } }, 'token_binding'],
  ['bound to another certificate', { claims: { cnf: { 'x5t#S256': 'OTHER' } } }, 'token_binding'],
  [
    'bound to our certificate and by DPoP',
    { claims: { cnf: { 'x5t#S256': 'LEAF', jkt: 'x' } } },
    'token_binding',
  ],
  ['cnf that is no object', { claims: { cnf: 'LEAF' } }, 'token_binding'],
  ['an empty cnf', { claims: { cnf: {} } }, 'token_binding'],
  ['bound to our certificate', { claims: { cnf: { 'x5t#S256': 'LEAF' } } }, 'permit'],
]

async function answer(bench: GateBench, token: string, over?: Partial<CallFacts>): Promise<Answer> {
  const verdict = await bench.admit(token, over)
  if (verdict.kind === 'permit') return 'permit'
  expect(verdict.status).toBe(16)
  expect(verdict.retryDelaySeconds).toBeNull()
  expect(bench.gate.stats.refused[verdict.reason]).toBeGreaterThan(0)
  return verdict.reason
}

test.each(MINTED)('%s: %#', async (_what, options, expected) => {
  const bench = await gateBench()
  expect(await answer(bench, await bench.issuer.mint(options))).toBe(expected)
})

test('what is not three segments of base64url is malformed, and a JWE is refused unparsed', async () => {
  const bench = await gateBench()
  const token = await bench.issuer.mint()
  const [header, payload, signature] = token.split('.') as [string, string, string]
  const inputs: [string, Answer][] = [
    ['', 'token_malformed'],
    ['x', 'token_malformed'],
    ['a.b', 'token_malformed'],
    ['..', 'token_malformed'],
    [`${header}.${payload}.`, 'token_malformed'],
    [`${header}..${signature}`, 'token_malformed'],
    [`${header}.${payload}.${signature}.x`, 'token_malformed'],
    [`${header}.${payload}.${signature}=`, 'token_malformed'],
    [`${header}.${payload}.${signature} `, 'token_malformed'],
    [` ${token}`, 'token_malformed'],
    [`${header}.${payload}.a`, 'token_malformed'],
    [`${header}+.${payload}.${signature}`, 'token_malformed'],
    [`${header}é.${payload}.${signature}`, 'token_malformed'],
    [`${segment([])}.${payload}.${signature}`, 'token_malformed'],
    [`${segment('x')}.${payload}.${signature}`, 'token_malformed'],
    [`${header}.${segment(null)}.${signature}`, 'token_malformed'],
    [`${header}.${base64url.encode('{')}.${signature}`, 'token_malformed'],
    [`${header}.${base64url.encode('\uFEFF{}')}.${signature}`, 'token_malformed'],
    [`${header}.${base64url.encode(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]))}.x1`, 'token_malformed'],
    [`${segment({ alg: 'RSA-OAEP', enc: 'A256GCM' })}.a1.b1.c1.d1`, 'token_encrypted'],
    [`${segment({ alg: 'dir', enc: 'A256GCM' })}..b1.c1.d1`, 'token_encrypted'],
    [`${segment({ alg: 'dir', enc: 'A256GCM' })}.${payload}.${signature}`, 'token_encrypted'],
    ['a'.repeat(16_385), 'token_too_large'],
    [`${token}${'A'.repeat(16_384)}`, 'token_too_large'],
    [await bench.issuer.forge(), 'token_signature'],
    [`${header}.${payload}.${'A'.repeat(342)}`, 'token_signature'],
    [
      `${header}.${segment(bench.issuer.claims({ claims: { sub: 'admin' } }))}.${signature}`,
      'token_signature',
    ],
    [token, 'permit'],
  ]
  for (const [input, expected] of inputs)
    expect([input, await answer(bench, input)]).toEqual([input, expected])
})

test('JSON that two parsers could read differently is malformed, wherever it stands', async () => {
  const bench = await gateBench()
  const header = JSON.stringify({ alg: 'RS256', kid: bench.issuer.keys[0]!.kid })
  const claims = JSON.stringify(bench.issuer.claims())
  const inside = claims.slice(1, -1)
  const nested = (depth: number): string =>
    `{${inside},"deep":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`
  const inputs: [header: string, payload: string, Answer][] = [
    [header, claims, 'permit'],
    [header, `{"aud":"control-plane",${inside}}`, 'token_malformed'],
    [header, `{${inside},"exp":9999999999}`, 'token_malformed'],
    [header, `{${inside},"\\u0065xp":9999999999}`, 'token_malformed'],
    [header, `{${inside},"r":{"a":1,"a":2}}`, 'token_malformed'],
    [header, `{${inside},"r":[{"a":1,"b":[]},{"a":2}]}`, 'permit'],
    [header, `{${inside},"r":["a","a","x:\\"a\\"","{"]}`, 'permit'],
    [`{"alg":"none",${header.slice(1)}`, claims, 'token_malformed'],
    [header, nested(8), 'permit'],
    [header, nested(9), 'token_malformed'],
  ]
  for (const [headerText, payload, expected] of inputs)
    expect([payload, await answer(bench, await bench.issuer.signText(headerText, payload))]).toEqual([
      payload,
      expected,
    ])
})

test('the field: once, scheme Bearer in any case, one space', async () => {
  const bench = await gateBench()
  const token = await bench.issuer.mint()
  const inputs: [authorization: string | null, count: number, Answer][] = [
    [null, 0, 'token_missing'],
    [`Bearer ${token}`, 2, 'token_duplicate'],
    [null, 2, 'token_duplicate'],
    [token, 1, 'token_malformed'],
    [`Basic ${token}`, 1, 'token_malformed'],
    [`Bearer  ${token}`, 1, 'token_malformed'],
    [`Bearer\t${token}`, 1, 'token_malformed'],
    [`Bearer`, 1, 'token_malformed'],
    [`Bearer `, 1, 'token_malformed'],
    [`bearer ${token}`, 1, 'permit'],
    [`BEARER ${token}`, 1, 'permit'],
  ]
  for (const [authorization, authorizationCount, expected] of inputs) {
    const seen = await answer(bench, '', { authorization, authorizationCount })
    expect([authorization, seen]).toEqual([authorization, expected])
  }
})

test.each(SIGNATURE_ALGORITHMS)('%s verifies with a key of its own kind', async (alg) => {
  const bench = await gateBench({ issuer: { alg } })
  permitted(await bench.admitMinted())
  expect(refused(await bench.admit(await bench.issuer.forge())).reason).toBe('token_signature')
})

test('an algorithm that the provider is not configured for is refused though a key fits', async () => {
  const bench = await gateBench({ provider: { algorithms: ['ES256'] } })
  expect(refused(await bench.admitMinted()).reason).toBe('token_alg')
})

test('without a kid the only key that fits is used; with two, none', async () => {
  const bench = await gateBench()
  const token = await bench.issuer.mint({ header: { kid: undefined } })
  permitted(await bench.admit(token))
  await bench.issuer.addKey('RS256', 'second')
  await bench.keeper.reload()
  expect(refused(await bench.admit(token)).reason).toBe('token_key_unusable')
})

test('provider options: clients, subjects, lifetime, RFC 9068 type, any audience, leeway', async () => {
  const cases: [NonNullable<Parameters<typeof gateBench>[0]>['provider'], MintOptions, Answer][] = [
    [{ allowedClients: ['workload'] }, {}, 'permit'],
    [{ allowedClients: ['other'] }, {}, 'token_client'],
    [{ allowedClients: [] }, {}, 'permit'],
    [{ allowedClients: ['workload'] }, { claims: { azp: undefined } }, 'permit'],
    [{ allowedClients: ['x'] }, { claims: { azp: undefined, client_id: undefined, appid: 'x' } }, 'permit'],
    [{ allowedSubjects: ['service-account-workload'] }, {}, 'permit'],
    [{ allowedSubjects: ['someone'] }, {}, 'token_client'],
    [{ maxLifetimeSeconds: 300 }, {}, 'permit'],
    [{ maxLifetimeSeconds: 299 }, {}, 'token_lifetime'],
    [{ maxLifetimeSeconds: 299 }, { claims: { iat: undefined } }, 'token_lifetime'],
    [{ requiresAccessTokenType: true }, {}, 'token_type'],
    [{ requiresAccessTokenType: true }, { header: { typ: undefined } }, 'token_type'],
    [{ requiresAccessTokenType: true }, { header: { typ: 'at+jwt' } }, 'permit'],
    [{ audiences: null }, { claims: { aud: undefined } }, 'permit'],
    [{ audiences: ['a', 'b'] }, { claims: { aud: ['b'] } }, 'permit'],
    [{ leewaySeconds: 300 }, { expiresInSeconds: -299 }, 'permit'],
    [{ leewaySeconds: 0 }, { expiresInSeconds: 1 }, 'permit'],
  ]
  for (const [provider, mint, expected] of cases) {
    const bench = await gateBench({ provider: provider! })
    expect([provider, await answer(bench, await bench.issuer.mint(mint))]).toEqual([provider, expected])
  }
})

test('a certificate-bound token passes only on connections made with its certificate, cached or not', async () => {
  const bench = await gateBench()
  const token = await bench.issuer.mint({ claims: { cnf: { 'x5t#S256': 'LEAF' } } })
  const other = verifiedPeer({ certificateSha256: 'OTHER' })
  const unverified = { ...verifiedPeer(), isVerified: false }
  expect(await answer(bench, token, { peer: other })).toBe('token_binding')
  expect(await answer(bench, token)).toBe('permit')
  expect(await answer(bench, token, { peer: other })).toBe('token_binding')
  expect(await answer(bench, token, { peer: unverified })).toBe('token_binding')
  expect(await answer(bench, token)).toBe('permit')
  expect(bench.gate.stats.verifications).toBe(1)
})

test('a claim that must equal a name in the certificate', async () => {
  const bench = await gateBench({ provider: { sanClaim: 'client_id' } })
  const token = await bench.issuer.mint()
  const cases: [Partial<ReturnType<typeof verifiedPeer>>, Answer][] = [
    [{ uris: ['spiffe://example.org/ns/otel/workload'] }, 'permit'],
    [{ dnsNames: ['workload'] }, 'permit'],
    [{ dnsNames: ['workload.example.org'] }, 'token_binding'],
    [{ uris: ['spiffe://example.org/workload', 'spiffe://example.org/b'] }, 'token_binding'],
    [{ uris: ['spiffe://example.org/other'] }, 'token_binding'],
    [{ uris: ['spiffe://example.org/workload'], isVerified: false }, 'token_binding'],
    [{}, 'token_binding'],
  ]
  for (const [place, [over, expected]] of cases.entries()) {
    const peer = verifiedPeer({ certificateSha256: `LEAF-${place}`, ...over })
    expect([over, await answer(bench, token, { peer })]).toEqual([over, expected])
  }
  const missing = await bench.issuer.mint({ claims: { client_id: undefined } })
  expect(await answer(bench, missing, { peer: verifiedPeer({ dnsNames: ['workload'] }) })).toBe(
    'token_binding',
  )
})

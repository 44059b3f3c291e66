import { expect, test } from 'vitest'
import {
  BearerGate,
  Policy,
  type CallFacts,
  type KeyFetchReport,
  type KeySet,
} from '../../../src/auth/index.ts'
import { ConfigError, NO_LOG, Published } from '../../../src/base/index.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'
import {
  anonymousPeer,
  gateBench,
  permitted,
  refused,
  TRACES,
  until,
  verifiedPeer,
} from '../../support/gate-bench.ts'
import { TestIssuer } from '../../support/issuer.ts'

test('a token signed by the issuer opens the way to OTLP Export', async () => {
  const { admitMinted, gate, clock, issuer } = await gateBench()
  const permit = permitted(await admitMinted())
  expect(permit.principal).toEqual({
    issuer: issuer.issuer,
    subject: 'service-account-workload',
    client: 'workload',
  })
  expect(permit.dropsAuthorization).toBe(true)
  expect(permit.fields).toEqual([
    ['x-authgw-subject', 'service-account-workload'],
    ['x-authgw-client', 'workload'],
    ['x-authgw-issuer', issuer.issuer],
  ])
  expect(gate.isCurrent(permit, clock.wallMs())).toBe(true)
  expect(gate.stats.accepted).toBe(1)
  expect(gate.renew()).toBeNull()
})

test('a second call with the same token is answered synchronously and costs no signature', async () => {
  const { gate, call, issuer } = await gateBench()
  const token = await issuer.mint()
  const first = permitted(await gate.admit(call(token)))
  expect(gate.admit(call(token))).toBe(first)
  expect(gate.stats).toMatchObject({ verifications: 1, verdictHits: 1 })
  // Another method with the same token: no signature either.
  const path = TRACES.replaceAll('trace', 'logs').replace('Trace', 'Logs')
  expect(gate.admit(call(token, { path }))).toMatchObject({ kind: 'permit' })
  expect(gate.stats).toMatchObject({ verifications: 1, tokenHits: 1, accepted: 3 })
})

test('the token reaches the collector only when it is to be forwarded', async () => {
  const { admitMinted } = await gateBench({ gate: { forwardsToken: true } })
  expect(permitted(await admitMinted()).dropsAuthorization).toBe(false)
})

test('a permit ends with the token, and may be used again for five minutes or until the certificate ends', async () => {
  const { admitMinted, clock } = await gateBench()
  const now = clock.wallMs()
  const usual = permitted(await admitMinted({ expiresInSeconds: 3_600 }))
  expect([usual.endsAtMs, usual.validUntilMs]).toEqual([now + 3_630_000, now + 300_000])
  const short = permitted(await admitMinted({ expiresInSeconds: 60 }))
  expect([short.endsAtMs, short.validUntilMs]).toEqual([now + 90_000, now + 90_000])
  const peer = verifiedPeer({ certificateSha256: 'SHORT', notAfterMs: now + 5_000 })
  const bound = permitted(await admitMinted({}, { peer }))
  expect([bound.endsAtMs, bound.validUntilMs]).toEqual([now + 330_000, now + 5_000])
})

test('a permit stops to be current at its end, with new keys, with a new policy, and with new trust', async () => {
  const { gate, issuer, keeper, clock, call } = await gateBench()
  const token = await issuer.mint()
  const make = async () => permitted(await gate.admit(call(token)))
  const isCurrent = (permit: Awaited<ReturnType<typeof make>>) => gate.isCurrent(permit, clock.wallMs())
  let permit = await make()
  expect(gate.isCurrent(permit, permit.validUntilMs - 1)).toBe(true)
  expect(gate.isCurrent(permit, permit.validUntilMs)).toBe(false)
  await keeper.reload()
  expect(isCurrent(permit)).toBe(true)
  await issuer.addKey()
  await keeper.reload()
  expect(isCurrent(permit)).toBe(false)
  permit = await make()
  expect(gate.stats.verifications).toBe(2)
  gate.invalidateTrust()
  expect(isCurrent(permit)).toBe(false)
  permit = await make()
  gate.replacePolicy(new Policy({ rules: [{ action: 'deny' }] }))
  expect(isCurrent(permit)).toBe(false)
  expect(refused(await gate.admit(call(token))).reason).toBe('policy_denied')
  expect(gate.stats.verifications).toBe(2)
})

test('a key that is withdrawn takes its tokens with it at once', async () => {
  const { gate, issuer, keeper, call, clock } = await gateBench()
  const token = await issuer.mint()
  permitted(await gate.admit(call(token)))
  await issuer.addKey('RS256', 'next')
  issuer.removeKey('rs256-1')
  await keeper.reload()
  await clock.advance(10_000)
  expect(refused(await gate.admit(call(token))).reason).toBe('token_unknown_key')
})

test('a forged signature is refused, worth ten glitches, and remembered for ten seconds', async () => {
  const { gate, call, issuer, clock } = await gateBench()
  const token = await issuer.forge()
  const refusal = refused(await gate.admit(call(token)))
  expect(refusal).toMatchObject({ reason: 'token_signature', status: 16, glitches: 10, validUntilMs: 0 })
  expect(gate.admit(call(token))).toMatchObject({ reason: 'token_signature', glitches: 10 })
  expect(gate.stats).toMatchObject({ verifications: 1, rejectionHits: 1 })
  await clock.advance(10_000)
  refused(await gate.admit(call(token)))
  expect(gate.stats.verifications).toBe(2)
})

test('a refusal that time and keys cannot change is kept for ten seconds, others are not', async () => {
  const { gate, issuer, call, clock } = await gateBench()
  const wrong = await issuer.mint({ claims: { aud: 'x' } })
  const expired = await issuer.mint({ expiresInSeconds: -4_000, issuedAgoSeconds: 5_000 })
  const keptUntil = clock.wallMs() + 10_000
  expect(gate.admit(call(wrong))).toMatchObject({ reason: 'token_audience', validUntilMs: keptUntil })
  expect(gate.admit(call(wrong))).toMatchObject({ reason: 'token_audience', validUntilMs: keptUntil })
  expect(gate.admit(call(expired))).toMatchObject({ reason: 'token_expired', validUntilMs: 0 })
  expect(gate.admit(call(expired))).toMatchObject({ reason: 'token_expired' })
  expect(gate.stats.rejectionHits).toBe(1)
})

test('row 9a: a stock client whose genuine token has just expired is told to try again in 5 s', async () => {
  const { admitMinted, gate } = await gateBench()
  const recently = { issuedAgoSeconds: 500, expiresInSeconds: -200 }
  expect(refused(await admitMinted(recently))).toMatchObject({
    reason: 'token_expired_recently',
    status: 14,
    retryDelaySeconds: 5,
    text: 'invalid token: expired recently',
  })
  expect(refused(await admitMinted(recently, { isAuthgwHop: true }))).toMatchObject({
    reason: 'token_expired',
    status: 16,
    retryDelaySeconds: null,
  })
  expect(refused(await admitMinted({ ...recently, expiresInSeconds: -300 }))).toMatchObject({
    reason: 'token_expired',
    status: 16,
  })
  expect(gate.stats.verifications).toBe(1)
})

test('row 9a: a forged token that has just expired is final, not retried', async () => {
  const { admit, issuer } = await gateBench()
  const token = await issuer.forge({ expiresInSeconds: -60, issuedAgoSeconds: 100 })
  expect(refused(await admit(token))).toMatchObject({ reason: 'token_signature', status: 16 })
})

test('row 9a: a cached token that expires is answered without another signature', async () => {
  const { gate, issuer, call, clock } = await gateBench()
  const token = await issuer.mint({ expiresInSeconds: 10 })
  permitted(await gate.admit(call(token)))
  await clock.advance(40_000)
  expect(gate.admit(call(token))).toMatchObject({ reason: 'token_expired_recently', status: 14 })
  expect(gate.admit(call(token, { isAuthgwHop: true }))).toMatchObject({
    reason: 'token_expired',
    status: 16,
  })
  expect(gate.stats.verifications).toBe(1)
})

test('on_expired: fail makes row 9a final', async () => {
  const { admitMinted, gate } = await gateBench({ gate: { onExpired: 'fail' } })
  expect(refused(await admitMinted({ expiresInSeconds: -60, issuedAgoSeconds: 100 }))).toMatchObject({
    reason: 'token_expired',
    status: 16,
  })
  expect(gate.stats.verifications).toBe(0)
})

test('rows 9a and 11: a token from the near future is retried by a stock client and refused to authgw; skew is counted', async () => {
  const { admitMinted, gate } = await gateBench()
  const early = { issuedAgoSeconds: -60 }
  expect(refused(await admitMinted(early))).toMatchObject({ reason: 'token_not_yet_valid', status: 14 })
  expect(refused(await admitMinted(early, { isAuthgwHop: true }))).toMatchObject({ status: 16 })
  expect(refused(await admitMinted({ issuedAgoSeconds: -301, expiresInSeconds: 900 }))).toMatchObject({
    reason: 'token_not_yet_valid',
    status: 16,
  })
  expect(gate.stats.clockSkew).toBe(3)
})

test('row 10: a valid token without the right is PERMISSION_DENIED, cached, under the name of the rule', async () => {
  const { gate, issuer, call } = await gateBench()
  const token = await issuer.mint()
  const path = '/grpc.health.v1.Health/Check'
  expect(refused(await gate.admit(call(token, { path })))).toMatchObject({
    reason: 'policy_denied',
    status: 7,
    retryDelaySeconds: null,
    text: 'policy default denied',
  })
  expect(gate.admit(call(token, { path }))).toMatchObject({ reason: 'policy_denied' })
  expect(gate.stats).toMatchObject({ verdictHits: 1 })
  expect(gate.stats.refused.policy_denied).toBe(2)
})

test('refusals are counted by issuer: of a configured provider, of any other, or of none', async () => {
  const { gate, issuer, call } = await gateBench()
  const counts = () =>
    Object.fromEntries([...gate.stats.refusedByIssuer].map(([name, of]) => [name, [...of]]))
  const wrong = await issuer.mint({ claims: { aud: 'x' } })
  const stranger = await issuer.mint({ claims: { iss: 'https://chosen-by-the-caller.example' } })
  const good = await issuer.mint()
  // Twice each: the second time from the negative cache, or from that of verdicts.
  for (const token of [wrong, stranger, wrong, stranger, 'not.a.token', await issuer.forge()])
    refused(await gate.admit(call(token)))
  for (const path of ['/a.B/C', '/a.B/C']) refused(await gate.admit(call(good, { path })))
  expect(counts()).toEqual({
    [issuer.issuer]: [
      ['token_audience', 2],
      ['token_signature', 1],
      ['policy_denied', 2],
    ],
    _OTHER: [['token_issuer', 2]],
  })
  expect(gate.stats.refused).toMatchObject({ token_malformed: 1, token_audience: 2, policy_denied: 2 })
})

test('an OTel-Arrow method that no rule names is UNIMPLEMENTED, so that its exporter falls back to OTLP', async () => {
  const { gate, issuer, call } = await gateBench()
  const token = await issuer.mint()
  const path = '/opentelemetry.proto.experimental.arrow.v1.ArrowTracesService/ArrowTraces'
  const told = {
    reason: 'policy_denied',
    status: 12,
    retryDelaySeconds: null,
    text: 'policy otel_arrow denied',
  }
  expect(refused(await gate.admit(call(token, { path })))).toMatchObject(told)
  expect(gate.admit(call(token, { path }))).toMatchObject(told)
  const stranger = anonymousPeer('203.0.113.9', false)
  expect(await gate.admit(call(token, { path, peer: stranger }))).toMatchObject({
    status: 12,
    text: 'permission denied',
  })
  expect(gate.stats.refused.policy_denied).toBe(3)
})

test('an OTel-Arrow method that a rule denies stays PERMISSION_DENIED: that is what the operator wrote', async () => {
  const { gate, issuer, call } = await gateBench({
    policy: { rules: [{ action: 'deny', name: 'no', to: { methods: ['Arrow*'] } }] },
  })
  const path = '/opentelemetry.proto.experimental.arrow.v1.ArrowTracesService/ArrowTraces'
  expect(await gate.admit(call(await issuer.mint(), { path }))).toMatchObject({ status: 7, rule: 'no' })
})

test('a path of absurd length is judged each time and fills no cache', async () => {
  const { gate, issuer, call } = await gateBench()
  const token = await issuer.mint()
  const path = `/a.B/${'C'.repeat(300)}`
  refused(await gate.admit(call(token, { path })))
  expect(gate.admit(call(token, { path }))).toMatchObject({ reason: 'policy_denied' })
  expect(gate.stats).toMatchObject({ verdictHits: 0, tokenHits: 1, verifications: 1 })
})

test('only peers with a verified certificate, or on this machine, learn why', async () => {
  const { gate, issuer, call } = await gateBench({ policy: { rules: [{ action: 'deny', name: 'no' }] } })
  const wrong = await issuer.mint({ claims: { aud: 'x' } })
  const good = await issuer.mint()
  const texts = async (peer: CallFacts['peer']) => [
    refused(await gate.admit(call(wrong, { peer }))).text,
    refused(await gate.admit(call(good, { peer }))).text,
  ]
  expect(await texts(verifiedPeer())).toEqual(['invalid token: audience', 'policy no denied'])
  expect(await texts(anonymousPeer('127.0.0.1', true))).toEqual([
    'invalid token: audience',
    'policy no denied',
  ])
  expect(await texts(anonymousPeer('203.0.113.9', false))).toEqual(['unauthenticated', 'permission denied'])
})

test('a caller without a token is told that, not that its token is invalid', async () => {
  const { gate, call } = await gateBench()
  const bare = { authorization: null, authorizationCount: 0 }
  const text = async (peer: CallFacts['peer']) =>
    refused(await gate.admit({ ...call(''), ...bare, peer })).text
  expect(await text(verifiedPeer())).toBe('no token')
  expect(await text(anonymousPeer('203.0.113.9', false))).toBe('unauthenticated')
})

test('row 7: the keys were never loaded; RetryInfo says when the next fetch is', async () => {
  const { keeper, issuer, clock, admitMinted } = await gateBench({ startsWithKeys: false })
  const comeBack = issuer.goDown()
  keeper.start()
  await until(() => keeper.state.failure !== null)
  const refusal = { reason: 'keys_unavailable', status: 14 }
  expect(refused(await admitMinted())).toMatchObject({ ...refusal, retryDelaySeconds: 10 })
  await clock.advance(6_000)
  expect(refused(await admitMinted())).toMatchObject({ ...refusal, retryDelaySeconds: 4 })
  comeBack()
  await clock.advance(5_000)
  await until(() => keeper.state.keyCount > 0)
  permitted(await admitMinted())
})

test('row 4: a call waits for the first keys when they are on their way, at most 2 s or 60 % of its time', async () => {
  const { keeper, issuer, clock, call, gate } = await gateBench({ startsWithKeys: false })
  let answer: (response: Response) => void = () => {}
  issuer.routes.set(issuer.jwksUri, () => new Promise<Response>((resolve) => (answer = resolve)))
  keeper.start()
  const token = await issuer.mint()
  const outcomes: string[] = []
  const ask = (name: string, timeoutMs: number) =>
    void Promise.resolve(gate.admit(call(token, { timeoutMs }))).then((verdict) =>
      outcomes.push(`${name} ${verdict.kind === 'refusal' ? verdict.reason : verdict.kind}`),
    )
  ask('hasty', 1_000)
  ask('patient', 10_000)
  ask('endless', Infinity)
  await clock.advance(599)
  expect(outcomes).toEqual([])
  await clock.advance(1)
  expect(outcomes).toEqual(['hasty keys_unavailable'])
  await clock.advance(1_399)
  expect(outcomes).toHaveLength(1)
  ask('late', Infinity)
  await clock.advance(1)
  expect(outcomes.slice(1)).toEqual(['patient keys_unavailable', 'endless keys_unavailable'])
  answer(Response.json(issuer.jwks()))
  await until(() => outcomes.length === 4)
  expect(outcomes[3]).toBe('late permit')
})

test('row 8: a stale key set still validates known kids while the provider is down', async () => {
  const { issuer, clock, admitMinted, keeper } = await gateBench()
  issuer.goDown()
  await clock.advance(3_600_000)
  expect(keeper.state.failure).toBe('idp_unreachable')
  permitted(await admitMinted())
})

test('a rotated key is fetched for the first call that carries its kid, which waits and passes', async () => {
  const { issuer, clock, admitMinted } = await gateBench()
  await clock.advance(60_000)
  await issuer.addKey('RS256', 'new')
  const verdict = await admitMinted({ kid: 'new' })
  permitted(verdict)
  expect(issuer.requestCount(issuer.jwksUri)).toBe(2)
})

test('rows 9 and 7: an unknown kid is final after a fetch newer than the request, and retryable before', async () => {
  const { issuer, clock, admitMinted } = await gateBench()
  const unknown = { header: { kid: 'nobody' } }
  await clock.advance(10)
  expect(refused(await admitMinted(unknown))).toMatchObject({
    reason: 'keys_unavailable',
    status: 14,
    retryDelaySeconds: 10,
  })
  await clock.advance(10_000)
  expect(refused(await admitMinted(unknown))).toMatchObject({ reason: 'token_unknown_key', status: 16 })
  await clock.advance(1_000)
  expect(refused(await admitMinted(unknown))).toMatchObject({
    reason: 'keys_unavailable',
    status: 14,
    retryDelaySeconds: 9,
  })
  expect(issuer.requestCount(issuer.jwksUri)).toBe(2)
})

test('row 7: an unknown kid while the fetch fails is retryable', async () => {
  const { issuer, clock, admitMinted } = await gateBench()
  await clock.advance(20_000)
  issuer.goDown()
  expect(refused(await admitMinted({ header: { kid: 'nobody' } }))).toMatchObject({
    reason: 'keys_unavailable',
    status: 14,
    retryDelaySeconds: 10,
  })
})

test('1e5 random kids cost the provider one fetch in 10 s, and honest callers nothing', async () => {
  const { issuer, clock, gate, call, keeper } = await gateBench()
  const honest = await issuer.mint()
  await gate.admit(call(honest))
  await clock.advance(10_000)
  const [, payload, signature] = honest.split('.')
  const flood = (from: number, count: number) => {
    for (let kid = from; kid < from + count; kid++) {
      const header = Buffer.from(`{"alg":"RS256","kid":"${kid}"}`).toString('base64url')
      void gate.admit(call(`${header}.${payload}.${signature}`))
    }
  }
  flood(0, 1_000)
  await until(() => keeper.counts.ok === 2)
  await settle()
  flood(1_000, 99_000)
  expect(issuer.requestCount(issuer.jwksUri)).toBe(2)
  expect(gate.stats.keyRequests).toBe(1)
  expect(gate.admit(call(honest))).toMatchObject({ kind: 'permit' })
  await clock.advance(10_000)
  flood(200_000, 1_000)
  await until(() => keeper.counts.ok === 3)
  expect(issuer.requestCount(issuer.jwksUri)).toBe(3)
}, 20_000)

/** A gate over keys that the test owns, and signatures that end when the test says so. */
async function slowBench() {
  const clock = new FakeClock()
  const issuer = await TestIssuer.create(clock)
  const snapshots = new Published<KeySet>()
  const asked: ((report: KeyFetchReport) => void)[] = []
  const gate = new BearerGate(
    { providers: [{ issuer: issuer.issuer, audiences: ['control-plane'] }], policy: new Policy() },
    {
      clock,
      log: NO_LOG,
      keys: new Map([
        [
          issuer.issuer,
          { snapshots, request: () => new Promise<KeyFetchReport>((resolve) => asked.push(resolve)) },
        ],
      ]),
    },
  )
  const call = (token: string, over: Partial<CallFacts> = {}): CallFacts => ({
    path: TRACES,
    authorization: `Bearer ${token}`,
    authorizationCount: 1,
    isAuthgwHop: false,
    peer: verifiedPeer(),
    receivedAtMs: clock.wallMs(),
    timeoutMs: Infinity,
    ...over,
  })
  return { clock, issuer, gate, call, asked, snapshots }
}

test('an owner that never answers costs a call its wait and nothing more', async () => {
  const { gate, call, clock, issuer, asked } = await slowBench()
  const verdict = Promise.resolve(gate.admit(call(await issuer.mint())))
  await clock.advance(2_000)
  expect(await verdict).toMatchObject({ reason: 'keys_unavailable', status: 14, retryDelaySeconds: 2 })
  expect(asked).toHaveLength(1)
})

test('no more than 4 signatures a connection and 32 in all are in work; the rest wait, then are refused', async () => {
  const { gate, issuer, admit } = await gateBench()
  const tokens = await Promise.all(Array.from({ length: 60 }, () => issuer.mint()))
  const peers = Array.from({ length: 10 }, (_, i) => verifiedPeer({ certificateSha256: `P${i}` }))
  const one = peers[0]!
  const first = tokens.slice(0, 10).map((token) => admit(token, { peer: one }))
  expect(gate.stats).toMatchObject({ verificationsActive: 4, verificationsWaiting: 6 })
  const rest = tokens.slice(10).map((token, i) => admit(token, { peer: peers[1 + (i % 9)]! }))
  expect(gate.stats).toMatchObject({ verificationsActive: 32, verificationsWaiting: 28 })
  for (const verdict of await Promise.all([...first, ...rest])) permitted(verdict)
  expect(gate.stats).toMatchObject({ verificationsActive: 0, verificationsWaiting: 0, verifications: 60 })
})

test('row 21: more calls of one connection than may wait for a signature are UNAVAILABLE at once', async () => {
  const { issuer, admit, gate } = await gateBench({ issuer: { alg: 'EdDSA' } })
  const tokens = await Promise.all(Array.from({ length: 270 }, () => issuer.mint()))
  const peer = verifiedPeer()
  const verdicts = tokens.map((token) => admit(token, { peer }))
  expect(gate.stats).toMatchObject({ verificationsActive: 4, verificationsWaiting: 256 })
  const outcomes = await Promise.all(verdicts)
  expect(outcomes.filter((verdict) => verdict.kind === 'permit')).toHaveLength(260)
  expect(refused(outcomes[269]!)).toMatchObject({
    reason: 'verification_overload',
    status: 14,
    retryDelaySeconds: 1,
    text: 'verification overload',
  })
}, 20_000)

test('row 21: a connection with five forgeries is answered at once for 100 ms, but for tokens that are known and those that are final', async () => {
  const { gate, call, issuer, clock } = await gateBench()
  const peer = verifiedPeer()
  const known = await issuer.mint()
  permitted(await gate.admit(call(known, { peer })))
  for (let i = 0; i < 5; i++) refused(await gate.admit(call(await issuer.forge(), { peer })))
  const [fresh, wrong] = [await issuer.mint(), await issuer.mint({ claims: { aud: 'other' } })]
  // Not a promise: nothing is waited for.
  expect(gate.admit(call(fresh, { peer }))).toMatchObject({
    reason: 'verification_overload',
    status: 14,
    retryDelaySeconds: 1,
  })
  expect(gate.admit(call(wrong, { peer }))).toMatchObject({ reason: 'token_audience', status: 16 })
  expect(gate.admit(call(known, { peer }))).toMatchObject({ kind: 'permit' })
  permitted(await gate.admit(call(fresh, { peer: verifiedPeer() })))
  await clock.advance(100)
  permitted(await gate.admit(call(await issuer.mint(), { peer })))
})

test('calls that come with the same new token share one signature', async () => {
  const { gate, issuer, admit } = await gateBench()
  const token = await issuer.mint()
  const verdicts = await Promise.all(Array.from({ length: 100 }, () => admit(token)))
  expect(verdicts.every((verdict) => verdict.kind === 'permit')).toBe(true)
  expect(gate.stats.verifications).toBe(1)
})

test('keys that change while a signature is checked: the check is made again with the new ones', async () => {
  const { gate, issuer, call, keeper } = await gateBench()
  const source = keeper.snapshots as Published<KeySet>
  const token = await issuer.mint()
  const verdict = gate.admit(call(token))
  await issuer.addKey('ES256', 'other')
  await keeper.reload()
  expect(await verdict).toMatchObject({ kind: 'permit' })
  const gone = gate.admit(call(await issuer.mint({ kid: 'rs256-1' })))
  source.publish({ issuer: issuer.issuer, keys: source.current!.value.keys.slice(1) })
  expect(await gone).toMatchObject({ reason: 'keys_unavailable', status: 14 })
})

test('a token of an issuer is checked with that issuer’s keys only', async () => {
  const clock = new FakeClock()
  const [a, b] = await Promise.all([
    TestIssuer.create(clock, { issuer: 'https://a.example', kid: 'same' }),
    TestIssuer.create(clock, { issuer: 'https://b.example', kid: 'same', alg: 'PS256' }),
  ])
  const bench = await gateBench()
  const keys = (issuer: TestIssuer) => {
    const published = new Published<KeySet>()
    const { n, e } = issuer.keys[0]!.publicJwk
    published.publish({
      issuer: issuer.issuer,
      keys: [
        { kty: 'RSA', kid: 'same', alg: null, crv: null, n: n!, e: e!, x: null, y: null, thumbprint: n! },
      ],
    })
    return { snapshots: published, request: () => Promise.resolve({ fetchStartedAtMs: 0, nextFetchInMs: 0 }) }
  }
  const gate = new BearerGate(
    {
      providers: [a, b].map(({ issuer }) => ({ issuer, audiences: ['control-plane'] })),
      policy: new Policy(),
    },
    { clock, log: NO_LOG, keys: new Map([a, b].map((issuer) => [issuer.issuer, keys(issuer)])) },
  )
  permitted(await gate.admit(bench.call(await a.mint())))
  permitted(await gate.admit(bench.call(await b.mint())))
  const crossed = await a.mint({ claims: { iss: b.issuer } })
  expect(refused(await gate.admit(bench.call(crossed))).reason).toBe('token_signature')
  gate.close()
})

test('a defect of our own costs the call that met it: UNAVAILABLE, a log line, a counter', async () => {
  const clock = new FakeClock()
  const issuer = await TestIssuer.create(clock)
  const bench = await gateBench()
  const gate = new BearerGate(
    { providers: [{ issuer: issuer.issuer, audiences: null }], policy: new Policy() },
    {
      clock,
      log: NO_LOG,
      keys: new Map([
        [
          issuer.issuer,
          { snapshots: new Published<KeySet>(), request: () => Promise.reject(new Error('broken')) },
        ],
      ]),
    },
  )
  expect(refused(await gate.admit(bench.call(await issuer.mint())))).toMatchObject({
    reason: 'keys_unavailable',
    status: 14,
    retryDelaySeconds: 1,
  })
  expect(gate.stats.bugs).toBe(1)
})

test('options that cannot work are all listed, with key and remedy', async () => {
  const make = () =>
    new BearerGate(
      {
        providers: [
          { issuer: 'https://a.example', audiences: [], leewaySeconds: 301 },
          { issuer: 'https://a.example', audiences: ['x'] },
        ],
        policy: new Policy(),
        claimHeaders: [{ headerName: 'grpc-x', claimName: 'sub' }],
      },
      { clock: new FakeClock(), log: NO_LOG, keys: new Map() },
    )
  expect(make).toThrow(ConfigError)
  try {
    make()
  } catch (error) {
    expect((error as ConfigError).faults.map((fault) => fault.path)).toEqual([
      'oidc.claim_to_headers[0].header_name',
      'oidc.providers[0].issuer_url',
      'oidc.providers[0].audience',
      'oidc.providers[0].clock_skew',
      'oidc.providers[1].issuer_url',
      'oidc.providers[1].issuer_url',
    ])
  }
  expect(
    () =>
      new BearerGate(
        { providers: [], policy: new Policy() },
        { clock: new FakeClock(), log: NO_LOG, keys: new Map() },
      ),
  ).toThrow('1 fault')
})

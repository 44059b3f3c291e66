import { describe, expect, test } from 'vitest'
import { OAuthTokenSource, TokenKeeper } from '../../../src/auth/index.ts'
import type { OAuthTokenOptions, TokenKeeperOptions, TokenRequest } from '../../../src/auth/index.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'
import {
  FakeFiles,
  ISSUER,
  RecordingLog,
  TOKEN_URL,
  TokenEndpoint,
  connectionError,
  json,
  tokenAnswer,
} from '../../support/token-endpoint.ts'

const NEED: TokenRequest = { rejectedGeneration: null, waitMs: 2_000 }

function setUp(keeper: Partial<TokenKeeperOptions> = {}, source: Partial<OAuthTokenOptions> = {}) {
  const clock = new FakeClock()
  const endpoint = new TokenEndpoint()
  const log = new RecordingLog()
  const files = new FakeFiles({ '/secret': 's3cret\n' })
  const tokens = new OAuthTokenSource({
    grant: { kind: 'client_credentials' },
    issuerUrl: ISSUER,
    discoveryUrl: null,
    tokenUrl: null,
    clientId: { value: 'workload' },
    authentication: { kind: 'basic', clientSecret: { file: '/secret' } },
    scopes: [],
    endpointParams: {},
    allowsPlainHttp: false,
    fetch: endpoint.fetch,
    readFile: files.read,
    clock,
    ...source,
  })
  const subject = new TokenKeeper({ identity: 'main', source: tokens, clock, log, ...keeper })
  return { clock, endpoint, log, files, keeper: subject }
}

const current = (keeper: TokenKeeper) => keeper.tokens.current?.value.accessToken
const down = () => Promise.reject(connectionError('ECONNREFUSED'))

/** Times of the requests to the token endpoint while the clock moves on, in ms from now, rounded up to `stepMs`. */
async function attemptTimes(clock: FakeClock, endpoint: TokenEndpoint, untilMs: number, stepMs = 250) {
  const seen: number[] = []
  let count = endpoint.requests.length
  for (let atMs = stepMs; atMs <= untilMs; atMs += stepMs) {
    await clock.advance(stepMs)
    for (; count < endpoint.requests.length; count++) seen.push(atMs)
  }
  return seen
}

test('a started keeper gets a token in the background and publishes it', async () => {
  const { keeper, clock } = setUp()
  const startMs = clock.nowMs()
  keeper.start()
  expect(keeper.tokens.current).toBeNull()
  await settle()
  expect(keeper.tokens.current).toEqual({
    generation: 1,
    value: {
      identity: 'main',
      accessToken: 'token-1',
      lifeMs: 300_000,
      usableUntilMs: startMs + 290_000,
      usableUntilWallMs: clock.wallMs() + 290_000,
      expiresAtWallMs: clock.wallMs() + 300_000,
      certificateSha256: null,
    },
  })
  expect(keeper.degraded).toBeNull()
  expect(JSON.parse(JSON.stringify(keeper.tokens.current))).toEqual(keeper.tokens.current)
})

describe('when a token is refreshed', () => {
  test.each([
    [300, 0, 240_000],
    [300, 1, 225_000],
    [100, 0, 80_000],
    [50, 0, 40_000],
    [49, 0, 24_500],
    [10, 0, 5_000],
    [10, 1, 5_000],
    [11, 1, 5_000],
    [12, 1, 5_400],
    [9, 1, 4_050],
    [3_600, 0, 3_300_000],
    [0.5, 0, 1_000],
  ])('a life of %d s with jitter %d: after %d ms, in the background', async (life, random, afterMs) => {
    const { keeper, clock, endpoint } = setUp()
    clock.randomValue = random
    endpoint.answer = tokenAnswer({ expires_in: life })
    keeper.start()
    await settle()
    await clock.advance(afterMs - 1)
    expect(endpoint.requests.length).toBe(1)
    await clock.advance(1)
    expect(endpoint.requests.length).toBe(2)
    expect(keeper.stats).toMatchObject({ attempts: 2, fetched: 2, refreshes: 1 })
    keeper.close()
  })

  test.each([
    [30_000, 270_000, false],
    [60_000, 240_000, false],
    [300_000, 240_000, true],
    [0, 290_000, false],
  ])(
    'expiry_buffer of %d ms: after %d ms; capped with a warning: %s',
    async (bufferMs, afterMs, isCapped) => {
      const { keeper, clock, endpoint, log } = setUp({ expiryBufferMs: bufferMs })
      clock.randomValue = 0
      keeper.start()
      await clock.advance(afterMs - 1)
      expect(endpoint.requests.length).toBe(1)
      await clock.advance(1)
      expect(endpoint.requests.length).toBe(2)
      expect(log.lines.filter((line) => line.includes('expiry_buffer is more')).length).toBe(isCapped ? 1 : 0)
    },
  )

  test('the life runs from the start of the request, not from its answer', async () => {
    const { keeper, clock, endpoint } = setUp()
    endpoint.answer = async (request, count) => {
      await new Promise<void>((resolve) => clock.setTimer(4_000, resolve))
      return await tokenAnswer()(request, count)
    }
    const startMs = clock.nowMs()
    keeper.start()
    await clock.advance(4_000)
    expect(keeper.tokens.current!.value.usableUntilMs).toBe(startMs + 290_000)
    expect(keeper.stats.lastAttemptMs).toBe(4_000)
  })

  test('consumers that share a keeper see each token once, and closing ends the refreshes', async () => {
    const { keeper, clock, endpoint } = setUp()
    const seen: string[][] = [[], []]
    const stop = seen.map((list) => keeper.tokens.subscribe(({ value }) => list.push(value.accessToken)))
    keeper.start()
    keeper.start()
    await clock.advance(250_000)
    stop[1]!()
    await clock.advance(250_000)
    expect(seen).toEqual([
      ['token-1', 'token-2', 'token-3'],
      ['token-1', 'token-2'],
    ])
    keeper.close()
    await clock.advance(1_000_000)
    expect(endpoint.requests.length).toBe(3)
    expect(clock.timerCount).toBe(0)
  })

  test('what arrives after closing is dropped, and asking then is answered', async () => {
    const { keeper, clock } = setUp()
    keeper.start()
    keeper.close()
    await clock.advance(10_000)
    expect(keeper.tokens.current).toBeNull()
    expect(await keeper.requestToken(NEED)).toMatchObject({ kind: 'failure' })
    expect(await keeper.refreshNow()).toMatchObject({ kind: 'failure' })
  })

  test('rotated material is used at once, also while attempts are spaced out', async () => {
    const { keeper, endpoint, files } = setUp()
    endpoint.answer = () => json({ error: 'invalid_client' }, 401)
    keeper.start()
    await settle()
    files.files['/secret'] = 'rotated'
    endpoint.answer = tokenAnswer()
    expect(await keeper.refreshNow()).toEqual({ kind: 'token', generation: 1 })
    expect(endpoint.requests[1]!.headers.get('authorization')).toBe(`Basic ${btoa('workload:rotated')}`)
  })

  test('a provider that gives the same token until its end is not asked in a storm, and the token keeps its end', async () => {
    const { keeper, clock, endpoint } = setUp()
    const startMs = clock.nowMs()
    endpoint.answer = () =>
      json({ access_token: 'same', token_type: 'Bearer', expires_in: 300 - (clock.nowMs() - startMs) / 1000 })
    keeper.start()
    await clock.advance(280_000)
    expect(endpoint.requests.length).toBeGreaterThan(1)
    expect(endpoint.requests.length).toBeLessThan(12)
    expect(keeper.tokens.current!.generation).toBeLessThanOrEqual(2)
    expect(keeper.tokens.current!.value.usableUntilMs).toBeLessThan(startMs + 300_000)
  })

  test('the same token with another end is published again', async () => {
    const { keeper, clock, endpoint } = setUp()
    endpoint.answer = tokenAnswer({ access_token: 'same' })
    keeper.start()
    await clock.advance(240_000)
    expect(keeper.tokens.current!.generation).toBe(2)
    endpoint.answer = tokenAnswer({ access_token: 'same', expires_in: 20 })
    await clock.advance(240_000)
    expect(keeper.tokens.current!.value.lifeMs).toBe(20_000)
  })
})

describe('when the provider is ill', () => {
  test('a start without the provider: keeps trying, says why, and recovers', async () => {
    const { keeper, clock, endpoint, log } = setUp()
    endpoint.discovery = down
    const sinceMs = clock.wallMs()
    keeper.start()
    await clock.advance(60_000)
    expect(keeper.tokens.current).toBeNull()
    expect(keeper.degraded).toEqual({ reason: 'idp_unreachable', sinceMs })
    expect(log.lines.filter((line) => line.startsWith('warn')).length).toBe(1)
    endpoint.discovery = () => json({ issuer: ISSUER, token_endpoint: `${ISSUER}/protocol/token` })
    await clock.advance(30_000)
    expect(current(keeper)).toBe('token-1')
    expect(keeper.degraded).toBeNull()
    expect(log.lines.some((line) => line.includes('token obtained again'))).toBe(true)
  })

  test('a valid token is kept when a refresh fails, and used until a tenth before its end', async () => {
    const { keeper, clock, endpoint } = setUp()
    endpoint.answer = tokenAnswer({ expires_in: 100 })
    keeper.start()
    await settle()
    endpoint.answer = down
    await clock.advance(89_999)
    expect(await keeper.requestToken(NEED)).toEqual({ kind: 'token', generation: 1 })
    expect(keeper.degraded?.reason).toBe('idp_unreachable')
    await clock.advance(1)
    const reply = keeper.requestToken(NEED)
    await clock.advance(2_000)
    expect(await reply).toMatchObject({ kind: 'failure', reason: 'idp_unreachable' })
  })

  test('the log says once that the provider is ill, and once that the last good token has run out', async () => {
    const { keeper, clock, endpoint, log } = setUp()
    endpoint.answer = tokenAnswer({ expires_in: 100 })
    keeper.start()
    await settle()
    endpoint.answer = down
    const warnings = (): string[] => log.lines.filter((line) => line.startsWith('warn'))
    await clock.advance(89_999)
    expect(warnings()).toEqual([expect.stringContaining('token unavailable, trying again')])
    await clock.advance(300_000)
    expect(warnings().slice(1)).toEqual([expect.stringContaining('the last good token has expired')])
  })

  test('while nobody waits, attempts are 10 s apart, then 20 s, then 27 s, and up to a tenth more', async () => {
    const seen = async (randomValue: number): Promise<number[]> => {
      const { keeper, clock, endpoint } = setUp({}, { tokenUrl: TOKEN_URL })
      clock.randomValue = randomValue
      endpoint.answer = down
      keeper.start()
      await settle()
      return attemptTimes(clock, endpoint, 125_000)
    }
    expect(await seen(0)).toEqual([10_000, 30_000, 57_000, 84_000, 111_000])
    expect(await seen(0.999999)).toEqual([11_000, 33_000, 62_750, 92_500, 122_250])
  })

  test.each([
    [0, [10, 20, 30, 40, 50, 60]],
    [0.999999, [11, 22, 33, 44, 55, 66]],
  ])(
    'while calls wait, attempts are 10 to 11 s apart from the first failure on',
    async (randomValue, due) => {
      const { keeper, clock, endpoint } = setUp({}, { tokenUrl: TOKEN_URL })
      clock.randomValue = randomValue
      endpoint.answer = down
      keeper.start()
      await settle()
      const seen: number[] = []
      for (let second = 1; second <= 66; second++) {
        void keeper.requestToken({ rejectedGeneration: null, waitMs: 0 })
        const count = endpoint.requests.length
        await clock.advance(1_000)
        if (endpoint.requests.length > count) seen.push(second)
      }
      expect(seen).toEqual(due)
    },
  )

  test('an outage costs at most 6 attempts in its first minute, wherever in the life of a token it begins', async () => {
    for (let beginsAtMs = 250; beginsAtMs <= 5_000; beginsAtMs += 250) {
      const { keeper, clock, endpoint } = setUp({}, { tokenUrl: TOKEN_URL })
      clock.randomValue = 0
      endpoint.answer = tokenAnswer({ expires_in: 10 })
      keeper.start()
      await clock.advance(beginsAtMs)
      endpoint.answer = down
      const count = endpoint.requests.length
      for (let second = 0; second < 60; second++) {
        void keeper.requestToken(NEED)
        await clock.advance(1_000)
      }
      expect(endpoint.requests.length - count).toBeLessThanOrEqual(6)
      keeper.close()
    }
  })

  test('the pause runs from the start of an attempt: one that hung for 5 s is followed after 5 s more', async () => {
    const { keeper, clock, endpoint } = setUp({}, { tokenUrl: TOKEN_URL })
    clock.randomValue = 0
    endpoint.answer = () => new Promise<Response>(() => {})
    keeper.start()
    await clock.advance(6_000)
    expect(await keeper.requestToken(NEED)).toEqual({
      kind: 'failure',
      reason: 'idp_timeout',
      retryInMs: 4_000,
    })
    endpoint.answer = tokenAnswer()
    await clock.advance(3_999)
    expect(endpoint.requests.length).toBe(1)
    await clock.advance(1)
    expect(current(keeper)).toBe('token-2')
  })

  test('attempts that take longer than the pause are a second apart', async () => {
    const { keeper, clock, endpoint } = setUp({ timeoutMs: 30_000 }, { tokenUrl: TOKEN_URL })
    endpoint.answer = () => new Promise<Response>(() => {})
    keeper.start()
    await clock.advance(30_999)
    expect(endpoint.requests.length).toBe(1)
    await clock.advance(1)
    expect(endpoint.requests.length).toBe(2)
  })

  test('a call that comes during a long pause shortens it to the time that is left of 10 s', async () => {
    const { keeper, clock, endpoint } = setUp({}, { tokenUrl: TOKEN_URL })
    clock.randomValue = 0
    endpoint.answer = down
    keeper.start()
    await clock.advance(62_000)
    const reply = await keeper.requestToken(NEED)
    expect(reply).toEqual({ kind: 'failure', reason: 'idp_unreachable', retryInMs: 5_000 })
    expect(await attemptTimes(clock, endpoint, 6_000, 1_000)).toEqual([5_000])
  })

  test('a refused client is tried again after 30 s, then up to 5 min, and counted as an operator fault', async () => {
    const { keeper, clock, endpoint, log } = setUp({}, { tokenUrl: TOKEN_URL })
    clock.randomValue = 0
    endpoint.answer = () => json({ error: 'invalid_client' }, 401)
    keeper.start()
    await settle()
    expect(await keeper.requestToken(NEED)).toEqual({
      kind: 'failure',
      reason: 'invalid_client',
      retryInMs: 30_000,
    })
    expect(await attemptTimes(clock, endpoint, 700_000, 1_000)).toEqual([
      30_000, 90_000, 210_000, 360_000, 510_000, 660_000,
    ])
    expect(keeper.stats.authConfigErrors).toBe(7)
    expect(keeper.stats.failures.invalid_client).toBe(7)
    expect(log.lines.filter((line) => line.startsWith('error')).length).toBe(1)
  })

  test('Retry-After is honoured, also while calls wait', async () => {
    const { keeper, clock, endpoint } = setUp({}, { tokenUrl: TOKEN_URL })
    endpoint.answer = () => json({}, 429, { 'retry-after': '45' })
    keeper.start()
    await settle()
    expect(await keeper.requestToken(NEED)).toEqual({
      kind: 'failure',
      reason: 'idp_rate_limited',
      retryInMs: 45_000,
    })
    expect(await attemptTimes(clock, endpoint, 50_000, 1_000)).toEqual([45_000])
  })

  test('a call waits for an attempt that comes within its patience', async () => {
    const { keeper, clock, endpoint } = setUp()
    endpoint.discovery = down
    keeper.start()
    await settle()
    endpoint.discovery = () => json({ issuer: ISSUER, token_endpoint: TOKEN_URL })
    await clock.advance(9_000)
    const reply = keeper.requestToken(NEED)
    await clock.advance(2_000)
    expect(await reply).toEqual({ kind: 'token', generation: 1 })
  })

  test('whoever waits for an attempt when the keeper closes is answered', async () => {
    const { keeper, endpoint } = setUp()
    endpoint.discovery = down
    keeper.start()
    await settle()
    const reply = keeper.requestToken(NEED)
    keeper.close()
    expect(await reply).toMatchObject({ kind: 'failure' })
  })

  test('all who ask share one attempt', async () => {
    const { keeper, clock, endpoint } = setUp()
    keeper.start()
    const replies = await Promise.all(Array.from({ length: 100 }, () => keeper.requestToken(NEED)))
    expect(new Set(replies.map((reply) => JSON.stringify(reply))).size).toBe(1)
    expect(endpoint.requests.length).toBe(1)
    await clock.advance(1)
  })

  test('an attempt ends after 5 s, discovery included, and its connection is told to give up', async () => {
    const { keeper, clock, endpoint } = setUp()
    endpoint.answer = () => new Promise<Response>(() => {})
    keeper.start()
    await clock.advance(4_999)
    expect(endpoint.lastSignal!.aborted).toBe(false)
    expect(keeper.degraded).toBeNull()
    await clock.advance(1)
    expect(endpoint.lastSignal!.aborted).toBe(true)
    expect(keeper.degraded?.reason).toBe('idp_timeout')
    expect(keeper.stats.failures.idp_timeout).toBe(1)
  })

  test('an answer after the time-out is ignored', async () => {
    const { keeper, clock, endpoint } = setUp({}, { tokenUrl: TOKEN_URL })
    const late = Promise.withResolvers<Response>()
    endpoint.answer = () => late.promise
    keeper.start()
    await clock.advance(5_000)
    late.resolve(json({ access_token: 'late', token_type: 'Bearer' }))
    await settle()
    expect(keeper.tokens.current).toBeNull()
  })

  test('a provider whose tokens are dead on arrival is not asked more than once a second', async () => {
    const { keeper, clock, endpoint } = setUp({}, { tokenUrl: TOKEN_URL })
    endpoint.answer = tokenAnswer({ expires_in: 0.001 })
    keeper.start()
    for (let i = 0; i < 20; i++) {
      void keeper.requestToken(NEED)
      await clock.advance(250)
    }
    expect(endpoint.requests.length).toBeLessThanOrEqual(6)
  })

  test('a source that breaks its promise is a failure like any other, and nothing of its text is kept', async () => {
    const source = { kind: 'odd', fetchToken: () => Promise.reject(new Error('MARKER')) }
    const { keeper, log } = setUp({ source })
    keeper.start()
    await settle()
    expect(keeper.degraded?.reason).toBe('idp_malformed')
    expect(log.lines.join()).not.toContain('MARKER')
  })
})

describe('when the control plane refuses a token', () => {
  test('one refresh gives a newer one to all who ask, at most every 5 s', async () => {
    const { keeper, clock, endpoint } = setUp()
    keeper.start()
    await clock.advance(20_000)
    const rejected = (rejectedGeneration: number): TokenRequest => ({ rejectedGeneration, waitMs: 2_000 })
    const replies = await Promise.all([keeper.requestToken(rejected(1)), keeper.requestToken(rejected(1))])
    expect(replies).toEqual([
      { kind: 'token', generation: 2 },
      { kind: 'token', generation: 2 },
    ])
    expect(endpoint.requests.length).toBe(2)
    expect(await keeper.requestToken(rejected(1))).toEqual({ kind: 'token', generation: 2 })
    expect(endpoint.requests.length).toBe(2)
    await clock.advance(2_000)
    expect(await keeper.requestToken(rejected(2))).toEqual({
      kind: 'failure',
      reason: 'token_rejected',
      retryInMs: 3_000,
    })
    await clock.advance(3_000)
    expect(await keeper.requestToken(rejected(2))).toEqual({ kind: 'token', generation: 3 })
    expect(keeper.stats.rejected).toBe(2)
  })

  test('a provider that gives the refused token again is no help', async () => {
    const { keeper, clock, endpoint } = setUp()
    endpoint.answer = tokenAnswer({ access_token: 'same' })
    keeper.start()
    await clock.advance(20_000)
    expect(await keeper.requestToken({ rejectedGeneration: 1, waitMs: 2_000 })).toMatchObject({
      kind: 'failure',
      reason: 'token_rejected',
    })
  })

  test('a failing refresh says why', async () => {
    const { keeper, clock, endpoint } = setUp()
    keeper.start()
    await clock.advance(20_000)
    endpoint.answer = () => json({}, 503)
    expect(await keeper.requestToken({ rejectedGeneration: 1, waitMs: 2_000 })).toMatchObject({
      kind: 'failure',
      reason: 'idp_status',
    })
  })
})

describe('when the clocks differ', () => {
  test('a suspend of ten minutes: one refresh soon after, no storm', async () => {
    const { keeper, clock, endpoint } = setUp()
    keeper.start()
    await clock.advance(10_000)
    clock.jumpWall(600_000)
    expect(await attemptTimes(clock, endpoint, 60_000, 1_000)).toHaveLength(1)
    expect(current(keeper)).toBe('token-2')
    expect(keeper.tokens.current!.value.usableUntilWallMs).toBeGreaterThan(clock.wallMs())
    expect(keeper.stats.clockJumps).toBe(1)
  })

  test('a call after a suspend does not wait for the next look at the clocks', async () => {
    const { keeper, clock } = setUp()
    keeper.start()
    await clock.advance(10_000)
    clock.jumpWall(600_000)
    expect(await keeper.requestToken(NEED)).toEqual({ kind: 'token', generation: 2 })
    expect(current(keeper)).toBe('token-2')
  })

  test('a clock set forward by an hour while the provider is down: the token serves on after one attempt', async () => {
    const { keeper, clock, endpoint } = setUp()
    keeper.start()
    await clock.advance(10_000)
    endpoint.answer = down
    clock.jumpWall(3_600_000)
    await keeper.requestToken(NEED)
    expect(endpoint.requests.length).toBe(2)
    expect(keeper.tokens.current!.value.accessToken).toBe('token-1')
    expect(await keeper.requestToken(NEED)).toEqual({ kind: 'token', generation: 2 })
    expect(keeper.tokens.current!.value.usableUntilWallMs).toBe(clock.wallMs() + 280_000)
    expect(endpoint.requests.length).toBe(2)
  })

  test('a clock set forward while attempts are spaced out is corrected without one', async () => {
    const { keeper, clock, endpoint } = setUp()
    keeper.start()
    await settle()
    endpoint.answer = down
    await clock.advance(270_000)
    const count = endpoint.requests.length
    clock.jumpWall(3_600_000)
    expect(await keeper.requestToken(NEED)).toEqual({ kind: 'token', generation: 2 })
    expect(endpoint.requests.length).toBe(count)
  })

  test('a clock set back by an hour: the end on the wall is corrected, nothing is fetched', async () => {
    const { keeper, clock, endpoint } = setUp()
    keeper.start()
    await clock.advance(10_000)
    clock.jumpWall(-3_600_000)
    await clock.advance(30_000)
    expect(endpoint.requests.length).toBe(1)
    expect(keeper.tokens.current!.value.usableUntilWallMs).toBe(clock.wallMs() + 250_000)
    await clock.advance(210_000)
    expect(endpoint.requests.length).toBe(2)
  })

  test('a jump before the first token changes nothing', async () => {
    const { keeper, clock, endpoint } = setUp()
    endpoint.discovery = down
    keeper.start()
    await settle()
    clock.jumpWall(3_600_000)
    await clock.advance(60_000)
    expect(keeper.tokens.current).toBeNull()
  })
})

test('no token, secret, assertion or body ever reaches a log line, an error text or readiness', async () => {
  const marker = 'MARKER-4711'
  const { keeper, clock, endpoint, log } = setUp(
    {},
    {
      authentication: { kind: 'post', clientSecret: { value: `${marker}-secret` } },
      endpointParams: { extra: `${marker}-param` },
      tokenUrl: TOKEN_URL,
    },
  )
  const answers: (() => Response | Promise<Response>)[] = [
    () => json({ access_token: `${marker}-token`, token_type: 'Bearer', expires_in: 10 }),
    () => json({ error: 'invalid_client', error_description: `${marker}-description` }, 401),
    () => json({ error: `${marker}-error` }, 400),
    () => json({ access_token: `${marker} with space`, token_type: 'Bearer' }),
    () => json({ access_token: 'a', token_type: `${marker}-type` }),
    () => json({ access_token: `${marker}-token`, token_type: 'Bearer', expires_in: marker }),
    () => new Response(`<html>${marker}`, { status: 200 }),
    () => new Response(`<html>${marker}`, { status: 500, statusText: marker }),
    () => Promise.reject(new Error(marker, { cause: new Error(marker) })),
    () => Promise.reject(Object.assign(new Error(marker), { code: `${marker} x` })),
    () => json({ access_token: `${marker}-second`, token_type: 'Bearer', expires_in: 10 }),
  ]
  const said: string[] = []
  keeper.start()
  for (const answer of answers) {
    endpoint.answer = answer
    said.push(
      JSON.stringify(await keeper.refreshNow()),
      JSON.stringify(keeper.degraded),
      JSON.stringify(keeper.stats),
    )
    await clock.advance(0)
  }
  expect(keeper.stats.attempts).toBeGreaterThanOrEqual(answers.length)
  expect(current(keeper)).toBe(`${marker}-second`)
  expect(log.lines.length).toBeGreaterThan(8)
  expect([...log.lines, ...said].filter((line) => line.includes(marker))).toEqual([])
})

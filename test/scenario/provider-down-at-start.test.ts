/**
 * Rows 1 and 4 of the no-loss contract: the workload gateway has no token yet, because the provider is down or talks nonsense.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import {
  EMPTY_ANSWER,
  GARBAGE,
  HTML_PAGE,
  KEYS_PATH,
  SERVER_ERROR,
  TOKEN_PATH,
  tokenAnswer,
  tooManyRequests,
} from '../support/fault-proxy.ts'
import type { ProxyFault } from '../support/fault-proxy.ts'
import { waitFor } from '../support/gateway-pair.ts'
import { openStage } from '../support/scenario-stage.ts'

test('with the provider down at the start, calls are put off, and pass once it is there', async () => {
  await using stage = await openStage({
    shape: 'both',
    waitsUntilWell: false,
    beforeStart: ({ proxy }) => proxy.stop(),
  })
  const refused = await stage.call()
  expect(refused).toMatchObject({
    status: 'UNAVAILABLE',
    reason: 'credential_unavailable',
    message: 'authgw: token unavailable: idp_unreachable',
  })
  expect(refused.retrySeconds).toBeGreaterThanOrEqual(1)
  expect(refused.retrySeconds).toBeLessThanOrEqual(10)
  // The workload stays ready, so that the collector beside it keeps its Service; the reason is told.
  expect(await stage.readyStatus('workload')).toBe(200)
  const isTold = async (): Promise<boolean> =>
    (await stage.conditions('workload')).join('\n').includes('idp_unreachable')
  await waitFor(isTold, 2_000, 'the conditions name the reason')
  // The control plane never had keys: the one case in which it is not ready.
  expect(await stage.readyStatus('control_plane')).toBe(503)

  await stage.proxy.start()
  const healedAtMs = performance.now()
  await waitFor(async () => (await stage.call()).status === 'OK', 12_000, 'calls pass again')
  expect(performance.now() - healedAtMs).toBeLessThan(12_000)
  expect(await stage.readyStatus('control_plane')).toBe(200)
}, 30_000)

const FAULTS: readonly (readonly [name: string, fault: ProxyFault, code: string])[] = [
  ['answers 500', SERVER_ERROR, 'idp_status'],
  ['answers with a page for people', HTML_PAGE, 'idp_malformed'],
  ['answers with JSON that breaks off', GARBAGE, 'idp_malformed'],
  ['answers with nothing', EMPTY_ANSWER, 'idp_malformed'],
  ['breaks the connection', { kind: 'cut' }, 'idp_unreachable'],
  ['breaks off within its answer', { kind: 'cut_within', bytes: 20 }, 'idp_unreachable'],
  ['gives a token with a line end in it', tokenAnswer('two\r\nlines'), 'token_unusable'],
  ['answers 429', tooManyRequests(4), 'idp_rate_limited'],
]

test.each(FAULTS)('a provider that %s before the first token puts calls off', async (_name, fault, code) => {
  await using stage = await openStage({
    shape: 'workload',
    waitsUntilWell: false,
    beforeStart: ({ proxy }) => proxy.misbehave(TOKEN_PATH, fault),
  })
  const refused = await stage.call({ timeoutMs: 1_000 })
  expect(refused).toMatchObject({
    status: 'UNAVAILABLE',
    reason: 'credential_unavailable',
    message: `authgw: token unavailable: ${code}`,
  })
  expect(refused.retrySeconds).toBeGreaterThanOrEqual(1)
  expect(refused.retrySeconds).toBeLessThanOrEqual(10)
  stage.proxy.heal()
  await waitFor(async () => (await stage.call()).status === 'OK', 12_000, 'calls pass again')
})

test('a provider that answers 429 is not asked before its Retry-After, of which callers are told at most 10 s', async () => {
  await using stage = await openStage({
    shape: 'workload',
    waitsUntilWell: false,
    beforeStart: ({ proxy }) => proxy.misbehave(TOKEN_PATH, tooManyRequests(60)),
  })
  await waitFor(() => stage.proxy.attempts(TOKEN_PATH).length > 0, 2_000, 'the first request')
  await sleep(100)
  const answers = await Promise.all(Array.from({ length: 20 }, () => stage.call({ timeoutMs: 1_000 })))
  for (const answer of answers) expect(answer).toMatchObject({ status: 'UNAVAILABLE', retrySeconds: 10 })
  await sleep(2_500)
  expect((await stage.call()).retrySeconds).toBe(10)
  expect(stage.proxy.attempts(TOKEN_PATH)).toHaveLength(1)
})

test('a call waits for a slow provider at most 60 % of its own time, and 2 s', async () => {
  await using stage = await openStage({
    shape: 'workload',
    waitsUntilWell: false,
    beforeStart: ({ proxy }) => proxy.misbehave(TOKEN_PATH, { kind: 'hang' }),
  })
  const timed = async (timeoutMs: number): Promise<[string, number]> => {
    const startMs = performance.now()
    const { status } = await stage.call({ timeoutMs })
    return [status, performance.now() - startMs]
  }
  const [short, long] = await Promise.all([timed(1_000), timed(30_000)])
  expect(short[0]).toBe('UNAVAILABLE')
  expect(short[1]).toBeGreaterThan(500)
  expect(short[1]).toBeLessThan(950)
  expect(long[0]).toBe('UNAVAILABLE')
  expect(long[1]).toBeGreaterThan(1_900)
  expect(long[1]).toBeLessThan(3_000)
})

test('a token that comes while a call waits is put on that call', async () => {
  await using stage = await openStage({
    shape: 'both',
    waitsUntilWell: false,
    beforeStart: ({ proxy }) => {
      proxy.misbehave(TOKEN_PATH, { kind: 'delay', ms: 800 })
      proxy.misbehave(KEYS_PATH, { kind: 'delay', ms: 400 })
    },
  })
  expect(await stage.call()).toMatchObject({ status: 'OK', reason: null })
})

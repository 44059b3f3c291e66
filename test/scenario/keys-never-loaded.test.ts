/**
 * Rows 4 and 7 of the no-loss contract: the control plane gateway has never had the provider's keys.
 */
import { expect, test } from 'vitest'
import {
  DISCOVERY_PATH,
  GARBAGE,
  HTML_PAGE,
  KEYS_PATH,
  SERVER_ERROR,
  tooManyRequests,
} from '../support/fault-proxy.ts'
import type { ProxyFault } from '../support/fault-proxy.ts'
import { waitFor } from '../support/gateway-pair.ts'
import { openStage } from '../support/scenario-stage.ts'

test('without keys, valid tokens are put off until the next fetch, of which there is one per 10 s', async () => {
  await using stage = await openStage({
    shape: 'control_plane',
    waitsUntilWell: false,
    beforeStart: ({ proxy }) => proxy.misbehave(KEYS_PATH, { kind: 'cut' }),
  })
  await waitFor(() => stage.proxy.attempts(KEYS_PATH).length > 0, 2_000, 'the first fetch')
  const token = await stage.token()
  const answers = await Promise.all(Array.from({ length: 50 }, () => stage.call({ token })))
  for (const answer of answers) {
    expect(answer).toMatchObject({ status: 'UNAVAILABLE', reason: 'keys_unavailable' })
    expect(answer.retrySeconds).toBeGreaterThanOrEqual(1)
    expect(answer.retrySeconds).toBeLessThanOrEqual(10)
  }
  expect(await stage.readyStatus('control_plane')).toBe(503)
  const healedAtMs = performance.now()
  stage.proxy.heal()
  await waitFor(async () => (await stage.call({ token })).status === 'OK', 12_000, 'calls pass')
  expect(performance.now() - healedAtMs).toBeLessThan(12_000)
  expect(await stage.readyStatus('control_plane')).toBe(200)
  // Counted from the start of an attempt, which is discovery the first time.
  const [firstMs] = stage.proxy.attempts(DISCOVERY_PATH)
  const [, secondMs] = stage.proxy.attempts(KEYS_PATH)
  expect(secondMs! - firstMs!).toBeGreaterThan(9_500)
  expect(stage.proxy.attempts(KEYS_PATH)).toHaveLength(2)
}, 30_000)

const FAULTS: readonly (readonly [name: string, path: string, fault: ProxyFault])[] = [
  ['a discovery document that cannot be had', DISCOVERY_PATH, SERVER_ERROR],
  ['a discovery document that is a page for people', DISCOVERY_PATH, HTML_PAGE],
  ['keys that are JSON which breaks off', KEYS_PATH, GARBAGE],
  ['keys that are held back by a rate limit', KEYS_PATH, tooManyRequests(30)],
  ['an empty key set', KEYS_PATH, { kind: 'answer', status: 200, body: '{"keys":[]}' }],
]

test.each(FAULTS)('%s: calls are put off, never refused', async (_name, path, fault) => {
  await using stage = await openStage({
    shape: 'control_plane',
    waitsUntilWell: false,
    beforeStart: ({ proxy }) => proxy.misbehave(path, fault),
  })
  await waitFor(() => stage.proxy.attempts(path).length > 0, 2_000, 'the first fetch')
  const answer = await stage.call()
  expect(answer).toMatchObject({ status: 'UNAVAILABLE', reason: 'keys_unavailable' })
  expect(answer.retrySeconds).toBeGreaterThanOrEqual(1)
  expect(answer.retrySeconds).toBeLessThanOrEqual(10)
})

test('a discovery document of another issuer is not believed: its keys could be anybody’s', async () => {
  await using stage = await openStage({
    shape: 'control_plane',
    waitsUntilWell: false,
    beforeStart: ({ proxy }) => {
      proxy.rewriteDiscovery = (document) => ({ ...document, issuer: 'https://somebody.example' })
    },
  })
  await waitFor(() => stage.proxy.attempts(DISCOVERY_PATH).length > 0, 2_000, 'discovery')
  expect(await stage.call()).toMatchObject({ status: 'UNAVAILABLE', reason: 'keys_unavailable' })
  expect(stage.proxy.attempts(KEYS_PATH)).toHaveLength(0)
  const isTold = async (): Promise<boolean> =>
    (await stage.conditions('control_plane')).join('\n').includes('idp_issuer_mismatch')
  await waitFor(isTold, 2_000, 'the conditions name the reason')
})

test('a call that comes while the keys are being fetched waits for them', async () => {
  await using stage = await openStage({
    shape: 'control_plane',
    waitsUntilWell: false,
    beforeStart: ({ proxy }) => proxy.misbehave(KEYS_PATH, { kind: 'delay', ms: 1_000 }),
  })
  expect(await stage.call()).toMatchObject({ status: 'OK', reason: null })
})

test('a call never waits for keys longer than 60 % of its own time', async () => {
  await using stage = await openStage({
    shape: 'control_plane',
    waitsUntilWell: false,
    beforeStart: ({ proxy }) => proxy.misbehave(KEYS_PATH, { kind: 'hang' }),
  })
  const token = await stage.token()
  const startMs = performance.now()
  expect(await stage.call({ token, timeoutMs: 1_000 })).toMatchObject({
    status: 'UNAVAILABLE',
    reason: 'keys_unavailable',
  })
  expect(performance.now() - startMs).toBeLessThan(950)
})

test('with keys on disk from an earlier run, calls pass though the provider is down', async () => {
  await using stage = await openStage({
    shape: 'control_plane',
    oidc: 'key_cache_directory: %folder%',
  })
  const token = await stage.token()
  expect((await stage.call({ token })).status).toBe('OK')
  await stage.proxy.stop()
  await stage.restart('control_plane')
  expect(await stage.call({ token })).toMatchObject({ status: 'OK', reason: null })
  expect(await stage.readyStatus('control_plane')).toBe(200)
})

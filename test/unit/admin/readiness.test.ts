import { beforeEach, expect, test } from 'vitest'
import { InvariantError } from '../../../src/base/index.ts'
import { LIFECYCLE_STATES, Readiness, type ReadinessReason } from '../../../src/admin/index.ts'
import { Metrics } from '../../../src/telemetry/index.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { parsePrometheusText } from '../../support/prometheus-text.ts'

let clock: FakeClock
let readiness: Readiness
beforeEach(() => {
  clock = new FakeClock()
  readiness = new Readiness({ nowMs: () => clock.nowMs() })
})

test('a process is ready between the end of its start and the beginning of its drain', () => {
  const seen = LIFECYCLE_STATES.map((state) => {
    readiness.moveTo(state)
    return [state, readiness.isStarted, readiness.isReady]
  })
  expect(seen).toEqual([
    ['starting', false, false],
    ['ready', true, true],
    ['draining', true, false],
    ['stopped', true, false],
  ])
})

test('the life cycle never goes backwards: a drain that has begun ends', () => {
  readiness.moveTo('draining')
  readiness.moveTo('draining')
  expect(() => readiness.moveTo('ready')).toThrow(InvariantError)
  expect(readiness.state).toBe('draining')
})

test('a provider that is down degrades, and the pod stays in its Service', () => {
  readiness.moveTo('ready')
  readiness.markDegraded('token default', 'idp_unreachable', 'connect ECONNREFUSED')
  expect(readiness.isReady).toBe(true)
  expect(readiness.isDegraded).toBe(true)
})

test('keys that were never had make the control plane unready, until they come', () => {
  readiness.moveTo('ready')
  readiness.markUnready('keys https://idp', 'keys_never_loaded')
  expect(readiness.isReady).toBe(false)
  readiness.markDegraded('keys https://idp', 'idp_timeout')
  expect(readiness.isReady).toBe(true)
  readiness.markReady('keys https://idp')
  expect(readiness.isDegraded).toBe(false)
})

test('with `readiness: strict` what is degraded is not ready', () => {
  const strict = new Readiness({ nowMs: () => clock.nowMs(), isStrict: true })
  strict.moveTo('ready')
  strict.markDegraded('token default', 'idp_unreachable')
  expect(strict.isReady).toBe(false)
  strict.markReady('token default')
  expect(strict.isReady).toBe(true)
})

test('a condition counts from when it became what it is, whatever its detail says meanwhile', async () => {
  readiness.markDegraded('token', 'idp_unreachable', 'first')
  await clock.advance(5000)
  readiness.markDegraded('token', 'idp_unreachable', 'second')
  await clock.advance(2000)
  const [condition] = readiness.conditions
  expect(condition).toMatchObject({ detail: 'second', isReady: true, isDegraded: true })
  expect(readiness.ageMs(condition!)).toBe(7000)
  readiness.markDegraded('token', 'idp_timeout')
  expect(readiness.ageMs(readiness.conditions[0]!)).toBe(0)
})

test('listeners hear of changes only, until they unsubscribe', () => {
  let count = 0
  const unsubscribe = readiness.subscribe(() => count++)
  readiness.moveTo('ready')
  readiness.markReady('token')
  readiness.markReady('token')
  readiness.markDegraded('token', 'idp_timeout')
  readiness.remove('token')
  readiness.remove('token')
  expect(count).toBe(4)
  unsubscribe()
  readiness.moveTo('stopped')
  expect(count).toBe(4)
})

test('authgw_degraded is 1 per reason while it lasts, and 0 afterwards, so that its alert ends', async () => {
  const metrics = new Metrics({ includesProcess: false })
  readiness.feed(metrics)
  readiness.moveTo('ready')
  readiness.markDegraded('token a', 'idp_unreachable')
  readiness.markDegraded('token b', 'idp_unreachable')
  readiness.markDegraded('keys', 'Not A Token: https://idp' as ReadinessReason)
  const scrape = async (): Promise<unknown> => {
    const parsed = parsePrometheusText(await metrics.render())
    const degraded = parsed
      .get('authgw_degraded')!
      .samples.map(({ labels, value }) => [labels['reason'], value])
    return [parsed.get('authgw_ready')!.samples[0]!.value, Object.fromEntries(degraded)]
  }
  expect(await scrape()).toEqual([1, { idp_unreachable: 1, _OTHER: 1 }])
  readiness.markReady('token a')
  readiness.markReady('keys')
  expect(await scrape()).toEqual([1, { idp_unreachable: 1, _OTHER: 0 }])
  readiness.markReady('token b')
  readiness.moveTo('draining')
  expect(await scrape()).toEqual([0, { idp_unreachable: 0, _OTHER: 0 }])
})

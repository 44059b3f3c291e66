/**
 * The whole pattern with both gateways as processes: the OpenTelemetry SDK's own exporters at one end, a receiver that
 * decodes at the other, a certified OpenID provider beside them.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { readConditions, readMetrics } from '../support/gateway-readings.ts'
import { NumberedTelemetry } from '../support/numbered-telemetry.ts'
import { SIGNALS } from '../support/otlp-proto.ts'
import { CALLERS, isAsExpected } from '../support/refused-callers.ts'
import { CLIENT_HEADER, CLIENT_ID, startPattern } from '../support/whole-pattern.ts'
import type { WholePattern } from '../support/whole-pattern.ts'

const TOKEN_LIFE_SECONDS = 3
const folder = mkdtempSync(join(tmpdir(), 'authgw-end-to-end-'))
const clients = new Set<string>()
let emptyRequests = 0
let pattern: WholePattern
let telemetry: NumberedTelemetry

beforeAll(async () => {
  pattern = await startPattern({
    folder,
    tokenLifeSeconds: TOKEN_LIFE_SECONDS,
    retry: { initialMs: 200, maxElapsedMs: 0 },
    onArrival: ({ itemCount, metadata }) => {
      if (itemCount === 0) emptyRequests++
      else clients.add(metadata.get(CLIENT_HEADER).join())
    },
  })
  telemetry = new NumberedTelemetry({ endpoint: pattern.collector.endpoint, exportEveryMs: 100 })
  telemetry.run(50)
})
afterAll(async () => {
  await telemetry?.close()
  await pattern?.close()
  rmSync(folder, { recursive: true, force: true })
})

const adminOf = (name: 'workload' | 'controlPlane'): number => pattern[name].ports['admin']!
const tokenCount = async (): Promise<number> =>
  (await readMetrics(adminOf('workload'))).sum('authgw_token_refreshes_total', { result: 'ok' })
const eventually = (isTrue: () => boolean | Promise<boolean>, timeout = 10_000): Promise<boolean> =>
  vi.waitUntil(isTrue, { timeout, interval: 50 })

describe('the control plane, while telemetry flows', () => {
  test.each(CALLERS)('answers $name as it should, and counts it so', async (caller) => {
    const arrivedBefore = emptyRequests
    const outcome = await caller.call(pattern)
    expect(outcome).toMatchObject(caller.expected)
    expect({ ...outcome, isAsExpected: isAsExpected(caller, outcome) }).toMatchObject({ isAsExpected: true })
    expect(emptyRequests - arrivedBefore).toBe(caller.name === 'all in order' ? 1 : 0)
  })
})

test('the token is refreshed under the traffic, and the collector learns the client from it', async () => {
  await eventually(async () => (await tokenCount()) >= 2)
  const sentBefore = telemetry.sent
  await eventually(() => pattern.receiver.arrived.logs.has(sentBefore))
  expect([...clients]).toEqual([CLIENT_ID])
  expect(pattern.collector.stats.retriesByStatus).toEqual({})
})

test('an outage of the provider longer than the life of a token loses nothing, and no probe fails', async () => {
  const { stats } = pattern.collector
  await pattern.provider.stop()
  await eventually(() => (stats.retriesByStatus['UNAVAILABLE'] ?? 0) > 0)
  const conditions = await readConditions(adminOf('workload'))
  expect(conditions).toContainEqual(expect.stringMatching(/^\[~\] token default: degraded: idp_unreachable/))
  expect(conditions.at(-1)).toBe('readyz: ready')

  const before = await tokenCount()
  await pattern.provider.start()
  await eventually(async () => (await tokenCount()) > before, 15_000)
  telemetry.pause()
  await telemetry.flush()
  expect(await pattern.collector.drained(15_000)).toBe(true)
  for (const signal of SIGNALS) expect(pattern.receiver.arrived[signal].missing(telemetry.sent)).toEqual([])
  expect(telemetry.sent).toBeGreaterThan(100)
  expect(Object.keys(stats.retriesByStatus)).toEqual(['UNAVAILABLE'])
  expect(stats.droppedByStatus).toEqual({})
})

test('neither process broke an assumption of its own, wrote a secret, or stays when it is told to go', async () => {
  for (const name of ['workload', 'controlPlane'] as const) {
    expect((await readMetrics(adminOf(name))).sum('authgw_bugs_total')).toBe(0)
  }
  await telemetry.close()
  await pattern.close()
  expect(await Promise.all([pattern.workload.ended, pattern.controlPlane.ended])).toEqual([0, 0])
  const written = pattern.workload.logs() + pattern.controlPlane.logs()
  expect(written).not.toMatch(/eyJ[\w-]{20}|known-to-everyone|PRIVATE KEY/)
})

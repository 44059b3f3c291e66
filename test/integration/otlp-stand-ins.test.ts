import { Metadata, status } from '@grpc/grpc-js'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { retryInfoDetails } from '../../src/grpc/index.ts'
import { startCollectorStandIn } from '../support/collector-stand-in.ts'
import type { CollectorStandIn } from '../support/collector-stand-in.ts'
import { NumberedTelemetry } from '../support/numbered-telemetry.ts'
import { SIGNALS } from '../support/otlp-proto.ts'
import { startOtlpReceiver } from '../support/otlp-receiver.ts'
import type { OtlpReceiver } from '../support/otlp-receiver.ts'
import { isRetryable, RetrySchedule } from '../support/retry-policy.ts'

let receiver: OtlpReceiver
let collector: CollectorStandIn
let telemetry: NumberedTelemetry

beforeEach(async () => {
  receiver = await startOtlpReceiver()
  collector = await startCollectorStandIn({
    upstream: receiver.endpoint,
    retry: { initialMs: 50, randomization: 0 },
    queueSize: 2,
    consumers: 3,
  })
  telemetry = new NumberedTelemetry({ endpoint: collector.endpoint, exportEveryMs: 60_000 })
})
afterEach(async () => {
  await telemetry.close()
  collector.close()
  receiver.stop()
})

test('spans, data points and log records of the real SDK arrive under their numbers', async () => {
  for (let number = 0; number < 50; number++) telemetry.emit()
  await telemetry.flush()
  expect(await collector.drained(2_000)).toBe(true)
  for (const signal of SIGNALS) {
    expect(receiver.arrived[signal].missing(telemetry.sent)).toEqual([])
    expect(receiver.arrived[signal].distinct).toBe(50)
  }
  expect(receiver.unnumberedCount).toBe(0)
  expect(collector.stats).toMatchObject({ accepted: 3, sent: 3, refused: 0 })
})

test('a request that is refused for now waits as long as RetryInfo says, and arrives', async () => {
  const metadata = new Metadata()
  metadata.set('grpc-status-details-bin', Buffer.from(retryInfoDetails(14, 1, 'later'), 'base64'))
  receiver.fault = { code: status.UNAVAILABLE, metadata }
  telemetry.emit()
  await telemetry.flush()
  await expect.poll(() => collector.stats.retriesByStatus['UNAVAILABLE']).toBe(3)
  receiver.fault = null
  expect(await collector.drained(500)).toBe(false)
  expect(await collector.drained(2_000)).toBe(true)
  expect(collector.stats.retriesByStatus).toEqual({ UNAVAILABLE: 3 })
  expect(receiver.arrived.traces.missing(1)).toEqual([])
})

test('what the stock exporter would drop is dropped, and missed on the other side', async () => {
  receiver.fault = { code: status.UNAUTHENTICATED }
  telemetry.emit()
  await telemetry.flush()
  expect(await collector.drained(2_000)).toBe(true)
  expect(collector.stats.droppedByStatus).toEqual({ UNAUTHENTICATED: 3 })
  expect(SIGNALS.map((signal) => receiver.arrived[signal].missing(1))).toEqual([[0], [0], [0]])
})

test('while the receiver is away requests wait in a bounded queue', async () => {
  receiver.stop()
  telemetry.emit()
  await telemetry.flush()
  telemetry.emit()
  await telemetry.flush()
  expect(collector.stats.refused).toBe(1)
  await receiver.start()
  expect(await collector.drained(5_000)).toBe(true)
  expect(receiver.requestCount).toBe(5)
})

test('RESOURCE_EXHAUSTED is tried again only when the server says when', () => {
  expect(isRetryable(status.RESOURCE_EXHAUSTED, null)).toBe(false)
  expect(isRetryable(status.RESOURCE_EXHAUSTED, 1_000)).toBe(true)
  expect(isRetryable(status.PERMISSION_DENIED, null)).toBe(false)
})

test('waits grow from 5 s by half each to 30 s, and end when 300 s would be passed', () => {
  const schedule = new RetrySchedule({ randomization: 0 }, 0)
  const waits = [1, 2, 3, 4, 5, 6, 7].map(() => schedule.nextDelayMs(null, 0))
  expect(waits).toEqual([5_000, 7_500, 11_250, 16_875, 25_312.5, 30_000, 30_000])
  expect(schedule.nextDelayMs(60_000, 0)).toBe(60_000)
  expect(schedule.nextDelayMs(null, 280_000)).toBeNull()
})

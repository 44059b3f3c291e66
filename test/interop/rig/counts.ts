/**
 * What stock collectors and Jaeger say they have: items by signal at a collector's receiver and exporters, traces by id.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Readings } from '../../support/gateway-readings.ts'
import { SIGNALS } from '../../support/otlp-proto.ts'
import type { Signal } from '../../support/otlp-proto.ts'

/** Items by signal. */
export type Counts = Record<Signal, number>

/** What a collector calls the items of a signal. */
const WORDS: Readonly<Counts extends Record<infer S, number> ? Record<S & Signal, string> : never> = {
  traces: 'spans',
  metrics: 'metric_points',
  logs: 'log_records',
}

/** What a collector has counted since it was started. */
export interface CollectorCounts {
  /** Taken by its receiver. */
  readonly accepted: Counts
  /** Delivered by its exporters. */
  readonly sent: Counts
  /** Given up by its exporters, for good. */
  readonly failed: Counts
}

/** Scrapes a collector. Rejects when it does not answer. */
export async function readCollector(metricsPort: number): Promise<CollectorCounts> {
  const answer = await fetch(`http://localhost:${metricsPort}/metrics`, {
    signal: AbortSignal.timeout(5_000),
  })
  const readings = new Readings(await answer.text())
  const counts = (name: string): Counts =>
    bySignal((signal) => {
      const metric = `otelcol_${name}_${WORDS[signal]}`
      return readings.sum(metric) + readings.sum(`${metric}_total`)
    })
  return {
    accepted: counts('receiver_accepted'),
    sent: counts('exporter_sent'),
    failed: counts('exporter_send_failed'),
  }
}

/** One number for each signal. */
export function bySignal(count: (signal: Signal) => number): Counts {
  return Object.fromEntries(SIGNALS.map((signal) => [signal, count(signal)])) as Counts
}

/** A trace as Jaeger tells it, as far as it is looked at here. */
export interface JaegerTrace {
  readonly traceID: string
  readonly spans: readonly unknown[]
  readonly processes: Readonly<Record<string, { tags: readonly { key: string; value: unknown }[] }>>
}

/** The ids of the traces that Jaeger has of a service. */
export async function traceIds(query: string, service: string): Promise<string[]> {
  const traces = await ask<JaegerTrace[]>(`${query}/api/traces?service=${service}&limit=100000&lookback=1h`)
  return traces.map(({ traceID }) => traceID)
}

/** One trace by its id; null while Jaeger does not know it. */
export async function traceById(query: string, id: string): Promise<JaegerTrace | null> {
  return (await ask<JaegerTrace[]>(`${query}/api/traces/${id}`))[0] ?? null
}

/** A tag of the resource that a trace's first process has. */
export function resourceTag(trace: JaegerTrace, key: string): unknown {
  return Object.values(trace.processes)[0]?.tags.find((tag) => tag.key === key)?.value
}

async function ask<T>(url: string): Promise<T> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(10_000) })
  const { data } = (await answer.json()) as { data: T | null }
  return data ?? ([] as T)
}

/** Scrapes until the counts please, or the time is over; gives the last ones. */
export async function waitForCounts(
  metricsPort: number,
  isEnough: (counts: CollectorCounts) => boolean,
  withinMs: number,
): Promise<CollectorCounts> {
  const endMs = performance.now() + withinMs
  for (;;) {
    const counts = await readCollector(metricsPort)
    if (isEnough(counts) || performance.now() > endMs) return counts
    await sleep(250)
  }
}

/**
 * Turns plain numbers that other rooms keep into the Prometheus text format, by reading them when a scrape asks.
 * Floor 5; knows the table of metrics, no room. Costs nothing until a scrape: the client library is loaded then.
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */
import type * as Client from 'prom-client'
import { FAULTS, type FaultToken, type HistogramReading } from '../base/index.ts'
import type { LogStats } from './logger.ts'
import {
  METRICS,
  type LabelsOf,
  type MetricAggregation,
  type MetricEntry,
  type MetricName,
  type MetricNameOf,
} from './metric-names.ts'

/** What one series of a metric is read as: a number, or buckets. */
export type ReadingOf<N extends MetricName> = N extends MetricNameOf<'histogram'> ? HistogramReading : number

/** Takes one series while a scrape runs. The reading is copied; the same labels twice are added up. */
export type Emit<N extends MetricName> = (labels: LabelsOf<N>, reading: ReadingOf<N>) => void

/** The values of one process, to be sent to another one: plain objects only. */
export type MetricsSnapshot = readonly object[]

/** Most series of one metric that a scrape takes: a bound of memory, far above what the table's labels allow. */
export const MAX_SERIES_PER_METRIC = 2000

/** The content type of what `render` gives. */
export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

type Reading = number | HistogramReading
type RawEmit = (labels: Readonly<Record<string, string>>, reading: Reading) => void

/** How metrics are served. */
export interface MetricsOptions {
  /** Whether `process_*` and `nodejs_*` are served too. Default true. */
  readonly includesProcess?: boolean
}

/**
 * The registry. Rooms above wire numbers to names of the table; a wrong name, a missing or unknown label
 * does not compile. Several sources of one metric are merged, so that two roles in one process share it.
 */
export class Metrics {
  readonly #sources = new Map<MetricName, ((emit: RawEmit) => void)[]>()
  readonly #faultCounts = new Map<string, number>()
  readonly #includesProcess: boolean
  #registry: Promise<Client.Registry> | null = null

  constructor(options: MetricsOptions = {}) {
    this.#includesProcess = options.includesProcess ?? true
    this.#addSource('authgw_metric_faults_total', (emit) => {
      for (const [key, count] of this.#faultCounts) {
        const [metric, fault] = key.split(' ')
        emit({ metric: metric!, fault: fault! }, count)
      }
    })
  }

  /** Serves a number that only grows. */
  addCounter<N extends MetricNameOf<'counter'>>(name: N, labels: LabelsOf<N>, read: () => number): void {
    this.#addSource(name, (emit) => emit(labels, read()))
  }

  /** Serves a number that goes up and down. NaN or an infinity means that there is none: the series is absent. */
  addGauge<N extends MetricNameOf<'gauge'>>(name: N, labels: LabelsOf<N>, read: () => number): void {
    this.#addSource(name, (emit) => emit(labels, read()))
  }

  /** Serves buckets, such as a `Histogram` of base. */
  addHistogram<N extends MetricNameOf<'histogram'>>(
    name: N,
    labels: LabelsOf<N>,
    read: () => HistogramReading,
  ): void {
    this.#addSource(name, (emit) => emit(labels, read()))
  }

  /** Serves series that come and go: `read` is called at each scrape and emits those there are. */
  addFamily<N extends MetricName>(name: N, read: (emit: Emit<N>) => void): void {
    this.#addSource(name, read)
  }

  /** The metrics of the table that nothing feeds. Empty in a process that is wired whole. */
  get unfedNames(): MetricName[] {
    return (Object.keys(METRICS) as MetricName[]).filter((name) => !this.#sources.has(name))
  }

  /** Loads the client library and starts watching the event loop, which a first scrape would do otherwise. */
  async warmUp(): Promise<void> {
    await this.#load()
  }

  /** Gives all metrics in the text format. */
  async render(): Promise<string> {
    const registry = await this.#load()
    return registry.metrics()
  }

  /** Gives all metrics as plain values, for `renderSnapshots` in another process. */
  async snapshot(): Promise<MetricsSnapshot> {
    const registry = await this.#load()
    return registry.getMetricsAsJSON()
  }

  #addSource(name: MetricName, read: (emit: RawEmit) => void): void {
    const sources = this.#sources.get(name)
    if (sources !== undefined) sources.push(read)
    else {
      this.#sources.set(name, [read])
      // Rare: a metric that is first fed after a first scrape.
      if (this.#registry !== null) void this.#registry.then((registry) => this.#register(registry, name))
    }
  }

  #load(): Promise<Client.Registry> {
    this.#registry ??= import('prom-client').then((client) => {
      const registry = new client.Registry()
      for (const name of Object.keys(METRICS) as MetricName[]) {
        if (this.#sources.has(name)) this.#register(registry, name)
      }
      // 20 ms: a finer grain wakes an idle gateway for nothing.
      if (this.#includesProcess)
        client.collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 20 })
      return registry
    })
    return this.#registry
  }

  /** Gives the registry what it asks of a metric: `get`, called once a scrape. */
  #register(registry: Client.Registry, name: MetricName): void {
    const entry: MetricEntry = METRICS[name]
    const head = { name, help: entry.help, type: entry.type, aggregator: entry.aggregation }
    const metric = {
      ...head,
      get: () => Promise.resolve({ ...head, values: this.#read(name, entry) }),
      reset: () => {},
    }
    registry.registerMetric(metric as unknown as Client.Metric)
  }

  #read(name: MetricName, entry: MetricEntry): SeriesValue[] {
    const series = new Map<string, Series>()
    const labelNames = Object.keys(entry.labels)
    const emit: RawEmit = (labels, reading) => {
      if (typeof reading === 'number' && !Number.isFinite(reading)) {
        if (entry.type !== 'gauge') this.#countFault(name, 'not_finite')
        return
      }
      const key = labelNames.map((label) => labels[label]).join('\0')
      const known = series.get(key)
      if (known !== undefined) known.reading = merge(known.reading, reading, entry.aggregation)
      else if (series.size < MAX_SERIES_PER_METRIC) series.set(key, { labels, reading })
      else this.#countFault(name, 'too_many_series')
    }
    for (const read of this.#sources.get(name) ?? []) {
      try {
        read(emit)
      } catch {
        this.#countFault(name, 'threw')
      }
    }
    return [...series.values()].flatMap((one) => toValues(name, one))
  }

  #countFault(name: MetricName, fault: 'threw' | 'not_finite' | 'too_many_series'): void {
    const key = `${name} ${fault}`
    this.#faultCounts.set(key, (this.#faultCounts.get(key) ?? 0) + 1)
  }
}

interface Series {
  readonly labels: Readonly<Record<string, string>>
  reading: Reading
}

/** One line of the text format, as the client library wants it. */
interface SeriesValue {
  readonly metricName?: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

function merge(one: Reading, other: Reading, aggregation: MetricAggregation): Reading {
  if (typeof one === 'number' && typeof other === 'number') {
    if (aggregation === 'sum') return one + other
    if (aggregation === 'first') return one
    return aggregation === 'min' ? Math.min(one, other) : Math.max(one, other)
  }
  if (typeof one === 'number' || typeof other === 'number') return one
  return {
    bounds: one.bounds,
    counts: one.counts.map((count, i) => count + (other.counts[i] ?? 0)),
    sum: one.sum + other.sum,
  }
}

function toValues(name: string, { labels, reading }: Series): SeriesValue[] {
  if (typeof reading === 'number') return [{ labels, value: reading }]
  const { bounds, counts, sum } = reading
  let count = 0
  const buckets = counts.map((inBucket, i): SeriesValue => {
    count += inBucket
    const le = i < bounds.length ? String(bounds[i]) : '+Inf'
    return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: count }
  })
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ]
}

/** Gives the metrics of several processes as one text, each merged as the table says. */
export async function renderSnapshots(snapshots: readonly MetricsSnapshot[]): Promise<string> {
  const client = await import('prom-client')
  return client.Registry.aggregate(snapshots.map((snapshot) => [...snapshot])).metrics()
}

/** Merges the metrics of several processes, each as the table says, into those of one. */
export async function mergeSnapshots(snapshots: readonly MetricsSnapshot[]): Promise<MetricsSnapshot> {
  const client = await import('prom-client')
  return client.Registry.aggregate(snapshots.map((snapshot) => [...snapshot])).getMetricsAsJSON()
}

/**
 * Serves `authgw_limit_breaches_total` with every fault token, those at 0 too: an alert on a rate needs a first value.
 * @param read how often peers earned the token
 */
export function feedFaults(metrics: Metrics, read: (token: FaultToken) => number): void {
  metrics.addFamily('authgw_limit_breaches_total', (emit) => {
    for (const token of Object.keys(FAULTS) as FaultToken[]) emit({ token }, read(token))
  })
}

/** Serves the metrics of a logger. */
export function feedLog(metrics: Metrics, stats: LogStats): void {
  metrics.addFamily('authgw_log_lines_total', (emit) => {
    for (const [level, count] of Object.entries(stats.lineCounts)) emit({ level }, count)
  })
  metrics.addCounter('authgw_log_lines_dropped_total', {}, () => stats.droppedLineCount)
}

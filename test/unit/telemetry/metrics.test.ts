import { expect, test } from 'vitest'
import { FAULTS, Histogram } from '../../../src/base/index.ts'
import {
  feedFaults,
  feedLog,
  MAX_SERIES_PER_METRIC,
  METRICS,
  METRICS_CONTENT_TYPE,
  Metrics,
  renderSnapshots,
  type MetricEntry,
  type MetricName,
} from '../../../src/telemetry/index.ts'
import { parsePrometheusText, type ParsedMetric } from '../../support/prometheus-text.ts'

const bare = (): Metrics => new Metrics({ includesProcess: false })
const scrape = async (metrics: Metrics): Promise<Map<string, ParsedMetric>> =>
  parsePrometheusText(await metrics.render())
const samplesOf = async (metrics: Metrics, name: MetricName): Promise<[Record<string, string>, number][]> =>
  (await scrape(metrics)).get(name)?.samples.map(({ labels, value }) => [labels, value]) ?? []

/** Feeds every metric of the table with one series. */
function feedAll(metrics: Metrics): void {
  const reading = new Histogram()
  for (const [name, entry] of Object.entries<MetricEntry>(METRICS)) {
    const labels = Object.fromEntries(Object.keys(entry.labels).map((label) => [label, 'x']))
    metrics.addFamily(name as 'authgw_ready', (emit) => {
      emit(labels, (entry.type === 'histogram' ? reading : 1) as number)
    })
  }
}

test('a number is read when a scrape asks, and not before', async () => {
  const metrics = bare()
  const stats = { bugs: 0, reads: 0 }
  metrics.addCounter('authgw_bugs_total', {}, () => {
    stats.reads++
    return stats.bugs
  })
  expect(stats.reads).toBe(0)
  stats.bugs = 3
  expect(await samplesOf(metrics, 'authgw_bugs_total')).toEqual([[{}, 3]])
  stats.bugs = 4
  expect(await samplesOf(metrics, 'authgw_bugs_total')).toEqual([[{}, 4]])
})

test('a series that its family no longer emits is gone from the next scrape', async () => {
  const metrics = bare()
  const ages = new Map([
    ['https://a', 10],
    ['https://b', 20],
  ])
  metrics.addFamily('authgw_key_set_age_seconds', (emit) => {
    for (const [issuer, age] of ages) emit({ issuer }, age)
  })
  expect(await samplesOf(metrics, 'authgw_key_set_age_seconds')).toEqual([
    [{ issuer: 'https://a' }, 10],
    [{ issuer: 'https://b' }, 20],
  ])
  ages.delete('https://a')
  expect(await samplesOf(metrics, 'authgw_key_set_age_seconds')).toHaveLength(1)
})

test('buckets are cumulative, end with +Inf, and agree with count and sum', async () => {
  const metrics = bare()
  const duration = new Histogram([0.1, 1])
  for (const seconds of [0.05, 0.1, 0.5, 3]) duration.observe(seconds)
  const labels = { rpc_method: 'a/B', rpc_response_status_code: 'OK' }
  metrics.addHistogram('rpc_server_call_duration_seconds', labels, () => duration)
  const metric = (await scrape(metrics)).get('rpc_server_call_duration_seconds')!
  expect(metric.type).toBe('histogram')
  expect(metric.samples.map(({ name, labels: { le }, value }) => [name.slice(33), le, value])).toEqual([
    ['bucket', '0.1', 2],
    ['bucket', '1', 3],
    ['bucket', '+Inf', 4],
    ['sum', undefined, 3.65],
    ['count', undefined, 4],
  ])
})

test('two roles of one process that feed the same series give one series, merged as the table says', async () => {
  const metrics = bare()
  const one = new Histogram([1])
  const other = new Histogram([1])
  one.observe(0.5)
  other.observe(2)
  for (const count of [3, 4]) metrics.addCounter('authgw_bugs_total', {}, () => count)
  for (const count of [3, 4]) metrics.addGauge('authgw_held_bytes', {}, () => count)
  for (const isReady of [1, 0]) metrics.addGauge('authgw_ready', {}, () => isReady)
  for (const age of [8, 5]) metrics.addGauge('authgw_key_set_age_seconds', { issuer: 'i' }, () => age)
  for (const histogram of [one, other])
    metrics.addHistogram(
      'rpc_server_call_duration_seconds',
      { rpc_method: 'm', rpc_response_status_code: 'OK' },
      () => histogram,
    )
  const parsed = await scrape(metrics)
  const valueOf = (name: MetricName): number => parsed.get(name)!.samples[0]!.value
  expect(valueOf('authgw_bugs_total')).toBe(7)
  expect(valueOf('authgw_held_bytes')).toBe(7)
  expect(valueOf('authgw_ready')).toBe(0)
  expect(valueOf('authgw_key_set_age_seconds')).toBe(8)
  expect(parsed.get('rpc_server_call_duration_seconds')!.samples.map(({ value }) => value)).toEqual([
    1, 2, 2.5, 2,
  ])
})

test('workers’ snapshots survive the way between processes and are merged as the table says', async () => {
  const workers = await Promise.all(
    [1, 2].map(async (n) => {
      const metrics = bare()
      const duration = new Histogram([1])
      duration.observe(n)
      metrics.addCounter('authgw_decisions_total', { decision: 'permit', reason: 'ok', issuer: 'i' }, () => n)
      metrics.addGauge('authgw_last_reload_success', { target: 'config' }, () => n - 1)
      metrics.addHistogram(
        'rpc_server_call_duration_seconds',
        { rpc_method: 'm', rpc_response_status_code: 'OK' },
        () => duration,
      )
      return structuredClone(await metrics.snapshot())
    }),
  )
  const parsed = parsePrometheusText(await renderSnapshots(workers))
  expect(parsed.get('authgw_decisions_total')!.samples).toEqual([
    { name: 'authgw_decisions_total', labels: { decision: 'permit', reason: 'ok', issuer: 'i' }, value: 3 },
  ])
  expect(parsed.get('authgw_last_reload_success')!.samples[0]!.value).toBe(0)
  expect(parsed.get('rpc_server_call_duration_seconds')!.samples.map(({ value }) => value)).toEqual([
    1, 2, 3, 2,
  ])
})

test('a gauge that has no value is absent; a counter that has none is a fault that is counted', async () => {
  const metrics = bare()
  metrics.addGauge('authgw_token_expiry_timestamp_seconds', { identity: 'default' }, () => NaN)
  metrics.addCounter('authgw_bugs_total', {}, () => NaN)
  expect(await samplesOf(metrics, 'authgw_token_expiry_timestamp_seconds')).toEqual([])
  expect(await samplesOf(metrics, 'authgw_metric_faults_total')).toEqual([
    [{ metric: 'authgw_bugs_total', fault: 'not_finite' }, 2],
  ])
})

test('a source that throws costs its own series only, and is counted', async () => {
  const metrics = bare()
  metrics.addGauge('authgw_open_calls', {}, () => {
    throw new Error('broken')
  })
  metrics.addGauge('authgw_held_bytes', {}, () => 5)
  expect(await samplesOf(metrics, 'authgw_held_bytes')).toEqual([[{}, 5]])
  expect(await samplesOf(metrics, 'authgw_metric_faults_total')).toContainEqual([
    { metric: 'authgw_open_calls', fault: 'threw' },
    2,
  ])
})

test('however many label values a peer could cause, a scrape takes a bounded number', async () => {
  const metrics = bare()
  metrics.addFamily('authgw_egress_refusals_total', (emit) => {
    for (let i = 0; i < MAX_SERIES_PER_METRIC + 5; i++) emit({ reason: `r${i}` }, 1)
  })
  expect(await samplesOf(metrics, 'authgw_egress_refusals_total')).toHaveLength(MAX_SERIES_PER_METRIC)
})

test('a label value with quotes, backslashes and line ends cannot break the format', async () => {
  const metrics = bare()
  const issuer = 'https://a"} 1\nauthgw_ready 1\\'
  metrics.addGauge('authgw_key_set_keys', { issuer }, () => 2)
  expect(await samplesOf(metrics, 'authgw_key_set_keys')).toEqual([[{ issuer }, 2]])
})

test('every fault token is served from the start, at 0 too', async () => {
  const metrics = bare()
  feedFaults(metrics, (token) => (token === 'rapid_reset' ? 7 : 0))
  const samples = await samplesOf(metrics, 'authgw_limit_breaches_total')
  expect(new Set(samples.map(([labels]) => labels['token']))).toEqual(new Set(Object.keys(FAULTS)))
  expect(samples.filter(([, value]) => value !== 0)).toEqual([[{ token: 'rapid_reset' }, 7]])
})

test('the log’s own numbers are served', async () => {
  const metrics = bare()
  feedLog(metrics, {
    lineCounts: { debug: 0, info: 2, warn: 1, error: 0 },
    droppedLineCount: 4,
    writeErrorCount: 0,
  })
  expect(await samplesOf(metrics, 'authgw_log_lines_total')).toContainEqual([{ level: 'info' }, 2])
  expect(await samplesOf(metrics, 'authgw_log_lines_dropped_total')).toEqual([[{}, 4]])
})

test('what is registered is what the table declares: names, types, helps, and nothing else', async () => {
  const metrics = bare()
  expect(metrics.unfedNames).toContain('authgw_decisions_total')
  feedAll(metrics)
  expect(metrics.unfedNames).toEqual([])
  const parsed = await scrape(metrics)
  expect([...parsed.keys()].sort()).toEqual(Object.keys(METRICS).sort())
  for (const [name, entry] of Object.entries<MetricEntry>(METRICS)) {
    expect(parsed.get(name)).toMatchObject({ type: entry.type, help: entry.help })
    expect(
      Object.keys(parsed.get(name)!.samples[0]!.labels)
        .filter((label) => label !== 'le')
        .sort(),
    ).toEqual(Object.keys(entry.labels).sort())
  }
})

test('beside the table there are only the library’s metrics of the process, event loop lag among them', async () => {
  const metrics = new Metrics()
  await metrics.warmUp()
  const names = [...(await scrape(metrics)).keys()].filter((name) => !Object.hasOwn(METRICS, name))
  expect(names.filter((name) => !/^(?:process|nodejs)_/.test(name))).toEqual([])
  expect(names).toContain('nodejs_eventloop_lag_p99_seconds')
  expect(names).toContain('process_resident_memory_bytes')
  expect(METRICS_CONTENT_TYPE).toContain('version=0.0.4')
})

test('a metric that is first fed after a scrape is in the next one', async () => {
  const metrics = bare()
  await metrics.render()
  metrics.addGauge('authgw_ready', {}, () => 1)
  expect(await samplesOf(metrics, 'authgw_ready')).toEqual([[{}, 1]])
})

test('a wrong name, a label that is missing or unknown, and a wrong type do not compile', () => {
  const metrics = bare()
  const wire = (): void => {
    // @ts-expect-error -- no such metric
    metrics.addCounter('authgw_unknown_total', {}, () => 0)
    // @ts-expect-error -- a gauge is no counter
    metrics.addCounter('authgw_held_bytes', {}, () => 0)
    // @ts-expect-error -- the label `reason` is missing
    metrics.addGauge('authgw_degraded', {}, () => 0)
    // @ts-expect-error -- there is no label `client`
    metrics.addGauge('authgw_degraded', { reason: 'x', client: 'y' }, () => 0)
    metrics.addFamily('rpc_server_call_duration_seconds', (emit) => {
      const labels = { rpc_method: '', rpc_response_status_code: '' }
      // @ts-expect-error -- a histogram is read as buckets
      emit(labels, 1)
    })
  }
  expect(wire).toBeTypeOf('function')
})

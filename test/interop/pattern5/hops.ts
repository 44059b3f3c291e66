/**
 * The pattern at work: what was sent, what each hop counted, and what Jaeger gives back by trace id.
 */
import { readMetrics } from '../../support/gateway-readings.ts'
import { SIGNALS } from '../../support/otlp-proto.ts'
import { bySignal, readCollector, resourceTag, traceById, traceIds, waitForCounts } from '../rig/counts.ts'
import type { Counts } from '../rig/counts.ts'
import type { CollectorName } from '../rig/folder.ts'
import { generateAll, sendWithSdk, SPANS_A_TRACE } from '../rig/generate.ts'
import type { RunningPattern } from '../rig/pattern.ts'
import type { Report } from './report.ts'

/** How much is sent. */
export interface Amount {
  /** Of each signal, a second. */
  readonly rate: number
  readonly seconds: number
}

const SDK_SERVICE = 'sdk-for-javascript'
const SDK_TRACES = 100

/** Sends all three signals through the whole chain, and checks every hop. */
export async function sendThrough(pattern: RunningPattern, report: Report, amount: Amount): Promise<void> {
  const { folder, programs } = pattern
  const count = amount.rate * amount.seconds
  const endpoint = `localhost:${folder.ports.agent}`
  report.title(
    `Send: ${count} traces, metrics and log records at ${amount.rate}/s each, and ${SDK_TRACES} traces of an SDK`,
  )
  const [trouble, sdkIds] = await Promise.all([
    generateAll({ program: programs.telemetrygen, endpoint, count, rate: amount.rate }),
    sendWithSdk(endpoint, SDK_SERVICE, SDK_TRACES),
  ])
  report.check(trouble === '', `telemetrygen ended well${trouble && `: ${trouble}`}`)
  const sent: Counts = { traces: count * SPANS_A_TRACE + SDK_TRACES, metrics: count, logs: count }
  await compareHops(pattern, report, sent)
  await compareCalls(pattern, report)
  await compareTraces(pattern, report, count, sdkIds)
}

async function compareHops({ folder }: RunningPattern, report: Report, sent: Counts): Promise<void> {
  const rows: string[][] = [['sent', ...SIGNALS.map((signal) => String(sent[signal]))]]
  const note = (hop: string, counts: Counts): void => {
    rows.push([hop, ...SIGNALS.map((signal) => String(counts[signal]))])
    hops.push(counts)
  }
  const hops: Counts[] = []
  await waitForCounts(
    folder.metricsPorts['control-plane-collector'],
    ({ sent: delivered }) => SIGNALS.every((signal) => delivered[signal] >= sent[signal]),
    20_000,
  )
  let failed = 0
  for (const name of ['agent', 'workload-collector', 'control-plane-collector'] as CollectorName[]) {
    const counts = await readCollector(folder.metricsPorts[name])
    note(`${name}: received`, counts.accepted)
    note(`${name}: delivered`, counts.sent)
    failed += SIGNALS.reduce((sum, signal) => sum + counts.failed[signal], 0)
  }
  report.table(['hop', 'spans', 'metric points', 'log records'], rows)
  report.check(
    hops.every((counts) => SIGNALS.every((signal) => counts[signal] === sent[signal])),
    'equal at every hop',
  )
  report.check(failed === 0, `collectors gave up ${failed} items`)
}

/** The gateways count calls, not items. */
async function compareCalls({ folder, keycloak }: RunningPattern, report: Report): Promise<void> {
  const calls = async (admin: number): Promise<{ good: Counts; other: number; refreshes: number }> => {
    const readings = await readMetrics(admin)
    const name = 'rpc_server_call_duration_seconds_count'
    const good = bySignal((signal) =>
      [...readings.by('rpc_server_call_duration_seconds', 'rpc_method').keys()]
        .filter((method) => method.includes(`.${signal === 'traces' ? 'trace' : signal}.`))
        .reduce((sum, method) => sum + countOf(readings.text, name, method), 0),
    )
    const total = SIGNALS.reduce((sum, signal) => sum + good[signal], 0)
    const all = [...readings.text.matchAll(new RegExp(`^${name}\\{[^}]*\\} (\\d+)`, 'gm'))]
    return {
      good,
      other: all.reduce((sum, [, value]) => sum + Number(value), 0) - total,
      refreshes: readings.sum('authgw_token_refreshes_total', { result: 'ok' }),
    }
  }
  const workload = await calls(folder.ports.workloadAdmin)
  const controlPlane = await calls(folder.ports.controlPlaneAdmin)
  const row = (name: string, { good, other }: typeof workload): string[] => [
    name,
    ...SIGNALS.map((signal) => String(good[signal])),
    String(other),
  ]
  report.table(
    ['gateway, calls', 'traces', 'metrics', 'logs', 'not OK'],
    [row('workload authgw', workload), row('control-plane authgw', controlPlane)],
  )
  report.check(
    SIGNALS.every(
      (signal) => workload.good[signal] > 0 && workload.good[signal] === controlPlane.good[signal],
    ),
    'both gateways counted the same calls, all OK',
  )
  report.check(
    workload.refreshes >= 3,
    `${workload.refreshes} tokens obtained, so ${workload.refreshes - 1} refreshes on the way; ` +
      `Keycloak says ${keycloak.tokensOf('workload')}`,
  )
}

function countOf(text: string, name: string, method: string): number {
  const line = text
    .split('\n')
    .find(
      (each) =>
        each.startsWith(`${name}{`) &&
        each.includes(`rpc_method="${method}"`) &&
        each.includes('rpc_response_status_code="OK"'),
    )
  return line === undefined ? 0 : Number(line.split(' ').at(-1))
}

async function compareTraces(
  { jaegerQuery }: RunningPattern,
  report: Report,
  count: number,
  sdkIds: string[],
): Promise<void> {
  const generated = await traceIds(jaegerQuery, 'telemetrygen')
  let whole = 0
  let named = 0
  for (const id of [...generated, ...sdkIds]) {
    const trace = await traceById(jaegerQuery, id)
    if (trace === null) continue
    if (trace.spans.length === (sdkIds.includes(id) ? 1 : SPANS_A_TRACE)) whole++
    if (resourceTag(trace, 'authgw.client') === 'workload') named++
  }
  const expected = count + sdkIds.length
  report.check(
    new Set(generated).size === count,
    `Jaeger has ${new Set(generated).size} traces of telemetrygen, ${count} were sent`,
  )
  report.check(whole === expected, `${whole} of ${expected} traces read back by id are whole`)
  report.check(named === expected, `${named} of them say authgw.client = workload`)
}

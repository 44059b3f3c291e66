/**
 * What the demo promises, checked: from what was counted to lines that are as expected or not.
 */
import { status } from '@grpc/grpc-js'
import { readMetrics } from '../support/gateway-readings.ts'
import { SIGNALS } from '../support/otlp-proto.ts'
import { CLIENT_ID } from '../support/whole-pattern.ts'
import { isAsExpected } from '../support/refused-callers.ts'
import type { Caller, Outcome } from '../support/refused-callers.ts'
import type { Screen } from './screen.ts'
import type { Stage } from './stage.ts'

/** What the acts have found out. */
export interface Findings {
  /** Refreshes while telemetry flowed and the provider was up. */
  readonly refreshesInFlow: number
  /** Ms that the provider was away, and tries put off in that time and until the token was there again. */
  readonly outageMs: number
  readonly putOffInOutage: number
  readonly calls: readonly { readonly caller: Caller; readonly outcome: Outcome }[]
}

const orDash = (text: string): string => (text === '' ? '–' : text)

/** Prints the tables of the end. Gives whether every line is as expected. */
export async function judge(stage: Stage, findings: Findings, tokenLifeMs: number): Promise<boolean> {
  const { screen } = stage
  const verdicts: boolean[] = []
  const step = (isGood: boolean, label: string, detail: string): void => {
    verdicts.push(isGood)
    screen.step(isGood, label, detail)
  }
  screen.title('Result')
  verdicts.push(showTelemetry(stage), showCalls(screen, findings))
  screen.line('')
  const { refreshesInFlow, outageMs, putOffInOutage, calls } = findings
  step(
    refreshesInFlow >= 2,
    'refreshed',
    `${refreshesInFlow} times while telemetry flowed, ${stage.refreshCount} times in all`,
  )
  step(
    outageMs > tokenLifeMs && putOffInOutage > 0 && stage.wasAlwaysReady,
    'outage survived',
    `provider away for ${(outageMs / 1000).toFixed(1)} s, a token lives ${tokenLifeMs / 1000} s; ` +
      `${putOffInOutage} tries put off; the workload gateway stayed ${stage.wasAlwaysReady ? 'ready' : 'NOT ready'}`,
  )
  const { stats } = stage.pattern.collector
  const statuses = [...Object.keys(stats.retriesByStatus), ...Object.keys(stats.droppedByStatus)]
  step(
    Object.keys(stats.droppedByStatus).length === 0 && stats.refused === 0,
    'nothing dropped',
    `the workload collector sent ${stats.sent} requests; it saw ${statuses.join(', ') || 'no failure'} and sent again`,
  )
  if (!stage.isBehindCollector) {
    const clients = [...stage.arrivals.requestsByClient.keys()]
    step(clients.join() === CLIENT_ID, 'client', `always ${clients.join(' and ')}`)
    const passed = calls.filter(({ outcome }) => outcome.code === status.OK).length
    const heard = stage.arrivals.emptyRequests
    step(
      heard === passed,
      'nothing slipped through',
      `of ${calls.length} callers the collector heard of ${heard}`,
    )
  }
  const bugs = await bugCount(stage)
  step(bugs === 0, 'no broken assumption', `authgw_bugs_total ${bugs} in both gateways`)
  return verdicts.every(Boolean)
}

function showTelemetry({ pattern, telemetry, screen }: Stage): boolean {
  const lost = SIGNALS.map((signal) => pattern.receiver.arrived[signal].missing(telemetry.sent).length)
  const isGood = SIGNALS.map(
    (signal, index) => lost[index] === 0 && pattern.receiver.arrived[signal].distinct === telemetry.sent,
  )
  const rows = SIGNALS.map((signal, index) => {
    const { distinct, repeats } = pattern.receiver.arrived[signal]
    return [signal, String(telemetry.sent), String(distinct), String(lost[index]), String(repeats)]
  })
  screen.table(['signal', 'sent', 'received', 'lost', 'received again'], rows, (row) => isGood[row]!)
  return isGood.every(Boolean) && telemetry.sent > 0
}

function showCalls(screen: Screen, { calls }: Findings): boolean {
  const isGood = calls.map(({ caller, outcome }) => isAsExpected(caller, outcome))
  const rows = calls.map(({ caller, outcome }) => [
    caller.name,
    outcome.code === status.OK ? 'passed' : 'refused',
    status[outcome.code],
    orDash(outcome.reason),
    orDash(outcome.countedAs),
  ])
  screen.line('')
  screen.table(['caller', 'was', 'status', 'authgw-reason', 'counted as'], rows, (row) => isGood[row]!)
  return isGood.every(Boolean)
}

async function bugCount({ pattern }: Stage): Promise<number> {
  const counts = [pattern.workload, pattern.controlPlane].map(async ({ ports }) =>
    (await readMetrics(ports['admin']!)).sum('authgw_bugs_total'),
  )
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0)
}

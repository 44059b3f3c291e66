/** Turns the figures of one run into Markdown: the goals first, then a table for each setting, medians with their spread. */
import { table } from '../../test/interop/tools/table.ts'
import { cpuOf, goalsOf } from './goals.ts'
import type { LatencyReport } from './latency.ts'
import { median } from './median.ts'
import type { SettingFigures } from './measure.ts'
import type { MemoryReport } from './memory.ts'
import type { Results } from './results.ts'
import type { SpanReport } from './spans.ts'

/** Everything that a run found. */
export function report(results: Results): string {
  const { machine, node, sourceTree, isSourceClean, absences, elapsedSeconds } = results
  const source = `src/ ${sourceTree.slice(0, 12)}${isSourceClean ? '' : ', changed since'}`
  const where = `${machine.cores} × ${machine.cpu}, Linux ${machine.kernel}, Node ${node.slice(1)}`
  const parts = [
    `Measured ${results.date} UTC, ${source}; ${where}; ${(elapsedSeconds / 60).toFixed(0)} minutes.`,
    `### Goals\n\n${goalTable(results)}`,
    ...results.settings.map((setting) => settingTable(setting)),
  ]
  if (results.latency !== null) parts.push(latencyTable(results.latency))
  if (results.memory !== null) parts.push(...memoryTables(results.memory))
  if (results.spans !== null && !('absent' in results.spans)) parts.push(spanTable(results.spans))
  parts.push(absences.length === 0 ? 'Absent: nothing.' : `Absent:\n- ${absences.join('\n- ')}`)
  return parts.join('\n\n')
}

/** Each goal and what was seen. */
export function goalTable(results: Results): string {
  const rows = goalsOf(results).map(({ figure, goal, seen, isMet }) => [
    figure,
    goal,
    seen,
    isMet === null ? '–' : isMet ? 'met' : 'missed',
  ])
  return table(['figure', 'goal', 'seen', ''], rows)
}

/** Words for a setting. */
export function titleOf({ describes, load }: SettingFigures): string {
  const { size, isTls, connections, concurrency } = load
  return `${describes}, ${size / 1024} KiB, ${isTls ? 'mTLS in' : 'plaintext'}, ${connections} connections × ${concurrency} calls`
}

function settingTable(setting: SettingFigures): string {
  const own = setting.contenders.find(({ name }) => name === 'authgw')
  const head = [
    'proxy',
    'token',
    'µs CPU a call',
    'least – most',
    'authgw ÷ it',
    'calls/s',
    'mean ms',
    'peak MB',
  ]
  const rows = setting.contenders.map((contender) => {
    const cpu = contender.turns.map((turn) => turn.cpuMicrosPerCall)
    return [
      `${contender.name} ${contender.version}`,
      contender.checksToken ? 'checked' : '–',
      median(cpu).toFixed(1),
      `${Math.min(...cpu).toFixed(1)} – ${Math.max(...cpu).toFixed(1)}`,
      own === undefined || own === contender ? '' : (cpuOf(own) / median(cpu)).toFixed(2),
      median(contender.turns.map((turn) => turn.callsPerSecond)).toFixed(0),
      (median(contender.turns.map((turn) => turn.meanMicros)) / 1000).toFixed(2),
      contender.peakMemoryMegabytes.toFixed(0),
    ]
  })
  const faults = setting.faults.map((fault) => `- fault: ${fault}`)
  return [`### ${titleOf(setting)}`, '', table(head, rows), ...faults].join('\n')
}

function latencyTable({ directMicros, rate, contenders }: LatencyReport): string {
  const head = ['proxy', 'a lone call, µs', 'added, µs', 'least – most', 'p99 at the rate, µs', 'failed']
  const rows = contenders.map((each) => [
    each.name,
    each.loneMicros.toFixed(0),
    each.addedMicros.toFixed(0),
    `${Math.min(...each.addedTurns).toFixed(0)} – ${Math.max(...each.addedTurns).toFixed(0)}`,
    each.p99Micros?.toFixed(0) ?? '–',
    String(each.failed),
  ])
  const words = rate === null ? '' : `, and p99 at ${rate} calls a second, half of nghttpx’s top rate`
  return `### Latency of a lone 1 KiB call (direct: ${directMicros.toFixed(0)} µs)${words}\n\n${table(head, rows)}`
}

function memoryTables({ start, idleConnections, growth, loadClients, afterCalls }: MemoryReport): string[] {
  const connections = idleConnections.map((each) => [
    each.name,
    String(each.connections),
    each.kilobytesEach.toFixed(1),
  ])
  const grown = growth.map((each) => [
    `${each.connections} × ${each.concurrency}`,
    each.cpuMicrosPerCall.toFixed(1),
    String(each.calls),
    String(each.failed),
    each.residentMegabytes.toFixed(0),
  ])
  const after = afterCalls.map((each) => [String(each.calls), each.residentMegabytes.toFixed(0)])
  return [
    `Start to ready ${median(start.readyMs).toFixed(0)} ms (${Math.min(...start.readyMs).toFixed(0)} – ${Math.max(...start.readyMs).toFixed(0)}); idle ${median(start.idleMegabytes).toFixed(0)} MB resident.`,
    `### Idle mTLS connections\n\n${table(['server', 'connections', 'KB each'], connections)}`,
    `### As connections × calls grow\n\n${table(['connections × calls', 'µs CPU a call', 'calls', 'failed', 'resident MB'], grown)}`,
    `The load client on authgw’s own core, for callers with a certificate: ${median(loadClients.coreMicros).toFixed(1)} µs CPU of the gateway a call, where h2load has it spend ${median(loadClients.h2loadMicros).toFixed(1)} µs (1 KiB, plaintext).`,
    `### As calls are done\n\n${table(['calls done', 'resident MB'], after)}`,
  ]
}

function spanTable({ ways, requestBytes }: SpanReport): string {
  const rows = ways.map(({ name, cpuMillisPer1000Spans: all, collectorMillis, failed }) => [
    name,
    median(all).toFixed(2),
    `${Math.min(...all).toFixed(2)} – ${Math.max(...all).toFixed(2)}`,
    median(collectorMillis).toFixed(2),
    String(failed),
  ])
  const head = ['control plane', 'ms CPU per 1000 spans', 'least – most', 'of it the collector', 'failed']
  return `### CPU of a whole control plane, requests of ${requestBytes} octets with 100 spans over TLS with a token\n\n${table(head, rows)}`
}

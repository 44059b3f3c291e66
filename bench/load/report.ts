/** Turns figures into a Markdown table: medians with their spread, and authgw's ratio to each peer beside the goal. */
import { table } from '../../test/interop/tools/table.ts'
import type { ContenderFigures, SettingFigures } from './measure.ts'

/** authgw's CPU per call ÷ the peer's: at most this, for 1 KiB in plaintext, by profile and peer. */
const GOALS: Record<string, Record<string, number>> = {
  constant: { nghttpx: 0.5, 'haproxy + jwt': 0.2, 'node:http2 twin': 0.2 },
  'grpc-go': { nghttpx: 0.8, 'node:http2 twin': 0.2 },
}

/** The middle of a list of numbers; the lower one of two. */
export function median(values: number[]): number {
  const sorted = [...values].sort((left, right) => left - right)
  return sorted[(sorted.length - 1) >> 1] ?? Number.NaN
}

/** Renders all settings and what was absent. */
export function report(found: SettingFigures[], absences: string[]): string {
  const parts = found.map((setting) => settingTable(setting))
  parts.push(absences.length === 0 ? 'Absent: nothing.' : `Absent:\n- ${absences.join('\n- ')}`)
  return parts.join('\n\n')
}

function settingTable(setting: SettingFigures): string {
  const own = setting.contenders.find(({ name }) => name === 'authgw')
  const { size, isTls, connections, concurrency } = setting.load
  const title = `${setting.describes}, ${size / 1024} KiB, ${isTls ? 'TLS in' : 'plaintext'}, ${connections} connections × ${concurrency} calls`
  const head = [
    'proxy',
    'token',
    'µs CPU a call',
    'least – most',
    'authgw ÷ it',
    'goal ≤',
    'calls/s',
    'mean ms',
    'peak MB',
  ]
  const rows = setting.contenders.map((contender) => {
    const cpu = contender.turns.map((turn) => turn.cpuMicrosPerCall)
    const isGoalFor = size === 1024 && !isTls
    const goal = isGoalFor ? GOALS[setting.profile]?.[contender.name] : undefined
    return [
      `${contender.name} ${contender.version}`,
      contender.checksToken ? 'checked' : '–',
      median(cpu).toFixed(1),
      `${Math.min(...cpu).toFixed(1)} – ${Math.max(...cpu).toFixed(1)}`,
      own === undefined || own === contender ? '' : (medianCpu(own) / median(cpu)).toFixed(2),
      goal === undefined ? '' : String(goal),
      median(contender.turns.map((turn) => turn.callsPerSecond)).toFixed(0),
      (median(contender.turns.map((turn) => turn.meanMicros)) / 1000).toFixed(2),
      contender.peakMemoryMegabytes.toFixed(0),
    ]
  })
  const faults = setting.faults.map((fault) => `- fault: ${fault}`)
  return [`### ${title}`, '', table(head, rows), ...faults].join('\n')
}

const medianCpu = (figures: ContenderFigures): number =>
  median(figures.turns.map((turn) => turn.cpuMicrosPerCall))

/** Turns the figures of one run into the list of what was to be reached: each goal, what was seen, and whether it is met. */
import type { Results } from './results.ts'
import type { ContenderFigures, SettingFigures } from './measure.ts'
import { median } from './median.ts'

/** One goal. */
export interface Goal {
  figure: string
  goal: string
  seen: string
  /** Null where it could not be measured. */
  isMet: boolean | null
}

const ROLES_ALIKE = 1.1
const WORKERS_GAIN = 1.8
const WORKERS_ALIKE = 1.1
const IDLE_MEGABYTES = 70
const LOADED_MEGABYTES = 100
const CONNECTION_SHARE = 1.1
const READY_MS = 300
const FLAT_FACTOR = 2

/** CPU of authgw ÷ CPU of the peer, at most; by profile, size in KiB, whether TLS, and peer. */
const RATIOS: readonly (readonly [string, number, boolean, string, number])[] = [
  ['constant', 1, false, 'nghttpx', 0.5],
  ['constant', 1, false, 'haproxy + jwt', 0.2],
  ['constant', 1, false, 'node:http2 twin', 0.12],
  ['grpc-go', 1, false, 'nghttpx', 0.8],
  ['grpc-js', 1, false, 'nghttpx', 0.8],
  ['constant', 1, true, 'haproxy + jwt', 0.2],
  ['constant', 16, false, 'nghttpx', 1],
  ['constant', 16, false, 'haproxy', 0.5],
  ['constant', 100, false, 'nghttpx', 1],
  ['constant', 100, false, 'haproxy', 0.5],
  ['constant', 16, true, 'nghttpx', 1],
  ['constant', 16, true, 'haproxy', 0.5],
  ['constant', 100, true, 'nghttpx', 1],
  ['constant', 100, true, 'haproxy', 0.5],
]

/** Median CPU microseconds a call. */
export const cpuOf = (figures: ContenderFigures): number =>
  median(figures.turns.map((turn) => turn.cpuMicrosPerCall))

const atMost = (figure: string, value: number | null, goal: number, unit = ''): Goal => ({
  figure,
  goal: `≤ ${goal}${unit}`,
  seen: value === null ? 'not measured' : `${value.toFixed(goal < 10 ? 2 : 0)}${unit}`,
  isMet: value === null ? null : value <= goal,
})

/** A peer's figures in one setting. */
function contender(
  results: Results,
  profile: string,
  kib: number,
  isTls: boolean,
  name: string,
): ContenderFigures | null {
  const setting = results.settings.find(
    (each) => each.profile === profile && each.load.size === kib * 1024 && each.load.isTls === isTls,
  )
  return setting?.contenders.find((each) => each.name === name) ?? null
}

function ratio(left: ContenderFigures | null, right: ContenderFigures | null): number | null {
  return left === null || right === null ? null : cpuOf(left) / cpuOf(right)
}

/** All goals, in their order. */
export function goalsOf(results: Results): Goal[] {
  const goals = RATIOS.map(([profile, kib, isTls, peer, most]) => {
    const value = ratio(
      contender(results, profile, kib, isTls, 'authgw'),
      contender(results, profile, kib, isTls, peer),
    )
    const figure = `CPU a call, ${kib} KiB, ${isTls ? 'mTLS in' : 'plaintext'}, ${profile} head ÷ ${peer}`
    return atMost(figure, value, most)
  })
  return [...goals, ...latencyGoals(results), ...workerGoals(results), ...memoryGoals(results)]
}

function latencyGoals({ latency }: Results): Goal[] {
  const find = (name: string) => latency?.contenders.find((each) => each.name === name)
  const own = find('authgw')
  const other = find('nghttpx')
  const added = own === undefined || other === undefined ? null : own.addedMicros / other.addedMicros
  const p99 = own?.p99Micros && other?.p99Micros ? own.p99Micros / other.p99Micros : null
  return [
    atMost('added latency of a lone call ÷ nghttpx', added, 1.3),
    atMost('p99 at half of nghttpx’s top rate ÷ nghttpx', p99, 1),
  ]
}

function workerGoals(results: Results): Goal[] {
  const at = (name: string): ContenderFigures | null => contender(results, 'constant', 1, false, name)
  const [one, two, workload] = [at('authgw'), at('authgw 2 workers'), at('authgw workload')]
  const gain =
    one === null || two === null
      ? null
      : median(two.turns.map((turn) => turn.callsPerSecond)) /
        median(one.turns.map((turn) => turn.callsPerSecond))
  const cost = ratio(two, one)
  const alike = atMost('CPU a call, workload role ÷ control plane role', ratio(workload, one), ROLES_ALIKE)
  return [
    {
      figure: 'two workers ÷ one: calls a second; else CPU a call',
      goal: `≥ ${WORKERS_GAIN}, else ≤ ${WORKERS_ALIKE}`,
      seen: gain === null || cost === null ? 'not measured' : `${gain.toFixed(2)}; ${cost.toFixed(2)}`,
      isMet: gain === null || cost === null ? null : gain >= WORKERS_GAIN || cost <= WORKERS_ALIKE,
    },
    alike,
  ]
}

function memoryGoals(results: Results): Goal[] {
  const { memory, spans } = results
  const peaks = results.settings.flatMap((setting: SettingFigures) =>
    setting.contenders.filter(({ name }) => name === 'authgw').map((each) => each.peakMemoryMegabytes),
  )
  const each = (name: string): number | null =>
    memory?.idleConnections.find((found) => found.name === name)?.kilobytesEach ?? null
  const [own, bare] = [each('authgw'), each('bare node:tls')]
  const growth = memory?.growth.map(({ cpuMicrosPerCall }) => cpuMicrosPerCall) ?? []
  // One call at a time shares its turn of the event loop with nobody: flat is asked of what comes after.
  const busy = growth.slice(2)
  const ways = spans !== null && !('absent' in spans) ? spans.ways : []
  const [front, alone] = ways.map((way) => median(way.cpuMillisPer1000Spans))
  const after = memory?.afterCalls ?? []
  const [first, last] = [after[1], after.at(-1)]
  return [
    atMost('memory idle', memory ? median(memory.start.idleMegabytes) : null, IDLE_MEGABYTES, ' MB'),
    atMost(
      'memory under load, the highest peak',
      peaks.length === 0 ? null : Math.max(...peaks),
      LOADED_MEGABYTES,
      ' MB',
    ),
    atMost(
      'memory of an idle mTLS connection ÷ bare node:tls',
      own === null || bare === null ? null : own / bare,
      CONNECTION_SHARE,
    ),
    atMost(
      'memory after more calls ÷ after the first',
      first && last ? last.residentMegabytes / first.residentMegabytes : null,
      ROLES_ALIKE,
    ),
    atMost(
      'CPU a call from 100 to 10,000 calls at once, most ÷ least',
      busy.length === 0 ? null : Math.max(...busy) / Math.min(...busy),
      FLAT_FACTOR,
    ),
    atMost(
      'CPU a call from 1 to 10,000 calls at once, most ÷ least',
      growth.length === 0 ? null : Math.max(...growth) / Math.min(...growth),
      FLAT_FACTOR,
    ),
    atMost(
      'CPU per 1000 spans, authgw + collector ÷ collector with TLS and oidc',
      front === undefined || alone === undefined ? null : front / alone,
      1,
    ),
    atMost('start to ready', memory ? median(memory.start.readyMs) : null, READY_MS, ' ms'),
  ]
}

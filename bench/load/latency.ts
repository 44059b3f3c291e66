/**
 * Turns the proxies into what they add to a call: one call at a time, against the same call going direct; and the slowest
 * hundredth of the calls at half of the rate that nghttpx reaches, the same rate for all.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Ground } from './ground.ts'
import { startNghttpd } from './ground.ts'
import { startProved } from './measure.ts'
import type { Contender, Started } from './measure.ts'
import type { Load } from './profiles.ts'
import { putH2load } from './profiles.ts'
import { median } from './median.ts'

const LONE: Load = { seconds: 2, connections: 1, concurrency: 1, size: 1024, isTls: false }
const BUSY: Load = { seconds: 3, connections: 8, concurrency: 50, size: 1024, isTls: false }
const ROUNDS = 5

/** One proxy's latencies, in microseconds; medians over the rounds. */
export interface LatencyFigures {
  name: string
  /** Mean of a lone call, and what of it the proxy adds to going direct. */
  loneMicros: number
  addedMicros: number
  addedTurns: number[]
  /** At half of nghttpx's top rate. */
  p99Micros: number | null
  p99Turns: number[]
  failed: number
}

/** All latencies of one run. */
export interface LatencyReport {
  directMicros: number
  /** Calls a second at which p99 was taken; null where nghttpx is absent. */
  rate: number | null
  contenders: LatencyFigures[]
}

/** Measures lone calls and, where nghttpx is there to say the rate, p99. */
export async function measureLatency(
  ground: Ground,
  contenders: Contender[],
  say: (line: string) => void,
): Promise<LatencyReport> {
  say('\nLatency: a lone call, and p99 at half of nghttpx’s top rate')
  const server = await startNghttpd(ground)
  const all: Started[] = []
  try {
    for (const contender of contenders) all.push(await startProved(ground, contender, server.port, false))
    const lone = all.map((): number[] => [])
    const added = all.map((): number[] => [])
    const direct: number[] = []
    for (const { running } of all) await putH2load(ground, running.port, BUSY)
    for (let round = 0; round < ROUNDS; round++) {
      const directMicros = (await putH2load(ground, server.port, LONE)).meanMicros
      direct.push(directMicros)
      for (const [index, { running }] of all.entries()) {
        const { meanMicros } = await putH2load(ground, running.port, LONE)
        lone[index]!.push(meanMicros)
        added[index]!.push(meanMicros - directMicros)
      }
    }
    const { rate, p99, failed } = await measureP99(ground, all)
    const figures = all.map(({ peer }, index): LatencyFigures => {
      const p99Micros = rate === null ? null : median(p99[index]!)
      say(
        `  ${peer.name.padEnd(16)} adds ${(median(lone[index]!) - median(direct)).toFixed(0)} µs; p99 ${p99Micros?.toFixed(0) ?? '–'} µs`,
      )
      return {
        name: peer.name,
        loneMicros: median(lone[index]!),
        addedMicros: median(lone[index]!) - median(direct),
        addedTurns: added[index]!,
        p99Micros,
        p99Turns: p99[index]!,
        failed: failed[index]!,
      }
    })
    return { directMicros: median(direct), rate, contenders: figures }
  } finally {
    await Promise.all([...all.map(({ running }) => running.stop()), server.stop()])
  }
}

/** p99 of each proxy at one rate: half of what nghttpx does at most. */
async function measureP99(
  ground: Ground,
  all: Started[],
): Promise<{ rate: number | null; p99: number[][]; failed: number[] }> {
  const p99 = all.map((): number[] => [])
  const failed = all.map(() => 0)
  const nghttpx = all.find(({ peer }) => peer.name === 'nghttpx')
  if (nghttpx === undefined) return { rate: null, p99, failed }
  const top: number[] = []
  for (let round = 0; round < 3; round++) {
    const { calls, elapsedSeconds } = await putH2load(ground, nghttpx.running.port, BUSY)
    top.push(calls / elapsedSeconds)
  }
  const perConnection = Math.max(1, Math.floor(median(top) / 2 / BUSY.connections))
  for (let round = 0; round < ROUNDS; round++)
    for (const [index, { running }] of all.entries()) {
      const log = join(ground.folder, `requests-${index}-${round}.log`)
      const paced = ['--rps', `${perConnection}`, '--log-file', log]
      failed[index]! += (await putH2load(ground, running.port, BUSY, paced)).failed
      p99[index]!.push(percentile99(readFileSync(log, 'utf8')))
    }
  return { rate: perConnection * BUSY.connections, p99, failed }
}

/** h2load's log: start, status, microseconds, tab-separated, a line a call. */
export function percentile99(log: string): number {
  const micros = log
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => Number(line.split('\t')[2]))
    .sort((left, right) => left - right)
  return micros[Math.floor(micros.length * 0.99)] ?? Number.NaN
}

/**
 * Turns a setting (profile, size, TLS) and a list of proxies into figures: all started in front of one server, each proved
 * to work and, where it claims to, to check tokens; then warmed up and loaded in turns.
 */
import type { Peer } from '../peers/peer.ts'
import type { Running } from './fleet.ts'
import { cpuSeconds, peakMemoryMegabytes } from './fleet.ts'
import type { Ground } from './ground.ts'
import { probe } from './probe.ts'
import type { Load, Profile } from './profiles.ts'

/** A proxy that can be run here. */
export interface Contender {
  peer: Peer
  version: string
}

/** What is measured. */
export interface Setting {
  profile: Profile
  rounds: number
  load: Load
}

/** One turn of one proxy. */
export interface Turn {
  calls: number
  failed: number
  cpuMicrosPerCall: number
  callsPerSecond: number
  meanMicros: number
  p99Micros: number | null
}

/** All turns of one proxy. */
export interface ContenderFigures {
  name: string
  version: string
  checksToken: boolean
  turns: Turn[]
  peakMemoryMegabytes: number
}

/** All turns of all proxies in one setting. */
export interface SettingFigures {
  profile: string
  describes: string
  load: Load
  contenders: ContenderFigures[]
  /** Proxies that could not be started, with the reason. */
  absences: string[]
  /** What makes figures worthless: failed calls, a proxy that does not check what it should. */
  faults: string[]
}

/** A proxy that runs. */
export interface Started extends Contender {
  running: Running
  figures: ContenderFigures
}

/** How long a proxy is loaded before its first turn: just-in-time compilers need that. */
const WARM_UP_SECONDS = 2

/** Runs one setting; `say` gets a line for each step. Everything started has ended when it returns or rejects. */
export async function measure(
  ground: Ground,
  contenders: Contender[],
  setting: Setting,
  say: (line: string) => void,
): Promise<SettingFigures> {
  const { profile, load } = setting
  const found: SettingFigures = {
    profile: profile.name,
    describes: profile.describes,
    load,
    contenders: [],
    absences: [],
    faults: [],
  }
  say(`\n${profile.describes}, ${load.size / 1024} KiB, ${load.isTls ? 'TLS in' : 'plaintext'}`)
  const server = await profile.startServer(ground)
  const all: Started[] = []
  try {
    for (const contender of contenders)
      try {
        const started = await startProved(ground, contender, server.port, load.isTls)
        all.push(started)
        found.contenders.push(started.figures)
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        found.absences.push(`${contender.peer.name}: ${reason}`)
        say(`  ${contender.peer.name}: absent, ${reason}`)
      }
    for (const { running, peer } of all) {
      const warmUp = { ...load, seconds: peer.warmUpSeconds ?? WARM_UP_SECONDS }
      if (profile.warmUp !== undefined) await profile.warmUp(ground, running.port, warmUp)
      await profile.put(ground, running.port, warmUp)
    }
    for (let round = 0; round < setting.rounds; round++)
      for (const started of all) {
        const turn = await takeTurn(ground, setting, started)
        if (turn.calls === 0) found.faults.push(`${started.peer.name}: no call was done in a turn`)
        if (turn.failed > 0)
          found.faults.push(`${started.peer.name}: ${turn.failed} of ${turn.calls} calls failed`)
        started.figures.turns.push(turn)
        say(`  ${started.peer.name.padEnd(16)} ${turn.cpuMicrosPerCall.toFixed(1).padStart(7)} µs CPU a call`)
      }
    for (const { running, figures } of all) figures.peakMemoryMegabytes = peakMemoryMegabytes(running.pid)
    return found
  } finally {
    await Promise.all([...all.map(({ running }) => running.stop()), server.stop()])
  }
}

let startCount = 0

/** Starts a proxy in front of a server and proves that it does what it claims. */
export async function startProved(
  ground: Ground,
  contender: Contender,
  upstreamPort: number,
  isTls: boolean,
): Promise<Started> {
  const { peer, version } = contender
  const running = await peer.start({ ground, upstreamPort, isTls, turn: ++startCount })
  try {
    await probe(ground, running.port, isTls, peer.checksToken)
  } catch (error) {
    await running.stop()
    throw error
  }
  const { name, checksToken } = peer
  return { ...contender, running, figures: { name, version, checksToken, turns: [], peakMemoryMegabytes: 0 } }
}

async function takeTurn(ground: Ground, setting: Setting, { running }: Started): Promise<Turn> {
  const cpuBefore = cpuSeconds(running.pid)
  const figures = await setting.profile.put(ground, running.port, setting.load)
  const cpu = cpuSeconds(running.pid) - cpuBefore
  return {
    calls: figures.calls,
    failed: figures.failed,
    cpuMicrosPerCall: (cpu * 1e6) / Math.max(1, figures.calls),
    callsPerSecond: figures.calls / figures.elapsedSeconds,
    meanMicros: figures.meanMicros,
    p99Micros: figures.p99Micros,
  }
}

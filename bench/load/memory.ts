/**
 * Turns authgw into what it weighs and how it grows: start to ready, resident memory idle and with idle mutual-TLS
 * connections (a bare node:tls server and HAProxy beside it), and CPU and memory as connections × calls grow.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { controlPlaneYaml, startAuthgw } from '../peers/authgw.ts'
import { freePort } from '../../test/support/free-port.ts'
import { cpuSeconds, residentMegabytes, startListening } from './fleet.ts'
import type { Running } from './fleet.ts'
import { startNghttpd } from './ground.ts'
import type { Ground } from './ground.ts'
import type { Contender } from './measure.ts'
import { putCore, putH2load } from './profiles.ts'
import { median } from './median.ts'

const START_ROUNDS = 7
const SETTLE_MS = 3_000
/** Idle connections before the first look and between the two looks: the slope counts, not what the first ones load. */
const FIRST_CONNECTIONS = 250
const FURTHER_CONNECTIONS = 2_000
const GROWTH_SECONDS = 3
/** Connections × calls at once: 1, 10, … 10,000, the last one also with many connections. */
const GROWTH: readonly (readonly [connections: number, concurrency: number])[] = [
  [1, 1],
  [1, 10],
  [10, 10],
  [10, 100],
  [100, 100],
  [1000, 10],
]

/** How long authgw takes to get ready, and what it weighs then. */
export interface StartReport {
  readyMs: number[]
  idleMegabytes: number[]
}

/** What one idle mutual-TLS connection weighs at a server. */
export interface ConnectionFigures {
  name: string
  connections: number
  kilobytesEach: number
}

/** CPU and memory under one amount of work. */
export interface GrowthFigures {
  connections: number
  concurrency: number
  calls: number
  failed: number
  cpuMicrosPerCall: number
  residentMegabytes: number
}

/** All of it. */
export interface MemoryReport {
  start: StartReport
  idleConnections: ConnectionFigures[]
  growth: GrowthFigures[]
  /** CPU of authgw for a call of h2load, and for the same call of the load client on its own core: they must be alike. */
  loadClients: { h2loadMicros: number[]; coreMicros: number[] }
  /** Resident after the same load again and again: nothing may stay of calls that are done. */
  afterCalls: { calls: number; residentMegabytes: number }[]
}

/** Runs all of them; what HAProxy cannot do here is left out. */
export async function measureMemory(
  ground: Ground,
  contenders: Contender[],
  say: (line: string) => void,
): Promise<MemoryReport> {
  const server = await startNghttpd(ground)
  try {
    const start = await measureStart(ground, server.port)
    say(
      `\nStart to ready ${median(start.readyMs).toFixed(0)} ms, idle ${median(start.idleMegabytes).toFixed(0)} MB`,
    )
    const idleConnections = await measureConnections(ground, contenders, server.port, say)
    return { start, idleConnections, ...(await measureGrowth(ground, server.port, say)) }
  } finally {
    await server.stop()
  }
}

async function startControlPlane(
  ground: Ground,
  upstreamPort: number,
  isTls: boolean,
): Promise<{ running: Running; adminPort: number; spawnedMs: number }> {
  const port = await freePort()
  const adminPort = await freePort()
  const yaml = controlPlaneYaml({ ground, port, adminPort, upstreamPort, isTls })
  const spawnedMs = performance.now()
  return { running: await startAuthgw(ground, `memory-${port}`, yaml, port), adminPort, spawnedMs }
}

async function measureStart(ground: Ground, upstreamPort: number): Promise<StartReport> {
  const found: StartReport = { readyMs: [], idleMegabytes: [] }
  for (let round = 0; round < START_ROUNDS; round++) {
    const { running, adminPort, spawnedMs } = await startControlPlane(ground, upstreamPort, false)
    try {
      while (!(await isReady(adminPort))) await sleep(2)
      // The first start fills the compile cache.
      if (round > 0) found.readyMs.push(performance.now() - spawnedMs)
      await sleep(SETTLE_MS / 3)
      found.idleMegabytes.push(residentMegabytes(running.pid))
    } finally {
      await running.stop()
    }
  }
  return found
}

async function isReady(adminPort: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).ok
  } catch {
    return false
  }
}

async function measureConnections(
  ground: Ground,
  contenders: Contender[],
  upstreamPort: number,
  say: (line: string) => void,
): Promise<ConnectionFigures[]> {
  const bare = async (): Promise<Running> => {
    const port = await freePort()
    const files = ['--ca', ground.caFile, '--cert', ground.certFile, '--key', ground.keyFile]
    const args = [join(import.meta.dirname, 'idle-tls.ts'), 'serve', '--port', `${port}`, ...files]
    return startListening(process.execPath, args, port, { logFile: join(ground.folder, 'bare-tls.log') })
  }
  const servers: [string, () => Promise<Running>][] = [
    ['authgw', async () => (await startControlPlane(ground, upstreamPort, true)).running],
    ['bare node:tls', bare],
  ]
  const haproxy = contenders.find(({ peer }) => peer.name === 'haproxy')?.peer
  if (haproxy !== undefined)
    servers.push(['haproxy', () => haproxy.start({ ground, upstreamPort, isTls: true, turn: 9_000 })])
  const found: ConnectionFigures[] = []
  for (const [name, start] of servers) {
    const running = await start()
    const first = await hold(ground, running.port, FIRST_CONNECTIONS)
    const holders = [first]
    try {
      await sleep(SETTLE_MS)
      const before = residentMegabytes(running.pid)
      holders.push(await hold(ground, running.port, FURTHER_CONNECTIONS))
      await sleep(SETTLE_MS)
      const grown = residentMegabytes(running.pid) - before
      const kilobytesEach = (grown * 1024) / FURTHER_CONNECTIONS
      say(`  an idle mTLS connection at ${name}: ${kilobytesEach.toFixed(1)} KB`)
      found.push({ name, connections: FURTHER_CONNECTIONS, kilobytesEach })
    } finally {
      for (const holder of holders) holder.kill('SIGKILL')
      await running.stop()
    }
  }
  return found
}

/** A process that holds idle connections, all of them past their handshake. @throws Error when it cannot. */
async function hold(ground: Ground, port: number, count: number): Promise<ChildProcess> {
  const files = ['--ca', ground.caFile, '--cert', ground.clientCertFile, '--key', ground.clientKeyFile]
  const program = join(import.meta.dirname, 'idle-tls.ts')
  const args = [program, 'hold', '--port', `${port}`, '--count', `${count}`, ...files]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  process.once('exit', () => child.kill('SIGKILL'))
  const said = await Promise.race([once(child.stdout, 'data'), once(child, 'exit'), sleep(60_000)])
  if (said === undefined || !String(said[0]).startsWith('held')) {
    child.kill('SIGKILL')
    throw new Error(`${count} idle connections could not be opened: ${String(said)}`)
  }
  return child
}

async function measureGrowth(
  ground: Ground,
  upstreamPort: number,
  say: (line: string) => void,
): Promise<Omit<MemoryReport, 'start' | 'idleConnections'>> {
  const { running } = await startControlPlane(ground, upstreamPort, false)
  const growth: GrowthFigures[] = []
  const afterCalls: MemoryReport['afterCalls'] = []
  const turn = async (
    connections: number,
    concurrency: number,
    put: typeof putCore = putH2load,
  ): Promise<GrowthFigures> => {
    const before = cpuSeconds(running.pid)
    const load = { seconds: GROWTH_SECONDS, connections, concurrency, size: 1024, isTls: false }
    const { calls, failed } = await put(ground, running.port, load)
    const cpuMicrosPerCall = ((cpuSeconds(running.pid) - before) * 1e6) / Math.max(1, calls)
    const figures = { connections, concurrency, calls, failed, cpuMicrosPerCall }
    return { ...figures, residentMegabytes: residentMegabytes(running.pid) }
  }
  const loadClients: MemoryReport['loadClients'] = { h2loadMicros: [], coreMicros: [] }
  try {
    await putCore(ground, running.port, {
      seconds: 2,
      connections: 8,
      concurrency: 50,
      size: 1024,
      isTls: false,
    })
    let calls = 0
    for (let round = 0; round < 4; round++) {
      const core = await turn(8, 50, putCore)
      loadClients.coreMicros.push(core.cpuMicrosPerCall)
      const found = await turn(8, 50)
      loadClients.h2loadMicros.push(found.cpuMicrosPerCall)
      calls += core.calls + found.calls
      afterCalls.push({ calls, residentMegabytes: found.residentMegabytes })
    }
    for (const [connections, concurrency] of GROWTH) {
      const found = await turn(connections, concurrency)
      growth.push(found)
      say(`  ${connections} × ${concurrency}: ${found.cpuMicrosPerCall.toFixed(1)} µs CPU a call`)
    }
    return { growth, loadClients, afterCalls }
  } finally {
    await running.stop()
  }
}

/**
 * Turns command lines into processes that are surely ended again: by their id, also on a failure or SIGINT.
 * Says what CPU and memory a process and its children have used, from the operating system's own books.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { closeSync, openSync, readFileSync, readdirSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A process that was started and listens. */
export interface Running {
  pid: number
  port: number
  /** Ends it: SIGTERM, and SIGKILL after 3 s. */
  stop(): Promise<void>
}

const children = new Set<ChildProcess>()
const killAll = (): void => {
  for (const child of children) child.kill('SIGKILL')
}
process.once('exit', killAll)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => {
    killAll()
    process.exit(130)
  })

/** Starts a program and waits until something accepts connections on `port`. @throws Error with its last words. */
export async function startListening(
  command: string,
  args: string[],
  port: number,
  options: { logFile: string; maxSeconds?: number; env?: NodeJS.ProcessEnv },
): Promise<Running> {
  const log = openSync(options.logFile, 'a')
  const child = spawn(command, args, { stdio: ['ignore', log, log], env: options.env ?? process.env })
  closeSync(log)
  children.add(child)
  const state: { ended: string | null } = { ended: null }
  child.once('error', (error) => (state.ended = error.message))
  child.once('exit', (code, signal) => {
    state.ended ??= `ended with ${code ?? signal}`
    children.delete(child)
  })
  const running: Running = {
    pid: child.pid ?? -1,
    port,
    async stop() {
      if (state.ended !== null) return
      child.kill('SIGTERM')
      for (let tick = 0; tick < 30 && state.ended === null; tick++) await sleep(100)
      if (state.ended === null) child.kill('SIGKILL')
      while (state.ended === null) await sleep(20)
    },
  }
  const deadlineMs = Date.now() + (options.maxSeconds ?? 10) * 1000
  const lastWords = (): string =>
    readFileSync(options.logFile, 'utf8').trim().split('\n').slice(-3).join(' | ')
  while (!(await accepts(port))) {
    if (state.ended !== null) throw new Error(`${command} ${state.ended}: ${lastWords()}`)
    if (Date.now() > deadlineMs) {
      await running.stop()
      throw new Error(`${command} does not listen on ${port}: ${lastWords()}`)
    }
    await sleep(20)
  }
  return running
}

async function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/** The ids of a process and of all its descendants. */
export function processTree(root: number): number[] {
  const parents = new Map<number, number>()
  for (const entry of readdirSync('/proc')) {
    const pid = Number(entry)
    if (!Number.isInteger(pid)) continue
    const stat = statFields(pid)
    if (stat !== null) parents.set(pid, Number(stat[1]))
  }
  const tree = [root]
  for (const pid of tree) for (const [child, parent] of parents) if (parent === pid) tree.push(child)
  return tree
}

/** Fields 3 onwards of /proc/<pid>/stat, or null if there is no such process. */
function statFields(pid: number): string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return null
  }
}

/** USER_HZ of Linux: the unit of the times in /proc/<pid>/stat, the same on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100

/** CPU seconds, user and system, that a process and its descendants have used; those that ended count as children. */
export function cpuSeconds(root: number): number {
  let ticks = 0
  for (const pid of processTree(root)) {
    const stat = statFields(pid)
    if (stat !== null) for (const field of [11, 12, 13, 14]) ticks += Number(stat[field])
  }
  return ticks / TICKS_PER_SECOND
}

/** The greatest resident memory of a process so far, its descendants' added, in MB. */
export const peakMemoryMegabytes = (root: number): number => memoryMegabytes(root, 'VmHWM')

/** The resident memory of a process now, its descendants' added, in MB. */
export const residentMegabytes = (root: number): number => memoryMegabytes(root, 'VmRSS')

function memoryMegabytes(root: number, name: 'VmHWM' | 'VmRSS'): number {
  let kilobytes = 0
  for (const pid of processTree(root)) {
    try {
      const line = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
      kilobytes += Number(line?.[1] ?? 0)
    } catch {
      // It has ended.
    }
  }
  return kilobytes / 1024
}

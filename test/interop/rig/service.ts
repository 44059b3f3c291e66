/**
 * Turns a command line into a running service: its output in a file, ready when a question is answered, stopped by its pid.
 *
 * ```ts
 * const jaeger = new Service({ name: 'jaeger', program, args, folder, isReady: () => isAnswering(url) })
 * await jaeger.start()
 * jaeger.log()              // all it has written, over its starts
 * await jaeger.stop()       // SIGTERM, SIGKILL after 10 s; start() starts it again
 * ```
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** What to run. */
export interface ServiceOptions {
  /** Also the name of the log file. */
  readonly name: string
  readonly program: string
  readonly args: readonly string[]
  /** Where it runs, and where its log is written. */
  readonly folder: string
  /** Added to the environment. */
  readonly env?: NodeJS.ProcessEnv
  readonly isReady: () => Promise<boolean>
  /** Default 20,000 ms. */
  readonly readyMs?: number
  /** Starts it again when it ends by itself, this many ms later, as a supervisor would; default never. */
  readonly restartAfterMs?: number
}

const alive = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of alive) signalGroup(child, 'SIGKILL')
})

/** Signals a program and what it has started: Keycloak's first start is a shell that waits for another program. */
function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch {
    // The group has ended.
  }
}

/** Leaves what runs to itself when this process ends. */
export function leaveRunning(): void {
  for (const child of alive) child.unref()
  alive.clear()
}

/** A program that can be started and stopped several times. */
export class Service {
  readonly #options: ServiceOptions
  #child: ChildProcess | null = null
  #isWanted = false
  /** How often it ended without being asked. */
  crashCount = 0

  constructor(options: ServiceOptions) {
    this.#options = options
  }

  get name(): string {
    return this.#options.name
  }
  get pid(): number | null {
    return this.#child?.pid ?? null
  }

  /** Its output so far. */
  log(): string {
    const file = this.#logFile
    return existsSync(file) ? readFileSync(file, 'utf8') : ''
  }

  /** Starts it without waiting until it is ready. */
  launch(): void {
    this.#isWanted = true
    const { program, args, folder, env } = this.#options
    const output = openSync(this.#logFile, 'a')
    // A group of its own: Ctrl-C reaches only this process, which then stops them in order.
    const child = spawn(program, args, {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: ['ignore', output, output],
      detached: true,
    })
    closeSync(output)
    this.#child = child
    alive.add(child)
    child.once('error', () => this.#ended(child))
    child.once('close', () => this.#ended(child))
  }

  /** Starts it, and waits until it is ready. @throws Error with its last words when it ends or takes too long. */
  async start(): Promise<void> {
    this.launch()
    await this.ready()
  }

  /** Waits until it is ready. */
  async ready(): Promise<void> {
    const { name, isReady, readyMs = 20_000, restartAfterMs } = this.#options
    const endMs = performance.now() + readyMs
    while (!(await isReady())) {
      const hasEnded = this.#child === null && restartAfterMs === undefined
      if (hasEnded || performance.now() > endMs)
        throw new Error(
          `${name} ${hasEnded ? 'has ended' : 'is not ready in time'}:\n${this.log().slice(-2_000)}`,
        )
      await sleep(100)
    }
  }

  /** Ends it. Harmless when it does not run. */
  async stop(graceMs = 10_000): Promise<void> {
    this.#isWanted = false
    const child = this.#child
    if (child === null) return
    const closed = once(child, 'close')
    signalGroup(child, 'SIGTERM')
    const timer = setTimeout(() => signalGroup(child, 'SIGKILL'), graceMs)
    await closed
    clearTimeout(timer)
  }

  get #logFile(): string {
    return join(this.#options.folder, `${this.#options.name}.log`)
  }

  #ended(child: ChildProcess): void {
    alive.delete(child)
    if (this.#child === child) this.#child = null
    if (!this.#isWanted) return
    this.crashCount++
    const { restartAfterMs } = this.#options
    if (restartAfterMs === undefined) return
    setTimeout(() => {
      if (this.#isWanted && this.#child === null) this.launch()
    }, restartAfterMs).unref()
  }
}

/** Says whether a URL answers with a good status. */
export async function isAnswering(url: string): Promise<boolean> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(2_000) })
    await answer.arrayBuffer()
    return answer.ok
  } catch {
    return false
  }
}

/** Says whether a port of this machine accepts connections. */
export function isListening(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('error', () => done(false))
    socket.once('connect', () => {
      socket.destroy()
      done(true)
    })
  })
}

/** Asks until the answer is yes. Gives whether it became yes in time. */
export async function becomes(is: () => Promise<boolean> | boolean, withinMs: number): Promise<boolean> {
  const endMs = performance.now() + withinMs
  while (!(await is())) {
    if (performance.now() > endMs) return false
    await sleep(200)
  }
  return true
}

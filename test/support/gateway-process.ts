/**
 * Turns a configuration into a gateway process of its own: `node src/main.ts --config <file>`, ready when /readyz says so.
 *
 * ```ts
 * const gateway = await startGateway(`
 * control_plane:
 *   listen: {endpoint: 127.0.0.1:%ingress%}
 *   upstream: {endpoint: 127.0.0.1:5317}
 * `)
 * gateway.ports.ingress    // each %name% became a free port
 * await gateway.stop()     // SIGTERM; SIGKILL if it does not end
 * ```
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from './free-port.ts'

const MAIN = resolve(import.meta.dirname, '../../src/main.ts')

/** How a gateway is started. */
export interface GatewayOptions {
  /** How long it may take to get ready; default 10,000 ms. */
  readonly readyMs?: number
  /** Added to the environment. */
  readonly env?: NodeJS.ProcessEnv
  /** The file to write the configuration to, which stays; a temporary one, gone with the process, when left out. */
  readonly configFile?: string
  /** Ports for `%name%`s that are not to be free ones. */
  readonly ports?: Readonly<Record<string, number>>
  /** What answers 200 when it is ready; default `/readyz`. `/livez` for one that is not to be ready. */
  readonly readyPath?: '/readyz' | '/livez'
  /** Further arguments after `--config FILE`. */
  readonly args?: readonly string[]
}

/** A gateway that was started. */
export interface GatewayProcess {
  readonly pid: number
  /** Name in the configuration → port; `admin` is always there. */
  readonly ports: Readonly<Record<string, number>>
  /** The file with its configuration. */
  readonly configFile: string
  /** All it has written so far, standard output and error. */
  logs(): string
  /** Reads no more of what it writes: its pipes fill up. */
  leaveLogs(): void
  /** Closes our ends of its pipes. */
  closeLogs(): void
  /** Sends a signal, such as SIGHUP. */
  signal(name: NodeJS.Signals): void
  /** Ends it: SIGTERM, and SIGKILL after `graceMs` (default 5,000). Gives the exit code, null after a signal. */
  stop(graceMs?: number): Promise<number | null>
  /** Resolves with the exit code when it has ended. */
  readonly ended: Promise<number | null>
}

const alive = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of alive) child.kill('SIGKILL')
})

/** Starts a gateway and waits until it is ready. @throws Error with all it wrote when it does not get ready. */
export async function startGateway(yaml: string, options: GatewayOptions = {}): Promise<GatewayProcess> {
  const text = /^admin:/m.test(yaml) ? yaml : `${yaml}\nadmin: {endpoint: 127.0.0.1:%admin%}\n`
  const ports: Record<string, number> = { ...options.ports }
  for (const [, name] of text.matchAll(/%(\w+)%/g)) ports[name!] ??= await freePort()
  const folder = options.configFile === undefined ? mkdtempSync(join(tmpdir(), 'authgw-gateway-')) : null
  const configFile = options.configFile ?? join(folder!, 'authgw.yaml')
  writeFileSync(
    configFile,
    text.replaceAll(/%(\w+)%/g, (_all, name: string) => String(ports[name])),
  )

  const child = spawn(process.execPath, [MAIN, '--config', configFile, ...(options.args ?? [])], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  })
  alive.add(child)
  const written: string[] = []
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (chunk: string) => written.push(chunk))
  const state = { hasEnded: false }
  const ended = new Promise<number | null>((done) => {
    child.once('error', (error) => written.push(error.message))
    child.once('close', (code) => {
      state.hasEnded = true
      alive.delete(child)
      if (folder !== null) rmSync(folder, { recursive: true, force: true })
      done(code)
    })
  })
  const gateway: GatewayProcess = {
    pid: child.pid ?? -1,
    ports,
    configFile,
    ended,
    logs: () => written.join(''),
    leaveLogs: () => {
      for (const stream of [child.stdout, child.stderr]) stream.pause()
    },
    closeLogs: () => {
      for (const stream of [child.stdout, child.stderr]) stream.destroy()
    },
    signal: (name) => void child.kill(name),
    async stop(graceMs = 5_000) {
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
      const code = await ended
      clearTimeout(timer)
      return code
    },
  }
  const deadlineMs = performance.now() + (options.readyMs ?? 10_000)
  while (!(await isReady(ports['admin']!, options.readyPath ?? '/readyz'))) {
    if (state.hasEnded) throw new Error(`the gateway ended at its start:\n${gateway.logs()}`)
    if (performance.now() > deadlineMs) {
      await gateway.stop(0)
      throw new Error(`the gateway was not ready in time:\n${gateway.logs()}`)
    }
    await sleep(25)
  }
  return gateway
}

async function isReady(adminPort: number, path: string): Promise<boolean> {
  try {
    const answer = await fetch(`http://127.0.0.1:${adminPort}${path}`, { signal: AbortSignal.timeout(1_000) })
    await answer.arrayBuffer()
    return answer.ok
  } catch {
    return false
  }
}

/**
 * Turns a command line into its exit code and output: bounded in time, niced, stopped as a whole process group.
 * Knows nothing of any tool. Used by the tool installers and by the interop runners.
 */
import { spawn } from 'node:child_process'
import { appendFileSync } from 'node:fs'

/** The exit code of a suite that could not run because what it needs cannot be had here. */
export const ABSENT = 77

/** How a command is run. */
export interface RunOptions {
  cwd?: string
  env?: NodeJS.ProcessEnv
  /** Milliseconds until the process group is killed; default ten minutes. */
  timeoutMs?: number
  /** A file that gets the command line and all output, appended. */
  logFile?: string
  /** Lowest CPU priority, so that builds do not starve what else runs here; default false. */
  isBackground?: boolean
  /** Called with each chunk of output as it comes. */
  onOutput?: (text: string) => void
}

/** What a command did. `code` is null if it was killed or could not be started. */
export interface RunResult {
  code: number | null
  stdout: string
  stderr: string
  /** Why there is no exit code, or null. */
  trouble: string | null
  elapsedMs: number
}

/** Runs one command to its end; never rejects: what went wrong stands in the result. */
export function run(command: string, args: string[], options: RunOptions = {}): Promise<RunResult> {
  const startedMs = performance.now()
  const line = [command, ...args].join(' ')
  const log = (text: string): void => {
    if (options.logFile !== undefined) appendFileSync(options.logFile, text)
    options.onOutput?.(text)
  }
  log(`$ ${line}\n`)
  return new Promise((resolve) => {
    const [file, argv] =
      options.isBackground === true ? ['nice', ['-n', '19', command, ...args]] : [command, args]
    const child = spawn(file, argv, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const out: string[] = []
    const err: string[] = []
    let trouble: string | null = null
    const killGroup = (): void => {
      if (child.pid === undefined) return
      try {
        process.kill(-child.pid, 'SIGKILL')
      } catch {
        // The group has ended by itself.
      }
    }
    const timer = setTimeout(() => {
      trouble = `no end after ${Math.round((options.timeoutMs ?? 600_000) / 1000)} s: ${line}`
      killGroup()
    }, options.timeoutMs ?? 600_000)
    process.once('exit', killGroup)
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out.push(text)
      log(text)
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err.push(text)
      log(text)
    })
    child.once('error', (error) => {
      trouble = error.message
    })
    child.once('close', (code) => {
      clearTimeout(timer)
      process.removeListener('exit', killGroup)
      resolve({
        code: trouble === null ? code : null,
        stdout: out.join(''),
        stderr: err.join(''),
        trouble,
        elapsedMs: performance.now() - startedMs,
      })
    })
  })
}

/** Runs one command and gives its standard output. @throws Error that names the command and its last words. */
export async function mustRun(command: string, args: string[], options: RunOptions = {}): Promise<string> {
  const result = await run(command, args, options)
  if (result.code === 0) return result.stdout
  throw new Error(`${command} ${args[0] ?? ''}: ${result.trouble ?? lastWords(result)}`)
}

/** The last lines of what a failed command said, on one line and without addresses of the outside. */
function lastWords(result: RunResult): string {
  const lines = `${result.stdout}\n${result.stderr}`
    .replaceAll(/https?:\/\/\S+/g, '<address>')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
  const telling = lines.filter((line) =>
    /403|404|not available|requires|error|cannot|denied|no such/i.test(line),
  )
  return `exit ${result.code}: ${(telling.length > 0 ? telling : lines).slice(-2).join(' | ').slice(0, 240)}`
}

/** Says whether a program of this name is on the PATH. */
export async function isOnPath(program: string): Promise<boolean> {
  return (await run('sh', ['-c', `command -v ${program}`], { timeoutMs: 10_000 })).code === 0
}

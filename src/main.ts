/**
 * The program: the process's arguments, environment and signals into a command, and its exit code out.
 * Floor 8; the only place that ends the process.
 */
import { writeFileSync } from 'node:fs'
import * as nodeModule from 'node:module'
import type { CliIo, GeneratedPage, StartRoles } from './cli/index.ts'

// Everything else is loaded below, so that an older Node comes as far as this line.
if (!isNodeRecent(process.versions.node)) {
  process.stderr.write(
    `authgw needs Node 24.11 or later, and this is ${process.versions.node}  → put a later one first in PATH\n`,
  )
  process.exit(2)
}
const canDumpMemory = !keepOutOfDumps()
nodeModule.enableCompileCache()

const { default: packageJson } = await import('../package.json', { with: { type: 'json' } })

const io: CliIo = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  readInput: async () => (await process.stdin.setEncoding('utf8').toArray()).join(''),
  env: process.env,
  nowMs: () => Date.now(),
  onSignal: (name, listener) => process.on(name, listener),
  version: packageJson.version,
  nodeVersion: process.versions.node,
  canDumpMemory,
}

/**
 * Tokens, secrets and keys are in the memory of this process, and its environment may hold secrets: a core dump has none of its
 * memory (core(5)), a diagnostic report none of its environment. Processes that it starts inherit the former.
 * @returns false where the system does not let it
 */
function keepOutOfDumps(): boolean {
  if (process.report !== undefined) process.report.excludeEnv = true
  try {
    writeFileSync('/proc/self/coredump_filter', '0')
    return true
  } catch {
    // Elsewhere than on Linux there is nothing of the kind: docs/operations names the limit to set.
    return process.platform !== 'linux'
  }
}

/** Whether a version of Node is one of `engines` in package.json. */
function isNodeRecent(version: string): boolean {
  const [major, minor] = version.split('.').map(Number) as [number, number]
  return major > 24 || (major === 24 && minor >= 11)
}

/** The argument by which a supervisor starts its workers. No command of the program: there is a pipe with it. */
const WORKER = 'worker'

const startRoles: StartRoles = async (config, options) => {
  const { runAuthgw } = await import('./roles/index.ts')
  return runAuthgw(config, { ...options, workerProgram: [process.argv[1]!, WORKER] })
}

/** Pages made from tables of rooms that cli/ does not import. */
const pages = async (): Promise<readonly GeneratedPage[]> => {
  const { REFERENCE_PAGES } = await import('./roles/index.ts')
  return REFERENCE_PAGES
}

/** A worker ends when its supervisor says so, or is gone: signals to the whole group are the supervisor's to obey. */
async function work(): Promise<never> {
  for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(name, () => {})
  process.on('disconnect', () => process.exit(0))
  const { runWorker } = await import('./roles/index.ts')
  process.exit(await runWorker())
}

if (process.argv[2] === WORKER && process.send !== undefined) await work()

const { runProgram } = await import('./cli/index.ts')
process.exitCode = await runProgram(process.argv.slice(2), { io, startRoles, pages })
// What a command left open must not keep the process: its output is written by then.
setTimeout(() => process.exit(), 1_000).unref()

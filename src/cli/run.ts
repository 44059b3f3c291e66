/**
 * A configuration into a running gateway, and signals into drain, stop and reload.
 * Floor 8; knows no socket: roles/ starts and ends things. SIGTERM and SIGINT drain, a second one stops at once, SIGHUP
 * reloads; a configuration that cannot be read changes nothing.
 */
import { ConfigError } from '../base/index.ts'
import type { ConfigFault, Log } from '../base/index.ts'
import { loadConfig, printConfig } from '../config/index.ts'
import type { Config, LoadedConfig } from '../config/index.ts'
import type { RunOptions, RunningAuthgw } from '../roles/index.ts'
import { EXIT } from './io.ts'
import type { CliIo } from './io.ts'
import { formatFaults } from './report.ts'

/** Starts the roles of a configuration: `runAuthgw`, loaded when it is called. */
export type StartRoles = (
  config: Config,
  options: RunOptions,
) => Promise<Pick<RunningAuthgw, 'log' | 'drain' | 'stop' | 'reload' | 'noteReload'>>

/** Where the configuration comes from. */
export interface ConfigChoice {
  readonly config: readonly string[]
  readonly set: readonly string[]
  /** Least severity to log, in place of the configuration's. */
  readonly logLevel?: string
}

/** `npm run`, `timeout` and others send a signal on to a group that has it already: within this time it is one signal. */
const SAME_SIGNAL_MS = 500

/** Loads the configuration that the options name. @throws ConfigError */
export function loadChosen(choice: ConfigChoice, io: CliIo, checksFiles = true): LoadedConfig {
  const level = choice.logLevel === undefined ? [] : [`service.telemetry.logs.level=${choice.logLevel}`]
  const settings = [...choice.set, ...level]
  return loadConfig({ files: choice.config, settings, env: io.env, nowMs: io.nowMs(), checksFiles })
}

/**
 * Runs until a signal ends it. Gives the exit code.
 * @throws ConfigError when the configuration is refused at start
 */
export async function run(choice: ConfigChoice, startRoles: StartRoles, io: CliIo): Promise<number> {
  let loaded = loadChosen(choice, io)
  const running = await startRoles(loaded.config, {
    version: io.version,
    printedConfig: () => printConfig(loaded.tree),
  })
  logWarnings(running.log, loaded.warnings)
  if (io.canDumpMemory)
    running.log.warn(
      {},
      'a core dump of this process would hold tokens and keys: let there be none (ulimit -c 0)',
    )
  const { promise: ended, resolve, reject } = Promise.withResolvers<void>()
  let endings = 0
  let first = { signal: '', atMs: -Infinity }
  const end = (signal: string): void => {
    const nowMs = io.nowMs()
    if (signal === first.signal && nowMs - first.atMs < SAME_SIGNAL_MS) return
    if (endings === 0) first = { signal, atMs: nowMs }
    endings++
    if (endings > 2) return
    running.log.info({ signal }, endings === 1 ? 'draining' : 'stopping at once')
    const ending = endings === 1 ? running.drain() : running.stop()
    ending.then(resolve, reject)
  }
  const reloadNow = async (): Promise<void> => {
    if (endings > 0) return
    const reloaded = await reload(choice, running, io)
    running.noteReload(reloaded !== null)
    loaded = reloaded ?? loaded
  }
  let reloading = Promise.resolve()
  io.onSignal('SIGTERM', () => end('SIGTERM'))
  io.onSignal('SIGINT', () => end('SIGINT'))
  io.onSignal('SIGHUP', () => {
    reloading = reloading.then(reloadNow)
  })
  await ended
  return EXIT.ok
}

/** Reads the configuration again and hands it over; null when it cannot be used and the old one stays in force. */
async function reload(
  choice: ConfigChoice,
  running: Pick<RunningAuthgw, 'log' | 'reload'>,
  io: CliIo,
): Promise<LoadedConfig | null> {
  try {
    const loaded = loadChosen(choice, io)
    await running.reload(loaded.config)
    logWarnings(running.log, loaded.warnings)
    return loaded
  } catch (err) {
    const message = 'configuration not reloaded; the old one stays in force'
    if (err instanceof ConfigError) {
      running.log.error({ faults: formatFaults(err.faults).trimEnd().split('\n') }, message)
    } else {
      running.log.error({ err }, message)
    }
    return null
  }
}

function logWarnings(log: Log, warnings: readonly ConfigFault[]): void {
  for (const { path, position, problem, remedy } of warnings) {
    log.warn({ key: path, position, remedy }, `${path} ${problem}`)
  }
}

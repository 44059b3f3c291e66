/**
 * A configuration into a running gateway, and signals into drain, stop and reload.
 * Floor 8; knows no socket: roles/ starts and ends things. Options.md: SIGTERM and SIGINT drain, a second one stops at
 * once, SIGHUP reloads; a configuration that cannot be read changes nothing.
 */
import { ConfigError } from '../base/index.ts'
import type { ConfigFault, Log } from '../base/index.ts'
import { loadConfig } from '../config/index.ts'
import type { Config, LoadedConfig } from '../config/index.ts'
import { EXIT } from './io.ts'
import type { CliIo } from './io.ts'
import { formatFaults } from './report.ts'

/** A gateway that runs. */
export interface RunningAuthgw {
  /** Where a failed reload is said. */
  readonly log: Log
  /** Ends it gently: not ready, GOAWAY, open calls finish, within drain.timeout. Resolves when it has ended. */
  drain(): Promise<void>
  /** Ends it at once. */
  stop(): Promise<void>
  /** Takes over another configuration without dropping calls. Rejects when it cannot, and keeps the old one. */
  reload(config: Config): Promise<void>
  /** Resolves when it has ended, by whatever cause; rejects when it has crashed. */
  readonly closed: Promise<void>
}

/** What the roles are told besides their configuration. */
export interface StartOptions {
  /** Least severity to log, in place of the configuration's. */
  readonly logLevel?: 'debug' | 'info' | 'warn' | 'error'
  /** Called once, when every listener accepts. */
  readonly onReady?: () => void
}

/** Starts the roles of a configuration. Rejects when a listener cannot be opened. */
export type StartRoles = (config: Config, options: StartOptions) => Promise<RunningAuthgw>

/** Where the configuration comes from. */
export interface ConfigChoice {
  readonly config: readonly string[]
  readonly set: readonly string[]
}

/** Loads the configuration that the options name. @throws ConfigError */
export function loadChosen(choice: ConfigChoice, io: CliIo, checksFiles = true): LoadedConfig {
  return loadConfig({
    files: choice.config,
    settings: choice.set,
    env: io.env,
    nowMs: io.nowMs(),
    checksFiles,
  })
}

/**
 * Runs until a signal or a crash ends it. Gives the exit code.
 * @throws ConfigError when the configuration is refused at start
 */
export async function run(
  choice: ConfigChoice & StartOptions,
  startRoles: StartRoles,
  io: CliIo,
): Promise<number> {
  const { config, warnings } = loadChosen(choice, io)
  const { logLevel, onReady } = choice
  const running = await startRoles(config, { ...(logLevel && { logLevel }), ...(onReady && { onReady }) })
  logWarnings(running.log, warnings)
  let endings = 0
  const end = (signal: string): void => {
    endings++
    if (endings > 2) return
    running.log.info({ signal }, endings === 1 ? 'draining' : 'stopping at once')
    const ending = endings === 1 ? running.drain() : running.stop()
    ending.catch((err: unknown) => running.log.error({ err }, 'could not end cleanly'))
  }
  io.onSignal('SIGTERM', () => end('SIGTERM'))
  io.onSignal('SIGINT', () => end('SIGINT'))
  let reloading = Promise.resolve()
  io.onSignal('SIGHUP', () => {
    reloading = reloading.then(() => (endings === 0 ? reload(choice, running, io) : undefined))
  })
  await running.closed
  return EXIT.ok
}

/** Reads the configuration again and hands it over. Never rejects: the old one stays in force. */
async function reload(choice: ConfigChoice, running: RunningAuthgw, io: CliIo): Promise<void> {
  try {
    const { config, warnings } = loadChosen(choice, io)
    await running.reload(config)
    logWarnings(running.log, warnings)
    running.log.info({ files: choice.config }, 'configuration reloaded')
  } catch (err) {
    if (err instanceof ConfigError) {
      const faults = formatFaults(err.faults).trimEnd().split('\n')
      running.log.error({ faults }, 'configuration not reloaded: it has faults; the old one stays in force')
    } else {
      running.log.error({ err }, 'configuration not reloaded; the old one stays in force')
    }
  }
}

function logWarnings(log: Log, warnings: readonly ConfigFault[]): void {
  for (const { path, position, problem, remedy } of warnings) {
    log.warn({ key: path, position, remedy }, `${path} ${problem}`)
  }
}

/**
 * A checked configuration into a running gateway: one process, or a supervisor and its workers.
 * Floor 7; touches no signal and never exits: cli/ does.
 */
import { availableParallelism } from 'node:os'
import { Readiness } from '../admin/index.ts'
import type { Log } from '../base/index.ts'
import type { Config } from '../config/index.ts'
import { SystemClock } from '../net/index.ts'
import { feedLog, Logger, Metrics } from '../telemetry/index.ts'
import { AdminFront } from './admin-front.ts'
import { feedMachine, feedReloads } from './feed.ts'
import { Gateway, statusSections } from './gateway.ts'
import { createMachine, type Machine } from './machine.ts'
import { Owners } from './owners.ts'
import { ConfigReadings, logReload } from './reload.ts'
import type { Role } from './role.ts'
import type { WorkerProgram } from './spawn.ts'

/** How often conditions that nobody reports are looked at. */
export const LOOK_MS = 1000

/** What the command line adds to the configuration. */
export interface RunOptions {
  readonly version: string
  /** The configuration as text, secrets masked, for the status page. */
  readonly printedConfig: () => string
  readonly log?: Logger
  /** What a worker process runs, to end up in `runWorker`. Needed for more than one worker. */
  readonly workerProgram?: WorkerProgram
}

/** A gateway that runs. */
export interface RunningAuthgw {
  /** Where everything listens, by name: `workload`, `control_plane`, `admin`, `grpc_health`. */
  readonly addresses: Readonly<Record<string, readonly string[]>>
  /** The roles of this process, to be looked at: their relays, connections and counters. None in a supervisor. */
  readonly roles: readonly Role[]
  readonly log: Log
  /** Ends in good order (no-loss.md row 24). */
  drain(): Promise<void>
  /** Ends now. */
  stop(): Promise<void>
  /** Puts what can be changed without a restart in place; says what cannot. */
  reload(next: Config): Promise<void>
  /** Notes whether the configuration could be read again and put in place, for metrics. */
  noteReload(isOk: boolean): void
}

/** What the process that owns things is made of, whether or not it serves calls itself. */
export interface OwnerParts {
  readonly config: Config
  readonly options: RunOptions
  readonly machine: Machine
  readonly metrics: Metrics
  readonly log: Logger
  readonly readings: ConfigReadings
}

/**
 * Starts everything; resolves when the listeners stand.
 * @throws ConfigError for what only shows when it is tried: a port in use, a certificate that does not fit
 * @throws TransportError when an address cannot be bound
 */
export async function runAuthgw(config: Config, options: RunOptions): Promise<RunningAuthgw> {
  const workerCount = config.workers === 'auto' ? availableParallelism() : config.workers
  const parts = createOwnerParts(config, options)
  if (workerCount > 1) {
    const { superviseAuthgw } = await import('./supervisor.ts')
    return superviseAuthgw(parts, workerCount)
  }
  const { metrics, machine } = parts
  feedMachine(machine)
  metrics.addGauge('authgw_workers', {}, () => 1)
  metrics.addCounter('authgw_worker_restarts_total', {}, () => 0)
  const process_ = new SingleProcess(parts)
  try {
    await process_.start()
  } catch (error) {
    await process_.stop()
    throw error
  }
  return process_
}

function createOwnerParts(config: Config, options: RunOptions): OwnerParts {
  const { level, encoding } = config.service.telemetry.logs
  const log = options.log ?? new Logger({ level, encoding })
  const readiness = new Readiness({
    nowMs: () => new SystemClock().nowMs(),
    isStrict: config.readiness === 'strict',
  })
  const metrics = new Metrics()
  feedLog(metrics, log.stats)
  readiness.feed(metrics)
  metrics.addGauge('authgw_build_info', { version: options.version, node_version: process.version }, () => 1)
  const machine = createMachine(config.limits, 1, { log, metrics, readiness })
  feedReloads(machine)
  const readings = new ConfigReadings(machine.clock, metrics)
  return { config, options, machine, metrics, log, readings }
}

/** Owner and roles in one process: `workers: 1`. */
class SingleProcess implements RunningAuthgw {
  readonly log: Logger
  readonly #parts: OwnerParts
  #owners: Owners | null = null
  #gateway: Gateway | null = null
  #admin: AdminFront | null = null
  #isStopped = false

  constructor(parts: OwnerParts) {
    this.#parts = parts
    this.log = parts.log
  }

  get addresses(): Readonly<Record<string, readonly string[]>> {
    return { ...this.#gateway?.addresses, ...this.#admin?.addresses }
  }

  get roles(): readonly Role[] {
    return this.#gateway?.roles ?? []
  }

  async start(): Promise<void> {
    const { config, options, machine, metrics, log } = this.#parts
    this.#owners = await Owners.open(machine, config)
    this.#gateway = await Gateway.create(machine, config, this.#owners)
    this.#report()
    this.#owners.start(() => this.#report())
    this.#admin = await AdminFront.open(machine, config.admin, {
      readiness: machine.readiness,
      log,
      renderMetrics: () => metrics.render(),
      renderConfig: options.printedConfig,
      statusSections: () => statusSections(this.#gateway?.reports ?? []),
    })
    await this.#gateway.start()
    this.#look()
    log.info({ version: options.version, addresses: this.addresses }, 'authgw is up')
  }

  #report(): void {
    this.#owners?.report(this.#gateway?.troubles ?? {})
  }

  /** Looks at conditions once a second: an outage that ends quietly is seen too. */
  #look(): void {
    if (this.#isStopped) return
    this.#report()
    this.#parts.machine.clock.setTimer(LOOK_MS, () => this.#look())
  }

  async drain(): Promise<void> {
    await this.#gateway?.drain()
    await this.stop()
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return
    this.#isStopped = true
    await this.#gateway?.close()
    this.#owners?.close()
    await this.#admin?.close()
    this.log.info({}, 'authgw has stopped')
    await this.log.flush()
  }

  async reload(next: Config): Promise<void> {
    // First: rules that do not compile change nothing.
    await this.#gateway?.reload(next, this.log)
    await this.#owners?.reload()
    await this.#admin?.reload()
    logReload(this.log, this.#parts.config, next)
  }

  noteReload(isOk: boolean): void {
    this.#parts.readings.note(isOk)
  }
}

/**
 * The first process of a gateway with several workers: it owns what must exist once, and serves no call itself.
 * Floor 7; tokens, keys and certificates go to the workers as snapshots, their numbers and troubles come back.
 */
import type { Socket } from 'node:net'
import { invariant, type Log } from '../base/index.ts'
import type { Config } from '../config/index.ts'
import { Acceptor, formatEndpoint } from '../net/index.ts'
import { renderSnapshots } from '../telemetry/index.ts'
import { AdminFront } from './admin-front.ts'
import { createPolicy } from './control-plane.ts'
import { Crew } from './crew.ts'
import { statusSections } from './gateway.ts'
import { withoutCredentials } from './messages.ts'
import { Owners } from './owners.ts'
import { publish, type Publication } from './publish.ts'
import { logReload, reloadable } from './reload.ts'
import type { RoleName } from './role.ts'
import { LOOK_MS, type OwnerParts, type RunningAuthgw } from './run.ts'
import { forkSpawner } from './spawn.ts'

/**
 * Starts the owner and its workers; resolves when every worker listens.
 * @throws ConfigError, TransportError as a single process does
 */
export async function superviseAuthgw(parts: OwnerParts, workerCount: number): Promise<RunningAuthgw> {
  const supervisor = new Supervisor(parts, workerCount)
  try {
    await supervisor.start()
  } catch (error) {
    await supervisor.stop()
    throw error
  }
  return supervisor
}

class Supervisor implements RunningAuthgw {
  readonly log: Log
  readonly roles = []
  readonly #parts: OwnerParts
  readonly #workerCount: number
  /** What runs: what a worker that replaces another gets. */
  #config: Config
  readonly #crew: Crew
  #owners: Owners | null = null
  #admin: AdminFront | null = null
  /** Workers ask for their orders while the owner opens its files: they wait for this. */
  readonly #opened = Promise.withResolvers<Publication>()
  /** Where connections are accepted, by role. */
  readonly #doors = new Map<RoleName, Acceptor>()
  #isStopped = false

  constructor(parts: OwnerParts, workerCount: number) {
    this.#parts = parts
    this.#workerCount = workerCount
    this.#config = parts.config
    this.log = parts.log
    this.#opened.promise.catch(() => {})
    const { machine, metrics, options, log } = parts
    invariant(options.workerProgram !== undefined, 'several workers need the program that they run')
    this.#crew = new Crew({
      workerCount,
      spawn: forkSpawner(options.workerProgram),
      clock: machine.clock,
      log,
      serve: (line, number, news) =>
        publish(
          line,
          this.#opened.promise,
          () => ({
            number,
            workerCount,
            config: withoutCredentials(this.#config),
            doors: this.#doorRecord(({ endpoints }) => endpoints),
          }),
          news,
        ),
      onChange: () => this.#report(),
    })
    metrics.addCounter('authgw_worker_restarts_total', {}, () => this.#crew.restartCount)
  }

  get addresses(): Readonly<Record<string, readonly string[]>> {
    const doors = this.#doorRecord(({ endpoints }) => endpoints.map((endpoint) => formatEndpoint(endpoint)))
    return { ...doors, ...this.#admin?.addresses }
  }

  async start(): Promise<void> {
    const { config, options, machine, log } = this.#parts
    // Workers load their code while files are opened here.
    const started = this.#crew.start()
    started.catch(() => {})
    this.#owners = await Owners.open(machine, config)
    this.#owners.start(() => this.#report())
    this.#admin = await AdminFront.open(machine, config.admin, {
      readiness: machine.readiness,
      log,
      renderMetrics: () => this.#renderMetrics(),
      renderConfig: options.printedConfig,
      statusSections: () => [
        { title: 'workers', rows: this.#crew.roster },
        ...statusSections(this.#crew.reports),
      ],
    })
    await this.#openDoors()
    this.#opened.resolve(publicationOf(this.#owners))
    await started
    machine.readiness.moveTo('ready')
    this.#look()
    const { version } = options
    log.info({ version, workers: this.#workerCount, addresses: this.addresses }, 'authgw is up')
  }

  /** Accepts from now on: connections wait for the first worker. */
  async #openDoors(): Promise<void> {
    const { workload, controlPlane } = this.#config
    const { machine, metrics, log } = this.#parts
    const stats = machine.netStats
    for (const [role, config] of [
      ['control_plane', controlPlane],
      ['workload', workload],
    ] as const) {
      if (config === undefined) continue
      const onSocket = (socket: Socket): void => this.#crew.dealer.deal(role, socket)
      const endpoint = config.listen.endpoint.text
      this.#doors.set(role, await Acceptor.open({ endpoint, onSocket, stats, log }))
    }
    metrics.addFamily('authgw_connections_refused_total', (emit) => {
      emit({ reason: 'accept_failed' }, stats.acceptErrors)
      emit({ reason: 'no_worker' }, this.#crew.dealer.refusedCount)
    })
  }

  #doorRecord<T>(read: (door: Acceptor) => T): Record<string, T> {
    return Object.fromEntries([...this.#doors].map(([role, door]) => [role, read(door)]))
  }

  async #renderMetrics(): Promise<string> {
    const [own, theirs] = await Promise.all([this.#parts.metrics.snapshot(), this.#crew.metrics()])
    return renderSnapshots([own, ...theirs])
  }

  #report(): void {
    const { readiness } = this.#parts.machine
    this.#owners?.report(this.#crew.troubles)
    // While they start, the life cycle says so.
    if (readiness.state === 'starting') return
    const count = this.#crew.servingCount
    const detail = `${count} of ${this.#workerCount} serve`
    if (count === 0) readiness.markUnready('workers', 'no_worker', detail)
    else if (count < this.#workerCount) readiness.markDegraded('workers', 'worker_missing', detail)
    else readiness.markReady('workers')
  }

  #look(): void {
    if (this.#isStopped) return
    this.#crew.look()
    this.#report()
    this.#parts.machine.clock.setTimer(LOOK_MS, () => this.#look())
  }

  async drain(): Promise<void> {
    const { delayMs, timeoutMs } = this.#config.drain
    const { readiness } = this.#parts.machine
    if (readiness.state === 'starting') readiness.moveTo('ready')
    readiness.moveTo('draining')
    this.log.info({ delay_ms: delayMs, timeout_ms: timeoutMs }, 'draining: no longer ready, still accepting')
    await this.#crew.drain(timeoutMs)
    readiness.moveTo('stopped')
    await this.stop()
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return
    this.#isStopped = true
    this.#opened.reject(new Error('stopping'))
    for (const door of this.#doors.values()) door.close()
    await this.#crew.stop()
    this.#crew.dealer.close()
    this.#owners?.close()
    await this.#admin?.close()
    this.log.info({}, 'authgw has stopped')
    await this.#parts.log.flush()
  }

  async reload(next: Config): Promise<void> {
    // Rules that do not compile are refused before any worker hears of them.
    if (next.controlPlane !== undefined) await createPolicy(next.controlPlane)
    const running = this.#parts.config
    this.#config = reloadable(running, next)
    this.#parts.log.setLevel(next.service.telemetry.logs.level)
    await this.#owners?.reload()
    await this.#admin?.reload()
    await this.#crew.reload(withoutCredentials(this.#config))
    logReload(this.log, running, next)
  }

  noteReload(isOk: boolean): void {
    this.#parts.readings.note(isOk)
  }
}

function publicationOf(owners: Owners): Publication {
  const keepersOf = <K>(owned: ReadonlyMap<string, { readonly keeper: K }>): Map<string, K> =>
    new Map([...owned].map(([name, { keeper }]) => [name, keeper]))
  return {
    tokens: keepersOf(owners.tokenOwners),
    keys: keepersOf(owners.keyOwners),
    files: owners.contexts,
  }
}

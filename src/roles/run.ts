/**
 * A checked configuration into a running process: roles, admin endpoint, health, and their end.
 * Floor 7; the only reader of Config besides the roles. Touches no signal and never exits: cli/ does.
 */
import { AdminRoutes, AdminServer, GrpcHealth, Readiness } from '../admin/index.ts'
import { ConfigError, type Log } from '../base/index.ts'
import type { Config } from '../config/index.ts'
import { SystemClock } from '../net/index.ts'
import { feedLog, Logger, Metrics } from '../telemetry/index.ts'
import { createControlPlane } from './control-plane.ts'
import { feedMachine } from './feed.ts'
import { drain } from './lifecycle.ts'
import { createMachine, type Machine } from './machine.ts'
import type { Role } from './role.ts'
import { createWorkload } from './workload.ts'

/** How often conditions that nobody reports are looked at. */
const LOOK_MS = 1000

/** What the command line adds to the configuration. */
export interface RunOptions {
  readonly version: string
  /** The configuration as text, secrets masked, for the status page. */
  readonly printedConfig: () => string
  readonly log?: Logger
}

/** A process that runs. */
export interface RunningAuthgw {
  /** Where everything listens, by name: `workload`, `control_plane`, `admin`, `grpc_health`. */
  readonly addresses: Readonly<Record<string, readonly string[]>>
  /** The roles that run, to be looked at: their relays, connections and counters. */
  readonly roles: readonly Role[]
  readonly log: Log
  /** Ends in good order (no-loss.md row 24). */
  drain(): Promise<void>
  /** Ends now. */
  stop(): Promise<void>
  /** Puts what can be changed without a restart in place; says what cannot. */
  reload(next: Config): Promise<void>
}

/**
 * Starts everything; resolves when the listeners stand.
 * @throws ConfigError for what only shows when it is tried: a port in use, a certificate that does not fit
 * @throws TransportError when an address cannot be bound
 */
export async function runAuthgw(config: Config, options: RunOptions): Promise<RunningAuthgw> {
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
  feedMachine(machine)
  const process_ = new Process(config, options, machine, log)
  try {
    await process_.start()
  } catch (error) {
    await process_.stop()
    throw error
  }
  return process_
}

class Process implements RunningAuthgw {
  readonly log: Logger
  #config: Config
  readonly #options: RunOptions
  readonly #machine: Machine
  readonly roles: Role[] = []
  #controlPlane: Awaited<ReturnType<typeof createControlPlane>> | null = null
  #admin: AdminServer | null = null
  #health: GrpcHealth | null = null
  #isStopped = false

  constructor(config: Config, options: RunOptions, machine: Machine, log: Logger) {
    this.#config = config
    this.#options = options
    this.#machine = machine
    this.log = log
  }

  get addresses(): Readonly<Record<string, readonly string[]>> {
    const all: Record<string, readonly string[]> = {}
    for (const role of this.roles) all[role.name] = role.addresses
    const textOf = ({ address, port }: { address: string; port: number }): string =>
      address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
    if (this.#admin !== null) all['admin'] = this.#admin.addresses.map(textOf)
    if (this.#health !== null) all['grpc_health'] = this.#health.addresses.map(textOf)
    return all
  }

  async start(): Promise<void> {
    const config = this.#config
    if (config.controlPlane !== undefined) {
      this.#controlPlane = await createControlPlane(this.#machine, config)
      this.roles.push(this.#controlPlane)
    }
    if (config.workload !== undefined) this.roles.push(await createWorkload(this.#machine, config))
    await this.#startAdmin()
    for (const role of this.roles) await role.start()
    this.#machine.readiness.moveTo('ready')
    this.#look()
    this.log.info({ version: this.#options.version, addresses: this.addresses }, 'authgw is up')
  }

  async #startAdmin(): Promise<void> {
    const { readiness, metrics, log } = this.#machine
    const { endpoint, grpcHealthEndpoint } = this.#config.admin
    const routes = new AdminRoutes({
      readiness,
      log,
      renderMetrics: () => metrics.render(),
      renderConfig: this.#options.printedConfig,
      statusSections: () => this.#statusSections(),
    })
    this.#admin = await AdminServer.listen(tcp(endpoint, 'admin.endpoint'), routes)
    if (grpcHealthEndpoint === undefined) return
    this.#health = await GrpcHealth.listen({
      endpoint: tcp(grpcHealthEndpoint, 'admin.grpc_health_endpoint'),
      readiness,
    })
  }

  #statusSections() {
    return this.roles.map((role) => ({
      title: role.name,
      rows: [
        ['listens on', role.addresses.join(', ')],
        ['open calls', String(role.relay.stats.callsOpen)],
        ['calls', String(role.relay.stats.callsStarted)],
        ['egress connections', String(role.relay.pool.connectionCount)],
      ] as const,
    }))
  }

  /** Looks at conditions once a second: an outage that ends quietly is seen too. */
  #look(): void {
    if (this.#isStopped) return
    for (const role of this.roles) role.report()
    this.#machine.clock.setTimer(LOOK_MS, () => this.#look())
  }

  async drain(): Promise<void> {
    const { delayMs, timeoutMs } = this.#config.drain
    const { readiness, clock } = this.#machine
    await drain({ roles: this.roles, readiness, clock, log: this.log, delayMs, timeoutMs })
    await this.stop()
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return
    this.#isStopped = true
    await Promise.all(this.roles.map((role) => role.close()))
    await this.#health?.close()
    await this.#admin?.close()
    this.log.info({}, 'authgw has stopped')
    await this.log.flush()
  }

  async reload(next: Config): Promise<void> {
    const changed = changedSections(this.#config, next)
    if (next.controlPlane !== undefined) this.#controlPlane?.reloadPolicy(next.controlPlane)
    this.log.setLevel(next.service.telemetry.logs.level)
    await Promise.all(this.roles.map((role) => role.reload()))
    if (changed.length > 0) {
      this.log.warn(
        { keys: changed },
        'reload: these keys have changed and need a restart; the rest is in use',
      )
    }
    this.log.info({}, 'reloaded: policy, log level and certificates')
  }
}

/** Keys whose change needs a restart: everything but the policy and the log level. */
function changedSections(before: Config, after: Config): string[] {
  const flat = (config: Config): Map<string, string> => {
    const entries = Object.entries(config).flatMap(([section, value]) =>
      section === 'service'
        ? []
        : typeof value === 'object'
          ? Object.entries(value).map(([key, inner]) => [`${section}.${key}`, JSON.stringify(inner)] as const)
          : [[section, JSON.stringify(value)] as const],
    )
    return new Map(entries.filter(([key]) => key !== 'controlPlane.policy'))
  }
  const [old, fresh] = [flat(before), flat(after)]
  return [...new Set([...old.keys(), ...fresh.keys()])].filter((key) => old.get(key) !== fresh.get(key))
}

/** An endpoint of the admin server, which is always TCP. */
function tcp(endpoint: Config['admin']['endpoint'], path: string): { host: string; port: number } {
  if (endpoint.kind === 'tcp') return { host: endpoint.host, port: endpoint.port }
  throw new ConfigError([
    { path, position: null, problem: 'is a UNIX socket', remedy: 'Write host:port, such as localhost:9464.' },
  ])
}

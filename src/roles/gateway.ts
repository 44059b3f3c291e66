/**
 * What serves calls in one process: the roles of a configuration, created, started, looked at and ended together.
 * Floor 7; knows neither the admin endpoint nor who owns tokens, keys and certificates.
 */
import type { Config } from '../config/index.ts'
import { EbbWatch, ProcessMemory } from '../net/index.ts'
import type { Logger } from '../telemetry/index.ts'
import { createControlPlane, type ControlPlane } from './control-plane.ts'
import { drain } from './lifecycle.ts'
import type { Machine } from './machine.ts'
import type { GateTroubles } from './owners.ts'
import type { Role, RoleName } from './role.ts'
import type { Sources } from './sources.ts'
import { createWorkload } from './workload.ts'

/** What a status page says of one role. */
export interface RoleReport {
  readonly name: RoleName
  readonly addresses: readonly string[]
  readonly openCalls: number
  readonly calls: number
  readonly egressConnections: number
}

/** The roles that serve in this process. */
export class Gateway {
  readonly roles: Role[] = []
  readonly #machine: Machine
  readonly #config: Config
  #controlPlane: ControlPlane | null = null
  #ebb: EbbWatch | null = null

  private constructor(machine: Machine, config: Config) {
    this.#machine = machine
    this.#config = config
  }

  /** Makes the roles; nothing listens yet. @throws ConfigError */
  static async create(machine: Machine, config: Config, sources: Sources): Promise<Gateway> {
    const gateway = new Gateway(machine, config)
    try {
      if (config.controlPlane !== undefined) {
        gateway.#controlPlane = await createControlPlane(machine, config, sources)
        gateway.roles.push(gateway.#controlPlane)
      }
      if (config.workload !== undefined) gateway.roles.push(await createWorkload(machine, config, sources))
      return gateway
    } catch (error) {
      await gateway.close()
      throw error
    }
  }

  /** Binds the listeners and begins to dial. @throws TransportError when an address cannot be bound */
  async start(): Promise<void> {
    for (const role of this.roles) await role.start()
    const { clock, log, netStats, readiness } = this.#machine
    this.#ebb = new EbbWatch({ clock, log, stats: netStats, memory: new ProcessMemory() })
    readiness.moveTo('ready')
  }

  /** Where the roles listen, by name. */
  get addresses(): Readonly<Record<string, readonly string[]>> {
    return Object.fromEntries(this.roles.map((role) => [role.name, role.addresses]))
  }

  /** Why gates cannot use the token of an identity. */
  get troubles(): GateTroubles {
    return Object.assign({}, ...this.roles.map((role) => role.troubles())) as GateTroubles
  }

  /** The numbers of the status page. */
  get reports(): RoleReport[] {
    return this.roles.map(({ name, addresses, relay }) => ({
      name,
      addresses,
      openCalls: relay.stats.callsOpen,
      calls: relay.stats.callsStarted,
      egressConnections: relay.pool.connectionCount,
    }))
  }

  /** Puts the policy, the log level and changed certificates in place. @throws ConfigError for rules that do not compile */
  async reload(next: Config, log: Logger): Promise<void> {
    if (next.controlPlane !== undefined) await this.#controlPlane?.reloadPolicy(next.controlPlane)
    log.setLevel(next.service.telemetry.logs.level)
    await Promise.all(this.roles.map((role) => role.reload()))
  }

  /** Lets calls end (no-loss.md row 24). */
  async drain(): Promise<void> {
    const { readiness, clock, log } = this.#machine
    const { delayMs, timeoutMs } = this.#config.drain
    await drain({ roles: this.roles, readiness, clock, log, delayMs, timeoutMs })
  }

  /** Ends everything now. */
  async close(): Promise<void> {
    this.#ebb?.stop()
    await Promise.all(this.roles.map((role) => role.close()))
  }
}

/** Reports as rows of the status page: those of several processes are added up. */
export function statusSections(
  reports: readonly RoleReport[],
): { readonly title: string; readonly rows: readonly (readonly [string, string])[] }[] {
  return [...Map.groupBy(reports, ({ name }) => name)].map(([title, same]) => {
    const sum = (read: (report: RoleReport) => number): string =>
      String(same.reduce((total, report) => total + read(report), 0))
    return {
      title,
      rows: [
        ['listens on', same[0]!.addresses.join(', ')],
        ['open calls', sum(({ openCalls }) => openCalls)],
        ['calls', sum(({ calls }) => calls)],
        ['egress connections', sum(({ egressConnections }) => egressConnections)],
      ],
    }
  })
}

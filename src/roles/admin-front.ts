/**
 * The admin section of the configuration into the two endpoints that operators and probes ask. One of each per gateway.
 * Floor 7; knows no page: admin/ does.
 */
import { AdminRoutes, AdminServer, GrpcHealth, type AdminPorts, type AdminTls } from '../admin/index.ts'
import { ConfigError } from '../base/index.ts'
import type { Config, TlsServerConfig } from '../config/index.ts'
import { isNameAllowed, tlsPeer, type TlsContext } from '../net/index.ts'
import type { Machine } from './machine.ts'
import { openTls } from './tls.ts'

/** The endpoints, listening. */
export class AdminFront {
  #admin: AdminServer | null = null
  #health: GrpcHealth | null = null
  /** Its certificates; null in plaintext. */
  #context: TlsContext | null = null

  private constructor() {}

  /** Starts to listen. @throws ConfigError when an endpoint cannot be had, or its certificates cannot be used */
  static async open(machine: Machine, config: Config['admin'], ports: AdminPorts): Promise<AdminFront> {
    const front = new AdminFront()
    try {
      await front.#open(machine, config, ports)
      return front
    } catch (error) {
      await front.close()
      throw error
    }
  }

  async #open(machine: Machine, config: Config['admin'], ports: AdminPorts): Promise<void> {
    const { endpoint, grpcHealthEndpoint, tls } = config
    const address = tcp(endpoint, 'admin.endpoint')
    if (tls !== undefined) {
      const place = { side: 'server', section: tls, path: 'admin.tls', role: 'admin' } as const
      this.#context = await openTls(machine, place)
    }
    const adminTls = this.#context === null ? null : tlsOf(this.#context, tls!)
    this.#admin = await AdminServer.listen(address, new AdminRoutes(ports), adminTls)
    if (grpcHealthEndpoint === undefined) return
    this.#health = await GrpcHealth.listen({
      endpoint: tcp(grpcHealthEndpoint, 'admin.grpc_health_endpoint'),
      readiness: ports.readiness,
    })
  }

  /** Where they listen, by name. */
  get addresses(): Readonly<Record<string, readonly string[]>> {
    return {
      ...(this.#admin !== null && { admin: this.#admin.addresses.map(textOf) }),
      ...(this.#health !== null && { grpc_health: this.#health.addresses.map(textOf) }),
    }
  }

  /** Reads the certificates again. */
  async reload(): Promise<void> {
    await this.#context?.reload()
  }

  /** Ends both. */
  async close(): Promise<void> {
    this.#context?.close()
    await this.#health?.close()
    await this.#admin?.close()
  }
}

/** What the admin server needs of certificates that reload. */
function tlsOf(context: TlsContext, { clientAuth, allowedSans }: TlsServerConfig): AdminTls {
  return {
    get contextOptions() {
      return context.material.contextOptions
    },
    clientAuth,
    isNameAllowed: (socket) => isNameAllowed(tlsPeer(socket, socket.remoteAddress ?? ''), allowedSans ?? []),
    subscribe: (listener) => context.subscribe(listener),
  }
}

function textOf({ address, port }: { readonly address: string; readonly port: number }): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/** An endpoint of the admin server, which is always TCP. */
function tcp(endpoint: Config['admin']['endpoint'], path: string): { host: string; port: number } {
  if (endpoint.kind === 'tcp') return { host: endpoint.host, port: endpoint.port }
  throw new ConfigError([
    { path, position: null, problem: 'is a UNIX socket', remedy: 'Write host:port, such as localhost:9464.' },
  ])
}

/**
 * The admin section of the configuration into the two endpoints that operators and probes ask. One of each per gateway.
 * Floor 7; knows no page: admin/ does.
 */
import { AdminRoutes, AdminServer, GrpcHealth, type AdminPorts } from '../admin/index.ts'
import { ConfigError } from '../base/index.ts'
import type { Config } from '../config/index.ts'

/** The endpoints, listening. */
export class AdminFront {
  readonly #admin: AdminServer
  #health: GrpcHealth | null = null

  private constructor(admin: AdminServer) {
    this.#admin = admin
  }

  /** Starts to listen. @throws ConfigError when an endpoint cannot be had */
  static async open(config: Config['admin'], ports: AdminPorts): Promise<AdminFront> {
    const { endpoint, grpcHealthEndpoint } = config
    const front = new AdminFront(
      await AdminServer.listen(tcp(endpoint, 'admin.endpoint'), new AdminRoutes(ports)),
    )
    if (grpcHealthEndpoint === undefined) return front
    try {
      front.#health = await GrpcHealth.listen({
        endpoint: tcp(grpcHealthEndpoint, 'admin.grpc_health_endpoint'),
        readiness: ports.readiness,
      })
      return front
    } catch (error) {
      await front.close()
      throw error
    }
  }

  /** Where they listen, by name. */
  get addresses(): Readonly<Record<string, readonly string[]>> {
    return {
      admin: this.#admin.addresses.map(textOf),
      ...(this.#health !== null && { grpc_health: this.#health.addresses.map(textOf) }),
    }
  }

  /** Ends both. */
  async close(): Promise<void> {
    await this.#health?.close()
    await this.#admin.close()
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

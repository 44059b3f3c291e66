/**
 * Turns readiness into grpc.health.v1 on a plaintext port of its own: Kubernetes' gRPC probes speak no TLS.
 * Floor 6; knows no HTTP page. @grpc/grpc-js is loaded only when the port is configured.
 * @see https://github.com/grpc/grpc/blob/master/doc/health-checking.md
 */
import type * as Grpc from '@grpc/grpc-js'
import { listenOnAll, type AdminEndpoint, type ListeningAddress } from './endpoint.ts'
import {
  HEALTH_SERVICE,
  SERVING_STATUS,
  type HealthCheckRequest,
  type HealthList,
  type ServingStatus,
} from './health-wire.ts'
import type { Readiness } from './readiness.ts'

/** What the health server needs. */
export interface GrpcHealthOptions {
  readonly endpoint: AdminEndpoint
  readonly readiness: Readiness
  /** Watches at a time, over all callers; further ones get RESOURCE_EXHAUSTED. Default 64. */
  readonly maxWatches?: number
}

type Check = Grpc.ServerUnaryCall<HealthCheckRequest, ServingStatus>
type Watch = Grpc.ServerWritableStream<HealthCheckRequest, ServingStatus>

/** Limits of the server: a health check is a message of a few octets. */
const SERVER_OPTIONS = {
  'grpc.max_receive_message_length': 1024,
  'grpc.max_concurrent_streams': 32,
  'grpc.max_connection_idle_ms': 120_000,
  // Finds watchers that have gone without a word.
  'grpc.keepalive_time_ms': 60_000,
  'grpc.keepalive_timeout_ms': 10_000,
} as const

/** grpc.health.v1 over @grpc/grpc-js. Services: empty and `readiness`, `startup`, `liveness`. */
export class GrpcHealth {
  readonly #status: typeof Grpc.status
  readonly #server: Grpc.Server
  readonly #credentials: Grpc.ServerCredentials
  readonly #readiness: Readiness
  readonly #maxWatches: number
  readonly #watches = new Map<Watch, { service: string; sent: ServingStatus }>()
  readonly #unsubscribe: () => void
  #bound: string[] = []
  #addresses: ListeningAddress[] = []

  private constructor(grpc: typeof Grpc, options: GrpcHealthOptions) {
    this.#status = grpc.status
    this.#server = new grpc.Server(SERVER_OPTIONS)
    this.#credentials = grpc.ServerCredentials.createInsecure()
    this.#readiness = options.readiness
    this.#maxWatches = options.maxWatches ?? 64
    this.#server.addService(HEALTH_SERVICE, {
      Check: (call: Check, reply: Grpc.sendUnaryData<ServingStatus>) =>
        this.#check(call.request.service, reply),
      Watch: (call: Watch) => this.#watch(call),
      List: (_call: Grpc.ServerUnaryCall<object, HealthList>, reply: Grpc.sendUnaryData<HealthList>) =>
        reply(null, this.#list()),
    })
    this.#unsubscribe = options.readiness.subscribe(() => this.#tellWatches())
  }

  /**
   * Starts to listen.
   * @throws ConfigError when the endpoint cannot be had
   */
  static async listen(options: GrpcHealthOptions): Promise<GrpcHealth> {
    const grpc = await import('@grpc/grpc-js')
    // It writes to standard error beside our log; whatever fails comes back as a value as well.
    grpc.setLogVerbosity(grpc.logVerbosity.NONE)
    const health = new GrpcHealth(grpc, options)
    try {
      health.#addresses = await listenOnAll(
        options.endpoint,
        'admin.grpc_health_endpoint',
        (address, port) => health.#bind(address, port),
        () => health.#unbindAll(),
      )
    } catch (error) {
      await health.close(0)
      throw error
    }
    return health
  }

  /** Where it listens. */
  get addresses(): readonly ListeningAddress[] {
    return this.#addresses
  }

  /** Ends all watches, lets checks that have begun end within `graceMs` (default 500), and stops. */
  async close(graceMs = 500): Promise<void> {
    this.#unsubscribe()
    for (const watch of this.#watches.keys()) endWith(watch, this.#status.UNAVAILABLE, 'authgw stops')
    this.#watches.clear()
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.#server.forceShutdown(), graceMs)
      this.#server.tryShutdown(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  #bind(address: string, port: number): Promise<number> {
    const target = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(target, this.#credentials, (error, boundPort) => {
        if (error !== null) {
          reject(withCode(error))
          return
        }
        this.#bound.push(target.replace(/:\d+$/, `:${boundPort}`))
        resolve(boundPort)
      })
    })
  }

  #unbindAll(): Promise<void> {
    for (const target of this.#bound.splice(0)) this.#server.unbind(target)
    return Promise.resolve()
  }

  #statusOf(service: string): ServingStatus {
    const readiness = this.#readiness
    switch (service) {
      case '':
      case 'readiness':
        return readiness.isReady ? SERVING_STATUS.SERVING : SERVING_STATUS.NOT_SERVING
      case 'startup':
        return readiness.isStarted ? SERVING_STATUS.SERVING : SERVING_STATUS.NOT_SERVING
      case 'liveness':
        return SERVING_STATUS.SERVING
      default:
        return SERVING_STATUS.SERVICE_UNKNOWN
    }
  }

  #check(service: string, reply: Grpc.sendUnaryData<ServingStatus>): void {
    const status = this.#statusOf(service)
    if (status === SERVING_STATUS.SERVICE_UNKNOWN)
      reply({ code: this.#status.NOT_FOUND, details: 'services: "", readiness, startup, liveness' })
    else reply(null, status)
  }

  #list(): HealthList {
    return ['', 'readiness', 'startup', 'liveness'].map((service) => [service, this.#statusOf(service)])
  }

  /** An unknown service is watched as well, after health-checking.md: it costs no more than any other. */
  #watch(call: Watch): void {
    if (this.#watches.size >= this.#maxWatches) {
      endWith(call, this.#status.RESOURCE_EXHAUSTED, 'too many watches')
      return
    }
    const { service } = call.request
    const sent = this.#statusOf(service)
    this.#watches.set(call, { service, sent })
    const forget = (): void => void this.#watches.delete(call)
    call.on('cancelled', forget)
    call.on('close', forget)
    call.write(sent)
  }

  #tellWatches(): void {
    for (const [call, watch] of this.#watches) {
      const status = this.#statusOf(watch.service)
      if (status === watch.sent) continue
      watch.sent = status
      call.write(status)
    }
  }
}

function endWith(call: Watch, code: Grpc.status, details: string): void {
  call.emit('error', Object.assign(new Error(details), { code, details }))
}

/** @grpc/grpc-js tells the cause of a failed bind in the message only. */
function withCode(error: Error): Error {
  const code = /\bE[A-Z]{4,}\b/.exec(error.message)?.[0]
  return code === undefined ? error : Object.assign(error, { code })
}

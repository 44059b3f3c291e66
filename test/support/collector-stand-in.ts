/**
 * The collector beside the workload, in this process: an OTLP receiver, a bounded queue, and an exporter that sends
 * again what the stock Collector's exporter would, and drops what that would drop.
 *
 * ```ts
 * const collector = await startCollectorStandIn({ upstream: '127.0.0.1:14317', retry: { initialMs: 500 } })
 * collector.endpoint                    // where SDKs send to
 * collector.stats.droppedByStatus       // lost for good, by status: { UNAUTHENTICATED: 3 }
 * await collector.drained(10_000)       // false when something still waits after that time
 * collector.close()
 * ```
 */
import { Client, credentials, Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js'
import type {
  ChannelOptions,
  MethodDefinition,
  sendUnaryData,
  ServerUnaryCall,
  ServiceError,
} from '@grpc/grpc-js'
import { exportPath, SIGNALS } from './otlp-proto.ts'
import { askedDelayMs, isRetryable, RetrySchedule } from './retry-policy.ts'
import type { RetryOptions } from './retry-policy.ts'

/** What to start. */
export interface CollectorStandInOptions {
  /** Where it exports to: `host:port` or `unix:///path`, in plaintext. */
  readonly upstream: string
  /** Default a free port of 127.0.0.1. */
  readonly endpoint?: string
  /** `sending_queue.queue_size` in requests; default 1,000. A full queue refuses with UNAVAILABLE. */
  readonly queueSize?: number
  /** `sending_queue.num_consumers`; default 10. */
  readonly consumers?: number
  /** `timeout` of one try; default 5,000 ms. */
  readonly timeoutMs?: number
  readonly retry?: RetryOptions
  /** Of the exporter's connection. */
  readonly channel?: ChannelOptions
}

/** What it has done. Counts are requests; a status is written by its name. */
export interface CollectorStats {
  accepted: number
  /** Not taken, because the queue was full. */
  refused: number
  sent: number
  /** Tries that failed and were put off. */
  readonly retriesByStatus: Record<string, number>
  /** Given up: the stock exporter's `send_failed`. */
  readonly droppedByStatus: Record<string, number>
  /** The most that waited or were under way at once. */
  maxWaiting: number
}

/** A collector that was started. */
export interface CollectorStandIn {
  readonly endpoint: string
  readonly stats: CollectorStats
  /** Requests accepted and neither sent nor dropped. */
  readonly waiting: number
  /** Whether all that was accepted has been sent or dropped before `timeoutMs` passed. */
  drained(timeoutMs: number): Promise<boolean>
  /** Ends it now; what waits is forgotten. */
  close(): void
}

/** A request that is to be exported. */
export interface ExportItem {
  readonly path: string
  readonly body: Buffer
}

const same = (bytes: Buffer): Buffer => bytes

/** Starts a collector. Rejects when the endpoint cannot be bound. */
export async function startCollectorStandIn(options: CollectorStandInOptions): Promise<CollectorStandIn> {
  const exporter = new Exporter(options)
  const server = new Server({ 'grpc.max_receive_message_length': 64 * 1024 * 1024 })
  for (const signal of SIGNALS) {
    const path = exportPath(signal)
    const accept = (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>): void => {
      if (exporter.offer({ path, body: call.request })) answer(null, Buffer.alloc(0))
      else answer({ code: status.UNAVAILABLE, details: 'sending queue is full' })
    }
    server.addService({ Export: rawMethod(path) }, { Export: accept })
  }
  const endpoint = options.endpoint ?? '127.0.0.1:0'
  const port = await new Promise<number>((done, fail) => {
    server.bindAsync(endpoint, ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? done(bound) : fail(error),
    )
  })
  return {
    endpoint: endpoint.startsWith('unix:') ? endpoint : endpoint.replace(/:\d+$/, `:${port}`),
    stats: exporter.stats,
    get waiting() {
      return exporter.waiting
    },
    drained: (timeoutMs) => exporter.drained(timeoutMs),
    close() {
      server.forceShutdown()
      exporter.close()
    },
  }
}

/** Bytes as they are: a collector forwards what it does not look at. */
function rawMethod(path: string): MethodDefinition<Buffer, Buffer> {
  return {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  }
}

/** The queue and what empties it: `sending_queue` and `retry_on_failure` of the stock exporter. */
export class Exporter {
  readonly stats: CollectorStats = {
    accepted: 0,
    refused: 0,
    sent: 0,
    retriesByStatus: {},
    droppedByStatus: {},
    maxWaiting: 0,
  }
  readonly #options: CollectorStandInOptions
  readonly #client: Client
  readonly #queue: ExportItem[] = []
  readonly #timers = new Set<NodeJS.Timeout>()
  #busy = 0
  #isClosed = false

  constructor(options: CollectorStandInOptions) {
    this.#options = options
    this.#client = new Client(options.upstream, credentials.createInsecure(), options.channel ?? {})
  }

  get waiting(): number {
    return this.#queue.length + this.#busy
  }

  /** Takes a request unless the queue is full. */
  offer(item: ExportItem): boolean {
    if (this.#queue.length >= (this.#options.queueSize ?? 1_000)) {
      this.stats.refused++
      return false
    }
    this.#queue.push(item)
    this.stats.accepted++
    this.stats.maxWaiting = Math.max(this.stats.maxWaiting, this.waiting)
    this.#consume()
    return true
  }

  async drained(timeoutMs: number): Promise<boolean> {
    const endMs = performance.now() + timeoutMs
    while (this.waiting > 0 && performance.now() < endMs) {
      await new Promise<void>((done) => void setTimeout(done, 20))
    }
    return this.waiting === 0
  }

  close(): void {
    this.#isClosed = true
    for (const timer of this.#timers) clearTimeout(timer)
    this.#client.close()
  }

  /** A request that is put off keeps its consumer, as in the stock exporter. */
  #consume(): void {
    while (!this.#isClosed && this.#busy < (this.#options.consumers ?? 10)) {
      const item = this.#queue.shift()
      if (item === undefined) return
      this.#busy++
      this.#send(item, new RetrySchedule(this.#options.retry ?? {}, performance.now()))
    }
  }

  #send(item: ExportItem, schedule: RetrySchedule): void {
    const deadline = Date.now() + (this.#options.timeoutMs ?? 5_000)
    const finish = (error: ServiceError | null): void => {
      if (this.#isClosed) return
      if (error !== null && this.#putOff(item, schedule, error)) return
      if (error === null) this.stats.sent++
      this.#busy--
      this.#consume()
    }
    this.#client.makeUnaryRequest(item.path, same, same, item.body, new Metadata(), { deadline }, finish)
  }

  /** Whether the request will be sent again; counts it either way. */
  #putOff(item: ExportItem, schedule: RetrySchedule, error: ServiceError): boolean {
    const askedMs = askedDelayMs(error)
    const delayMs = isRetryable(error.code, askedMs) ? schedule.nextDelayMs(askedMs, performance.now()) : null
    const counts = delayMs === null ? this.stats.droppedByStatus : this.stats.retriesByStatus
    const name = status[error.code]
    counts[name] = (counts[name] ?? 0) + 1
    if (delayMs === null) return false
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      this.#send(item, schedule)
    }, delayMs)
    this.#timers.add(timer)
    return true
  }
}

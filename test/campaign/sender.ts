/**
 * What sends during a campaign: numbered spans at a steady rate through an exporter that behaves as the stock one, and a
 * probe that tries ten times a second without any wait of its own, so that recovery is seen apart from the sender's waits.
 */
import { Client, credentials, Metadata, status } from '@grpc/grpc-js'
import type { ChannelOptions } from '@grpc/grpc-js'
import { Exporter } from '../support/collector-stand-in.ts'
import { NUMBER_ATTRIBUTE } from '../support/otlp-receiver.ts'
import { exportPath, otlpService } from '../support/otlp-proto.ts'
import type { RetryOptions } from '../support/retry-policy.ts'

/** How fast, and how patient. */
export interface SenderOptions {
  /** Where to: `host:port`. */
  readonly upstream: string
  readonly perSecond: number
  /** The stock exporter's, with `max_elapsed_time: 0`; `scale` shortens its waits. */
  readonly retryScale: number
}

const PATH = exportPath('traces')
const QUEUE_SIZE = 120_000
const TICK_MS = 10
/** What a reconnecting client waits for is not the gateway's doing. */
const CHANNEL: ChannelOptions = {
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 500,
}
const serialize = otlpService('traces')['Export']!.requestSerialize

/** An Export request with one span that carries `number`. */
export function numberedRequest(number: number): Buffer {
  const span = {
    traceId: Buffer.alloc(16, 1),
    spanId: Buffer.alloc(8, 2),
    name: 'numbered',
    startTimeUnixNano: 1,
    endTimeUnixNano: 2,
    attributes: [{ key: NUMBER_ATTRIBUTE, value: { intValue: number } }],
  }
  return serialize({ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] })
}

/** The steady source of numbered spans. */
export class Sender {
  readonly exporter: Exporter
  readonly #perSecond: number
  #timer: NodeJS.Timeout | null = null
  #nextNumber = 0
  #owed = 0
  #lastMs = 0

  constructor({ upstream, perSecond, retryScale }: SenderOptions) {
    const retry: RetryOptions = {
      initialMs: 5_000 * retryScale,
      maxMs: 30_000 * retryScale,
      maxElapsedMs: 0,
    }
    this.#perSecond = perSecond
    this.exporter = new Exporter({ upstream, retry, queueSize: QUEUE_SIZE, consumers: 10, channel: CHANNEL })
  }

  /** The number that the next span gets: those below it were sent. */
  get nextNumber(): number {
    return this.#nextNumber
  }

  /** Goes on with this number. */
  skipTo(number: number): void {
    this.#nextNumber = number
  }

  start(): void {
    this.#lastMs = performance.now()
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS)
  }

  pause(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  /** A tick that came late sends what it owes. */
  #tick(): void {
    const nowMs = performance.now()
    this.#owed += ((nowMs - this.#lastMs) * this.#perSecond) / 1_000
    this.#lastMs = nowMs
    for (; this.#owed >= 1; this.#owed--)
      this.exporter.offer({ path: PATH, body: numberedRequest(this.#nextNumber++) })
  }
}

/** One try of the probe. */
export interface ProbeTry {
  readonly atMs: number
  readonly status: status
}

/** Sends an empty Export ten times a second, never twice the same, and remembers how each ended. */
export class Probe {
  readonly tries: ProbeTry[] = []
  readonly #client: Client
  readonly #timer: NodeJS.Timeout

  constructor(upstream: string) {
    this.#client = new Client(upstream, credentials.createInsecure(), {
      ...CHANNEL,
      'grpc.max_reconnect_backoff_ms': 100,
      'grpc.use_local_subchannel_pool': 1,
    })
    this.#timer = setInterval(() => this.#try(), 100)
  }

  /** Monotonic ms of the first success that was begun at or after `sinceMs`; null while there is none. */
  firstSuccessAfter(sinceMs: number): number | null {
    return this.tries.find(({ atMs, status: code }) => atMs >= sinceMs && code === status.OK)?.atMs ?? null
  }

  close(): void {
    clearInterval(this.#timer)
    this.#client.close()
  }

  #try(): void {
    const startMs = performance.now()
    const same = (octets: Buffer): Buffer => octets
    const deadline = Date.now() + 5_000
    this.#client.makeUnaryRequest(
      PATH,
      same,
      same,
      Buffer.alloc(0),
      new Metadata(),
      { deadline },
      (error) => {
        // A success counts from its end: that is when a call was forwarded.
        const atMs = error === null ? performance.now() : startMs
        this.tries.push({ atMs, status: error === null ? status.OK : error.code })
      },
    )
  }
}

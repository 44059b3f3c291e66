/**
 * When the Collector's OTLP exporter sends again, and how long it waits: its retryable statuses, its backoff, RetryInfo.
 * @see https://github.com/open-telemetry/opentelemetry-collector/tree/main/exporter/otlpexporter (shouldRetry)
 * @see https://github.com/open-telemetry/opentelemetry-collector/tree/main/config/configretry (defaults)
 */
import { status } from '@grpc/grpc-js'
import type { ServiceError } from '@grpc/grpc-js'
import { retryDelayMs } from './otlp-proto.ts'

/** The words of `retry_on_failure`, in ms. */
export interface RetryOptions {
  /** Default 5,000. */
  readonly initialMs?: number
  /** Default 1.5. */
  readonly multiplier?: number
  /** Each wait is drawn from ± this share of itself; default 0.5. */
  readonly randomization?: number
  /** Default 30,000. */
  readonly maxMs?: number
  /** After so long a request is dropped; 0 for never; default 300,000. */
  readonly maxElapsedMs?: number
}

const ALWAYS_RETRYABLE: ReadonlySet<status> = new Set([
  status.CANCELLED,
  status.DEADLINE_EXCEEDED,
  status.ABORTED,
  status.OUT_OF_RANGE,
  status.UNAVAILABLE,
  status.DATA_LOSS,
])

/** Whether another try may help. RESOURCE_EXHAUSTED is tried again only when the server says when. */
export function isRetryable(code: status, askedMs: number | null): boolean {
  return ALWAYS_RETRYABLE.has(code) || (code === status.RESOURCE_EXHAUSTED && askedMs !== null)
}

/** Ms that the server asks for in RetryInfo; null when it does not. */
export function askedDelayMs(error: ServiceError): number | null {
  const details = error.metadata?.get('grpc-status-details-bin')[0]
  return details instanceof Buffer ? retryDelayMs(details) : null
}

/** The waits of one request. */
export class RetrySchedule {
  readonly #options: Required<RetryOptions>
  readonly #startMs: number
  #intervalMs: number

  constructor(options: RetryOptions, nowMs: number) {
    this.#options = {
      initialMs: 5_000,
      multiplier: 1.5,
      randomization: 0.5,
      maxMs: 30_000,
      maxElapsedMs: 300_000,
      ...options,
    }
    this.#startMs = nowMs
    this.#intervalMs = this.#options.initialMs
  }

  /**
   * Ms to wait now, or null when the request is given up, as when the wait would end after `maxElapsedMs`.
   * @param askedMs what RetryInfo asks for: a wait is never shorter
   */
  nextDelayMs(askedMs: number | null, nowMs: number): number | null {
    const { multiplier, randomization, maxMs, maxElapsedMs } = this.#options
    const spread = this.#intervalMs * randomization
    const ownMs = this.#intervalMs - spread + Math.random() * 2 * spread
    this.#intervalMs = Math.min(this.#intervalMs * multiplier, maxMs)
    const delayMs = Math.max(ownMs, askedMs ?? 0)
    return maxElapsedMs > 0 && nowMs + delayMs - this.#startMs > maxElapsedMs ? null : delayMs
  }
}

/**
 * When a token may be asked for again: the earliest moment when calls wait, and the moment when nobody does.
 * Floor 2; sets no timer.
 */
import { Backoff } from '../../base/index.ts'
import type { Clock, CredentialError } from '../../base/index.ts'

/**
 * From the start of a failed attempt to the start of the next, while calls wait. Six attempts fall into a minute at most, and
 * the end of an outage is noticed within 11 s: exporters come back after 5 s and more, so that asking sooner serves nobody.
 */
const WAITED_GAP_MS = 10_000
/** The same while nobody waits: doubled up to this, which with its jitter is just below 30 s. */
const IDLE_MAX_GAP_MS = 27_000
/** What is drawn at random on top, so that gateways that failed together do not stay together. */
const JITTER_SHARE = 0.1
/** While the provider refuses our client. Equal jitter makes 30 … 60 s of the first step. */
const REFUSED_BACKOFF = { initialMs: 60_000, maxMs: 300_000 }
/** However short the life of a token, or long a failed attempt, there is this much between attempts. */
const MIN_SPACING_MS = 1_000

/** The spacing of one identity's attempts. Moments are monotonic ms. */
export class AttemptPacing {
  readonly #clock: Clock
  readonly #refused: Backoff
  /** Since the last success; refusals of our client count apart. */
  #failureCount = 0
  #earliestMs = -Infinity
  #nextMs = Infinity

  constructor(clock: Clock) {
    this.#clock = clock
    this.#refused = new Backoff(REFUSED_BACKOFF, () => clock.random())
  }

  /** Before this not even a waiting call starts an attempt. */
  get earliestMs(): number {
    return this.#earliestMs
  }

  /** At this the next attempt comes of itself; Infinity before the first. Never before `earliestMs`. */
  get nextMs(): number {
    return this.#nextMs
  }

  /** Calls wait: the next attempt comes as early as it may, and not before `fromMs` for their sake. */
  hurry(fromMs = -Infinity): void {
    this.#nextMs = Math.min(this.#nextMs, Math.max(this.#earliestMs, fromMs))
  }

  /** An attempt that began at `startMs` succeeded; the next is due at `nextMs`. */
  onSuccess(startMs: number, nextMs: number): void {
    this.#refused.reset()
    this.#failureCount = 0
    this.#earliestMs = startMs + MIN_SPACING_MS
    this.#nextMs = Math.max(nextMs, this.#earliestMs)
  }

  /** An attempt that began at `startMs` failed at `nowMs`. */
  onFailure(startMs: number, nowMs: number, error: CredentialError): void {
    const soonestMs = nowMs + Math.max(error.retryAfterMs ?? 0, MIN_SPACING_MS)
    if (error.code === 'invalid_client') {
      this.#earliestMs = Math.max(nowMs + this.#refused.nextDelayMs(), soonestMs)
      this.#nextMs = this.#earliestMs
      return
    }
    const jitter = 1 + JITTER_SHARE * this.#clock.random()
    const idleGapMs = Math.min(WAITED_GAP_MS * 2 ** this.#failureCount, IDLE_MAX_GAP_MS)
    this.#failureCount = Math.min(this.#failureCount + 1, 10)
    this.#earliestMs = Math.max(startMs + WAITED_GAP_MS * jitter, soonestMs)
    this.#nextMs = Math.max(startMs + idleGapMs * jitter, soonestMs)
  }
}

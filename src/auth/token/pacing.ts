/**
 * When a token may be asked for again: the earliest moment when calls wait, and the moment when nobody does.
 * Floor 2; sets no timer.
 */
import { Backoff } from '../../base/index.ts'
import type { Clock, CredentialError } from '../../base/index.ts'

/** Attempts while nobody waits, while calls wait, and while the provider refuses our client. */
const IDLE_BACKOFF = { initialMs: 1_000, maxMs: 30_000 }
const WAITED_BACKOFF = { initialMs: 1_000, maxMs: 10_000 }
/** Equal jitter makes 30 … 60 s of the first step. */
const REFUSED_BACKOFF = { initialMs: 60_000, maxMs: 300_000 }
/** However short the life of a token, attempts are this far apart. */
const MIN_SPACING_MS = 1_000

/** The spacing of one identity's attempts. Moments are monotonic ms. */
export class AttemptPacing {
  readonly #idle: Backoff
  readonly #waited: Backoff
  readonly #refused: Backoff
  #earliestMs = -Infinity
  #nextMs = Infinity

  constructor(clock: Clock) {
    const random = (): number => clock.random()
    this.#idle = new Backoff(IDLE_BACKOFF, random)
    this.#waited = new Backoff(WAITED_BACKOFF, random)
    this.#refused = new Backoff(REFUSED_BACKOFF, random)
  }

  /** Before this not even a waiting call starts an attempt. */
  get earliestMs(): number {
    return this.#earliestMs
  }

  /** At this the next attempt comes of itself; Infinity before the first. Never before `earliestMs`. */
  get nextMs(): number {
    return this.#nextMs
  }

  /** Calls wait: the next attempt comes as early as it may. */
  hurry(): void {
    this.#nextMs = Math.min(this.#nextMs, this.#earliestMs)
  }

  /** An attempt that began at `startMs` succeeded; the next is due at `nextMs`. */
  onSuccess(startMs: number, nextMs: number): void {
    for (const backoff of [this.#idle, this.#waited, this.#refused]) backoff.reset()
    this.#earliestMs = startMs + MIN_SPACING_MS
    this.#nextMs = Math.max(nextMs, this.#earliestMs)
  }

  /** An attempt failed at `nowMs`. */
  onFailure(nowMs: number, error: CredentialError): void {
    const isRefused = error.code === 'invalid_client'
    const idleMs = (isRefused ? this.#refused : this.#idle).nextDelayMs()
    const waitedMs = isRefused ? idleMs : Math.min(this.#waited.nextDelayMs(), idleMs)
    const askedMs = error.retryAfterMs ?? 0
    this.#earliestMs = nowMs + Math.max(waitedMs, askedMs)
    this.#nextMs = nowMs + Math.max(idleMs, askedMs)
  }
}

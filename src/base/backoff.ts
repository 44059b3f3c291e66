/**
 * The delays between attempts: exponential with equal jitter.
 * Floor 0; sets no timer and reads no clock. (Retry libraries bring timers of their own, which break the fake clock.)
 */

/** Where the delays start, how they grow and where they end. All in ms. */
export interface BackoffPolicy {
  readonly initialMs: number
  readonly maxMs: number
  /** Growth per failure; 2 unless said otherwise. */
  readonly factor?: number
}

/**
 * Counts failures and gives the next delay: half of it fixed, half random ("equal jitter"), so that many
 * processes that failed together do not come back together, and none comes back at once.
 */
export class Backoff {
  #policy: BackoffPolicy
  readonly #random: () => number
  #failureCount = 0

  /** @param random a number in [0, 1), from the Clock port */
  constructor(policy: BackoffPolicy, random: () => number) {
    this.#policy = policy
    this.#random = random
  }

  /** Failures since the last success. */
  get failureCount(): number {
    return this.#failureCount
  }

  /** Counts a failure; returns the delay before the next attempt, in ms: 50 to 100 % of the step. */
  nextDelayMs(policy: BackoffPolicy = this.#policy): number {
    const stepMs = Math.min(
      policy.initialMs * (policy.factor ?? 2) ** Math.min(this.#failureCount, 30),
      policy.maxMs,
    )
    this.#failureCount++
    return stepMs / 2 + (stepMs / 2) * this.#random()
  }

  /** Forgets the failures. */
  reset(): void {
    this.#failureCount = 0
  }
}

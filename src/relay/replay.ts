/**
 * Keeps what a call has sent until the egress leg has taken the call on, so that it can be sent again elsewhere.
 * Floor 3; knows no stream. Its octets are already credited, so they stand in a budget of their own.
 */
import type { ChunkQueue } from '../base/index.ts'

/** Views up to this size are copied; larger ones pin their chunk, which is then counted whole. */
const SMALL_VIEW_BYTES = 4096

/** What a process keeps for replays. Default 16 MiB in all and 1 MiB a call (no-loss.md, Replay). */
export class ReplayBudget {
  /** Octets kept now. `0 <= usedBytes <= maxBytes`. */
  usedBytes = 0
  readonly maxBytes: number
  readonly maxCallBytes: number
  constructor(maxBytes = 16 * 1024 * 1024, maxCallBytes = 1024 * 1024) {
    this.maxBytes = maxBytes
    this.maxCallBytes = maxCallBytes
  }
}

/** The copy of one call's request. A hold that was given up holds nothing and cannot be taken up again. */
export class ReplayHold {
  readonly #budget: ReplayBudget
  #views: Buffer[] = []
  #countedBytes = 0
  #isActive = true

  constructor(budget: ReplayBudget) {
    this.#budget = budget
  }

  /** Whether everything that the call has sent is here. */
  get isActive(): boolean {
    return this.#isActive
  }

  /** Keeps `view`; false when a budget is full: the call goes on without a hold. */
  keep(view: Buffer): boolean {
    const isSmall = view.length <= SMALL_VIEW_BYTES
    const costBytes = isSmall ? view.length : view.buffer.byteLength
    const budget = this.#budget
    if (
      this.#countedBytes + costBytes > budget.maxCallBytes ||
      budget.usedBytes + costBytes > budget.maxBytes
    ) {
      this.giveUp()
      return false
    }
    this.#countedBytes += costBytes
    budget.usedBytes += costBytes
    this.#views.push(isSmall ? Buffer.from(view) : view)
    return true
  }

  /** Puts all that is kept at the end of `queue`, to be sent again; keeps it still. Returns the octets. */
  replayInto(queue: ChunkQueue): number {
    let bytes = 0
    for (const view of this.#views) {
      bytes += view.length
      queue.push(view)
    }
    return bytes
  }

  /** Drops everything. */
  giveUp(): void {
    this.#budget.usedBytes -= this.#countedBytes
    this.#countedBytes = 0
    this.#views = []
    this.#isActive = false
  }
}

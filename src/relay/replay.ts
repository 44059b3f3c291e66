/**
 * Keeps what a call has sent until the egress leg has taken the call on, so that it can be sent again elsewhere.
 * Floor 3; knows no stream. Its octets are already credited, so they stand in a budget of their own.
 */
import type { ChunkQueue } from '../base/index.ts'

/** What a process keeps for replays. Default 16 MiB in all and 1 MiB a call (no-loss.md, Replay). */
export class ReplayBudget {
  /** Octets kept now: of each chunk that is pinned, all. `0 <= usedBytes <= maxBytes`. */
  usedBytes = 0
  readonly maxBytes: number
  readonly maxCallBytes: number
  /** Pinned chunks, and how many views of each are kept. */
  readonly #pins = new Map<ArrayBufferLike, number>()

  constructor(maxBytes = 16 * 1024 * 1024, maxCallBytes = 1024 * 1024) {
    this.maxBytes = maxBytes
    this.maxCallBytes = maxCallBytes
  }

  /** Counts one more view of `chunk`; false when there is no room for the chunk. */
  pin(chunk: ArrayBufferLike): boolean {
    const count = this.#pins.get(chunk)
    if (count === undefined) {
      if (this.usedBytes + chunk.byteLength > this.maxBytes) return false
      this.usedBytes += chunk.byteLength
    }
    this.#pins.set(chunk, (count ?? 0) + 1)
    return true
  }

  /** One view of `chunk` less. */
  unpin(chunk: ArrayBufferLike): void {
    const count = this.#pins.get(chunk)!
    if (count > 1) {
      this.#pins.set(chunk, count - 1)
      return
    }
    this.#pins.delete(chunk)
    this.usedBytes -= chunk.byteLength
  }
}

/**
 * One call's request, kept by reference: its chunks stay pinned for the round trip to the upstream, and are counted
 * whole. A hold that was given up holds nothing and cannot be taken up again.
 */
export class ReplayHold {
  readonly #budget: ReplayBudget
  /** The first view by itself: a unary call seldom has another. */
  #first: Buffer | null = null
  #rest: Buffer[] | null = null
  #bytes = 0
  #isActive = true

  constructor(budget: ReplayBudget) {
    this.#budget = budget
  }

  /** Whether everything that the call has sent is here. */
  get isActive(): boolean {
    return this.#isActive
  }

  /** Keeps `view`, which must stay unchanged; false when a budget is full: the call goes on without a hold. */
  keep(view: Buffer): boolean {
    const budget = this.#budget
    if (this.#bytes + view.length > budget.maxCallBytes || !budget.pin(view.buffer)) {
      this.giveUp()
      return false
    }
    this.#bytes += view.length
    if (this.#first === null) this.#first = view
    else (this.#rest ??= []).push(view)
    return true
  }

  /** Puts all that is kept at the end of `queue`, to be sent again; keeps it still. Returns the octets. */
  replayInto(queue: ChunkQueue): number {
    if (this.#first === null) return 0
    queue.push(this.#first)
    for (const view of this.#rest ?? []) queue.push(view)
    return this.#bytes
  }

  /** Drops everything. */
  giveUp(): void {
    if (this.#first !== null) {
      this.#budget.unpin(this.#first.buffer)
      this.#first = null
    }
    if (this.#rest !== null) {
      for (const view of this.#rest) this.#budget.unpin(view.buffer)
      this.#rest = null
    }
    this.#bytes = 0
    this.#isActive = false
  }
}

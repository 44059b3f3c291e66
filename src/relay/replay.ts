/**
 * Keeps what a call has sent until the egress leg has taken the call on, so that it can be sent again elsewhere.
 * Floor 3; knows no stream. Its octets are already credited, so they stand in a budget of their own.
 */
import type { Chunk, ChunkQueue } from '../base/index.ts'

/** What a process keeps for replays. Default 16 MiB in all and 1 MiB a call (no-loss.md, Replay). */
export class ReplayBudget {
  /** Octets kept now: of each chunk that is pinned, all. `0 <= usedBytes <= maxBytes`. */
  usedBytes = 0
  readonly maxBytes: number
  readonly maxCallBytes: number
  constructor(maxBytes = 16 * 1024 * 1024, maxCallBytes = 1024 * 1024) {
    this.maxBytes = maxBytes
    this.maxCallBytes = maxCallBytes
  }

  /** Counts one more view of `chunk`; false when there is no room for the chunk. */
  pin(chunk: Chunk): boolean {
    if (chunk.pinCount === 0) {
      if (this.usedBytes + chunk.bytes > this.maxBytes) return false
      this.usedBytes += chunk.bytes
    }
    chunk.pinCount++
    return true
  }

  /** One view of `chunk` less. */
  unpin(chunk: Chunk): void {
    if (--chunk.pinCount === 0) this.usedBytes -= chunk.bytes
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
  #firstChunk: Chunk | null = null
  #rest: { readonly view: Buffer; readonly chunk: Chunk }[] | null = null
  #bytes = 0
  #isActive = true

  constructor(budget: ReplayBudget) {
    this.#budget = budget
  }

  /** Whether everything that the call has sent is here. */
  get isActive(): boolean {
    return this.#isActive
  }

  /** Keeps `view` of `chunk`, unchanged from now on; false when a budget is full: the call goes on without a hold. */
  keep(view: Buffer, chunk: Chunk): boolean {
    const budget = this.#budget
    if (this.#bytes + view.length > budget.maxCallBytes || !budget.pin(chunk)) {
      this.giveUp()
      return false
    }
    this.#bytes += view.length
    if (this.#first === null) {
      this.#first = view
      this.#firstChunk = chunk
    } else (this.#rest ??= []).push({ view, chunk })
    return true
  }

  /** Puts all that is kept at the end of `queue`, to be sent again; keeps it still. Returns the octets. */
  replayInto(queue: ChunkQueue): number {
    if (this.#first === null) return 0
    queue.push(this.#first)
    for (const { view } of this.#rest ?? []) queue.push(view)
    return this.#bytes
  }

  /** Drops everything. */
  giveUp(): void {
    if (this.#first !== null) {
      this.#budget.unpin(this.#firstChunk!)
      this.#first = null
      this.#firstChunk = null
    }
    if (this.#rest !== null) {
      for (const { chunk } of this.#rest) this.#budget.unpin(chunk)
      this.#rest = null
    }
    this.#bytes = 0
    this.#isActive = false
  }
}

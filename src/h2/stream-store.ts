/**
 * The streams of one connection, and what is remembered of those that are gone.
 * Floor 2; knows no frame. What is remembered is bounded, whatever a peer does.
 * @see RFC 9113 §5.1, §5.1.1
 */
import type { H2Stream } from './stream.ts'
import { StreamTable } from './stream-table.ts'

/** How many streams that we ended first are remembered: frames already under way to us for them are no fault. */
const MAX_REMEMBERED_RESETS = 1024
/** How many gaps in the peer's identifiers are remembered. */
const MAX_REMEMBERED_GAPS = 16

/** What an identifier without a live stream stands for. */
export const UNKNOWN_IDLE = 0
/** Closed in good order, or by the peer: a further HEADERS or DATA is the peer's fault. */
export const UNKNOWN_CLOSED = 1
/** We ended it and the peer may not know yet. */
export const UNKNOWN_RESET_BY_US = 2
/** The peer skipped it, which closed it unused. */
export const UNKNOWN_SKIPPED = 3

/** Streams by identifier. */
export class StreamStore {
  readonly #live = new StreamTable()
  /** Null before the first. */
  #resetByUs: Set<number> | null = null
  /** Up to here identifiers fell out of `resetByUs`: a closed one may have been ended by us. */
  #blurredUpTo = 0
  #gaps: (readonly [from: number, below: number])[] = []
  /** Highest identifier opened by the client side; 0 before the first. */
  lastOpenedId = 0

  get liveCount(): number {
    return this.#live.size
  }
  /** The live streams as of now, oldest first: owners may open and end streams while it is walked. */
  live(): H2Stream[] {
    return this.#live.toArray()
  }
  find(id: number): H2Stream | undefined {
    return this.#live.find(id)
  }

  /** Adds a stream with an identifier above all earlier ones. */
  add(stream: H2Stream): void {
    this.noteOpened(stream.id)
    this.#live.add(stream)
  }

  /** Counts an identifier as opened, without a stream (one that was refused at once). */
  noteOpened(id: number): void {
    if (id > this.lastOpenedId + 2 && this.#gaps.length < MAX_REMEMBERED_GAPS)
      this.#gaps.push([this.lastOpenedId + 1, id])
    this.lastOpenedId = id
  }

  remove(stream: H2Stream): void {
    this.#live.remove(stream)
  }

  /** Remembers that we ended `id` while the peer may still be sending on it. */
  rememberReset(id: number): void {
    const ids = (this.#resetByUs ??= new Set<number>())
    ids.add(id)
    if (ids.size > MAX_REMEMBERED_RESETS) {
      for (const oldest of ids) {
        ids.delete(oldest)
        this.#blurredUpTo = Math.max(this.#blurredUpTo, oldest)
        break
      }
    }
  }

  /** The peer has ended `id` too: nothing of it is under way any more. */
  forgetReset(id: number): void {
    this.#resetByUs?.delete(id)
  }

  /** How many identifiers without a stream are remembered: bounded, whatever a peer does. */
  get rememberedCount(): number {
    return (this.#resetByUs?.size ?? 0) + this.#gaps.length
  }

  /** What an identifier stands for that `find` does not know. */
  unknown(id: number): 0 | 1 | 2 | 3 {
    if (id > this.lastOpenedId || id % 2 === 0) return UNKNOWN_IDLE
    if (this.#resetByUs?.has(id) === true) return UNKNOWN_RESET_BY_US
    for (const [from, below] of this.#gaps) if (id >= from && id < below) return UNKNOWN_SKIPPED
    // Where memory ends the peer gets the benefit of the doubt: thousands of calls may be cancelled at once.
    return id <= this.#blurredUpTo ? UNKNOWN_RESET_BY_US : UNKNOWN_CLOSED
  }
}

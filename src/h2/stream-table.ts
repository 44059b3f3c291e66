/**
 * Live streams by identifier: a hash table with open addressing.
 * Floor 2; knows no rule of streams. Not a Map: V8 links the store that a Map has outgrown to its successor, so that
 * under churn one dead store in the old generation keeps all later ones, with their streams, until a full collection
 * (bench/micro/stream-table.bench.ts).
 */
import type { H2Stream } from './stream.ts'

/** Slots after the first stream: a power of two. */
const MIN_SLOTS = 16
/** Slots of a table that never had a stream: an idle connection has none. Never written; two, since a probe needs a gap. */
const NO_STREAMS: (H2Stream | null)[] = [null, null]

/** Streams of one connection. At most half of the slots are in use, so that a probe ends soon. */
export class StreamTable {
  /** Power of two; a stream lies at its home slot or, with nothing free between, after it. */
  #slots = NO_STREAMS
  #mask = NO_STREAMS.length - 1
  #shift = 32 - Math.log2(NO_STREAMS.length)
  size = 0

  find(id: number): H2Stream | undefined {
    const slots = this.#slots
    for (let at = homeOf(id, this.#shift); ; at = (at + 1) & this.#mask) {
      const stream = slots[at]!
      if (stream === null) return undefined
      if (stream.id === id) return stream
    }
  }

  /** Adds a stream whose identifier is not in the table. */
  add(stream: H2Stream): void {
    if (++this.size * 2 > this.#slots.length || this.#slots === NO_STREAMS) this.#grow()
    this.#put(stream)
  }

  /** Takes a stream out. Harmless when it is not there. */
  remove(stream: H2Stream): void {
    const slots = this.#slots
    const mask = this.#mask
    let at = homeOf(stream.id, this.#shift)
    while (slots[at] !== stream) {
      if (slots[at] === null) return
      at = (at + 1) & mask
    }
    this.size--
    // What lies behind moves up, unless that would put it before its home: no tombstones are left.
    let hole = at
    for (let next = (hole + 1) & mask; slots[next] !== null; next = (next + 1) & mask) {
      const home = homeOf(slots[next]!.id, this.#shift)
      if (((next - home) & mask) >= ((next - hole) & mask)) {
        slots[hole] = slots[next]!
        hole = next
      }
    }
    slots[hole] = null
  }

  /** The streams as of now, oldest first. */
  toArray(): H2Stream[] {
    const streams: H2Stream[] = []
    for (const stream of this.#slots) if (stream !== null) streams.push(stream)
    return streams.sort((a, b) => a.id - b.id)
  }

  #put(stream: H2Stream): void {
    let at = homeOf(stream.id, this.#shift)
    while (this.#slots[at] !== null) at = (at + 1) & this.#mask
    this.#slots[at] = stream
  }

  #grow(): void {
    const before = this.#slots
    this.#slots = emptySlots(Math.max(MIN_SLOTS, before.length * 2))
    this.#mask = this.#slots.length - 1
    this.#shift = 32 - Math.log2(this.#slots.length)
    for (const stream of before) if (stream !== null) this.#put(stream)
  }
}

/** Fibonacci hashing: identifiers come in a row, and neighbours must not make one long run of slots. */
function homeOf(id: number, shift: number): number {
  return Math.imul(id, 0x9e3779b1) >>> shift
}

function emptySlots(count: number): (H2Stream | null)[] {
  return Array.from({ length: count }, () => null)
}

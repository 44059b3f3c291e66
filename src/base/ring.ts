/**
 * A queue on an array that grows by doubling: push at the tail, shift at the head, no shifting of elements.
 * Floor 0; knows nothing of what it holds.
 */

/** Slots of a ring that never held anything: connections and streams have several. Never written. */
const NO_SLOTS: readonly null[] = []

/** A first-in first-out queue. Keeps its capacity; freed slots are set to null so that nothing is pinned. */
export class Ring<T extends object> {
  /** Capacity is 0 or a power of two. `0 <= head < slots.length` unless empty, `0 <= length <= slots.length`. */
  #slots = NO_SLOTS as (T | null)[]
  readonly #firstCapacity: number
  #head = 0
  length = 0

  /** @param capacity of the ring once it holds something: a power of two; default 8 */
  constructor(capacity = 8) {
    this.#firstCapacity = capacity
  }

  push(item: T): void {
    if (this.length === this.#slots.length) this.#grow()
    this.#slots[(this.#head + this.length) & (this.#slots.length - 1)] = item
    this.length++
  }

  /** Puts `item` before the first. */
  unshift(item: T): void {
    if (this.length === this.#slots.length) this.#grow()
    this.#head = (this.#head - 1) & (this.#slots.length - 1)
    this.#slots[this.#head] = item
    this.length++
  }

  /** The first, or null. */
  peek(): T | null {
    return this.length === 0 ? null : this.#slots[this.#head]!
  }

  /** The item at `index` from the head; `0 <= index < length`. */
  at(index: number): T {
    return this.#slots[(this.#head + index) & (this.#slots.length - 1)]!
  }

  /** Replaces the item at `index` from the head; `0 <= index < length`. */
  replaceAt(index: number, item: T): void {
    this.#slots[(this.#head + index) & (this.#slots.length - 1)] = item
  }

  /** Takes the first, or null. */
  shift(): T | null {
    if (this.length === 0) return null
    const item = this.#slots[this.#head]!
    this.#slots[this.#head] = null
    this.#head = (this.#head + 1) & (this.#slots.length - 1)
    this.length--
    return item
  }

  clear(): void {
    while (this.length > 0) this.shift()
    this.#head = 0
  }

  #grow(): void {
    const capacity = Math.max(this.#firstCapacity, this.#slots.length * 2)
    const slots: (T | null)[] = Array.from({ length: capacity }, () => null)
    for (let i = 0; i < this.length; i++) slots[i] = this.at(i)
    this.#slots = slots
    this.#head = 0
  }
}

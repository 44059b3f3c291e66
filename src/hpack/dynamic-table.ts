/**
 * Keeps the fields of one direction of one connection in the order of their insertion, and evicts the oldest.
 * Floor 1; knows neither octets nor indices of the static table.
 * @see RFC 7541 §2.3.2, §4
 */
import type { HeaderField } from './field.ts'

/** SETTINGS_HEADER_TABLE_SIZE before any SETTINGS. @see RFC 9113 §6.5.2 */
export const INITIAL_TABLE_BYTES = 4096
/** Octets that an entry counts beyond its name and value. @see RFC 7541 §4.1 */
export const ENTRY_OVERHEAD_BYTES = 32

/** Slots of a table into which nothing was inserted: most connections are idle. Never written. */
const NO_SLOTS: (HeaderField | null)[] = []
/** Slots after the first insertion: a power of two. */
const MIN_SLOTS = 16

/** A dynamic table: a ring of fields, the newest first by index. */
export class DynamicTable {
  /** Capacity is 0 or a power of two. */
  #slots = NO_SLOTS
  /** `0 <= sizeBytes <= maxBytes`: the sum of the entries' sizes. */
  sizeBytes = 0
  maxBytes: number
  /** Entries in the table; `0 <= length <= insertedCount`. */
  length = 0
  /** Entries ever inserted. The newest entry's number is insertedCount - 1. */
  insertedCount = 0

  /** @param maxBytes bound of sizeBytes */
  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  /** The entry at `index`, 0 being the newest; `0 <= index < length`. */
  at(index: number): HeaderField {
    return this.#slots[(this.insertedCount - 1 - index) & (this.#slots.length - 1)]!
  }

  /** Inserts, after evicting as many as it takes. One that is larger than the table empties it and stays out (§4.4). */
  insert(field: HeaderField): void {
    this.#evictTo(this.maxBytes - field.sizeBytes)
    if (field.sizeBytes > this.maxBytes) return
    if (this.length === this.#slots.length) this.#grow()
    this.#slots[this.insertedCount & (this.#slots.length - 1)] = field
    this.insertedCount++
    this.length++
    this.sizeBytes += field.sizeBytes
  }

  /** Sets the bound, evicting as many as it takes (§4.3). */
  resize(maxBytes: number): void {
    this.maxBytes = maxBytes
    this.#evictTo(maxBytes)
  }

  #evictTo(maxBytes: number): void {
    while (this.length > 0 && this.sizeBytes > maxBytes) {
      const slot = (this.insertedCount - this.length) & (this.#slots.length - 1)
      this.sizeBytes -= this.#slots[slot]!.sizeBytes
      this.#slots[slot] = null
      this.length--
    }
  }

  #grow(): void {
    const slotCount = Math.max(MIN_SLOTS, this.#slots.length * 2)
    const slots: (HeaderField | null)[] = Array.from({ length: slotCount }, () => null)
    for (let index = 0; index < this.length; index++) {
      slots[(this.insertedCount - 1 - index) & (slots.length - 1)] = this.at(index)
    }
    this.#slots = slots
  }
}

/**
 * Finds a field in the dynamic table by name and value, and tells whether one was seen lately.
 * Floor 1; knows no octets. Both use one cheap hash over a few characters and then compare the whole: what they answer
 * is exact, and a poor hash costs time only.
 */
import type { DynamicTable } from './dynamic-table.ts'
import type { HeaderField } from './field.ts'

const BUCKETS = 64
/** Fields noted, and how many of them a hash may choose from; powers of two. */
const SIGHTS = 64
const WAYS = 4
const NO_NUMBERS = new Int32Array(0)

/** A hash of the field's size, two characters of its name and four of its value: the last, where tokens differ, too. */
export function fieldHash(field: HeaderField): number {
  const value = field.value
  const length = value.length
  const name = field.name
  let hash = Math.imul(field.sizeBytes, 0x9e3779b1) ^ name.charCodeAt(name.length >> 1)
  hash = Math.imul(hash ^ name.charCodeAt(name.length - 1), 0x01000193)
  if (length > 0) {
    hash = Math.imul(hash ^ value.charCodeAt(length - 1), 0x01000193)
    hash = Math.imul(hash ^ value.charCodeAt((length * 3) >> 2), 0x01000193)
    hash = Math.imul(hash ^ value.charCodeAt(length >> 1), 0x01000193)
    hash = Math.imul(hash ^ value.charCodeAt(length >> 2), 0x01000193)
  }
  return (hash ^ (hash >>> 15)) >>> 0
}

function isEqual(a: HeaderField, b: HeaderField): boolean {
  return a.sizeBytes === b.sizeBytes && a.name === b.name && a.value === b.value
}

/**
 * Chains of entry numbers by hash, newest first. Nothing is done at an eviction: numbers fall with each step along a
 * chain, so the first that is below the table's oldest ends it.
 */
export class FieldIndex {
  readonly #table: DynamicTable
  readonly #maxEntryCount: number
  /** The newest number of each chain, or -1. Empty until the first entry: most idle connections never insert. */
  #heads: Int32Array = NO_NUMBERS
  /** The next number in its chain for each entry, by its number modulo the length, a power of two. */
  #nexts: Int32Array = NO_NUMBERS

  /** @param maxEntryCount entries that the table can ever hold at a time */
  constructor(table: DynamicTable, maxEntryCount: number) {
    this.#table = table
    this.#maxEntryCount = maxEntryCount
  }

  /** The number of the newest entry equal to `field`, or -1. */
  find(field: HeaderField, hash: number): number {
    const table = this.#table
    if (table.length === 0) return -1
    const newest = table.insertedCount - 1
    const oldest = table.insertedCount - table.length
    let entry = this.#heads[hash & (BUCKETS - 1)]!
    while (entry >= oldest) {
      if (isEqual(table.at(newest - entry), field)) return entry
      entry = this.#nexts[entry & (this.#nexts.length - 1)]!
    }
    return -1
  }

  /** Notes the entry that the table has just inserted. */
  add(hash: number): void {
    if (this.#heads.length === 0) this.#makeRoom()
    const entry = this.#table.insertedCount - 1
    const bucket = hash & (BUCKETS - 1)
    this.#nexts[entry & (this.#nexts.length - 1)] = this.#heads[bucket]!
    this.#heads[bucket] = entry
  }

  #makeRoom(): void {
    let capacity = 1
    while (capacity < this.#maxEntryCount) capacity *= 2
    this.#heads = new Int32Array(BUCKETS).fill(-1)
    this.#nexts = new Int32Array(capacity)
  }
}

/** Remembers the fields that were lately seen once: in sets of four by hash, the newest first. */
export class RecentSights {
  /** Empty until the first field is noted. */
  #fields: (HeaderField | null)[] = []

  /** Whether an equal field was noted lately; notes it if not. */
  sawBefore(field: HeaderField, hash: number): boolean {
    if (this.#fields.length === 0) this.#fields = Array.from({ length: SIGHTS }, () => null)
    const fields = this.#fields
    const first = (hash >>> 8) & (SIGHTS - WAYS)
    for (let i = first; i < first + WAYS; i++) {
      const seen = fields[i]!
      if (seen !== null && isEqual(seen, field)) return true
    }
    for (let i = first + WAYS - 1; i > first; i--) fields[i] = fields[i - 1]!
    fields[first] = field
    return false
  }
}

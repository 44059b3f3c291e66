/**
 * Finds a field in the dynamic table by name and value, and tells whether one was seen lately.
 * Floor 1; knows no octets. Both use one cheap hash over a few characters and then compare the whole: what they answer
 * is exact, and a poor hash costs time only.
 */
import type { DynamicTable } from './dynamic-table.ts'
import type { HeaderField } from './field.ts'

const BUCKETS = 64
const SIGHTS = 64

/** A hash of the field's size and of some characters of its value, mainly from the end, where tokens differ. */
export function fieldHash(field: HeaderField): number {
  const value = field.value
  const length = value.length
  let hash = Math.imul(field.sizeBytes, 0x9e3779b1) ^ field.name.charCodeAt(field.name.length >> 1)
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
  readonly #heads = new Int32Array(BUCKETS).fill(-1)
  /** The next number in its chain for each entry, by its number modulo the length, a power of two. */
  readonly #nexts: Int32Array

  /** @param maxEntryCount entries that the table can ever hold at a time */
  constructor(table: DynamicTable, maxEntryCount: number) {
    let capacity = 1
    while (capacity < maxEntryCount) capacity *= 2
    this.#table = table
    this.#nexts = new Int32Array(capacity)
  }

  /** The number of the newest entry equal to `field`, or -1. */
  find(field: HeaderField, hash: number): number {
    const table = this.#table
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
    const entry = this.#table.insertedCount - 1
    const bucket = hash & (BUCKETS - 1)
    this.#nexts[entry & (this.#nexts.length - 1)] = this.#heads[bucket]!
    this.#heads[bucket] = entry
  }
}

/** Remembers some fields that were seen once: two for each slot, the newer first. */
export class RecentSights {
  readonly #fields: (HeaderField | null)[] = Array.from({ length: SIGHTS }, () => null)

  /** Whether an equal field was noted lately; notes it if not. */
  sawBefore(field: HeaderField, hash: number): boolean {
    const slot = (hash >>> 8) & (SIGHTS - 2)
    const newer = this.#fields[slot]!
    if (newer !== null && isEqual(newer, field)) return true
    const older = this.#fields[slot + 1]!
    if (older !== null && isEqual(older, field)) return true
    this.#fields[slot + 1] = newer
    this.#fields[slot] = field
    return false
  }
}

/**
 * Turns a header list that was encoded before into the octets that it gave before.
 * Floor 1; knows no representation. It is exact: octets are kept for one list object and one state of the dynamic
 * table, and only if encoding them changed nothing.
 */
import type { HeaderList } from './field.ts'
import { KeptOctets } from './octets.ts'

/** Lists remembered a connection: one or two shapes of call for each ingress connection that it serves. */
const MAX_LISTS = 64
/** Octets of one encoding that is kept, and of all. */
const MAX_ENCODED_BYTES = 2048
const MAX_KEPT_BYTES = 65_536
/** Lists that were encoded lately and are worth remembering if they come again; a power of two. */
const CANDIDATES = 16

class Entry {
  version: number
  readonly kept: KeptOctets

  constructor(version: number, target: Buffer, start: number, end: number) {
    this.version = version
    this.kept = new KeptOctets(target, start, end)
  }
}

/** Encodings of recent lists of one connection. */
export class ListMemo {
  /** Null until a list came twice. */
  #entries: Map<HeaderList, Entry> | null = null
  readonly #candidates: HeaderList[] = []
  #candidateCount = 0
  #keptBytes = 0

  /** The octets that `list` gave under `version` of the table, or null. */
  find(list: HeaderList, version: number): Buffer | null {
    const entry = this.#entries?.get(list)
    return entry !== undefined && entry.version === version ? entry.kept.octets : null
  }

  /**
   * Remembers what `list` gave, from the second time on: a list that comes once is never copied.
   * @param target borrowed; copied from `start` to `end`
   */
  store(list: HeaderList, version: number, target: Buffer, start: number, end: number): void {
    if (end - start > MAX_ENCODED_BYTES) return
    const entry = this.#entries?.get(list)
    if (entry !== undefined) {
      this.#keptBytes -= entry.kept.roomBytes
      entry.version = version
      entry.kept.replace(target, start, end)
      this.#keptBytes += entry.kept.roomBytes
    } else if (this.#cameBefore(list)) {
      const added = new Entry(version, target, start, end)
      this.#entries ??= new Map<HeaderList, Entry>()
      this.#entries.set(list, added)
      this.#keptBytes += added.kept.roomBytes
    }
    const entries = this.#entries
    if (entries === null) return
    while (entries.size > MAX_LISTS || this.#keptBytes > MAX_KEPT_BYTES) this.#forgetOldest(entries)
  }

  #cameBefore(list: HeaderList): boolean {
    const candidates = this.#candidates
    for (let i = 0; i < candidates.length; i++) if (candidates[i] === list) return true
    candidates[this.#candidateCount++ & (CANDIDATES - 1)] = list
    return false
  }

  #forgetOldest(entries: Map<HeaderList, Entry>): void {
    for (const [list, entry] of entries) {
      entries.delete(list)
      this.#keptBytes -= entry.kept.roomBytes
      return
    }
  }
}

/**
 * Turns a header block that came before into the list that it gave before.
 * Floor 1; knows no representation. It is exact: an answer needs the same octets, the same kind of block and the same
 * state of the dynamic table, and a block that changed the table is never stored, since it gives something else the
 * second time or at least has to change the table again.
 */
import type { HeaderList } from './field.ts'
import { KeptOctets, MAX_LOOP_BYTES } from './octets.ts'

/** Blocks remembered a connection: a client has one or two shapes of call for each method it uses. */
const MAX_BLOCKS = 8
/** Octets of a block that is remembered; room for a never-indexed token. With MAX_BLOCKS: 16 KiB a connection. */
const MAX_BLOCK_BYTES = 2048

class Entry {
  kind: number
  version: number
  list: HeaderList
  readonly kept: KeptOctets

  constructor(block: Buffer, kind: number, version: number, list: HeaderList) {
    this.kind = kind
    this.version = version
    this.list = list
    this.kept = new KeptOctets(block, 0, block.length)
  }
}

/** Recent blocks of one connection, the most recent first. */
export class BlockMemo {
  readonly #entries: Entry[] = []

  /**
   * The list that `block` gave when it was stored, or null.
   * @param block borrowed for the call
   * @param version of the dynamic table now
   */
  find(block: Buffer, kind: number, version: number): HeaderList | null {
    const entries = this.#entries
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!
      if (entry.version !== version || entry.kind !== kind) continue
      if (!isSame(block, entry.kept.octets)) continue
      if (i > 0) this.#toFront(entry, i)
      return entry.list
    }
    return null
  }

  /** Remembers what `block` gave, in place of the least recent if there are many. @param block borrowed; copied */
  store(block: Buffer, kind: number, version: number, list: HeaderList): void {
    if (block.length > MAX_BLOCK_BYTES) return
    const entries = this.#entries
    if (entries.length < MAX_BLOCKS) {
      entries.push(new Entry(block, kind, version, list))
    } else {
      const entry = entries[MAX_BLOCKS - 1]!
      entry.kind = kind
      entry.version = version
      entry.list = list
      entry.kept.replace(block, 0, block.length)
    }
    this.#toFront(entries[entries.length - 1]!, entries.length - 1)
  }

  #toFront(entry: Entry, from: number): void {
    const entries = this.#entries
    for (let i = from; i > 0; i--) entries[i] = entries[i - 1]!
    entries[0] = entry
  }
}

function isSame(block: Buffer, octets: Buffer): boolean {
  const length = octets.length
  if (block.length !== length) return false
  if (length > MAX_LOOP_BYTES) return block.equals(octets)
  for (let i = length - 1; i >= 0; i--) if (block[i] !== octets[i]) return false
  return true
}

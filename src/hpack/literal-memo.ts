/**
 * Turns a literal that came before under the same name into the field that it gave before, without decoding it.
 * Floor 1; knows no table. Real clients repeat long literals: node:http2 never indexes `authorization`, about 1.1 KiB
 * in every call, and others insert a field anew whenever it was evicted. It is exact: the answer needs the same name,
 * octets, coding and kind of literal.
 */
import type { HeaderField } from './field.ts'
import { holdsAt, KeptOctets } from './octets.ts'

/** Names remembered a connection; for each, its last value. */
const MAX_NAMES = 64
/** Octets of a name or a value that is remembered: above what limits let an `authorization` have. */
const MAX_NAME_BYTES = 256
const MAX_VALUE_BYTES = 16_384
/** Memory for octets a connection. */
const MAX_KEPT_BYTES = 65_536

class Slot {
  field: HeaderField
  isHuffman: boolean
  readonly kept: KeptOctets

  constructor(field: HeaderField, isHuffman: boolean, block: Buffer, start: number, end: number) {
    this.field = field
    this.isHuffman = isHuffman
    this.kept = new KeptOctets(block, start, end)
  }
}

/** The last literal under each name of one connection. */
export class LiteralMemo {
  /** Null before the first literal: an idle connection has none. */
  #slots: Map<string, Slot> | null = null
  #keptBytes = 0
  /** The slot of the name that find() was last asked for; store() always follows it, for the same name. */
  #found: Slot | undefined = undefined

  /** The field that the value from `start` to `end` gave when it was stored, or null. @param block borrowed */
  find(
    name: string,
    indexing: number,
    isHuffman: boolean,
    block: Buffer,
    start: number,
    end: number,
  ): HeaderField | null {
    const slot = this.#slots?.get(name)
    this.#found = slot
    if (slot === undefined || slot.isHuffman !== isHuffman || slot.field.indexing !== indexing) return null
    const octets = slot.kept.octets
    return octets.length === end - start && holdsAt(block, start, octets) ? slot.field : null
  }

  /** Remembers what the value that find() just missed gave. @param block borrowed; copied */
  store(field: HeaderField, isHuffman: boolean, block: Buffer, start: number, end: number): void {
    if (end - start > MAX_VALUE_BYTES || field.name.length > MAX_NAME_BYTES) return
    const slot = this.#found
    if (slot === undefined) {
      const slots = (this.#slots ??= new Map<string, Slot>())
      if (slots.size === MAX_NAMES) this.#forgetAll()
      const added = new Slot(field, isHuffman, block, start, end)
      slots.set(field.name, added)
      this.#keptBytes += added.kept.roomBytes
    } else {
      slot.field = field
      slot.isHuffman = isHuffman
      this.#keptBytes -= slot.kept.roomBytes
      slot.kept.replace(block, start, end)
      this.#keptBytes += slot.kept.roomBytes
    }
    // More than a connection may hold: a fresh start costs less than an order of eviction, and no honest peer gets here.
    if (this.#keptBytes > MAX_KEPT_BYTES) this.#forgetAll()
  }

  #forgetAll(): void {
    this.#slots?.clear()
    this.#keptBytes = 0
  }
}

/**
 * Turns lists of fields into header blocks; inserts what comes a second time (docs/adr/0004-header-compression.md).
 * Floor 1; knows no rule of HTTP and no frame: the caller cuts a block into frames.
 * @see RFC 7541 §4.2, §6, §7.1
 */
import { DynamicTable, ENTRY_OVERHEAD_BYTES, INITIAL_TABLE_BYTES } from './dynamic-table.ts'
import { FieldIndex, fieldHash, RecentSights } from './field-index.ts'
import { INDEXED_FIELD, NEVER_INDEXED_FIELD, type HeaderField, type HeaderList } from './field.ts'
import { encodeHuffman, huffmanBytes } from './huffman.ts'
import { writeInteger } from './integer.ts'
import { ListMemo } from './list-memo.ts'
import { copyTo } from './octets.ts'
import { STATIC_TABLE_ID, STATIC_TABLE_LENGTH, staticFieldIndex, staticNameIndex } from './static-table.ts'

/** The first octet of each representation, its index aside. @see RFC 7541 §6 */
const INDEXED = 0x80
const INCREMENTAL = 0x40
const SIZE_UPDATE = 0x20
const NEVER_INDEXED = 0x10
const WITHOUT_INDEXING = 0x00

/** Two size updates of at most 6 octets each. */
const MAX_SIZE_UPDATES_BYTES = 12
const NO_SIZE_UPDATE = -1
/** Insertions that evict: this many at once, and then one in that many blocks, so that no set of fields thrashes. */
const MAX_EVICTIONS = 8
const BLOCKS_PER_EVICTION = 64

/** Strings up to this length are written by a loop: a native write costs some 40 ns however short it is. */
const MAX_LOOP_LENGTH = 16

/** The bounds of an encoder. */
export interface HpackEncoderOptions {
  /** Octets of the dynamic table, whatever more the peer offers. Default 4096. */
  readonly maxTableBytes: number
}

/** The defaults of HpackEncoderOptions. */
export const HPACK_ENCODER_DEFAULTS: HpackEncoderOptions = { maxTableBytes: INITIAL_TABLE_BYTES }

/** Ids for HeaderField.tableId, from 1, one an encoder: an id keeps no closed connection alive, as a reference would. */
let encoderCount = 0

/** The sending end of one connection's header compression. */
export class HpackEncoder {
  readonly #id = ++encoderCount
  readonly #capBytes: number
  readonly #table: DynamicTable
  readonly #index: FieldIndex
  readonly #sights = new RecentSights()
  readonly #memo = new ListMemo()
  /** The lowest bound since the last block, to be told to the peer before the one in force; or NO_SIZE_UPDATE. */
  #lowestBytes = NO_SIZE_UPDATE
  #wantedBytes = INITIAL_TABLE_BYTES
  /** Whether the block being written would be written otherwise next time: a field was noted or put off. */
  #isUnsettled = false
  #evictionsLeft = MAX_EVICTIONS
  #blocksToEviction = BLOCKS_PER_EVICTION
  #version = 0

  /** The peer is taken to offer 4096 octets, the initial value, until setPeerMaxTableBytes says otherwise. */
  constructor(options: HpackEncoderOptions = HPACK_ENCODER_DEFAULTS) {
    this.#capBytes = options.maxTableBytes
    this.#table = new DynamicTable(INITIAL_TABLE_BYTES)
    const maxEntryBytes = Math.max(options.maxTableBytes, INITIAL_TABLE_BYTES)
    this.#index = new FieldIndex(this.#table, maxEntryBytes / ENTRY_OVERHEAD_BYTES)
    this.#setBound(Math.min(options.maxTableBytes, INITIAL_TABLE_BYTES))
  }

  /** Grows with each change of the dynamic table or of its bound. */
  get version(): number {
    return this.#version
  }

  /** Octets in the dynamic table, as RFC 7541 §4.1 counts them. */
  get tableBytes(): number {
    return this.#table.sizeBytes
  }

  /** Applies the peer's SETTINGS_HEADER_TABLE_SIZE, in octets; the next block then says the new size. */
  setPeerMaxTableBytes(maxBytes: number): void {
    this.#setBound(Math.min(maxBytes, this.#capBytes))
  }

  /** Octets that encode() writes at most. */
  maxEncodedBytes(list: HeaderList, extra: HeaderField | null): number {
    // A literal takes 1 octet and two lengths of at most 6 beside its name and value: less than the 32 counted.
    return MAX_SIZE_UPDATES_BYTES + list.sizeBytes + (extra === null ? 0 : extra.sizeBytes)
  }

  /**
   * Encodes `list`, and then `extra`, a field that varies from call to call and stays out of the table.
   * @param target takes maxEncodedBytes() from `offset`
   * @returns the offset after the block
   */
  encode(list: HeaderList, extra: HeaderField | null, target: Buffer, offset: number): number {
    let at = this.#lowestBytes === NO_SIZE_UPDATE ? offset : this.#writeSizeUpdates(target, offset)
    const known = this.#memo.find(list, this.#version)
    at = known === null ? this.#encodeList(list, target, at) : copyTo(target, at, known)
    if (extra === null) return at
    return writePlain(
      target,
      at,
      extra.indexing === NEVER_INDEXED_FIELD ? NEVER_INDEXED : WITHOUT_INDEXING,
      extra,
    )
  }

  #encodeList(list: HeaderList, target: Buffer, offset: number): number {
    const fields = list.fields
    const version = this.#version
    this.#isUnsettled = false
    if (--this.#blocksToEviction === 0) {
      this.#blocksToEviction = BLOCKS_PER_EVICTION
      if (this.#evictionsLeft < MAX_EVICTIONS) this.#evictionsLeft++
    }
    let at = offset
    for (let i = 0; i < fields.length; i++) {
      const field = fields[i]!
      if (field.indexing !== INDEXED_FIELD) {
        const pattern = field.indexing === NEVER_INDEXED_FIELD ? NEVER_INDEXED : WITHOUT_INDEXING
        at = writePlain(target, at, pattern, field)
      } else if (field.tableId === STATIC_TABLE_ID) {
        target[at++] = INDEXED | field.tableIndex
      } else if (field.tableId === this.#id && this.#isInTable(field.tableIndex)) {
        at = this.#writeIndexed(target, at, field.tableIndex)
      } else {
        at = this.#encodeUnplaced(field, target, at)
      }
    }
    if (!this.#isUnsettled && version === this.#version) this.#memo.store(list, version, target, offset, at)
    return at
  }

  /** Encodes a field of which it is not yet known where it stands. */
  #encodeUnplaced(field: HeaderField, target: Buffer, at: number): number {
    const staticIndex = staticFieldIndex(field.name, field.value)
    if (staticIndex !== 0) {
      field.tableId = STATIC_TABLE_ID
      field.tableIndex = staticIndex
      target[at] = INDEXED | staticIndex
      return at + 1
    }
    const hash = fieldHash(field)
    const entry = this.#index.find(field, hash)
    if (entry >= 0) {
      this.#place(field, entry)
      return this.#writeIndexed(target, at, entry)
    }
    if (!this.#mayInsert(field, hash)) return writePlain(target, at, WITHOUT_INDEXING, field)
    at = writeCompressed(target, at, field)
    this.#table.insert(field)
    this.#index.add(hash)
    this.#place(field, this.#table.insertedCount - 1)
    this.#version++
    return at
  }

  #mayInsert(field: HeaderField, hash: number): boolean {
    const table = this.#table
    // An entry above half the table would evict most of what every call needs; one above all of it everything (§4.4).
    if (field.sizeBytes * 2 > table.maxBytes) return false
    if (!this.#sights.sawBefore(field, hash)) {
      this.#isUnsettled = true
      return false
    }
    if (table.sizeBytes + field.sizeBytes <= table.maxBytes) return true
    if (this.#evictionsLeft === 0) {
      this.#isUnsettled = true
      return false
    }
    this.#evictionsLeft--
    return true
  }

  #isInTable(entry: number): boolean {
    return entry >= this.#table.insertedCount - this.#table.length
  }

  #place(field: HeaderField, entry: number): void {
    field.tableId = this.#id
    field.tableIndex = entry
  }

  #writeIndexed(target: Buffer, at: number, entry: number): number {
    const index = STATIC_TABLE_LENGTH + this.#table.insertedCount - entry
    if (index < 0x7f) {
      target[at] = INDEXED | index
      return at + 1
    }
    return writeInteger(target, at, INDEXED, 0x7f, index)
  }

  #setBound(maxBytes: number): void {
    if (maxBytes === this.#wantedBytes) return
    const lowest = this.#lowestBytes === NO_SIZE_UPDATE ? maxBytes : this.#lowestBytes
    this.#lowestBytes = Math.min(lowest, maxBytes)
    this.#wantedBytes = maxBytes
    this.#version++
  }

  /** Says the lowest bound since the last block, which evicts, and then the bound in force (RFC 7541 §4.2). */
  #writeSizeUpdates(target: Buffer, offset: number): number {
    const lowest = this.#lowestBytes
    let at = offset
    if (lowest < this.#wantedBytes && lowest < this.#table.maxBytes) {
      at = writeInteger(target, at, SIZE_UPDATE, 0x1f, lowest)
      this.#table.resize(lowest)
    }
    at = writeInteger(target, at, SIZE_UPDATE, 0x1f, this.#wantedBytes)
    this.#table.resize(this.#wantedBytes)
    this.#lowestBytes = NO_SIZE_UPDATE
    this.#version++
    return at
  }
}

/** A literal that leaves the table alone, its strings plain: a copy costs us and the peer least, call after call. */
function writePlain(target: Buffer, at: number, pattern: number, field: HeaderField): number {
  const nameIndex = staticNameIndex(field.name)
  at = writeInteger(target, at, pattern, 0x0f, nameIndex)
  if (nameIndex === 0) at = writePlainString(target, at, field.name)
  return writePlainString(target, at, field.value)
}

function writePlainString(target: Buffer, at: number, text: string): number {
  const length = text.length
  at = writeInteger(target, at, 0, 0x7f, length)
  if (length > MAX_LOOP_LENGTH) return at + target.write(text, at, length, 'latin1')
  for (let i = 0; i < length; i++) target[at + i] = text.charCodeAt(i)
  return at + length
}

/** A literal that is inserted: it is sent once, so its strings take the shorter coding. */
function writeCompressed(target: Buffer, at: number, field: HeaderField): number {
  const nameIndex = staticNameIndex(field.name)
  at = writeInteger(target, at, INCREMENTAL, 0x3f, nameIndex)
  if (nameIndex === 0) at = writeShorter(target, at, field.name)
  return writeShorter(target, at, field.value)
}

function writeShorter(target: Buffer, at: number, text: string): number {
  const length = huffmanBytes(text)
  if (length > text.length) return writePlainString(target, at, text)
  return encodeHuffman(text, target, writeInteger(target, at, 0x80, 0x7f, length))
}

/**
 * Turns header blocks into lists of fields, with the same object for what came before.
 * Floor 1; knows no rule of HTTP and no frame: a block is whole when it comes here.
 * @see RFC 7541 §3, §4.2, §6
 */
import type { FaultToken } from '../base/index.ts'
import { BlockMemo } from './block-memo.ts'
import { DynamicTable, INITIAL_TABLE_BYTES } from './dynamic-table.ts'
import { HeaderField, HeaderList, INDEXED_FIELD, NEVER_INDEXED_FIELD, UNINDEXED_FIELD } from './field.ts'
import { INTEGER_OVERFLOW, INTEGER_TRUNCATED, readInteger, type Cursor } from './integer.ts'
import { LiteralMemo } from './literal-memo.ts'
import { STATIC_FIELDS, STATIC_TABLE_LENGTH } from './static-table.ts'
import { decodeName, decodeString } from './strings.ts'

/** No size update is due. */
const NOT_DUE = -1
/** A peer that changed the size twice between two blocks says the lowest, then the last. @see RFC 7541 §4.2 */
const MAX_SIZE_UPDATES = 2

/**
 * A list may be so large whatever its block, besides twice the table, and so many times its block: what is above repeats
 * entries by references of one octet (the HTTP/2 bomb), and would leave for the next hop a thousand times as large.
 */
const FREE_LIST_BYTES = 8192
const MAX_EXPANSION = 4

/** The bounds of a decoder. */
export interface HpackDecoderOptions {
  /** SETTINGS_HEADER_TABLE_SIZE in force when the decoder is made, in octets. Default 4096, the initial value. */
  readonly maxTableBytes: number
  /** Octets of a list, 32 a field included; what is above is dropped. Default 64 KiB: limits.max_header_list_size. */
  readonly maxListBytes: number
  /** Fields of a list; what is above is dropped. Default 128. */
  readonly maxFieldCount: number
  /** Octets of name and value of one field; a longer one and what follows it are dropped. Default 32 KiB. */
  readonly maxFieldBytes: number
}

/** The defaults of HpackDecoderOptions. */
export const HPACK_DECODER_DEFAULTS: HpackDecoderOptions = {
  maxTableBytes: INITIAL_TABLE_BYTES,
  maxListBytes: 65_536,
  maxFieldCount: 128,
  maxFieldBytes: 32_768,
}

/** The receiving end of one connection's header compression. */
export class HpackDecoder {
  readonly #options: HpackDecoderOptions
  readonly #table: DynamicTable
  readonly #blocks = new BlockMemo()
  readonly #literals = new LiteralMemo()
  readonly #cursor: Cursor = { at: 0 }
  /** What a size update may not exceed. */
  #limitBytes: number
  /** What the first size update of the next block may not exceed, or NOT_DUE. */
  #dueBytes = NOT_DUE
  #version = 0
  #fault: FaultToken | null = null

  /** The dynamic table begins with min(maxTableBytes, 4096) octets: more takes a size update from the peer. */
  constructor(options: HpackDecoderOptions = HPACK_DECODER_DEFAULTS) {
    this.#options = options
    this.#limitBytes = options.maxTableBytes
    this.#table = new DynamicTable(Math.min(options.maxTableBytes, INITIAL_TABLE_BYTES))
  }

  /** Why the last decode() gave null; null if it did not. A connection error: the decoder is of no further use. */
  get fault(): FaultToken | null {
    return this.#fault
  }

  /** Grows with each change of the dynamic table or of its bound. */
  get version(): number {
    return this.#version
  }

  /** Octets in the dynamic table, as RFC 7541 §4.1 counts them. */
  get tableBytes(): number {
    return this.#table.sizeBytes
  }

  /**
   * Applies a SETTINGS_HEADER_TABLE_SIZE of ours that the peer has acknowledged. If the table is larger, the next block
   * must open with a size update, else hpack_table_size_missing (RFC 7541 §4.2).
   * @param maxBytes octets
   */
  setMaxTableBytes(maxBytes: number): void {
    this.#limitBytes = maxBytes
    if (maxBytes < this.#table.maxBytes) {
      this.#dueBytes = this.#dueBytes === NOT_DUE ? maxBytes : Math.min(this.#dueBytes, maxBytes)
    }
    this.#version++
  }

  /**
   * Decodes a whole header block. Fields over the limits are dropped, yet change the dynamic table as they must.
   * @param block borrowed for the call
   * @param kind 0 a request's head, 1 a response's, 2 trailers; equal octets of another kind give another list
   * @returns a list, the same object as before if nothing changed; null on a fault, which `fault` then names
   */
  decode(block: Buffer, kind: number): HeaderList | null {
    this.#fault = null
    const version = this.#version
    if (this.#dueBytes === NOT_DUE) {
      const known = this.#blocks.find(block, kind, version)
      if (known !== null) return known
    }
    const list = this.#decodeBlock(block)
    if (list !== null && this.#version === version) this.#blocks.store(block, kind, version, list)
    return list
  }

  #decodeBlock(block: Buffer): HeaderList | null {
    const cursor = this.#cursor
    const { maxFieldCount, maxFieldBytes } = this.#options
    const plainBytes = FREE_LIST_BYTES + 2 * this.#limitBytes + MAX_EXPANSION * block.length
    const maxListBytes = Math.min(this.#options.maxListBytes, plainBytes)
    cursor.at = 0
    const mayOpenWithUpdate = this.#dueBytes !== NOT_DUE || (block.length > 0 && (block[0]! & 0xe0) === 0x20)
    if (mayOpenWithUpdate && !this.#readSizeUpdates(block)) return null
    const fields: HeaderField[] = []
    let sizeBytes = 0
    let isTruncated = false
    while (cursor.at < block.length) {
      const octet = block[cursor.at]!
      let field: HeaderField | null
      if (octet < 0x80) field = this.#readLiteral(block, octet)
      else if (octet === 0xff) field = this.#readFarIndex(block)
      else {
        cursor.at++
        field = this.#fieldAt(octet & 0x7f)
      }
      if (field === null) return null
      sizeBytes += field.sizeBytes
      if (isTruncated) continue
      if (
        sizeBytes > maxListBytes ||
        fields.length === maxFieldCount ||
        field.name.length + field.value.length > maxFieldBytes
      )
        isTruncated = true
      else fields.push(field)
    }
    return new HeaderList(fields, sizeBytes, isTruncated)
  }

  /** Reads the size updates that open a block; false on a fault. */
  #readSizeUpdates(block: Buffer): boolean {
    const cursor = this.#cursor
    for (let count = 0; cursor.at < block.length && (block[cursor.at]! & 0xe0) === 0x20; count++) {
      if (count === MAX_SIZE_UPDATES) {
        this.#reject('hpack_table_size_misplaced')
        return false
      }
      const maxBytes = readInteger(block, block.length, 0x1f, cursor)
      if (maxBytes < 0) {
        this.#rejectInteger(maxBytes)
        return false
      }
      if (maxBytes > this.#limitBytes) {
        this.#reject('hpack_table_size_too_large')
        return false
      }
      // The lowest of several bounds comes first, since it is the one that evicts (RFC 7541 §4.2).
      if (this.#dueBytes !== NOT_DUE && maxBytes > this.#dueBytes) break
      this.#dueBytes = NOT_DUE
      this.#table.resize(maxBytes)
      this.#version++
    }
    if (this.#dueBytes !== NOT_DUE) this.#reject('hpack_table_size_missing')
    return this.#fault === null
  }

  /** Reads an index of more than one octet. @see RFC 7541 §6.1 */
  #readFarIndex(block: Buffer): HeaderField | null {
    const index = readInteger(block, block.length, 0x7f, this.#cursor)
    return index < 0 ? this.#rejectInteger(index) : this.#fieldAt(index)
  }

  #fieldAt(index: number): HeaderField | null {
    if (index > STATIC_TABLE_LENGTH) {
      const dynamicIndex = index - STATIC_TABLE_LENGTH - 1
      if (dynamicIndex < this.#table.length) return this.#table.at(dynamicIndex)
    } else if (index !== 0) {
      return STATIC_FIELDS[index]!
    }
    return this.#reject('hpack_bad_index')
  }

  /** @see RFC 7541 §6.2, and §6.3 for what may not stand here */
  #readLiteral(block: Buffer, octet: number): HeaderField | null {
    if (octet >= 0x40) {
      const field = this.#readField(block, 0x3f, INDEXED_FIELD)
      if (field === null) return null
      this.#table.insert(field)
      this.#version++
      return field
    }
    if (octet >= 0x20) return this.#reject('hpack_table_size_misplaced')
    return this.#readField(block, 0x0f, octet >= 0x10 ? NEVER_INDEXED_FIELD : UNINDEXED_FIELD)
  }

  #readField(block: Buffer, prefixMask: number, indexing: number): HeaderField | null {
    const name = this.#readName(block, prefixMask)
    if (name === null) return null
    const isHuffman = (block[this.#cursor.at] ?? 0) >= 0x80
    const length = this.#readLength(block)
    if (length < 0) return null
    const start = this.#cursor.at
    const end = start + length
    this.#cursor.at = end
    const known = this.#literals.find(name, indexing, isHuffman, block, start, end)
    if (known !== null) return known
    const value = decodeString(block, start, end, isHuffman)
    if (value === null) return this.#reject('hpack_bad_huffman')
    const field = new HeaderField(name, value, indexing)
    this.#literals.store(field, isHuffman, block, start, end)
    return field
  }

  #readName(block: Buffer, prefixMask: number): string | null {
    const index = readInteger(block, block.length, prefixMask, this.#cursor)
    if (index < 0) return this.#rejectInteger(index)
    if (index !== 0) return this.#fieldAt(index)?.name ?? null
    const isHuffman = (block[this.#cursor.at] ?? 0) >= 0x80
    const length = this.#readLength(block)
    if (length < 0) return null
    const start = this.#cursor.at
    this.#cursor.at = start + length
    return decodeName(block, start, start + length, isHuffman) ?? this.#reject('hpack_bad_huffman')
  }

  /** Reads the length of a string of which all octets are there, or gives a negative number on a fault. */
  #readLength(block: Buffer): number {
    const length = readInteger(block, block.length, 0x7f, this.#cursor)
    if (length < 0) this.#rejectInteger(length)
    else if (length > block.length - this.#cursor.at) {
      this.#reject('hpack_truncated')
      return INTEGER_TRUNCATED
    }
    return length
  }

  #rejectInteger(result: number): null {
    return this.#reject(result === INTEGER_OVERFLOW ? 'hpack_integer_overflow' : 'hpack_truncated')
  }

  #reject(fault: FaultToken): null {
    this.#fault = fault
    return null
  }
}

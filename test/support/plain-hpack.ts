/**
 * A header compressor without any memo, straight from RFC 7541: the twin that the memos are measured and checked against.
 * It shares no code with src/hpack but the two tables of the RFC.
 */
import { CODE_BITS, CODES } from '../../src/hpack/huffman-table.ts'
import { STATIC_FIELDS } from '../../src/hpack/static-table.ts'

/** A name, a value, and whether it is never indexed. */
export type PlainField = [name: string, value: string, isNeverIndexed: boolean]

const STATIC: PlainField[] = STATIC_FIELDS.slice(1).map(({ name, value }) => [name, value, false])
type Node = (Node | number)[]
const TREE: Node = []
for (const [symbol, code] of CODES.entries()) {
  let node = TREE
  for (let bit = CODE_BITS[symbol]! - 1; bit > 0; bit--) node = (node[(code >>> bit) & 1] ??= []) as Node
  node[code & 1] = symbol
}

class PlainTable {
  readonly entries: PlainField[] = []
  maxBytes = 4096
  #sizeBytes = 0

  field(index: number): PlainField {
    const field = index <= STATIC.length ? STATIC[index - 1] : this.entries[index - 1 - STATIC.length]
    if (field === undefined) throw new Error('bad index')
    return field
  }

  insert(field: PlainField): void {
    this.entries.unshift(field)
    this.#sizeBytes += sizeOf(field)
    this.shrink()
  }

  shrink(): void {
    while (this.#sizeBytes > this.maxBytes) this.#sizeBytes -= sizeOf(this.entries.pop()!)
  }
}

const sizeOf = ([name, value]: PlainField): number => name.length + value.length + 32

/** Decodes blocks of one connection; throws on a fault. */
export class PlainDecoder {
  readonly #table = new PlainTable()
  #block: Buffer = Buffer.alloc(0)
  #at = 0

  decode(block: Buffer): PlainField[] {
    this.#block = block
    this.#at = 0
    const fields: PlainField[] = []
    while (this.#at < block.length) {
      const octet = block[this.#at]!
      if (octet & 0x80) fields.push(this.#table.field(this.#integer(7)))
      else if (octet & 0x40) {
        const field = this.#literal(6, false)
        this.#table.insert(field)
        fields.push(field)
      } else if (octet & 0x20) {
        this.#table.maxBytes = this.#integer(5)
        this.#table.shrink()
      } else fields.push(this.#literal(4, (octet & 0x10) !== 0))
    }
    return fields
  }

  #literal(prefix: number, isNeverIndexed: boolean): PlainField {
    const index = this.#integer(prefix)
    const name = index === 0 ? this.#string() : this.#table.field(index)[0]
    return [name, this.#string(), isNeverIndexed]
  }

  #integer(prefix: number): number {
    const full = 2 ** prefix - 1
    let value = this.#block[this.#at++]! & full
    if (value < full) return value
    for (let scale = 1; ; scale *= 128) {
      const octet = this.#block[this.#at++]!
      value += (octet & 0x7f) * scale
      if (octet < 0x80) return value
    }
  }

  #string(): string {
    const isHuffman = this.#block[this.#at]! >= 0x80
    const length = this.#integer(7)
    const octets = this.#block.subarray(this.#at, (this.#at += length))
    return isHuffman ? unpack(octets) : octets.toString('latin1')
  }
}

/** Encodes blocks of one connection: everything new is inserted, and Huffman-coded where that is shorter. */
export class PlainEncoder {
  readonly #table = new PlainTable()

  encode(fields: PlainField[]): Buffer {
    return Buffer.concat(fields.map((field) => this.#field(field)))
  }

  #field([name, value, isNeverIndexed]: PlainField): Buffer {
    if (isNeverIndexed) return this.#literal(0x10, 4, name, value)
    const index = this.#find((entry) => entry[0] === name && entry[1] === value)
    if (index > 0) return integerOf(0x80, 7, index)
    const octets = this.#literal(0x40, 6, name, value)
    this.#table.insert([name, value, false])
    return octets
  }

  #literal(first: number, prefix: number, name: string, value: string): Buffer {
    const index = this.#find((entry) => entry[0] === name)
    const head = integerOf(first, prefix, index)
    return Buffer.concat(index === 0 ? [head, stringOf(name), stringOf(value)] : [head, stringOf(value)])
  }

  #find(isMatch: (entry: PlainField) => boolean): number {
    const index = STATIC.findIndex(isMatch)
    if (index >= 0) return index + 1
    const dynamicIndex = this.#table.entries.findIndex(isMatch)
    return dynamicIndex < 0 ? 0 : STATIC.length + 1 + dynamicIndex
  }
}

function integerOf(first: number, prefix: number, value: number): Buffer {
  const full = 2 ** prefix - 1
  if (value < full) return Buffer.of(first | value)
  const octets = [first | full]
  let rest = value - full
  for (; rest >= 128; rest = Math.floor(rest / 128)) octets.push((rest % 128) | 128)
  return Buffer.of(...octets, rest)
}

function stringOf(text: string): Buffer {
  const packed = pack(text)
  if (packed.length < text.length) return Buffer.concat([integerOf(0x80, 7, packed.length), packed])
  return Buffer.concat([integerOf(0, 7, text.length), Buffer.from(text, 'latin1')])
}

function pack(text: string): Buffer {
  const octets: number[] = []
  let pending = 0
  let bits = 0
  for (const symbol of Buffer.from(text, 'latin1')) {
    for (let bit = CODE_BITS[symbol]! - 1; bit >= 0; bit--) {
      pending = (pending << 1) | ((CODES[symbol]! >>> bit) & 1)
      if (++bits % 8 === 0) octets.push(pending & 0xff)
    }
  }
  if (bits % 8 > 0) octets.push(((pending << (8 - (bits % 8))) | (0xff >>> (bits % 8))) & 0xff)
  return Buffer.from(octets)
}

function unpack(octets: Buffer): string {
  const symbols: number[] = []
  let node = TREE
  for (const octet of octets) {
    for (let bit = 7; bit >= 0; bit--) {
      const child = node[(octet >>> bit) & 1]!
      if (typeof child === 'number') symbols.push(child)
      node = typeof child === 'number' ? TREE : child
    }
  }
  return Buffer.from(symbols).toString('latin1')
}

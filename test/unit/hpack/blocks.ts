/** Writes header blocks for tests: by hand, octet by octet, so that a test says exactly what a peer sends. */
import { HeaderField, HeaderList, type HpackDecoder, type HpackEncoder } from '../../../src/hpack/index.ts'

/** Octets from hex; white space is for the reader. */
export const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex')

/** A plain string literal of fewer than 127 octets. */
export const text = (value: string): Buffer =>
  Buffer.concat([Buffer.of(value.length), Buffer.from(value, 'latin1')])

/** A literal with a new name: `first` is 0x40 (inserted), 0x00 (not indexed) or 0x10 (never indexed). */
export const literal = (first: number, name: string, value: string): Buffer =>
  Buffer.concat([Buffer.of(first), text(name), text(value)])

/** Fields as pairs, for comparison. */
export const pairs = (list: HeaderList | null): [string, string][] | null =>
  list === null ? null : list.fields.map((field) => [field.name, field.value])

/** A list from pairs. */
export const listOf = (...fields: [name: string, value: string, indexing?: number][]): HeaderList =>
  new HeaderList(fields.map(([name, value, indexing]) => new HeaderField(name, value, indexing)))

/** What `encoder` writes for `list`, checked against the bound that it promises. */
export function encoded(encoder: HpackEncoder, list: HeaderList, extra: HeaderField | null = null): Buffer {
  const bound = encoder.maxEncodedBytes(list, extra)
  const target = Buffer.alloc(bound + 7, 0xee)
  const end = encoder.encode(list, extra, target, 5)
  if (end - 5 > bound) throw new Error(`encode() wrote ${end - 5} octets, maxEncodedBytes() said ${bound}`)
  if (target.subarray(0, 5).some((octet) => octet !== 0xee))
    throw new Error('encode() wrote before its offset')
  return Buffer.from(target.subarray(5, end))
}

/** Decodes, or throws with the fault's token. */
export function decoded(decoder: HpackDecoder, block: Buffer, kind = 0): HeaderList {
  const list = decoder.decode(block, kind)
  if (list === null) throw new Error(decoder.fault ?? 'null without a fault')
  return list
}

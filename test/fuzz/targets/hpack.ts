/**
 * The HPACK decoder, and the encoder behind it. An input is blocks of one connection, each after its length. What is
 * accepted is what a plain decoder reads, with and without memories; what is encoded again is read again.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import { FAULTS } from '../../../src/base/index.ts'
import { HPACK_DECODER_DEFAULTS, HpackDecoder, HpackEncoder } from '../../../src/hpack/index.ts'
import type { HeaderList } from '../../../src/hpack/index.ts'
import { NEVER_INDEXED_FIELD } from '../../../src/hpack/index.ts'
import { PlainDecoder, type PlainField } from '../../support/plain-hpack.ts'
import { Cursor } from './cursor.ts'

/** A length that stands for another bound of the table. */
const RESIZE = 0xfe

const plainOf = (list: HeaderList): PlainField[] =>
  list.fields.map(({ name, value, indexing }) => [name, value, indexing === NEVER_INDEXED_FIELD])

/** What leaves for the next hop is what came, octet for octet. */
function checkOnward(list: HeaderList, encoder: HpackEncoder, next: HpackDecoder): void {
  const target = Buffer.alloc(encoder.maxEncodedBytes(list, null))
  const got = next.decode(target.subarray(0, encoder.encode(list, null, target, 0)), 0)
  equal(next.fault, null)
  ok(got !== null && !got.isTruncated)
  deepEqual(plainOf(got), plainOf(list))
  equal(next.tableBytes, encoder.tableBytes)
}

/** One input. */
export function fuzz(input: Buffer): void {
  const cursor = new Cursor(input)
  const decoder = new HpackDecoder()
  const plain = new PlainDecoder()
  const encoder = new HpackEncoder({ maxTableBytes: 4096 })
  // The next hop is to take what a whole table may make of a block, truncation left to this one.
  const next = new HpackDecoder({ ...HPACK_DECODER_DEFAULTS, maxFieldCount: 4096 })
  while (!cursor.isAtEnd) {
    const length = cursor.length()
    if (length === RESIZE) {
      const bytes = cursor.octet() * 16
      encoder.setPeerMaxTableBytes(bytes)
      next.setMaxTableBytes(bytes)
      continue
    }
    const block = cursor.take(length)
    const list = decoder.decode(block, 0)
    if (list === null) {
      ok(decoder.fault !== null && decoder.fault in FAULTS, String(decoder.fault))
      return
    }
    ok(list.sizeBytes >= 0 && decoder.tableBytes <= 4096)
    const fields = plain.decode(block)
    deepEqual(plainOf(list), list.isTruncated ? fields.slice(0, list.fields.length) : fields)
    checkOnward(list, encoder, next)
  }
}

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  HeaderField,
  HeaderList,
  HPACK_DECODER_DEFAULTS,
  HpackDecoder,
  HpackEncoder,
  NEVER_INDEXED_FIELD,
  UNINDEXED_FIELD,
} from '../../src/hpack/index.ts'
import { PlainDecoder, PlainEncoder, type PlainField } from '../support/plain-hpack.ts'

const NAMES = [':path', ':status', 'authorization', 'content-type', 'grpc-timeout', 'x-tenant', 'x-bin', 'a']
const name = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...NAMES) },
  fc.stringMatching(/^[a-z-]{1,40}$/),
)
const value = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom('', '/', '200', '5S', 'trailers', 'application/grpc', 'y'.repeat(1500)),
  },
  fc.uint8Array({ maxLength: 60 }).map((octets) => Buffer.from(octets).toString('latin1')),
)
const field = fc.tuple(name, value, fc.constantFrom(0, 0, 0, 1, 2))
const list = fc.array(field, { maxLength: 12 })
const asList = (fields: [string, string, number][]): HeaderList =>
  new HeaderList(fields.map(([name, value, indexing]) => new HeaderField(name, value, indexing)))
const asPlain = (list: HeaderList | null): PlainField[] | null =>
  list === null
    ? null
    : list.fields.map(({ name, value, indexing }) => [name, value, indexing === NEVER_INDEXED_FIELD])

/** What happens on a connection: a list is sent, the first or a former one again, or the table's bound changes. */
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ list }) },
  { weight: 5, arbitrary: fc.record({ again: fc.nat({ max: 5 }) }) },
  { weight: 1, arbitrary: fc.record({ bytes: fc.constantFrom(0, 60, 100, 256, 1000, 4096, 8192, 65_536) }) },
)

describe('header compression', () => {
  test('what is encoded is decoded, by ours and by a plain decoder, through any changes of the table size', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) => {
        const encoder = new HpackEncoder({ maxTableBytes: 8192 })
        const decoder = new HpackDecoder({ ...HPACK_DECODER_DEFAULTS })
        const plain = new PlainDecoder()
        const sent: HeaderList[] = []
        for (const step of steps) {
          if ('bytes' in step) {
            encoder.setPeerMaxTableBytes(step.bytes)
            decoder.setMaxTableBytes(step.bytes)
            continue
          }
          const next =
            'list' in step ? asList(step.list) : (sent[step.again % (sent.length || 1)] ?? asList([]))
          sent.unshift(next)
          const target = Buffer.alloc(encoder.maxEncodedBytes(next, null))
          const block = target.subarray(0, encoder.encode(next, null, target, 0))
          const got = decoder.decode(block, 0)
          expect(decoder.fault).toBeNull()
          expect(asPlain(got)).toEqual(asPlain(next))
          next.fields.forEach(({ indexing }, i) => {
            if (indexing === UNINDEXED_FIELD) expect(got!.fields[i]!.indexing).toBe(UNINDEXED_FIELD)
          })
          expect(plain.decode(block)).toEqual(asPlain(next))
          expect(decoder.tableBytes).toBe(encoder.tableBytes)
        }
      }),
      { numRuns: 300, interruptAfterTimeLimit: 30_000, markInterruptAsFailure: true },
    )
  })

  test('blocks of an encoder that inserts at once are decoded as a plain decoder does', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(list, fc.nat({ max: 2 })), { maxLength: 15 }), (calls) => {
        const encoder = new PlainEncoder()
        const decoder = new HpackDecoder()
        for (const [fields, kind] of calls) {
          const plain = fields.map(([name, value, indexing]): PlainField => [
            name,
            value,
            indexing === NEVER_INDEXED_FIELD,
          ])
          for (let again = 0; again < 2; again++) {
            expect(asPlain(decoder.decode(encoder.encode(plain), kind))).toEqual(plain)
          }
        }
      }),
      { numRuns: 100, interruptAfterTimeLimit: 25_000, markInterruptAsFailure: true },
    )
  })

  test('any octets are a list or a fault, and the same to a decoder with and one without memories', () => {
    const octets = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.array(fc.constantFrom(0x82, 0x20, 0x40, 0xbe, 0x01, 0x61, 0x81, 0x1f, 0x00), { maxLength: 12 }),
    )
    fc.assert(
      fc.property(fc.array(octets, { maxLength: 12 }), (blocks) => {
        const decoder = new HpackDecoder()
        const accepted: Buffer[] = []
        for (const octets of blocks) {
          const block = Buffer.from(octets)
          const first = decoder.decode(block, 0)
          if (first === null) {
            expect(decoder.fault).toMatch(/^hpack_/)
            return
          }
          accepted.push(block)
          const plain = new PlainDecoder()
          const replayed = accepted.map((block) => plain.decode(block))
          expect(asPlain(first)).toEqual(replayed.at(-1))
        }
      }),
      { numRuns: 500, interruptAfterTimeLimit: 25_000, markInterruptAsFailure: true },
    )
  })
})

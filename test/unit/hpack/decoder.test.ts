import { describe, expect, test } from 'vitest'
import {
  HPACK_DECODER_DEFAULTS,
  HpackDecoder,
  INDEXED_FIELD,
  NEVER_INDEXED_FIELD,
  UNINDEXED_FIELD,
} from '../../../src/hpack/index.ts'
import { STATIC_FIELDS } from '../../../src/hpack/static-table.ts'
import { decoded, hex, literal, pairs } from './blocks.ts'

const REQUEST = 0
const RESPONSE = 1
const TRAILERS = 2
/** :method POST, :scheme http, and the newest dynamic entry. */
const INDEXED_CALL = hex('83 86 be')

function decoderWithEntry(): HpackDecoder {
  const decoder = new HpackDecoder()
  decoded(decoder, literal(0x40, 'x-tenant', 'blue'))
  return decoder
}

describe('the memo of header blocks', () => {
  test('equal octets give the same list', () => {
    const decoder = decoderWithEntry()
    const first = decoded(decoder, Buffer.from(INDEXED_CALL))
    expect(decoded(decoder, Buffer.from(INDEXED_CALL))).toBe(first)
    expect(pairs(first)).toEqual([
      [':method', 'POST'],
      [':scheme', 'http'],
      ['x-tenant', 'blue'],
    ])
  })

  test('a block that inserts is decoded each time, and inserts each time', () => {
    const decoder = new HpackDecoder()
    const block = literal(0x40, 'x-tenant', 'blue')
    const first = decoded(decoder, block)
    const second = decoded(decoder, block)
    expect(second).not.toBe(first)
    expect(pairs(second)).toEqual(pairs(first))
    expect(decoder.tableBytes).toBe(2 * 44)
  })

  test('a block that resizes the table is decoded each time', () => {
    const decoder = decoderWithEntry()
    const block = hex('3fe11f 83')
    const version = decoder.version
    const first = decoded(decoder, block)
    expect(decoded(decoder, block)).not.toBe(first)
    expect(decoder.version).toBe(version + 2)
  })

  test('equal octets as head and as trailers are two lists', () => {
    const decoder = decoderWithEntry()
    const head = decoded(decoder, INDEXED_CALL, REQUEST)
    const response = decoded(decoder, INDEXED_CALL, RESPONSE)
    const trailers = decoded(decoder, INDEXED_CALL, TRAILERS)
    expect(new Set([head, response, trailers]).size).toBe(3)
    expect(decoded(decoder, INDEXED_CALL, REQUEST)).toBe(head)
    expect(decoded(decoder, INDEXED_CALL, RESPONSE)).toBe(response)
    expect(decoded(decoder, INDEXED_CALL, TRAILERS)).toBe(trailers)
  })

  test('an insertion between two equal blocks changes what the index means', () => {
    const decoder = decoderWithEntry()
    const before = decoded(decoder, INDEXED_CALL)
    decoded(decoder, literal(0x40, 'x-tenant', 'green'))
    const after = decoded(decoder, INDEXED_CALL)
    expect(before.first('x-tenant')).toBe('blue')
    expect(after.first('x-tenant')).toBe('green')
  })

  test('a size change between two equal blocks makes the index point to nothing', () => {
    const decoder = decoderWithEntry()
    decoded(decoder, INDEXED_CALL)
    decoded(decoder, hex('20'))
    expect(decoder.decode(INDEXED_CALL, REQUEST)).toBeNull()
    expect(decoder.fault).toBe('hpack_bad_index')
  })

  test('a lowered bound of ours is enforced although the block came before', () => {
    const decoder = decoderWithEntry()
    decoded(decoder, INDEXED_CALL)
    decoder.setMaxTableBytes(100)
    expect(decoder.decode(INDEXED_CALL, REQUEST)).toBeNull()
    expect(decoder.fault).toBe('hpack_table_size_missing')
  })

  test('what the caller does to the octets afterwards changes nothing', () => {
    const decoder = decoderWithEntry()
    const octets = Buffer.from(INDEXED_CALL)
    const list = decoded(decoder, octets)
    octets.fill(0x82)
    expect(decoded(decoder, INDEXED_CALL)).toBe(list)
    expect(pairs(decoded(decoder, octets))).toEqual(Array.from({ length: 3 }, () => [':method', 'GET']))
  })

  test('one octet of difference is another block, wherever it stands, in short and in long blocks', () => {
    for (const length of [3, 24, 25, 100]) {
      const decoder = new HpackDecoder()
      const block = Buffer.alloc(length, 0x82)
      const list = decoded(decoder, block)
      for (const at of [0, length >> 1, length - 1]) {
        const other = Buffer.from(block)
        other[at] = 0x83
        expect(decoded(decoder, other)).not.toBe(list)
        expect(decoded(decoder, other).fields[at]!.value).toBe('POST')
      }
      expect(decoded(decoder, block)).toBe(list)
    }
  })

  test('eight shapes are remembered, and the least recent one is forgotten for a ninth', () => {
    const decoder = new HpackDecoder()
    const shapes = Array.from({ length: 9 }, (_, i) => Buffer.alloc(i + 1, 0x82))
    const lists = shapes.slice(0, 8).map((shape) => decoded(decoder, shape))
    shapes.slice(0, 8).forEach((shape, i) => expect(decoded(decoder, shape)).toBe(lists[i]))
    decoded(decoder, shapes[8]!)
    expect(decoded(decoder, shapes[7]!)).toBe(lists[7])
    expect(decoded(decoder, shapes[0]!)).not.toBe(lists[0])
  })

  test('a block above 2 KiB is not kept', () => {
    const decoder = new HpackDecoder()
    const block = literal(0x00, 'x', 'y')
    const long = Buffer.concat([...Array.from({ length: 400 }, () => block), Buffer.alloc(1000, 0x82)])
    const list = decoded(decoder, long)
    expect(decoded(decoder, long)).not.toBe(list)
  })
})

describe('fields shared by identity', () => {
  test('a static entry is the same object on every connection', () => {
    expect(decoded(new HpackDecoder(), hex('83')).fields[0]).toBe(STATIC_FIELDS[3])
    expect(decoded(new HpackDecoder(), hex('83 84')).fields[0]).toBe(STATIC_FIELDS[3])
  })

  test('an index gives the object that the literal gave', () => {
    const decoder = new HpackDecoder()
    const field = decoded(decoder, literal(0x40, 'x-tenant', 'blue')).fields[0]
    expect(decoded(decoder, INDEXED_CALL).fields[2]).toBe(field)
    expect(decoded(decoder, Buffer.concat([INDEXED_CALL, hex('82')])).fields[2]).toBe(field)
  })

  test('a field inserted anew after its eviction is the same object', () => {
    const decoder = new HpackDecoder()
    const block = literal(0x40, 'x-tenant', 'blue')
    const field = decoded(decoder, block).fields[0]
    decoded(decoder, hex('20 3fe11f'))
    expect(decoder.tableBytes).toBe(0)
    expect(decoded(decoder, block).fields[0]).toBe(field)
  })

  test('a token that is never indexed is decoded once, whatever varies around it', () => {
    const decoder = new HpackDecoder()
    const token = `Bearer ${'x'.repeat(1100)}`
    const authorization = Buffer.concat([hex('1f08 7fd407'), Buffer.from(token)])
    const first = decoded(decoder, authorization)
    expect(pairs(first)).toEqual([['authorization', token]])
    const second = decoded(decoder, Buffer.concat([authorization, literal(0x40, 'grpc-timeout', '5S')]))
    expect(second.fields[0]).toBe(first.fields[0])
    authorization[authorization.length - 1] = 0x79
    const third = decoded(decoder, authorization)
    expect(third.fields[0]).not.toBe(first.fields[0])
    expect(third.fields[0]!.value).toBe(`${token.slice(0, -1)}y`)
  })

  test('the same octets as another kind of literal are another field', () => {
    const decoder = new HpackDecoder()
    const fields = [0x40, 0x00, 0x10].map((first) => decoded(decoder, literal(first, 'x-a', 'b')).fields[0]!)
    expect(fields.map((field) => field.indexing)).toEqual([
      INDEXED_FIELD,
      UNINDEXED_FIELD,
      NEVER_INDEXED_FIELD,
    ])
  })

  test('the same octets, once Huffman and once plain, are two values', () => {
    const decoder = new HpackDecoder()
    const huffman = decoded(decoder, hex('00 0178 81 1f'))
    const plain = decoded(decoder, hex('00 0178 01 1f'))
    expect(pairs(huffman)).toEqual([['x', 'a']])
    expect(pairs(plain)).toEqual([['x', '\x1f']])
  })

  test('the same octets under another name are another field', () => {
    const decoder = new HpackDecoder()
    decoded(decoder, literal(0x00, 'x-a', 'same'))
    expect(pairs(decoded(decoder, literal(0x00, 'x-b', 'same')))).toEqual([['x-b', 'same']])
  })

  test('more names and longer values than are remembered are still decoded right', () => {
    const decoder = new HpackDecoder()
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 300; i++) {
        const name = `x-${i}-${'n'.repeat(i % 40)}`
        expect(pairs(decoded(decoder, literal(0x10, name, `v${i}`)))).toEqual([[name, `v${i}`]])
      }
      for (const length of [16_384, 16_385, 30_000]) {
        for (const name of ['a', 'b', 'c', 'd', 'e']) {
          const size = Buffer.of(
            0x7f,
            ((length - 127) & 0x7f) | 0x80,
            (((length - 127) >> 7) & 0x7f) | 0x80,
            (length - 127) >> 14,
          )
          const block = Buffer.concat([hex('10 01'), Buffer.from(name), size, Buffer.alloc(length, 0x76)])
          expect(decoded(decoder, block).first(name)).toBe('v'.repeat(length))
        }
      }
    }
  })

  test('octets above 127 stay what they are: one character each', () => {
    const value = Buffer.from(Array.from({ length: 120 }, (_, i) => i + 136)).toString('latin1')
    expect(decoded(new HpackDecoder(), literal(0x00, 'x-bin', value)).first('x-bin')).toBe(value)
  })
})

describe('limits of a list', () => {
  const limited = (options: Partial<typeof HPACK_DECODER_DEFAULTS>): HpackDecoder =>
    new HpackDecoder({ ...HPACK_DECODER_DEFAULTS, ...options })

  test('a list at the limit is whole; one octet more drops the field and what follows', () => {
    const block = Buffer.concat([
      literal(0x00, 'aa', 'bb'),
      literal(0x00, 'cc', 'dd'),
      literal(0x00, 'e', ''),
    ])
    const whole = decoded(limited({ maxListBytes: 105 }), block)
    expect([whole.fields.length, whole.sizeBytes, whole.isTruncated]).toEqual([3, 105, false])
    const cut = decoded(limited({ maxListBytes: 71 }), block)
    expect([cut.fields.length, cut.sizeBytes, cut.isTruncated]).toEqual([1, 105, true])
  })

  test('the 129th field is dropped and counted', () => {
    const list = decoded(new HpackDecoder(), Buffer.alloc(129, 0x82))
    expect([list.fields.length, list.sizeBytes, list.isTruncated]).toEqual([128, 129 * 42, true])
    expect(decoded(new HpackDecoder(), Buffer.alloc(128, 0x82)).isTruncated).toBe(false)
  })

  test('a field above its limit and all after it are dropped', () => {
    const block = Buffer.concat([hex('82'), literal(0x00, 'abc', 'd'.repeat(98)), hex('83')])
    expect(pairs(decoded(limited({ maxFieldBytes: 100 }), block))).toEqual([[':method', 'GET']])
    expect(decoded(limited({ maxFieldBytes: 100 }), block).isTruncated).toBe(true)
    expect(decoded(limited({ maxFieldBytes: 101 }), block).isTruncated).toBe(false)
  })

  test('dropped fields change the table as the peer expects', () => {
    const decoder = limited({ maxFieldCount: 1 })
    const list = decoded(decoder, Buffer.concat([hex('82'), literal(0x40, 'x-tenant', 'blue')]))
    expect([list.fields.length, list.isTruncated]).toEqual([1, true])
    expect(pairs(decoded(decoder, hex('be')))).toEqual([['x-tenant', 'blue']])
  })

  test('an HPACK bomb (CVE-2016-6581) costs no more memory than the limit, and its size is told', () => {
    const decoder = new HpackDecoder()
    decoded(decoder, Buffer.concat([hex('40 0178 7fc11e'), Buffer.alloc(4032, 0x61)]))
    expect(decoder.tableBytes).toBe(4065)
    const list = decoded(decoder, Buffer.alloc(16_384, 0xbe))
    expect([list.fields.length, list.sizeBytes, list.isTruncated]).toEqual([16, 16_384 * 4065, true])
  })

  test('a list far larger than its block and the table can explain is cut: entries repeated by single octets', () => {
    const decoder = new HpackDecoder()
    decoded(decoder, Buffer.concat([hex('40 0178 7fc903'), Buffer.alloc(584, 0x61)]))
    expect(decoder.tableBytes).toBe(617)
    const free = decoded(decoder, Buffer.alloc(26, 0xbe))
    expect([free.sizeBytes, free.isTruncated]).toEqual([26 * 617, false])
    const cut = decoded(decoder, Buffer.alloc(100, 0xbe))
    expect([cut.fields.length, cut.sizeBytes, cut.isTruncated]).toEqual([27, 61_700, true])
    const literals = Buffer.concat(
      Array.from({ length: 100 }, (_, index) => literal(0, `x-${index}`, 'b'.repeat(100))),
    )
    expect(decoded(decoder, Buffer.concat([literals, Buffer.alloc(26, 0xbe)])).isTruncated).toBe(false)
  })

  test('an empty block is an empty list', () => {
    const list = decoded(new HpackDecoder(), Buffer.alloc(0))
    expect([list.fields.length, list.sizeBytes, list.isTruncated]).toEqual([0, 0, false])
  })
})

import { describe, expect, test } from 'vitest'
import {
  HeaderField,
  HeaderList,
  HpackDecoder,
  HPACK_DECODER_DEFAULTS,
  HpackEncoder,
  NEVER_INDEXED_FIELD,
  UNINDEXED_FIELD,
} from '../../../src/hpack/index.ts'
import { decoded, encoded, hex, listOf, literal, pairs } from './blocks.ts'

const CALL = listOf([':method', 'POST'], [':scheme', 'http'], ['x-tenant', 'blue'], ['te', 'trailers'])
const settled = (encoder: HpackEncoder, list: HeaderList): Buffer => {
  for (let i = 0; i < 3; i++) encoded(encoder, list)
  return encoded(encoder, list)
}

describe('insertion on second sight', () => {
  test('first a literal, then an insertion, then an index', () => {
    const encoder = new HpackEncoder()
    const list = listOf(['x-a', '1'])
    expect(encoded(encoder, list)).toEqual(literal(0x00, 'x-a', '1'))
    expect(encoder.version).toBe(0)
    expect(encoded(encoder, list).toString('hex')).toBe(`4083f2b0ff810f`)
    expect(encoder.version).toBe(1)
    expect(encoded(encoder, list)).toEqual(hex('be'))
    expect(encoded(encoder, list)).toEqual(hex('be'))
  })

  test('an equal field of another list is the same field', () => {
    const encoder = new HpackEncoder()
    encoded(encoder, listOf(['x-a', '1']))
    encoded(encoder, listOf(['x-b', '2'], ['x-a', '1']))
    expect(encoded(encoder, listOf(['x-a', '1']))).toEqual(hex('be'))
  })

  test('a field that differs in every call never enters the table', () => {
    const encoder = new HpackEncoder()
    for (let i = 0; i < 4; i++) {
      encoded(encoder, new HeaderList([...CALL.fields, new HeaderField('traceparent', `00-${i}`)]))
    }
    const { version, tableBytes } = encoder
    for (let i = 0; i < 500; i++) {
      encoded(encoder, new HeaderList([...CALL.fields, new HeaderField('traceparent', `00-${i}-01`)]))
    }
    expect([encoder.version, encoder.tableBytes]).toEqual([version, tableBytes])
  })

  test('a static entry takes one octet at once', () => {
    expect(encoded(new HpackEncoder(), listOf([':status', '200'], [':path', '/']))).toEqual(hex('88 84'))
  })

  test('an index beyond 126 takes two octets', () => {
    const encoder = new HpackEncoder()
    const list = new HeaderList(Array.from({ length: 100 }, (_, i) => new HeaderField(`n${i}`, 'v')))
    for (const field of list.fields) {
      for (let i = 0; i < 2; i++) encoded(encoder, new HeaderList([field]))
    }
    expect(encoded(encoder, new HeaderList([list.fields[0]!]))).toEqual(hex('ff22'))
    expect(encoded(encoder, new HeaderList([list.fields[99]!]))).toEqual(hex('be'))
  })

  test('an entry above half the table is never inserted, one of half is', () => {
    const encoder = new HpackEncoder()
    const long = listOf(['x', 'v'.repeat(2048 - 32)])
    const half = listOf(['x', 'v'.repeat(2048 - 33)])
    for (let i = 0; i < 4; i++) encoded(encoder, long)
    expect([encoder.version, encoder.tableBytes]).toEqual([0, 0])
    for (let i = 0; i < 2; i++) encoded(encoder, half)
    expect(encoder.tableBytes).toBe(2048)
    expect(encoded(encoder, half)).toEqual(hex('be'))
  })
})

describe('fields that must not be indexed', () => {
  test.each([
    ['never indexed', NEVER_INDEXED_FIELD, 0x10],
    ['without indexing', UNINDEXED_FIELD, 0x00],
  ])('%s stays so, however often it comes, even if it is in the static table', (_, indexing, first) => {
    const encoder = new HpackEncoder()
    const list = listOf(
      ['x-secret', 'abc', indexing],
      [':method', 'GET', indexing],
      ['authorization', 'x', indexing],
    )
    const block = Buffer.concat([
      literal(first, 'x-secret', 'abc'),
      Buffer.of(first | 2),
      hex('03474554'),
      Buffer.of(first | 0x0f),
      hex('08 0178'),
    ])
    for (let i = 0; i < 5; i++) expect(encoded(encoder, list)).toEqual(block)
    expect(encoder.tableBytes).toBe(0)
  })

  test('the never-indexed flag survives decoder and encoder, also where the table has an equal field', () => {
    const encoder = new HpackEncoder()
    settled(encoder, listOf(['x-secret', 'abc']))
    const block = literal(0x10, 'x-secret', 'abc')
    const list = decoded(new HpackDecoder(), block)
    expect(encoded(encoder, list)).toEqual(block)
  })

  test('the extra field is a literal at the end, kept out of the table and of the memo', () => {
    const encoder = new HpackEncoder()
    const stable = settled(encoder, CALL)
    const { version } = encoder
    for (const value of ['5S', '4999m', '4999m', '5S']) {
      expect(encoded(encoder, CALL, new HeaderField('grpc-timeout', value))).toEqual(
        Buffer.concat([stable, literal(0x00, 'grpc-timeout', value)]),
      )
    }
    const secret = new HeaderField('x', 'y', NEVER_INDEXED_FIELD)
    expect(encoded(encoder, CALL, secret)).toEqual(Buffer.concat([stable, literal(0x10, 'x', 'y')]))
    expect(encoded(encoder, CALL)).toEqual(stable)
    expect(encoder.version).toBe(version)
  })
})

describe('the memo of lists', () => {
  test('the same list gives the same octets, and those of another list between do not matter', () => {
    const encoder = new HpackEncoder()
    const stable = settled(encoder, CALL)
    encoded(encoder, listOf([':method', 'GET']))
    expect(encoded(encoder, CALL)).toEqual(stable)
  })

  test('an insertion between moves the indices', () => {
    const encoder = new HpackEncoder()
    const decoder = new HpackDecoder()
    const send = (list: HeaderList): [string, string][] | null =>
      pairs(decoder.decode(encoded(encoder, list), 0))
    for (let i = 0; i < 5; i++) expect(send(CALL)).toEqual(pairs(CALL))
    const before = encoded(encoder, CALL)
    for (let i = 0; i < 2; i++) send(listOf(['x-new', 'entry']))
    expect(send(CALL)).toEqual(pairs(CALL))
    expect(encoded(encoder, CALL)).not.toEqual(before)
  })

  test('a change of size between is said first, and then the list is whole again', () => {
    const encoder = new HpackEncoder()
    const decoder = new HpackDecoder()
    for (let i = 0; i < 5; i++) decoded(decoder, encoded(encoder, CALL))
    encoder.setPeerMaxTableBytes(0)
    decoder.setMaxTableBytes(0)
    const block = encoded(encoder, CALL)
    expect(block[0]).toBe(0x20)
    expect(pairs(decoded(decoder, block))).toEqual(pairs(CALL))
    for (let i = 0; i < 3; i++) expect(pairs(decoded(decoder, encoded(encoder, CALL)))).toEqual(pairs(CALL))
    expect([encoder.tableBytes, decoder.tableBytes]).toEqual([0, 0])
  })

  test('more lists than are remembered, short and long, are still encoded right', () => {
    const encoder = new HpackEncoder()
    const decoder = new HpackDecoder()
    const lists = Array.from({ length: 200 }, (_, i) =>
      listOf([':method', 'POST'], ['x-token', 'v'.repeat(i * 12) + i, NEVER_INDEXED_FIELD]),
    )
    for (let round = 0; round < 3; round++) {
      for (const list of lists) {
        for (let again = 0; again < 3; again++) {
          expect(pairs(decoded(decoder, encoded(encoder, list)))).toEqual(pairs(list))
        }
      }
    }
  })

  test('a field that two connections send in turn is looked up anew on each', () => {
    const encoders = [new HpackEncoder(), new HpackEncoder()]
    const decoders = [new HpackDecoder(), new HpackDecoder()]
    encoded(encoders[0]!, listOf(['x-other', 'first']))
    decoded(decoders[0]!, encoded(encoders[0]!, listOf(['x-other', 'first'])))
    for (let i = 0; i < 6; i++) {
      const list = new HeaderList(CALL.fields)
      for (const side of [0, 1]) {
        expect(pairs(decoded(decoders[side]!, encoded(encoders[side]!, list)))).toEqual(pairs(list))
      }
    }
  })
})

describe('a full table', () => {
  test('a set of fields that does not fit does not thrash: evictions come from a budget', () => {
    const encoder = new HpackEncoder()
    const decoder = new HpackDecoder()
    const tokens = Array.from({ length: 12 }, (_, i) => listOf(['authorization', `${'t'.repeat(1000)}${i}`]))
    let insertions = 0
    for (let round = 0; round < 100; round++) {
      for (const list of tokens) {
        const { version } = encoder
        expect(pairs(decoded(decoder, encoded(encoder, list)))).toEqual(pairs(list))
        if (encoder.version !== version) insertions++
      }
    }
    expect(insertions).toBeGreaterThan(3)
    expect(insertions).toBeLessThan(3 + 8 + 1200 / 64 + 1)
  })

  test('a token that is rotated is indexed again soon', () => {
    const encoder = new HpackEncoder()
    for (let rotation = 0; rotation < 8; rotation++) {
      const list = listOf([':method', 'POST'], ['authorization', `${'t'.repeat(1500)}${rotation}`])
      encoded(encoder, list)
      encoded(encoder, list)
      expect(encoded(encoder, list)).toEqual(hex('83 be'))
    }
  })
})

describe("the peer's SETTINGS_HEADER_TABLE_SIZE", () => {
  const EMPTY = listOf()

  test('nothing is said as long as it is the initial 4096', () => {
    const encoder = new HpackEncoder()
    encoder.setPeerMaxTableBytes(4096)
    expect(encoded(encoder, EMPTY)).toEqual(hex(''))
  })

  test('a lower one is said once, in the next block', () => {
    const encoder = new HpackEncoder()
    encoder.setPeerMaxTableBytes(256)
    expect(encoded(encoder, EMPTY)).toEqual(hex('3fe101'))
    expect(encoded(encoder, EMPTY)).toEqual(hex(''))
  })

  test('lowered and raised between two blocks: the lowest, then the last', () => {
    const encoder = new HpackEncoder()
    settled(encoder, CALL)
    encoder.setPeerMaxTableBytes(100)
    encoder.setPeerMaxTableBytes(0)
    encoder.setPeerMaxTableBytes(4096)
    expect(encoded(encoder, EMPTY)).toEqual(hex('20 3fe11f'))
    expect(encoder.tableBytes).toBe(0)
  })

  test('a larger one is used up to the cap', () => {
    const capped = new HpackEncoder()
    capped.setPeerMaxTableBytes(2 ** 32 - 1)
    expect(encoded(capped, EMPTY)).toEqual(hex(''))
    const larger = new HpackEncoder({ maxTableBytes: 16_384 })
    expect(encoded(larger, EMPTY)).toEqual(hex(''))
    larger.setPeerMaxTableBytes(8192)
    larger.setPeerMaxTableBytes(2 ** 32 - 1)
    expect(encoded(larger, EMPTY)).toEqual(hex('3fe17f'))
    const decoder = new HpackDecoder({ ...HPACK_DECODER_DEFAULTS, maxTableBytes: 16_384 })
    decoded(decoder, hex('3fe17f'))
    for (let i = 0; i < 1000; i++) {
      const list = listOf([`x-${i % 300}`, 'v'.repeat(i % 50)])
      expect(pairs(decoded(decoder, encoded(larger, list)))).toEqual(pairs(list))
    }
    for (let i = 0; i < 300; i++) {
      for (let again = 0; again < 2; again++) {
        const list = listOf([`y-${i}`, ''])
        expect(pairs(decoded(decoder, encoded(larger, list)))).toEqual(pairs(list))
      }
    }
    expect(larger.tableBytes).toBeGreaterThan(10_000)
  })

  test('a cap of ours below 4096 is said in the first block', () => {
    const encoder = new HpackEncoder({ maxTableBytes: 0 })
    expect(encoded(encoder, CALL)[0]).toBe(0x20)
    for (let i = 0; i < 3; i++) encoded(encoder, CALL)
    expect(encoder.tableBytes).toBe(0)
  })

  test('what stands in the table beyond a lower bound is literal again', () => {
    const encoder = new HpackEncoder()
    const decoder = new HpackDecoder()
    for (let i = 0; i < 4; i++) decoded(decoder, encoded(encoder, CALL))
    encoder.setPeerMaxTableBytes(60)
    expect(pairs(decoded(decoder, encoded(encoder, CALL)))).toEqual(pairs(CALL))
    expect(encoder.tableBytes).toBe(decoder.tableBytes)
  })
})

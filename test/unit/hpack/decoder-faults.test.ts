import { describe, expect, test } from 'vitest'
import type { FaultToken } from '../../../src/base/index.ts'
import { FAULTS } from '../../../src/base/index.ts'
import { HPACK_DECODER_DEFAULTS, HpackDecoder } from '../../../src/hpack/index.ts'
import { decoded, hex, literal, pairs } from './blocks.ts'

const faultOf = (decoder: HpackDecoder, octets: string): FaultToken | null => {
  const list = decoder.decode(hex(octets), 0)
  expect(list === null).toBe(decoder.fault !== null)
  return decoder.fault
}

describe('what a decoder rejects', () => {
  test.each<[string, string, FaultToken]>([
    ['index 0', '80', 'hpack_bad_index'],
    ['an index one beyond an empty dynamic table', 'be', 'hpack_bad_index'],
    ['a large index', 'ffffff03', 'hpack_bad_index'],
    ['a literal whose name index points to nothing', '7e 0161', 'hpack_bad_index'],
    ['a literal without indexing whose name index points to nothing', '0f7f 0161', 'hpack_bad_index'],
    ['an index that goes on for ever', 'ff8080808080808001', 'hpack_integer_overflow'],
    ['a name length that is too large', '00 7fffffffff7f', 'hpack_integer_overflow'],
    ['a value length that is too large', '00 0161 ffffffffffff01', 'hpack_integer_overflow'],
    ['a size update that is too large to read', '3fffffffffff01', 'hpack_integer_overflow'],
    ['an index cut off', '82 ff', 'hpack_truncated'],
    ['a literal without anything', '40', 'hpack_truncated'],
    ['a name cut off', '40 0561', 'hpack_truncated'],
    ['a literal without a value', '40 0161', 'hpack_truncated'],
    ['a value cut off', '40 0161 0362', 'hpack_truncated'],
    ['a Huffman value cut off', '40 0161 831f', 'hpack_truncated'],
    ['a length cut off', '40 0161 7f', 'hpack_truncated'],
    ['a size update cut off', '3f', 'hpack_truncated'],
    ['EOS in a value', '00 0161 84ffffffff', 'hpack_bad_huffman'],
    ['EOS in a name', '00 84ffffffff 0161', 'hpack_bad_huffman'],
    ['8 bits of padding', '00 0161 82 1fff', 'hpack_bad_huffman'],
    ['padding of zeros', '00 0161 81 18', 'hpack_bad_huffman'],
    ['padding of zeros in a name', '00 81 18 0161', 'hpack_bad_huffman'],
    ['a size update above our SETTINGS', '3fe21f', 'hpack_table_size_too_large'],
    ['a size update after a field', '82 20', 'hpack_table_size_misplaced'],
    ['three size updates', '20 21 22 82', 'hpack_table_size_misplaced'],
  ])('%s', (_, octets, token) => {
    expect(faultOf(new HpackDecoder(), octets)).toBe(token)
    expect(FAULTS[token]).toMatchObject({ code: 'COMPRESSION_ERROR', radius: 'connection' })
  })

  test('no prefix of a block makes it throw: it is decoded or rejected', () => {
    const block = Buffer.concat([
      hex('20 3fe11f 83 86 84 5f 0a'),
      Buffer.from('text/plain'),
      literal(0x40, 'x-a', 'b'.repeat(100)),
      hex('be 00 84 25a849e9 81 1f'),
    ])
    const tokens = new Set<FaultToken | null>()
    for (let length = 0; length < block.length; length++) {
      tokens.add(faultOf(new HpackDecoder(), block.subarray(0, length).toString('hex')))
    }
    expect([...tokens].filter((token) => token !== null && token !== 'hpack_bad_huffman')).toEqual([
      'hpack_truncated',
    ])
  })

  test('the fault is gone once a block is decoded again', () => {
    const decoder = new HpackDecoder()
    expect(faultOf(decoder, '80')).toBe('hpack_bad_index')
    expect(faultOf(decoder, '82')).toBeNull()
  })

  test('an index is good as long as its entry is in the table', () => {
    const decoder = new HpackDecoder({ ...HPACK_DECODER_DEFAULTS, maxTableBytes: 80 })
    decoded(decoder, literal(0x40, 'a', '1'))
    decoded(decoder, literal(0x40, 'b', '2'))
    expect(pairs(decoded(decoder, hex('be bf')))).toEqual([
      ['b', '2'],
      ['a', '1'],
    ])
    decoded(decoder, literal(0x40, 'c', '3'))
    expect(faultOf(decoder, 'c0')).toBe('hpack_bad_index')
  })
})

describe('a SETTINGS_HEADER_TABLE_SIZE of ours that was acknowledged (RFC 7541 §4.2)', () => {
  test('once lowered, the next block must open with a size update', () => {
    const decoder = new HpackDecoder()
    decoder.setMaxTableBytes(1024)
    expect(faultOf(decoder, '82')).toBe('hpack_table_size_missing')
  })

  test('an empty block does not fulfil it', () => {
    const decoder = new HpackDecoder()
    decoder.setMaxTableBytes(1024)
    expect(faultOf(decoder, '')).toBe('hpack_table_size_missing')
  })

  test('the size update fulfils it, and evicts', () => {
    const decoder = new HpackDecoder()
    decoded(decoder, literal(0x40, 'x-tenant', 'blue'))
    decoder.setMaxTableBytes(0)
    expect(faultOf(decoder, '20 82')).toBeNull()
    expect(decoder.tableBytes).toBe(0)
    expect(faultOf(decoder, '82')).toBeNull()
  })

  test('lowered to 0 and raised again, the block must say 0 first', () => {
    const lowered = (): HpackDecoder => {
      const decoder = new HpackDecoder()
      decoder.setMaxTableBytes(0)
      decoder.setMaxTableBytes(4096)
      return decoder
    }
    expect(faultOf(lowered(), '3fe11f 82')).toBe('hpack_table_size_missing')
    expect(faultOf(lowered(), '82')).toBe('hpack_table_size_missing')
    expect(faultOf(lowered(), '20 3fe11f 82')).toBeNull()
    expect(faultOf(lowered(), '20 82')).toBeNull()
  })

  test('raised, it asks for nothing and permits more', () => {
    const decoder = new HpackDecoder()
    decoder.setMaxTableBytes(8192)
    expect(faultOf(decoder, '82')).toBeNull()
    expect(faultOf(decoder, '3fe13f 82')).toBeNull()
    expect(faultOf(decoder, '3fe23f')).toBe('hpack_table_size_too_large')
  })

  test('what we offer is not used until the peer says so: 8192 offered, 4096 used', () => {
    const decoder = new HpackDecoder({ ...HPACK_DECODER_DEFAULTS, maxTableBytes: 8192 })
    for (let i = 0; i < 100; i++) decoded(decoder, literal(0x40, 'x-w', 'v'.repeat(100)))
    expect(decoder.tableBytes).toBeLessThanOrEqual(4096)
    decoded(decoder, Buffer.concat([hex('3fe13f'), literal(0x40, 'x-z', 'v')]))
    for (let i = 0; i < 100; i++) decoded(decoder, literal(0x40, 'x-y', 'v'.repeat(100)))
    expect(decoder.tableBytes).toBeGreaterThan(4096)
    expect(decoder.tableBytes).toBeLessThanOrEqual(8192)
  })
})

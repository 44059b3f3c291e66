import { describe, expect, test } from 'vitest'
import { INTEGER_OVERFLOW, INTEGER_TRUNCATED, readInteger, writeInteger } from '../../../src/hpack/integer.ts'
import { hex } from './blocks.ts'

const read = (octets: string, mask: number): [number, number] => {
  const cursor = { at: 0 }
  const block = hex(octets)
  return [readInteger(block, block.length, mask, cursor), cursor.at]
}

describe('prefixed integers (RFC 7541 §5.1)', () => {
  test.each([
    ['C.1.1: 10 in 5 bits', '0a', 0x1f, 10],
    ['C.1.2: 1337 in 5 bits', '1f9a0a', 0x1f, 1337],
    ['C.1.3: 42 in 8 bits', '2a', 0xff, 42],
    ['the largest that fits the prefix', '1e', 0x1f, 30],
    ['the prefix full and nothing more', '1f00', 0x1f, 31],
    ['127 beyond the prefix', '1f7f', 0x1f, 158],
    ['128 beyond the prefix', '1f8001', 0x1f, 159],
    ['the largest of four continuation octets', '7fffffff7f', 0x7f, 2 ** 28 - 1 + 127],
  ])('%s is read and written', (_, octets, mask, value) => {
    expect(read(octets, mask)).toEqual([value, octets.length / 2])
    const target = Buffer.alloc(8, 0xee)
    expect(writeInteger(target, 1, 0, mask, value)).toBe(1 + octets.length / 2)
    expect(target.toString('hex')).toBe(`ee${octets}`.padEnd(16, 'ee'))
  })

  test('the bits above the prefix are neither read nor touched', () => {
    expect(read('ff9a0a', 0x1f)).toEqual([1337, 3])
    const target = Buffer.alloc(3)
    writeInteger(target, 0, 0xe0, 0x1f, 1337)
    expect(target.toString('hex')).toBe('ff9a0a')
  })

  test('2^31 - 1 is written in six octets', () => {
    const target = Buffer.alloc(8)
    expect(writeInteger(target, 0, 0, 0x1f, 2 ** 31 - 1)).toBe(6)
    expect(target.toString('hex', 0, 6)).toBe('1fe0ffffff07')
  })

  test('leading zeros are read as long as there are four continuation octets at most', () => {
    expect(read('1f80808000', 0x1f)).toEqual([31, 5])
    expect(read('1f8080808000', 0x1f)[0]).toBe(INTEGER_OVERFLOW)
  })

  test.each(['1fffffffff7f', '1fffffffffffffffffff01', '1f80808080'])('%s is too large', (octets) => {
    expect(read(octets, 0x1f)[0]).toBe(INTEGER_OVERFLOW)
  })

  test.each(['', '1f', '1f80', '1fff80'])('"%s" ends too early', (octets) => {
    expect(read(octets, 0x1f)[0]).toBe(INTEGER_TRUNCATED)
  })
})

import { describe, expect, test } from 'vitest'
import { CODE_BITS, CODES, EOS_SYMBOL } from '../../../src/hpack/huffman-table.ts'
import {
  decodeHuffman,
  encodeHuffman,
  HUFFMAN_FAULT,
  huffmanBytes,
  maxDecodedBytes,
} from '../../../src/hpack/huffman.ts'
import { hex } from './blocks.ts'

function decode(octets: Buffer): string | null {
  const target = Buffer.alloc(maxDecodedBytes(octets.length))
  const length = decodeHuffman(octets, 0, octets.length, target)
  return length === HUFFMAN_FAULT ? null : target.toString('latin1', 0, length)
}

function encode(text: string): Buffer {
  const target = Buffer.alloc(huffmanBytes(text) + 1, 0xee)
  const end = encodeHuffman(text, target, 0)
  expect(end).toBe(huffmanBytes(text))
  expect(target[end]).toBe(0xee)
  return target.subarray(0, end)
}

/** Octets from a string of bits. */
const bits = (text: string): Buffer =>
  Buffer.from(
    text
      .replaceAll(/\s/g, '')
      .match(/.{8}/g)!
      .map((octet) => Number.parseInt(octet, 2)),
  )

describe('the Huffman code of RFC 7541 Appendix B', () => {
  test('is complete: its codes leave no sequence of bits without a meaning', () => {
    expect(CODE_BITS.length).toBe(257)
    expect(CODE_BITS.reduce((sum, length) => sum + 2 ** (30 - length), 0)).toBe(2 ** 30)
  })

  test.each([
    ['0', 0x0, 5],
    ['t', 0x9, 5],
    [' ', 0x14, 6],
    ['u', 0x2d, 6],
    [':', 0x5c, 7],
    ['z', 0x7b, 7],
    ['&', 0xf8, 8],
    ['Z', 0xfd, 8],
    ['!', 0x3f8, 10],
    ['?', 0x3fc, 10],
    ["'", 0x7fa, 11],
    ['|', 0x7fc, 11],
    ['#', 0xffa, 12],
    ['\0', 0x1ff8, 13],
    ['~', 0x1ffd, 13],
    ['^', 0x3ffc, 14],
    ['<', 0x7ffc, 15],
    ['{', 0x7ffe, 15],
    ['\\', 0x7fff0, 19],
    ['\xd0', 0x7fff2, 19],
    ['\x80', 0xfffe6, 20],
    ['\xe6', 0x1fffe8, 21],
    ['\x01', 0x7fffd8, 23],
    ['\x09', 0xffffea, 24],
    ['\xf9', 0xffffffe, 28],
    ['\x7f', 0xffffffc, 28],
    ['\n', 0x3ffffffc, 30],
    ['\x16', 0x3ffffffe, 30],
  ])('gives %j its code', (symbol, code, length) => {
    expect([CODES[symbol.charCodeAt(0)], CODE_BITS[symbol.charCodeAt(0)]]).toEqual([code, length])
  })

  test('gives EOS thirty ones', () => {
    expect([CODES[EOS_SYMBOL], CODE_BITS[EOS_SYMBOL]]).toEqual([0x3fffffff, 30])
  })
})

describe('Huffman strings', () => {
  test('every octet comes back, alone and after 0 to 7 bits of another', () => {
    for (let octet = 0; octet < 256; octet++) {
      for (let before = 0; before < 8; before++) {
        const text = '0'.repeat(before) + String.fromCharCode(octet) + 'a'
        expect(decode(encode(text))).toBe(text)
      }
    }
  })

  test('all octets in a row come back', () => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, octet) => octet)).toString('latin1')
    expect(decode(encode(all))).toBe(all)
    expect(decode(encode(''))).toBe('')
  })

  test('the shortest codes fill the room that maxDecodedBytes promises', () => {
    const text = 'a'.repeat(800)
    expect(encode(text).length).toBe(500)
    expect(maxDecodedBytes(500)).toBe(802)
    expect(decode(encode(text))).toBe(text)
  })

  test.each([
    ['padding of zeros', bits('00000 000')],
    ['padding with a zero among ones', bits('00000 101')],
    ['8 bits of padding', bits('11111111')],
    ['8 bits of padding after a whole symbol of 8 bits', bits('11111000 11111111')],
    ['a padding of 11 bits', bits('00000 111 11111111')],
    ['a code cut off', hex('ff e0')],
    ['EOS', hex('ffffffff')],
    ['EOS after a symbol', bits('00000 111 11111111 11111111 11111111 111 11111')],
    ['EOS before a symbol', bits('11111111 11111111 11111111 111111 00 000 11111')],
  ])('%s is a fault', (_, octets) => {
    expect(decode(octets)).toBeNull()
  })

  test('padding of 1 to 7 ones is what it should be', () => {
    expect(decode(bits('11111000'))).toBe('&')
    expect(decode(bits('1011100 1'))).toBe(':')
    expect(decode(bits('010100 11'))).toBe(' ')
    expect(decode(bits('00000 111'))).toBe('0')
    expect(decode(bits('00000 00001 00010 1011100 11'))).toBe('012:')
    expect(decode(bits('111111111010 1111'))).toBe('#')
    expect(decode(bits('11111111010 11111'))).toBe("'")
    expect(decode(bits('1111111000 111111'))).toBe('!')
  })
})

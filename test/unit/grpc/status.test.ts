import { describe, expect, test } from 'vitest'
import {
  GrpcStatus,
  decodeGrpcMessage,
  encodeGrpcMessage,
  grpcStatusName,
  isGrpcStatusValid,
  parseGrpcStatus,
} from '../../../src/grpc/index.ts'

describe('grpc-status', () => {
  test('the seventeen codes have their names', () => {
    expect(Object.values(GrpcStatus)).toEqual(Array.from({ length: 17 }, (_, code) => code))
    expect([grpcStatusName(0), grpcStatusName(14), grpcStatusName(16)]).toEqual([
      'OK',
      'UNAVAILABLE',
      'UNAUTHENTICATED',
    ])
  })

  test('a code that a peer made up has the name OTHER, so that it chooses no label of ours', () => {
    expect([17, -1, 99_999].map((code) => grpcStatusName(code))).toEqual(['OTHER', 'OTHER', 'OTHER'])
  })

  test.each([
    ['0', 0],
    ['7', 7],
    ['16', 16],
    ['17', 17],
    ['2147483647', 2_147_483_647],
  ])('%s is well-formed', (text, code) => {
    expect(parseGrpcStatus(text)).toBe(code)
    expect(isGrpcStatusValid(text)).toBe(true)
  })

  test.each([
    '',
    '00',
    '01',
    '014',
    '-1',
    '+1',
    ' 1',
    '1 ',
    '1.0',
    '0x1',
    '1e1',
    'OK',
    '2147483648',
    '99999999999',
    '１',
  ])('"%s" is malformed', (text) => {
    expect(parseGrpcStatus(text)).toBe(-1)
    expect(isGrpcStatusValid(text)).toBe(false)
  })
})

describe('grpc-message', () => {
  test('printable ASCII stays as it is, the percent sign apart', () => {
    const printable = Array.from({ length: 95 }, (_, i) => String.fromCharCode(0x20 + i)).join('')
    expect(encodeGrpcMessage(printable)).toBe(printable.replace('%', '%25'))
  })

  test('the text of the interop test special_status_message travels in UTF-8', () => {
    const text = '\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n'
    expect(encodeGrpcMessage(text)).toBe(
      '%09%0Atest with whitespace%0D%0Aand Unicode BMP %E2%98%BA and non-BMP %F0%9F%98%88%09%0A',
    )
    expect(decodeGrpcMessage(encodeGrpcMessage(text))).toBe(text)
  })

  test('a broken escape stands for itself: no message is dropped for it', () => {
    expect(decodeGrpcMessage('100% of %zz, %4')).toBe('100% of %zz, %4')
    expect(decodeGrpcMessage('%e2%98%BA %2525')).toBe('☺ %25')
  })

  test('octets that are no UTF-8 become the replacement character', () => {
    expect(decodeGrpcMessage('a%FFb')).toBe('a\uFFFDb')
  })
})

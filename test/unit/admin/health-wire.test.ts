import { expect, test } from 'vitest'
import {
  decodeCheckRequest,
  encodeCheckResponse,
  encodeList,
  SERVING_STATUS,
} from '../../../src/admin/health-wire.ts'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

test.each([
  ['an empty request asks for the process', '', ''],
  ['a service is named in field 1', '0a 04 6c697665', 'live'],
  ['the last value of a field counts', '0a 01 61 0a 01 62', 'b'],
  [
    'unknown fields of every wire type are skipped',
    '10 ffff03 19 0102030405060708 25 01020304 2a 01 ff 0a 01 61',
    'a',
  ],
])('%s', (_title, bytes, service) => {
  expect(decodeCheckRequest(hex(bytes))).toEqual({ service })
})

test.each([
  ['a length beyond the message', '0a 05 61'],
  ['a varint that does not end', '0a ff'],
  ['a varint that is too long', '0a ffffffffffff01'],
  ['a skipped varint that does not end', '10 ff'],
  ['a group, which nobody sends any more', '0b'],
])('%s is no message', (_title, bytes) => {
  expect(() => decodeCheckRequest(hex(bytes))).toThrow(RangeError)
})

test('a status is one field, left out when it is 0', () => {
  expect(encodeCheckResponse(SERVING_STATUS.SERVING)).toEqual(hex('08 01'))
  expect(encodeCheckResponse(SERVING_STATUS.NOT_SERVING)).toEqual(hex('08 02'))
  expect(encodeCheckResponse(SERVING_STATUS.UNKNOWN)).toEqual(hex(''))
})

test('a list is a map of names to responses', () => {
  expect(
    encodeList([
      ['', SERVING_STATUS.SERVING],
      ['ab', SERVING_STATUS.NOT_SERVING],
    ]),
  ).toEqual(hex('0a 06 0a00 1202 0801 0a 08 0a02 6162 1202 0802'))
})

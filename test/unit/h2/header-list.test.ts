import { describe, expect, test } from 'vitest'
import { HeaderField, HeaderList } from '../../../src/hpack/index.ts'
import {
  contentLengthOf,
  kindOf,
  requestFault,
  responseFault,
  trailersFault,
} from '../../../src/h2/header-list.ts'
import { listOf, REQUEST, RESPONSE, type Fields } from '../../support/h2-pair.ts'

const request = (...extra: Fields): HeaderList => listOf([...REQUEST, ...extra])
const without = (name: string): Fields => REQUEST.filter((field) => field[0] !== name)

describe('a request head', () => {
  test('that is right is checked once: its mark remembers', () => {
    const list = request(['content-length', '12'])
    expect(contentLengthOf(list)).toBe(-1)
    expect(requestFault(list)).toBeNull()
    expect(list.mark).toBeGreaterThan(0)
    expect(requestFault(list)).toBeNull()
    expect(contentLengthOf(list)).toBe(12)
    expect(contentLengthOf(request())).toBe(-1)
  })
  test('that is wrong is never remembered as right', () => {
    const list = listOf(without(':method'))
    expect([requestFault(list), requestFault(list), list.mark]).toEqual([
      'pseudo_header_missing',
      'pseudo_header_missing',
      0,
    ])
  })
  test.each<[string, Fields, string | null]>([
    ['without :authority', without(':authority'), null],
    ['with host alone', [...without(':authority'), ['host', 'a']], null],
    [
      'with two hosts',
      [...REQUEST, ['host', 'collector:4317'], ['host', 'collector:4317']],
      'authority_invalid',
    ],
    ['with te: trailers only', REQUEST, null],
    [
      'with te: trailers, deflate',
      [...without('te'), ['te', 'trailers, deflate']],
      'connection_specific_field',
    ],
    ['with a colon for a name', [...REQUEST, [':', 'x']], 'field_name_invalid'],
    ['with :protocol', [[':protocol', 'websocket'], ...REQUEST], 'pseudo_header_unknown'],
    [
      'with a content-length of 16 digits',
      [...REQUEST, ['content-length', '1'.repeat(16)]],
      'content_length_mismatch',
    ],
    ['with an empty content-length', [...REQUEST, ['content-length', '']], 'content_length_mismatch'],
    ['with transfer-encoding', [...REQUEST, ['transfer-encoding', 'chunked']], 'connection_specific_field'],
    ['with CR LF in :path', [[':path', '/a\r\nx: y'], ...without(':path')], 'field_value_invalid'],
    ['with tab and octets above 0x7f inside a value', [...REQUEST, ['x', 'a\tb\u00ff']], null],
  ])('%s', (_how, fields, fault) => {
    expect(requestFault(listOf(fields))).toBe(fault)
  })
})

test('a response head takes :status alone, of three digits', () => {
  expect(responseFault(listOf(RESPONSE))).toBeNull()
  expect(responseFault(listOf([[':method', 'GET'], ...RESPONSE]))).toBe('pseudo_header_unknown')
  expect(responseFault(listOf([[':status', '007']]))).toBe('response_malformed')
})

test('trailers take any field that is no pseudo-header and belongs to no connection', () => {
  expect(
    trailersFault(
      listOf([
        ['grpc-status', '0'],
        ['x', ''],
      ]),
    ),
  ).toBeNull()
  expect(trailersFault(listOf([[':status', '200']]))).toBe('pseudo_header_in_trailers')
  expect(trailersFault(listOf([['upgrade', 'h2c']]))).toBe('connection_specific_field')
  expect(trailersFault(listOf([['A', 'b']]))).toBe('field_name_invalid')
})

test('a field is classified once, whichever list it stands in', () => {
  const field = new HeaderField('connection', 'close')
  expect(kindOf(field)).toBe(kindOf(field))
  expect(field.mark).toBeGreaterThan(0)
  expect(trailersFault(new HeaderList([field]))).toBe('connection_specific_field')
  expect(requestFault(new HeaderList([...request().fields, field]))).toBe('connection_specific_field')
})

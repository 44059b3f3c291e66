import { expect, test } from 'vitest'
import { FAULTS } from '../../../src/base/index.ts'
import type { FaultToken } from '../../../src/base/index.ts'
import { H2Code, PREFACE, faultCode, h2CodeName } from '../../../src/frame/index.ts'

test('an error code has the name of RFC 9113 §7', () => {
  expect(Object.values(H2Code).map((code) => h2CodeName(code))).toEqual(Object.keys(H2Code))
  expect([h2CodeName(0), h2CodeName(0xb), h2CodeName(0xd)]).toEqual([
    'NO_ERROR',
    'ENHANCE_YOUR_CALM',
    'HTTP_1_1_REQUIRED',
  ])
})

test('a code that the peer made up is UNKNOWN, so that it chooses no label of ours', () => {
  expect([14, 0xffffffff, -1, 1.5].map((code) => h2CodeName(code))).toEqual(
    Array.from({ length: 4 }, () => 'UNKNOWN'),
  )
})

test('every fault has an error code that exists', () => {
  for (const token of Object.keys(FAULTS) as FaultToken[])
    expect(h2CodeName(faultCode(token))).toBe(FAULTS[token].code)
})

test('the preface is that of RFC 9113 §3.4', () => {
  expect(PREFACE.toString('hex')).toBe('505249202a20485454502f322e300d0a0d0a534d0d0a0d0a')
})

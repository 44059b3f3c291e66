import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatGrpcTimeout, parseGrpcTimeout } from '../../../src/grpc/index.ts'

test.each([
  ['1H', 3_600_000],
  ['2M', 120_000],
  ['30S', 30_000],
  ['250m', 250],
  ['4998123u', 4_998.123],
  ['99999999n', 99.999999],
  ['0S', 0],
  ['00000005S', 5_000],
  ['99999999H', 359_999_996_400_000],
])('%s is read', (text, ms) => {
  expect(parseGrpcTimeout(text)).toBeCloseTo(ms, 9)
})

test.each([
  '',
  'S',
  '5',
  '5s',
  '5h',
  '123456789m',
  '-1S',
  '+1S',
  '1.5S',
  ' 5S',
  '5 S',
  '5S ',
  '5SS',
  '0x5S',
  '５S',
])('"%s" is malformed', (text) => {
  expect(parseGrpcTimeout(text)).toBeNull()
})

test.each([
  [0, '0n'],
  [-5, '0n'],
  [Number.NaN, '0n'],
  [0.0000001, '0n'],
  [1.5, '1500000n'],
  [99.9999999, '99999999n'],
  [100, '100000u'],
  [5_000, '5000000u'],
  [99_999.9999, '99999999u'],
  [100_000, '100000m'],
  [99_999_999.9, '99999999m'],
  [100_000_000, '100000S'],
  [1e11, '1666666M'],
  [Number.MAX_VALUE, '99999999H'],
  [Number.POSITIVE_INFINITY, '99999999H'],
])('%d ms is written in the finest unit that fits', (ms, text) => {
  expect(formatGrpcTimeout(ms)).toBe(text)
})

test('what is written has at most eight digits, is read back, and is never more time; a hundred-thousandth is lost at most', () => {
  fc.assert(
    fc.property(fc.double({ min: 0.001, max: 3e14, noNaN: true }), (ms) => {
      const text = formatGrpcTimeout(ms)
      expect(text).toMatch(/^\d{1,8}[HMSmun]$/)
      const readMs = parseGrpcTimeout(text)!
      expect(readMs).toBeLessThanOrEqual(ms)
      expect(readMs).toBeGreaterThanOrEqual(Math.min(ms * 0.99999, ms - 1e-6))
    }),
    { numRuns: 5_000 },
  )
})

import { expect, test } from 'vitest'
import { Histogram, RPC_DURATION_BOUNDS_SECONDS } from '../../../src/base/index.ts'

test('an observation on a bound belongs to that bucket, as Prometheus counts it', () => {
  const histogram = new Histogram([1, 2, 5])
  for (const value of [0, 1, 1.001, 2, 5, 5.001, 900]) histogram.observe(value)
  expect(histogram.counts).toEqual([2, 2, 1, 2])
  expect(histogram.count).toBe(7)
  expect(histogram.sum).toBeCloseTo(0 + 1 + 1.001 + 2 + 5 + 5.001 + 900)
})

test('there is one bucket more than bounds, for what lies above them all', () => {
  const histogram = new Histogram()
  histogram.observe(10.5)
  expect(histogram.counts.length).toBe(RPC_DURATION_BOUNDS_SECONDS.length + 1)
  expect(histogram.counts.at(-1)).toBe(1)
})

test('a negative or unknown duration counts as zero and never spoils the sum', () => {
  const histogram = new Histogram([1])
  for (const value of [-3, NaN, -Infinity]) histogram.observe(value)
  expect(histogram.counts).toEqual([3, 0])
  expect(histogram.sum).toBe(0)
})

test('the default bounds ascend', () => {
  expect([...RPC_DURATION_BOUNDS_SECONDS].sort((a, b) => a - b)).toEqual(RPC_DURATION_BOUNDS_SECONDS)
})

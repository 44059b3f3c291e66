import { describe, expect, test } from 'vitest'
import { inputsOf } from './inputs.ts'
import { TARGETS } from './targets/index.ts'

describe.each(Object.entries(TARGETS))('what the fuzzers kept for %s', (name, fuzz) => {
  test('inputs that cover the code find nothing', () => {
    const inputs = inputsOf('corpus', name)
    expect(inputs.length).toBeGreaterThan(10)
    for (const { bytes } of inputs) expect(() => fuzz(bytes)).not.toThrow()
  })
  test('what once failed does so no more', () => {
    for (const { bytes } of inputsOf('regressions', name)) expect(() => fuzz(bytes)).not.toThrow()
  })
})

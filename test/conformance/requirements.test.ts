import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import requirements from './requirements.json' with { type: 'json' }

/** One MUST that concerns a proxy: the test that proves it, or where and why else. */
interface Requirement {
  readonly source: string
  readonly must: string
  readonly test?: string
  readonly notTestedHere?: string
}

const all: readonly Requirement[] = requirements
const folder = join(import.meta.dirname, 'h2')
const titles = readdirSync(folder)
  .filter((name) => name.endsWith('.test.ts'))
  .flatMap((name) => [...readFileSync(join(folder, name), 'utf8').matchAll(/\bmust\(\s*'([^']+)'/g)])
  .map((match) => match[1]!)

test('every requirement names a test that exists, or says why it has none here', () => {
  const known = new Set(titles)
  const broken = all.filter((entry) =>
    entry.test === undefined ? !((entry.notTestedHere ?? '').length > 20) : !known.has(entry.test),
  )
  expect(broken).toEqual([])
  expect(all.length).toBeGreaterThan(90)
})

test('every conformance test is listed with what it proves', () => {
  const listed = new Set(all.map((entry) => entry.test))
  expect(titles.filter((title) => !listed.has(title))).toEqual([])
  expect(new Set(titles).size).toBe(titles.length)
})

test('no requirement is listed twice', () => {
  const keys = all.map((entry) => `${entry.source}: ${entry.must}`)
  expect(new Set(keys).size).toBe(keys.length)
})

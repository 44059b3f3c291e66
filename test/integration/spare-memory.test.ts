import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'

const MODULE = join(import.meta.dirname, '../../src/net/spare-memory.ts')
/** Malloc is given 176 MiB in pieces; every fiftieth is kept, so that nothing is free at the end of the heap. */
const PROGRAM = `
const { ProcessMemory } = await import(${JSON.stringify(MODULE)})
const memory = new ProcessMemory()
let pieces = Array.from({ length: 20_000 }, () => Buffer.allocUnsafeSlow(9_000).fill(1))
const kept = pieces.filter((_, at) => at % 50 === 0)
const fullBytes = memory.residentBytes()
pieces = null
memory.collect()
await new Promise((done) => setTimeout(done, 500))
const collectedBytes = memory.residentBytes()
memory.trim()
memory.trim()
console.log(JSON.stringify({ fullBytes, collectedBytes, trimmedBytes: memory.residentBytes(), kept: kept.length }))
`
const MIB = 1024 * 1024

async function run(...flags: string[]) {
  const args = [...flags, '--input-type=module', '--eval', PROGRAM]
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args)
  const figures = JSON.parse(stdout) as Record<'fullBytes' | 'collectedBytes' | 'trimmedBytes', number>
  return { ...figures, stderr }
}

describe('memory that is free inside a process', () => {
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
  const isGlibc = header.glibcVersionRuntime !== undefined
  const hasFfi = isGlibc && process.getBuiltinModule('node:ffi') !== undefined

  test.runIf(hasFfi)('goes back to the system, and nothing is written about it', async () => {
    const { fullBytes, collectedBytes, trimmedBytes, stderr } = await run()
    expect(fullBytes - trimmedBytes).toBeGreaterThan(120 * MIB)
    // What glibc gives back by itself.
    expect(fullBytes - collectedBytes).toBeLessThan(40 * MIB)
    expect(stderr).toBe('')
  })

  test.runIf(hasFfi)('stays where Node may not call the C library, and nothing breaks', async () => {
    const { fullBytes, trimmedBytes, stderr } = await run('--no-experimental-ffi')
    expect(fullBytes - trimmedBytes).toBeLessThan(40 * MIB)
    expect(stderr).toBe('')
  })
})

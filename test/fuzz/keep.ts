/**
 * `node test/fuzz/keep.ts ENTRY TARGET FOLDER`: makes the target's corpus of those inputs of FOLDER that run code which no smaller
 * one runs, by V8's own coverage of ENTRY's files under src/.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { Session, type Profiler } from 'node:inspector/promises'
import { join } from 'node:path'
import { clearInputs, writeInput } from './inputs.ts'
import type { FuzzTarget } from './targets/index.ts'

const [entry = '', target = '', folder = ''] = process.argv.slice(2)
/** What is committed is to be read at a glance. */
const MAX_KEPT_BYTES = 1_024

/** Octets of source that have run, by file. */
const covered = new Map<string, Uint8Array>()

/** Marks what `script` ran; gives whether any of it is new. Functions and blocks come outermost first. */
function isNew(script: Profiler.ScriptCoverage): boolean {
  const ranges = script.functions.flatMap((one) => one.ranges)
  const length = Math.max(0, ...ranges.map((range) => range.endOffset))
  const known = covered.get(script.url) ?? new Uint8Array(length)
  covered.set(script.url, known)
  const ran = new Uint8Array(length)
  for (const { startOffset, endOffset, count } of ranges) ran.fill(count > 0 ? 1 : 0, startOffset, endOffset)
  let found = false
  for (let at = 0; at < Math.min(length, known.length); at++) {
    if (ran[at] === 0 || known[at] === 1) continue
    known[at] = 1
    found = true
  }
  return found
}

const session = new Session()
session.connect()
await session.post('Profiler.enable')
await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
const { fuzz } = (await import(entry)) as { fuzz: FuzzTarget }
const inputs = readdirSync(folder)
  .map((name) => readFileSync(join(folder, name)))
  .filter((bytes) => bytes.length <= MAX_KEPT_BYTES)
  .sort((a, b) => a.length - b.length)
let kept = 0
clearInputs('corpus', target)
await session.post('Profiler.takePreciseCoverage')
for (const bytes of inputs) {
  try {
    fuzz(bytes)
  } catch {
    continue
  }
  const { result } = await session.post('Profiler.takePreciseCoverage')
  const news = result.filter(({ url }) => url.includes('/src/')).map((script) => isNew(script))
  if (!news.includes(true)) continue
  writeInput('corpus', target, bytes)
  kept++
}
console.log(`${target}: ${kept} of ${inputs.length} inputs cover all that they cover together`)

/**
 * `npm run test:fuzz -- --minutes N [--target X]`: each target under libFuzzer for that long, begun from test/fuzz/corpus and
 * regressions. A finding is written to test/fuzz/regressions/<target>/ as hex and ends in exit code 1; 77 where the engine cannot
 * be had. Figures go to bench/results/fuzz-<date>.json, or to `--out FILE`. `--keep` makes the corpus anew of what it found.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { rolldown } from 'rolldown'
import { ensure, programPath } from '../interop/tools/cache.ts'
import { jazzer } from '../interop/tools/jazzer.ts'
import { ABSENT, isOnPath, run } from '../interop/tools/run.ts'
import { table } from '../interop/tools/table.ts'
import { measuredOn, writeResults } from '../support/results-file.ts'
import { inputsOf, writeInput, type InputKind } from './inputs.ts'
import { TARGETS } from './targets/index.ts'

const PROJECT = join(import.meta.dirname, '../..')
/** Longer inputs find no more and run slower. */
const MAX_INPUT_BYTES = 4_096
/** One input takes well under a millisecond: this is a hang. */
const HANG_SECONDS = 10
/** Of the whole process, engine and corpus included: growth ends here. */
const MAX_RSS_MIB = 1_500

/** What one target gave. */
interface Figures {
  readonly target: string
  readonly seconds: number
  readonly executions: number
  /** Edges and features (edges by how often they were taken) that were seen. */
  readonly edges: number
  readonly features: number
  readonly corpus: number
  readonly rssMib: number
  readonly findings: readonly string[]
}

const { values: flags } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    target: { type: 'string', multiple: true, default: Object.keys(TARGETS) },
    out: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
})

/** The targets as JavaScript, a file for each of ours: the engine instruments those under src/. */
async function bundle(folder: string): Promise<string> {
  const index = join(import.meta.dirname, 'targets/index.ts')
  const entries = Object.keys(TARGETS).map((name) => {
    const file = join(folder, `${name}.entry.ts`)
    writeFileSync(
      file,
      `import { TARGETS } from '${index}'\nexport const fuzz = (input: Buffer) => TARGETS['${name}']!(input)\n`,
    )
    return file
  })
  const built = await rolldown({ input: entries, platform: 'node', cwd: PROJECT, logLevel: 'warn' })
  const out = join(folder, 'built')
  await built.write({ dir: out, format: 'esm', entryFileNames: '[name].mjs', preserveModules: true })
  await built.close()
  return out
}

function entryOf(built: string, target: string): string {
  const files = readdirSync(built, { recursive: true, encoding: 'utf8' })
  const found = files.find((file) => file.endsWith(`${target}.entry.mjs`))
  if (found === undefined) throw new Error(`no entry for ${target}`)
  return join(built, found)
}

const kinds: readonly InputKind[] = ['corpus', 'regressions']

/** Runs one target. */
async function fuzz(engine: string, built: string, target: string, seconds: number): Promise<Figures> {
  const folder = mkdtempSync(join(built, `${target}-`))
  const corpus = join(folder, 'corpus')
  const artifacts = join(folder, 'found')
  mkdirSync(corpus)
  mkdirSync(artifacts)
  for (const kind of kinds)
    for (const { name, bytes } of inputsOf(kind, target)) writeFileSync(join(corpus, name), bytes)
  const engineFlags = [
    '--sync',
    '-i',
    '/src/',
    '--disableBugDetectors',
    '.*',
    '--timeout',
    `${HANG_SECONDS}000`,
  ]
  const libFuzzerFlags = [
    `-max_total_time=${seconds}`,
    `-max_len=${MAX_INPUT_BYTES}`,
    `-rss_limit_mb=${MAX_RSS_MIB}`,
    `-artifact_prefix=${artifacts}/`,
  ]
  const args = [engine, entryOf(built, target), corpus, ...engineFlags, '--', ...libFuzzerFlags]
  const result = await run(process.execPath, args, { timeoutMs: (seconds + 120) * 1000, cwd: folder })
  const text = `${result.stdout}\n${result.stderr}`
  const findings = readdirSync(artifacts).map((file) =>
    writeInput('regressions', target, readFileSync(join(artifacts, file))),
  )
  const last = text.match(/^#\d+.*$/gm)?.at(-1) ?? ''
  const number = (pattern: RegExp): number => Number(pattern.exec(last)?.[1] ?? 0)
  if (findings.length > 0 || result.code !== 0 || last === '') {
    console.log(text.slice(-3_000))
    if (findings.length === 0) findings.push(`the engine ended with ${result.code ?? result.trouble}`)
  }
  if (flags.keep) console.log(await keep(entryOf(built, target), target, corpus))
  return {
    target,
    seconds: Math.round(result.elapsedMs / 1000),
    executions: number(/^#(\d+)/),
    edges: number(/cov: (\d+)/),
    features: number(/ft: (\d+)/),
    corpus: number(/corp: (\d+)/),
    rssMib: number(/rss: (\d+)Mb/),
    findings,
  }
}

/** Has those inputs of a folder put into the corpus that cover what the smaller ones do not. */
async function keep(entry: string, target: string, folder: string): Promise<string> {
  const result = await run(process.execPath, [join(import.meta.dirname, 'keep.ts'), entry, target, folder])
  return `${result.stdout}${result.stderr}`.trim()
}

async function main(): Promise<number> {
  const unknown = flags.target.filter((name) => !(name in TARGETS))
  if (unknown.length > 0)
    throw new Error(`no target ${unknown.join()}; there are ${Object.keys(TARGETS).join()}`)
  const standing = await ensure(jazzer, isOnPath)
  const engine = programPath(jazzer, 'jazzer')
  if (engine === null) {
    console.log(`jazzer.js ${standing.version} is absent: ${standing.remark}`)
    return ABSENT
  }
  const on = measuredOn()
  const folder = mkdtempSync(join(tmpdir(), 'authgw-fuzz-'))
  const targets: Figures[] = []
  try {
    const built = await bundle(folder)
    for (const target of flags.target)
      targets.push(await fuzz(engine, built, target, Number(flags.minutes) * 60))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  const columns = [
    'target',
    'seconds',
    'executions',
    'edges',
    'features',
    'corpus',
    'rssMib',
    'findings',
  ] as const
  console.log(
    table(
      [...columns],
      targets.map((figures) => columns.map((column) => String(figures[column]))),
    ),
  )
  console.log(`Figures: ${writeResults('fuzz', on, { engine: standing.version, targets }, flags.out)}`)
  return targets.some(({ findings }) => findings.length > 0) ? 1 : 0
}

process.exitCode = await main()

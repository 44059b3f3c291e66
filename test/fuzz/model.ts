/**
 * `npm run test:model`: the models of the wire, of a connection's two ends and of a relay's two legs, for a million steps each, or
 * as many as `--steps` says. Exit code 1 when something is found. Figures go to bench/results/model-<date>.json, or to `--out FILE`.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { table } from '../interop/tools/table.ts'
import { measuredOn, writeResults } from '../support/results-file.ts'
import type { ModelFigures } from './steps.ts'

const PROJECT = join(import.meta.dirname, '../..')
const FILES = ['test/fuzz/frame-model.test.ts', 'test/fuzz/h2-model.test.ts', 'test/fuzz/relay.test.ts']
const COLUMNS = ['model', 'steps', 'programs', 'frames', 'seconds'] as const

const { values: flags } = parseArgs({
  options: { steps: { type: 'string', default: '1000000' }, out: { type: 'string' } },
})

const on = measuredOn()
const folder = mkdtempSync(join(tmpdir(), 'authgw-model-'))
const file = join(folder, 'figures')
const vitest = join(PROJECT, 'node_modules/vitest/vitest.mjs')
const { status } = spawnSync(process.execPath, [vitest, 'run', '--project', 'fuzz', ...FILES], {
  cwd: PROJECT,
  stdio: 'inherit',
  env: { ...process.env, FUZZ_STEPS: flags.steps, FUZZ_FIGURES: file },
})
const lines = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []
const models = lines.map((line) => JSON.parse(line) as ModelFigures)
rmSync(folder, { recursive: true })
console.log(
  table(
    [...COLUMNS],
    models.map((figures) => COLUMNS.map((column) => String(figures[column]))),
  ),
)
// A model that has found something leaves no figures.
const isClean = status === 0 && models.length === FILES.length
console.log(`Figures: ${writeResults('model', on, { isClean, models }, flags.out)}`)
process.exitCode = isClean ? 0 : 1

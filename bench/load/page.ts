/**
 * Turns the newest results file into the generated section of docs/performance.md: `node bench/load/page.ts`, and
 * `--check` to see whether it is up to date. Without a results file the section says so.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { format } from 'prettier'
import { goalTable } from './report.ts'
import { latestResults } from './results.ts'

const PAGE = resolve(import.meta.dirname, '../../docs/performance.md')
const BEGIN = '<!-- figures: node bench/load/page.ts -->'
const END = '<!-- end of figures -->'

/** The section between the markers. */
function section(): string {
  const latest = latestResults()
  if (latest === null) return 'No run is in `bench/results/` yet.'
  const { name, results } = latest
  const base = name.replace(/\.json$/, '')
  const { machine, node, sourceTree } = results
  return [
    `From one run on ${machine.cores} × ${machine.cpu}, Linux ${machine.kernel}, Node ${node.slice(1)}, of the source tree \`${sourceTree.slice(0, 12)}\`;`,
    `all figures with their spread: [${base}.md](../bench/results/${base}.md).`,
    '',
    `![CPU of the proxies per call](../bench/results/${base}.svg)`,
    '',
    goalTable(results),
  ].join('\n')
}

const page = readFileSync(PAGE, 'utf8')
const begin = page.indexOf(BEGIN)
const end = page.indexOf(END)
if (begin < 0 || end < begin) throw new Error(`${PAGE} has no place for the figures`)
const written = `${page.slice(0, begin + BEGIN.length)}\n\n${section()}\n\n${page.slice(end)}`
const wanted = await format(written, {
  parser: 'markdown',
  printWidth: 110,
  semi: false,
  singleQuote: true,
  proseWrap: 'preserve',
})
if (process.argv.includes('--check')) {
  if (wanted !== page) {
    console.error('docs/performance.md is not what the newest results say: node bench/load/page.ts')
    process.exitCode = 1
  }
} else writeFileSync(PAGE, wanted)

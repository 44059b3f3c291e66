/**
 * `npm run conformance -- --runs 20`: h2spec in four settings so many times in a row, h2specd, and grpc-go's interop cases on
 * three paths, in one table. Exit code 1 on any miss; 77 where one of the programs cannot be had. `--out FILE` also writes the
 * figures; with more than one run they go to bench/results/conformance-<date>.json.
 */
import { parseArgs } from 'node:util'
import { measuredOn, writeResults } from '../support/results-file.ts'
import { judgeCalls } from './grpc-go.ts'
import { judgeServer } from './h2spec.ts'
import { judgeClient } from './h2specd.ts'
import { isMiss, scoreTable, type Outcome, type Score } from './scores.ts'
import { ABSENT } from './tools/run.ts'

const { values: flags } = parseArgs({
  options: { runs: { type: 'string', default: '1' }, out: { type: 'string' } },
})

async function main(): Promise<number> {
  const runs = Number(flags.runs)
  const on = measuredOn()
  const suites: (() => Promise<Outcome>)[] = [
    () => judgeServer(runs),
    () => judgeClient(),
    () => judgeCalls(['workload', 'control_plane', 'both']),
  ]
  const scores: Score[] = []
  const absent: string[] = []
  for (const suite of suites) {
    const outcome = await suite()
    if ('absent' in outcome) absent.push(outcome.absent)
    else scores.push(...outcome.scores)
  }
  const misses = scores.filter((score) => isMiss(score)).length
  console.log(scoreTable(scores))
  for (const reason of absent) console.log(reason)
  console.log(misses === 0 ? 'Nothing missed.' : `${misses} of ${scores.length} runs missed something.`)
  if (flags.out !== undefined || runs > 1)
    console.log(`Figures: ${writeResults('conformance', on, { runs, absent, misses, scores }, flags.out)}`)
  if (misses > 0) return 1
  return absent.length > 0 ? ABSENT : 0
}

process.exitCode = await main()

/** Turns the results of a comparison into docs/comparison.md; every figure there is from the file it names. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PROJECT } from '../../support/project-files.ts'
import { table } from '../tools/table.ts'
import type { Outcome } from './fault.ts'

/** A results file. */
export interface Results {
  readonly startedAt: string
  /** `git rev-parse HEAD:src` */
  readonly source: string
  /** The same when the run was over, where the checkout had moved on. */
  readonly sourceAtEnd?: string
  readonly collector: string
  readonly keycloak: string
  readonly node: string
  readonly tokenLifeSeconds: number
  readonly itemsPerSecond: number
  /** Processes that wanted a processor, on average over the last 15 minutes of the run; missing in older results. */
  readonly loadAverage?: number
  readonly processors?: number
  readonly outcomes: readonly Outcome[]
}

const FOLDER = 'bench/results'

/** The newest results. @throws Error when there are none. */
export function latestResults(): { file: string; results: Results } {
  const name = readdirSync(join(PROJECT, FOLDER))
    .filter((each) => /^comparison-.*\.json$/.test(each))
    .toSorted()
    .at(-1)
  if (name === undefined) throw new Error(`no comparison in ${FOLDER}`)
  const file = `${FOLDER}/${name}`
  return { file, results: JSON.parse(readFileSync(join(PROJECT, file), 'utf8')) as Results }
}

const HEAD = [
  'between the collectors',
  'exporter settings',
  'spans sent',
  'lost spans / points / logs',
  'spans twice',
  'permanent errors',
  'fresh after',
  'backlog in after',
  'token requests',
  'tokens',
  'collector crashes',
]

/** Whether what has not come may still be in the queue of the workload collector. */
function isHolding({ isSettled, lost }: Outcome): boolean {
  return !isSettled && lost.traces + lost.metrics + lost.logs > 0
}

/** The outcomes of one fault as a table. */
export function outcomeTable(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map((outcome) => [
    outcome.middle,
    outcome.settings,
    String(outcome.sent),
    `${outcome.lost.traces} / ${outcome.lost.metrics} / ${outcome.lost.logs}${isHolding(outcome) ? ' (or still held)' : ''}`,
    String(outcome.duplicated.traces),
    String(outcome.permanentErrorSpans),
    outcome.freshAfterSeconds === null ? 'never' : `${outcome.freshAfterSeconds} s`,
    `${outcome.backlogAfterSeconds} s`,
    String(outcome.tokenRequests),
    String(outcome.tokens),
    String(outcome.endCrashes),
  ])
  return table(HEAD, rows)
}

function moved({ sourceAtEnd }: Results): string {
  return sourceAtEnd === undefined ? '' : ` when it began, \`${sourceAtEnd}\` when it was over`
}

function load({ loadAverage, processors }: Results): string {
  if (loadAverage === undefined) return ''
  return ` of ${processors} processors with a load of ${loadAverage} (15 minutes' average at the end)`
}

/** Writes docs/comparison.md, formatted. */
export function writePage({ file, results }: { file: string; results: Results }): void {
  const faults = [...new Set(results.outcomes.map(({ fault }) => fault))]
  const sections = faults.map((fault) => {
    const outcomes = results.outcomes.filter((outcome) => outcome.fault === fault)
    const length = outcomes[0]!.faultSeconds
    const said =
      fault === 'no fault' || length === null
        ? ''
        : `\nFrom the beginning to the end of the fault: ${Math.round(length)} s.\n`
    return `## ${fault[0]!.toUpperCase()}${fault.slice(1)}\n${said}\n${outcomeTable(outcomes)}\n`
  })
  writeFileSync(
    join(PROJECT, 'docs/comparison.md'),
    `<!-- Written by \`npm run comparison\` from ${file}; changes here are overwritten. -->

# Compared with the stock chain

The same faults, at the same time, with one Keycloak, for chains that differ only in what is between two stock collectors:

- **stock**: the workload collector's \`oauth2client\` extension → mTLS → the control-plane collector's \`oidc\` extension;
- **authgw**: workload collector → authgw → mTLS → authgw → control-plane collector;
- **token from a file**: the workload collector's \`bearertokenauth\` reads a file that a script renews every 20 s; the other side is
  the \`oidc\` extension, or authgw. When the script stops the token in the file expires: these show what becomes of an expired
  token.

Exporter settings: **default** are the collector's own; **recommended** are \`max_elapsed_time: 0\` and \`sending_queue.storage\` on
disk, and for \`oauth2client\` an \`expiry_buffer\` of 10 s. Its default of 5 min is longer than the tokens here live, so that it
asks for a token at every call: where Keycloak answers slowly, as on a busy machine after its start, calls end at the exporter's deadline
of 5 s with a permanent error, and without any fault. A collector that ends is started again after 5 s.

What is counted: an SDK sends ${results.itemsPerSecond} spans, data points and log records a second to each workload collector; each carries a number;
the numbers that arrive behind the control-plane collector are compared with those sent, as sets. _Permanent errors_ are spans that
the workload collector gave up, as its \`otelcol_exporter_send_failed_spans\` says. _Fresh after_: from the end of the fault until
telemetry made after it arrives. _Backlog in after_: until the last span from before the end of the fault arrives. _Token
requests_: all that the chain made, answered or not, as something between it and Keycloak's token endpoint counted them; _tokens_: those that
Keycloak gave, as its log of events says. The script's stand in the first line of authgw. _Collector crashes_: times the control-plane collector ended by itself.

Run: ${results.startedAt}, collector ${results.collector}, Keycloak ${results.keycloak}, Node.js ${results.node}, tokens live ${results.tokenLifeSeconds} s, all on one
machine${load(results)}. Source: \`git rev-parse HEAD:src\` = \`${results.source}\`${moved(results)}. Results: [${file}](../${file}).

${sections.join('\n')}`,
  )
  const prettier = join(PROJECT, 'node_modules/prettier/bin/prettier.cjs')
  execFileSync(process.execPath, [
    prettier,
    '--write',
    '--log-level',
    'error',
    join(PROJECT, 'docs/comparison.md'),
  ])
}

/**
 * `authgw render-docs`: the pages that are made from tables in the code, and the check that they are up to date.
 * Floor 8; main.ts owns the list of pages.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { FAULTS } from '../base/index.ts'
import { REFUSAL_REASONS } from '../auth/index.ts'
import { renderConfigurationPage, renderJsonSchema } from '../config/index.ts'
import { EXIT } from './io.ts'
import type { CliIo } from './io.ts'

/** A file that is made from a table in the code. */
export interface GeneratedPage {
  /** Path from the top of the project. */
  readonly file: string
  readonly render: () => string
}

/** The pages made from tables that this room can see. */
export const PAGES: readonly GeneratedPage[] = [
  { file: 'authgw.schema.json', render: renderJsonSchema },
  { file: 'docs/configuration.md', render: renderConfigurationPage },
  { file: 'docs/errors.md', render: renderErrorsPage },
]

/** Writes the pages below `folder`; with `isCheck` only compares them, and gives 1 when one differs. */
export function runRenderDocs(
  pages: readonly GeneratedPage[],
  folder: string,
  isCheck: boolean,
  io: CliIo,
): number {
  const stale = pages.filter(({ file, render }) => readOrNull(join(folder, file)) !== render())
  if (isCheck) {
    for (const { file } of stale) io.err(`${file} is out of date  → authgw render-docs\n`)
    return stale.length === 0 ? EXIT.ok : EXIT.failed
  }
  for (const { file, render } of stale) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), render())
    io.out(`${file}\n`)
  }
  return EXIT.ok
}

function readOrNull(file: string): string | null {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return null
  }
}

const RADIUS = { stream: 'the stream', connection: 'the connection', flood: 'the connection' } as const

/** Gives docs/errors.md: a heading for every refusal and every fault. */
export function renderErrorsPage(): string {
  const refusals = Object.entries(REFUSAL_REASONS).map(([reason, text]) => `### \`${reason}\`\n\n${text}`)
  const faults = Object.entries(FAULTS).map(
    ([token, { code, radius, source, text }]) =>
      `### \`${token}\`\n\n${text} Ends ${RADIUS[radius]} with ${code}. ${source}.`,
  )
  return `${[
    '<!-- Generated from src/auth/verdict.ts and src/base/faults.ts by `authgw render-docs`; changes here are overwritten. -->',
    '# Errors',
    'Every name here is stable: it is the label of a metric, and alerts may use it.',
    '## Refusals',
    'Why a call was refused. The name travels in the trailer `authgw-reason`, is counted on both sides, and stands in the log line of the denial. What the caller reads in `grpc-message` names the class and never a secret; callers without a verified client certificate read only `unauthenticated` or `permission denied`.',
    ...refusals,
    '## Protocol faults',
    'What a peer did against HTTP/2, HPACK or a limit, how far it reaches, and the section or limit it breaks.',
    ...faults,
  ].join('\n\n')}\n`
}

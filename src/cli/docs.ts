/**
 * `authgw render-docs`: the pages that are made from tables in the code, and the check that they are up to date.
 * Floor 8; those of the other rooms' tables come from main.ts.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
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

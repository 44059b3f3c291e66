import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { READINESS_REASONS } from '../../../src/admin/index.ts'
import { REFUSAL_REASONS } from '../../../src/auth/index.ts'
import { CREDENTIAL_ERRORS, FAULTS, TRANSPORT_ERRORS, type Explanation } from '../../../src/base/index.ts'
import { PAGES, runRenderDocs } from '../../../src/cli/docs.ts'
import { limitKeys } from '../../../src/config/index.ts'
import { LIMITS } from '../../../src/h2/index.ts'
import { RELAY_REASONS } from '../../../src/relay/index.ts'
import { REFERENCE_PAGES } from '../../../src/roles/index.ts'
import { captureIo } from '../../support/capture-io.ts'

const TOP = resolve(import.meta.dirname, '../../..')
const pages = [...PAGES, ...REFERENCE_PAGES]
const pageOf = (file: string): string => pages.find((page) => page.file === file)!.render()
/** The part of a page below a heading of the second level. */
const partOf = (page: string, heading: string): string =>
  page.split(`\n## ${heading}\n`)[1]!.split('\n## ')[0]!

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'authgw-docs-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test.each<[string, object]>([
  ['Refusals', REFUSAL_REASONS],
  ['Answers of authgw itself', RELAY_REASONS],
  ['Credentials and keys', CREDENTIAL_ERRORS],
  ['Readiness', READINESS_REASONS],
  ['Connections', TRANSPORT_ERRORS],
  ['Protocol faults', FAULTS],
])('docs/errors.md has a heading for every code under "%s", and none besides', (heading, table) => {
  const part = partOf(pageOf('docs/errors.md'), heading)
  const found = [...part.matchAll(/^### `([^`]+)`\n\n(.+)$/gm)].map((match) => match[1])
  expect(found).toEqual(Object.keys(table))
})

test.each<[string, Readonly<Record<string, Explanation>>]>([
  ['Refusals', REFUSAL_REASONS],
  ['Credentials and keys', CREDENTIAL_ERRORS],
  ['Readiness', READINESS_REASONS],
  ['Connections', TRANSPORT_ERRORS],
])('every word under "%s" has a cause and a remedy, both whole sentences', (heading, table) => {
  const part = partOf(pageOf('docs/errors.md'), heading)
  for (const [word, { cause, remedy }] of Object.entries(table)) {
    expect([word, cause]).toEqual([word, expect.stringMatching(/^\S.{8,}\.$/)])
    expect([word, remedy]).toEqual([word, expect.stringMatching(/^[A-Z`].{6,}\.$/)])
    expect(part).toContain(`### \`${word}\`\n\n${cause}\n\n**What to do.** ${remedy}`)
  }
})

test('docs/errors.md has no heading twice', () => {
  const found = [...pageOf('docs/errors.md').matchAll(/^#+ (.+)$/gm)].map((match) => match[1])
  expect(found.filter((heading, at) => found.indexOf(heading) !== at)).toEqual([])
})

test('an answer of the relay is explained with its status, its text, when to try again and what to do', () => {
  const part = partOf(pageOf('docs/errors.md'), 'Answers of authgw itself')
  const { text, remedy } = RELAY_REASONS.egress_unreachable
  expect(part).toContain(`UNAVAILABLE, to be tried again after 1 s: \`${text}\`. ${remedy}`)
  expect(part).toContain('DEADLINE_EXCEEDED: `authgw: deadline exceeded`.')
})

test('docs/limits.md has each key once, with its default, and the limits that no key changes', () => {
  const page = pageOf('docs/limits.md')
  for (const { key, defaultText } of limitKeys())
    expect(
      page.split(`\n| \`${key}\` | ${defaultText === null ? '–' : `\`${defaultText}\``} | `),
    ).toHaveLength(2)
  for (const { key } of Object.values(LIMITS)) expect(page).toContain(`| \`${key}\` |`)
  expect(partOf(page, 'Of each connection')).toContain(LIMITS.glitches.text)
  expect(partOf(page, 'Fixed')).toContain('| token | `16KiB` |')
})

test('the pages in docs/ are up to date', () => {
  const { io, text } = captureIo()
  expect(runRenderDocs(pages, TOP, true, io)).toBe(0)
  expect(text.err).toBe('')
})

test('--check names a page that is missing or differs, and writes nothing; without it the page is written', () => {
  const { io, text } = captureIo()
  const two = [
    { file: 'docs/a.md', render: () => 'a\n' },
    { file: 'b.md', render: () => 'b\n' },
  ]
  writeFileSync(join(folder, 'b.md'), 'b\n')
  expect(runRenderDocs(two, folder, true, io)).toBe(1)
  expect(text.err).toBe('docs/a.md is out of date  → authgw render-docs\n')
  expect(runRenderDocs(two, folder, false, io)).toBe(0)
  expect(text.out).toBe('docs/a.md\n')
  expect(readFileSync(join(folder, 'docs/a.md'), 'utf8')).toBe('a\n')
  expect(runRenderDocs(two, folder, true, io)).toBe(0)
})

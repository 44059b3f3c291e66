import { existsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { REFUSAL_REASONS } from '../../../src/auth/index.ts'
import { PROJECT, projectFiles, readProjectFile, yamlBlocks } from '../../support/project-files.ts'

const pages = projectFiles('.md')

/** Anchors of a page's headings, as Markdown viewers make them. */
const anchorsOf = (markdown: string): Set<string> =>
  new Set(
    [...markdown.matchAll(/^#{1,6} (.+)$/gm)].map((match) =>
      match[1]!
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replaceAll(/\s/g, '-'),
    ),
  )

/** Whether a link on `page` leads to no file, or to no heading of it. */
function isDead(page: string, target: string): boolean {
  if (/^[a-z]+:/.test(target)) return false
  const [path = '', anchor] = target.split('#')
  const file = path === '' ? page : join(dirname(page), path)
  if (!existsSync(join(PROJECT, file))) return true
  if (anchor === undefined || statSync(join(PROJECT, file)).isDirectory()) return false
  return !anchorsOf(readProjectFile(file)).has(anchor)
}

/** Says which links of a page lead nowhere. */
function deadLinks(page: string): string[] {
  const text = readProjectFile(page).replaceAll(/^```[\s\S]*?^```$/gm, '')
  const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1]!)
  return targets.filter((target) => isDead(page, target))
}

test.each(pages)('every link of %s leads somewhere', (page) => {
  expect(deadLinks(page)).toEqual([])
})

test('a decision takes at most forty lines, and says context, decision, consequences', () => {
  const records = projectFiles('.md', 'docs/adr')
  expect(records.length).toBeGreaterThan(8)
  for (const record of records) {
    const text = readProjectFile(record)
    expect([record, text.trimEnd().split('\n').length <= 40]).toEqual([record, true])
    for (const part of ['Context', 'Decision', 'Consequences']) expect(text).toContain(`\n## ${part}\n`)
    expect(text).toMatch(/^# \d+\. /)
  }
})

test('there is a page for each task of an operator, and the index names them all', () => {
  const index = readProjectFile('docs/operations/README.md')
  const tasks = projectFiles('.md', 'docs/operations').filter((page) => !page.endsWith('README.md'))
  for (const task of ['keycloak', 'entra-id', 'okta', 'kubernetes-service-accounts', 'spiffe'])
    expect(tasks).toContain(`docs/operations/${task}.md`)
  for (const task of ['rotating', 'reading-a-denial', 'sizing-the-queue'])
    expect(tasks).toContain(`docs/operations/${task}.md`)
  expect(tasks.filter((page) => !index.includes(`](${page.slice('docs/operations/'.length)})`))).toEqual([])
})

test('the page for each provider configures both sides, as one file each', () => {
  for (const provider of ['keycloak', 'entra-id', 'okta', 'kubernetes-service-accounts', 'spiffe']) {
    const blocks = yamlBlocks(readProjectFile(`docs/operations/${provider}.md`))
    for (const role of ['workload', 'control_plane'])
      expect([provider, role, blocks.some((text) => text.startsWith(`${role}:`))]).toEqual([
        provider,
        role,
        true,
      ])
  }
})

test('the night page knows every refusal that can hold telemetry back', () => {
  const night = readProjectFile('docs/operations/symptoms.md')
  // What a client sends wrongly and the sender alone can mend is described in errors.md.
  const onlyInErrors = new Set([
    'token_duplicate',
    'token_malformed',
    'token_too_large',
    'token_encrypted',
    'token_header',
    'token_type',
    'token_claims',
    'token_lifetime',
    'token_client',
    'token_expired_recently',
  ])
  const absent = Object.keys(REFUSAL_REASONS).filter(
    (reason) => !onlyInErrors.has(reason) && !night.includes(`\`${reason}\``),
  )
  expect(absent).toEqual([])
})

test('every alert has its first step on the page about running it', () => {
  const night = readProjectFile('docs/operations/running.md')
  const alerts = [...readProjectFile('deploy/prometheus/alerts.yaml').matchAll(/- alert: (\w+)/g)]
  expect(alerts.map((match) => match[1]!).filter((alert) => !night.includes(`\`${alert}\``))).toEqual([])
})

test('every alert names the page to open first, and the page is there', () => {
  const text = readProjectFile('deploy/prometheus/alerts.yaml')
  const runbooks = text
    .split('- alert: ')
    .slice(1)
    .map((alert) => /^ +runbook: (\S+)$/m.exec(alert)?.[1])
  expect(runbooks.length).toBeGreaterThan(5)
  // As from the top of the project.
  expect(runbooks.filter((page) => page === undefined || isDead('README.md', page))).toEqual([])
})

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { loadConfig } from '../../../src/config/index.ts'
import { makePki, type Pki } from '../../support/dev-pki.ts'
import { projectFiles, readProjectFile, yamlBlocks } from '../../support/project-files.ts'

let folder: string
let pki: Pki
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'authgw-deploy-'))
  pki = await makePki(join(folder, 'pki'))
}, 30_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const isAuthgw = (yaml: string): boolean =>
  /^(workload|control_plane):/m.test(yaml) && !/^receivers:/m.test(yaml)

/** What stands in a file that a configuration names under `key`. */
function contentFor(key: string): string {
  if (/^(client_)?ca_file$|^issuer_ca_path$/.test(key)) return pki.ca.certificatePem
  if (key === 'cert_file') return pki.server.certificatePem
  if (key === 'key_file') return pki.server.keyPem
  if (key === 'public_keys_file') return '{"keys": [{"kty": "RSA"}]}\n'
  return 'something\n'
}

/** Puts the files that a configuration names into a folder of ours, and gives the configuration that names them there. */
function withFiles(value: unknown, place: string): unknown {
  if (Array.isArray(value)) return value.map((item) => withFiles(item, place))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      if (typeof inner !== 'string' || !/_file$|_path$|_directory$|^filename$/.test(key))
        return [key, withFiles(inner, place)]
      const path = join(place, inner)
      mkdirSync(key.endsWith('_directory') ? path : dirname(path), { recursive: true })
      if (!key.endsWith('_directory')) writeFileSync(path, contentFor(key), { mode: 0o600 })
      return [key, path]
    }),
  )
}

let count = 0
/** Loads a configuration with its files in place. Gives its warnings. @throws ConfigError with every fault */
function warningsOf(yaml: string, env: Record<string, string> = {}): string[] {
  const place = join(folder, String(count++))
  mkdirSync(place)
  const file = join(place, 'config.yaml')
  writeFileSync(file, stringify(withFiles(parse(yaml), place)))
  const loaded = loadConfig({ files: [file], settings: [], env, nowMs: Date.now() })
  return loaded.warnings.map(({ path, problem }) => `${path} ${problem}`)
}

const files = projectFiles('.yaml', 'deploy').filter((file) => isAuthgw(readProjectFile(file)))

test('there are configurations to check: examples, pattern, containers, Kubernetes', () => {
  for (const part of ['examples', 'pattern-5', 'compose', 'kubernetes'])
    expect(files.filter((file) => file.startsWith(`deploy/${part}/`)).length).toBeGreaterThan(1)
})

test.each(files)('%s is valid and gives no warning', (file) => {
  expect(warningsOf(readProjectFile(file), { CONTROL_PLANE: 'control-plane:34317' })).toEqual([])
})

const blocks = projectFiles('.md').flatMap((file) =>
  yamlBlocks(readProjectFile(file)).map((text, i) => [`${file}, block ${i + 1}`, text] as const),
)

test.each(blocks)('%s is YAML, and valid if it is a configuration of authgw', (_, text) => {
  expect(() => parse(text) as unknown).not.toThrow()
  const warnings = isAuthgw(text) ? warningsOf(text, { CLIENT_SECRET: 'hush' }) : []
  expect(warnings).toEqual([])
})

test('the README shows both roles', () => {
  const shown = yamlBlocks(readProjectFile('README.md')).filter(isAuthgw)
  expect(shown.map((text) => Object.keys(parse(text) as object)[0])).toEqual(['workload', 'control_plane'])
})

/**
 * The archive for npm, by `npm run package`: what is in it runs, and the checkout stays as it is, whether or not packing ends well.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, expect, test, vi } from 'vitest'
import { PROJECT } from '../support/project-files.ts'

const folder = mkdtempSync(join(tmpdir(), 'authgw-package-test-'))
const staging = join(folder, 'tmp')
const out = join(folder, 'out')
const manifest = (): string => readFileSync(join(PROJECT, 'package.json'), 'utf8')

/** Folders that packing works in. */
const staged = (): string[] => readdirSync(staging).filter((name) => name.startsWith('authgw-pack-'))

beforeEach(() => {
  for (const each of [staging, out]) {
    rmSync(each, { recursive: true, force: true })
    mkdirSync(each)
  }
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Runs pack.ts in a process group of its own, with its staging folder where this test can see it. */
const pack = () =>
  spawn(process.execPath, ['pack.ts', '--out', out], {
    cwd: PROJECT,
    env: { ...process.env, TMPDIR: staging },
    stdio: 'ignore',
    detached: true,
  })

test('the archive holds the program and its pages, needs no package, and runs', async () => {
  const before = manifest()
  expect(await once(pack(), 'exit')).toEqual([0, null])
  expect(manifest()).toBe(before)
  expect(staged()).toEqual([])
  const { version } = JSON.parse(before) as { version: string }
  expect(readdirSync(out)).toEqual([`authgw-${version}.tgz`])
  execFileSync('tar', ['xzf', `authgw-${version}.tgz`], { cwd: out })
  const shipped = JSON.parse(readFileSync(join(out, 'package/package.json'), 'utf8')) as object
  expect(Object.keys(shipped)).toEqual(
    expect.arrayContaining(['name', 'version', 'license', 'engines', 'bin']),
  )
  for (const key of ['scripts', 'dependencies', 'devDependencies', 'optionalDependencies'])
    expect(shipped).not.toHaveProperty(key)
  expect(readdirSync(join(out, 'package'))).toEqual(
    expect.arrayContaining(['README.md', 'LICENSE', 'dist', 'docs']),
  )
  const said = execFileSync(process.execPath, ['package/dist/authgw.js', 'version'], {
    cwd: out,
    encoding: 'utf8',
  })
  expect(said).toContain(`authgw ${version}`)
})

test('packing that is cancelled leaves neither the checkout changed nor a folder behind', async () => {
  const before = manifest()
  const packing = pack()
  // It has begun to build into its folder.
  await vi.waitFor(() => expect(staged()).toHaveLength(1), { timeout: 10_000, interval: 5 })
  const ended = once(packing, 'exit')
  process.kill(-packing.pid!, 'SIGINT')
  expect(await ended).toEqual([130, null])
  expect(manifest()).toBe(before)
  expect(readdirSync(out)).toEqual([])
  expect(staged()).toEqual([])
})

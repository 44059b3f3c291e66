import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { PrivateFiles } from '../../../src/net/index.ts'

let folder: string
const files = new PrivateFiles()

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'authgw-private-'))
})
afterEach(() => {
  rmSync(folder, { recursive: true, force: true })
})

test('what is written is read again, with mode 0600 and our uid', async () => {
  const path = join(folder, 'keys.json')
  await files.writeAtomically(path, '{"a":"ü"}')
  const file = await files.read(path, 1_000)
  expect(file).toEqual({
    facts: { kind: 'file', mode: 0o600, uid: files.ownUid, sizeBytes: 10 },
    text: '{"a":"ü"}',
  })
})

test('a new text replaces the old in one step and leaves no draft', async () => {
  const path = join(folder, 'keys.json')
  await files.writeAtomically(path, 'old')
  const inode = statSync(path).ino
  await files.writeAtomically(path, 'new')
  expect(statSync(path).ino).not.toBe(inode)
  expect((await files.read(path, 10))?.text).toBe('new')
  expect(readdirSync(folder)).toEqual(['keys.json'])
})

test('a folder that is not there is an error, and nothing is left behind', async () => {
  await expect(files.writeAtomically(join(folder, 'none', 'keys.json'), 'x')).rejects.toMatchObject({
    code: 'ENOENT',
  })
  expect(readdirSync(folder)).toEqual([])
})

test('nothing is null, both for stat and read', async () => {
  expect(await files.stat(join(folder, 'none'))).toBeNull()
  expect(await files.read(join(folder, 'none'), 10)).toBeNull()
})

test('no more is read than asked for', async () => {
  const path = join(folder, 'big')
  writeFileSync(path, 'x'.repeat(1_000))
  const file = await files.read(path, 10)
  expect(file?.text).toBe('xxxxxxxxxx')
  expect(file?.facts.sizeBytes).toBe(1_000)
})

test('links are not followed', async () => {
  const path = join(folder, 'link')
  writeFileSync(join(folder, 'target'), 'secret')
  symlinkSync(join(folder, 'target'), path)
  expect((await files.stat(path))?.kind).toBe('other')
  await expect(files.read(path, 10)).rejects.toMatchObject({ code: 'ELOOP' })
})

test('a pipe and a folder are told apart from a file, without waiting', async () => {
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  expect((await files.read(pipe, 10))?.facts.kind).toBe('other')
  expect((await files.read(folder, 10))?.facts.kind).toBe('folder')
  expect((await files.stat(folder))?.kind).toBe('folder')
})

test('permission bits are told as they are', async () => {
  const path = join(folder, 'open')
  writeFileSync(path, 'x')
  chmodSync(path, 0o644)
  expect((await files.stat(path))?.mode).toBe(0o644)
})

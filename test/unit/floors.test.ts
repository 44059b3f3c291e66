import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { expect, test } from 'vitest'

const SRC = resolve(import.meta.dirname, '../../src')

/** Room → floor, and the rooms on the same or a lower floor that it may import through their index.ts. */
const ROOMS: Record<string, { floor: number; mayImport: string[] | 'lower' }> = {
  base: { floor: 0, mayImport: [] },
  frame: { floor: 1, mayImport: ['base'] },
  hpack: { floor: 1, mayImport: ['base'] },
  grpc: { floor: 1, mayImport: ['base'] },
  config: { floor: 1, mayImport: ['base'] },
  h2: { floor: 2, mayImport: ['base', 'frame', 'hpack'] },
  auth: { floor: 2, mayImport: ['base'] },
  // hpack: a head is a list of its fields; the relay rewrites them (docs/adr/0006).
  relay: { floor: 3, mayImport: ['base', 'hpack', 'h2', 'grpc', 'auth'] },
  net: { floor: 4, mayImport: ['base', 'h2', 'auth', 'relay'] },
  telemetry: { floor: 5, mayImport: ['base', 'h2', 'auth', 'relay', 'net'] },
  admin: { floor: 6, mayImport: ['base', 'telemetry'] },
  roles: { floor: 7, mayImport: 'lower' },
  cli: { floor: 8, mayImport: ['base', 'roles', 'config', 'auth', 'net'] },
  'main.ts': { floor: 8, mayImport: ['base', 'cli', 'roles', 'config'] },
}

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
const roomOf = (file: string): string => relative(SRC, file).split('/')[0]!
const importsOf = (text: string): string[] =>
  [
    ...text.matchAll(
      /^\s*(?:import|export)\b[^'"]*?from\s+['"](\.[^'"]+)['"]|^\s*import\s+['"](\.[^'"]+)['"]|\bimport\(['"](\.[^'"]+)['"]\)/gm,
    ),
  ].map((match) => (match[1] ?? match[2] ?? match[3])!)

/** Gives the sentence that says what is wrong and what to do instead, or null. */
function complaint(fromFile: string, specifier: string): string | null {
  const from = roomOf(fromFile)
  const target = resolve(dirname(fromFile), specifier)
  const to = roomOf(target)
  const at = relative(SRC, fromFile)
  if (from === to) return null
  const room = ROOMS[from]
  if (room === undefined) return `${at}: ${from} is no room; add it to the table with its floor.`
  if (ROOMS[to] === undefined) return `${at}: imports ${specifier}, which is in no room.`
  const allowed = room.mayImport === 'lower' ? ROOMS[to].floor < room.floor : room.mayImport.includes(to)
  if (!allowed)
    return `${at}: ${from} (floor ${room.floor}) may not import ${to} (floor ${ROOMS[to].floor}); give it what it needs as a value or a port.`
  if (to !== 'main.ts' && relative(SRC, target) !== `${to}/index.ts`)
    return `${at}: imports ${specifier}; go through ${to}/index.ts.`
  return null
}

test('every file of src is in a room', () => {
  expect(files.map((file) => roomOf(join(SRC, file))).filter((room) => ROOMS[room] === undefined)).toEqual([])
  expect(files.length).toBeGreaterThan(10)
})

test('imports go down the floors, through index.ts', () => {
  const complaints = files.flatMap((name) => {
    const file = join(SRC, name)
    return importsOf(readFileSync(file, 'utf8')).map((specifier) => complaint(file, specifier))
  })
  expect(complaints.filter((text) => text !== null)).toEqual([])
})

test('the check itself catches an import that goes up, one that bypasses index.ts, and a type import', () => {
  expect(complaint(join(SRC, 'frame/reader.ts'), '../h2/index.ts')).toContain('may not import h2')
  expect(complaint(join(SRC, 'h2/stream.ts'), '../frame/reader.ts')).toContain('go through frame/index.ts')
  expect(importsOf("import type { A } from '../net/index.ts'")).toEqual(['../net/index.ts'])
  expect(importsOf("import {\n  type A,\n} from '../net/index.ts'")).toEqual(['../net/index.ts'])
})

test('every file opens by saying what it does and on which floor', () => {
  const silent = files.filter(
    (name) =>
      !/^\/\*\*[\s\S]{20,}?\*\//.test(readFileSync(join(SRC, name), 'utf8')) ||
      !/Floor \d/.test(readFileSync(join(SRC, name), 'utf8').slice(0, 800)),
  )
  expect(silent).toEqual([])
})

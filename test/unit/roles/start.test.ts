import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'

const ROLES = resolve(import.meta.dirname, '../../../src/roles')

/** What a file of the room loads when it is loaded: neither types nor what it imports later. */
function loadedBy(file: string): string[] {
  const text = readFileSync(join(ROLES, file), 'utf8')
  return [...text.matchAll(/^(?:import|export) (?!type\b)[^'"]*?from '([^']+)'/gm)].map((match) => match[1]!)
}

/** All that loading the room loads, of the room and of Node. */
function closure(): Set<string> {
  const seen = new Set(['index.ts'])
  for (const file of seen) {
    if (file.startsWith('node:')) continue
    for (const name of loadedBy(file)) {
      if (name.startsWith('./')) seen.add(name.slice(2))
      else if (name.startsWith('node:')) seen.add(name)
    }
  }
  return seen
}

test('one process loads nothing of what several need: neither processes nor their supervisor', () => {
  const loaded = closure()
  expect([...loaded]).toEqual(expect.arrayContaining(['run.ts', 'gateway.ts', 'owners.ts', 'worker.ts']))
  for (const name of [
    'supervisor.ts',
    'crew.ts',
    'spawn.ts',
    'dealer.ts',
    'node:child_process',
    'node:cluster',
  ])
    expect([...loaded]).not.toContain(name)
})

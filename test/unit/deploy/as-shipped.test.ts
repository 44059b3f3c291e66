import { expect, test } from 'vitest'
import { readProjectFile } from '../../support/project-files.ts'
import { SHIPPED_ENV, SHIPPED_FLAGS, shippedEnv } from '../../support/as-shipped.ts'

const variables = Object.entries(SHIPPED_ENV).map(([name, value]) => `${name}=${value}`)

test('the package starts as it is measured', () => {
  const [, line] = /^const SHEBANG = '(.+)'$/m.exec(readProjectFile('rolldown.config.ts')) ?? []
  expect(line).toBe(`#!/usr/bin/env -S ${[...variables, 'node', ...SHIPPED_FLAGS].join(' ')}`)
})

test('the image starts as it is measured', () => {
  const dockerfile = readProjectFile('Dockerfile')
  const last = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '))
  expect(last.match(/^ENV .+$/gm)).toEqual(variables.map((variable) => `ENV ${variable}`))
  const [, entry] = /^ENTRYPOINT (.+)$/m.exec(last) ?? []
  expect(JSON.parse(entry!)).toEqual(['/nodejs/bin/node', ...SHIPPED_FLAGS, '/app/authgw.js'])
})

test('a measured gateway gets further flags beside those', () => {
  expect(shippedEnv('--inspect=127.0.0.1:9229')).toEqual({
    MALLOC_ARENA_MAX: '1',
    NODE_OPTIONS: '--max-semi-space-size=4 --inspect=127.0.0.1:9229',
  })
})

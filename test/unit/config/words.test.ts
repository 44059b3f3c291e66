import { expect, test } from 'vitest'
import { formatDuration, parseDuration } from '../../../src/config/duration.ts'
import {
  endpointsCollide,
  isLocalEndpoint,
  isLoopbackHost,
  parseEndpoint,
} from '../../../src/config/endpoint.ts'
import type { Endpoint } from '../../../src/config/endpoint.ts'
import { quote } from '../../../src/config/fields.ts'
import { interpolate } from '../../../src/config/interpolate.ts'
import { formatSize, parseSize } from '../../../src/config/size.ts'
import { closestWord, editDistance } from '../../../src/config/suggest.ts'

test.each([
  ['0', 0],
  ['30s', 30_000],
  ['5m', 300_000],
  ['1h30m', 5_400_000],
  ['1.5s', 1_500],
  ['300ms', 300],
  ['250us', 0.25],
  ['1m30.5s', 90_500],
])('the duration %s is %d ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms)
})

test.each(['', '30', '-5s', '5 s', '5d', 's', '1h,5m', '0x5s'])('"%s" is no duration', (text) => {
  expect(parseDuration(text)).toBeNull()
})

test.each([30_000, 5_400_000, 1_500, 300, 3_661_000])('a duration of %d ms survives being written', (ms) => {
  expect(parseDuration(formatDuration(ms))).toBe(ms)
})

test.each([
  ['1000', 1_000],
  ['64KiB', 65_536],
  ['4 MiB', 4_194_304],
  ['1gib', 2 ** 30],
  ['10MB', 10_000_000],
  ['0.5KiB', 512],
])('the size %s is %d bytes', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes)
})

test.each(['', 'big', '-1', '5TiB', '1.3', '9999999999GiB'])('"%s" is no size', (text) => {
  expect(parseSize(text)).toBeNull()
})

test.each([65_536, 4_194_304, 100, 2 ** 30])('a size of %d bytes survives being written', (bytes) => {
  expect(parseSize(formatSize(bytes))).toBe(bytes)
})

test.each([
  ['localhost:4317', { kind: 'tcp', host: 'localhost', port: 4317 }],
  ['[::1]:4317', { kind: 'tcp', host: '::1', port: 4317 }],
  [':4317', { kind: 'tcp', host: '::', port: 4317 }],
  ['dns:///collector.Example.com:4317', { kind: 'tcp', host: 'collector.example.com', port: 4317 }],
  ['unix:///run/authgw/otlp.sock', { kind: 'unix', path: '/run/authgw/otlp.sock' }],
  ['unix:/run/otlp.sock', { kind: 'unix', path: '/run/otlp.sock' }],
  ['/run/otlp.sock', { kind: 'unix', path: '/run/otlp.sock' }],
])('the endpoint %s is understood', (text, endpoint) => {
  expect(parseEndpoint(text)).toMatchObject({ ...endpoint, text })
})

test.each([
  ['localhost', 'write localhost:4317'],
  ['http://localhost:4317', 'write localhost:4317; whether TLS is used is said under tls'],
  ['localhost:70000', 'write host:port'],
  ['unix:otlp.sock', 'write unix:///run/authgw/otlp.sock'],
  ['a b:4317', 'write host:port'],
])('the endpoint %s is refused, and the remedy says what to write', (text, remedy) => {
  expect(parseEndpoint(text)).toMatchObject({ remedy: expect.stringContaining(remedy) })
})

test('loopback is localhost, 127.0.0.0/8 and ::1, and nothing that merely looks like it', () => {
  expect(['localhost', '127.0.0.1', '127.8.8.8', '::1', '[::1]', 'a.localhost'].every(isLoopbackHost)).toBe(
    true,
  )
  expect(
    ['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.example.com', 'localhost.example.com'].some(isLoopbackHost),
  ).toBe(false)
  expect(isLocalEndpoint(parseEndpoint('unix:///run/x') as Endpoint)).toBe(true)
})

test.each([
  ['0.0.0.0:4317', 'localhost:4317', true],
  ['localhost:4317', '127.0.0.1:4317', true],
  ['10.0.0.1:4317', '10.0.0.2:4317', false],
  ['localhost:4317', 'localhost:4318', false],
  ['localhost:0', 'localhost:0', false],
  ['unix:///a', '/a', true],
  ['unix:///a', 'localhost:1', false],
])('%s and %s in one process: collision %s', (a, b, collides) => {
  expect(endpointsCollide(parseEndpoint(a) as Endpoint, parseEndpoint(b) as Endpoint)).toBe(collides)
})

const sources = {
  env: { NAME: 'value', EMPTY: '', TRICK: '${env:NAME}: {a: b}' },
  readFile: (path: string): string => {
    if (path === 'secret.txt') return 'hush\n'
    throw Object.assign(new Error('no'), { code: 'ENOENT' })
  },
}

test.each([
  ['plain', 'plain'],
  ['${env:NAME}', 'value'],
  ['a-${env:NAME}-b-${env:NAME}', 'a-value-b-value'],
  ['${env:MISSING:-fallback}', 'fallback'],
  ['${env:EMPTY:-fallback}', 'fallback'],
  ['${env:EMPTY}', ''],
  ['${env:MISSING:-}', ''],
  ['${file:secret.txt}', 'hush'],
  ['$$', '$'],
  ['$${env:NAME}', '${env:NAME}'],
  ['costs 5$', 'costs 5$'],
  ['${env:TRICK}', '${env:NAME}: {a: b}'],
])('%s becomes %s', (text, expected) => {
  expect(interpolate(text, sources)).toEqual({ text: expected })
})

test.each([
  ['${env:MISSING}', 'MISSING is not set', '${env:MISSING:-default}'],
  ['${file:nope}', 'nope cannot be read (ENOENT)', 'let this user read it'],
  ['${NAME}', 'no scheme', 'write ${env:NAME}'],
  ['${vault:x}', 'neither env nor file', '$$'],
  ['${env:NAME', 'not closed', '}'],
])('%s is a fault that says what to do', (text, problem, remedy) => {
  expect(interpolate(text, sources)).toEqual({
    problem: expect.stringContaining(problem),
    remedy: expect.stringContaining(remedy),
  })
})

test.each(['a${hush', 'a${hush}b', 'a${hush:x}', '${file:}${hush'])(
  'the fault in %s repeats nothing of it: it may be a secret with a dollar sign',
  (text) => {
    expect(JSON.stringify(interpolate(text, sources))).not.toContain('hush')
  },
)

test('a value is quoted without the user name and password of a URL', () => {
  expect(quote('ftp://user:hush@idp.example')).toBe('"ftp://…@idp.example"')
  expect(quote('https://user:hu@sh@idp.example/a@b')).toBe('"https://…@idp.example/a@b"')
})

test('a mistyped word finds the one that was meant, a strange one finds none', () => {
  const known = ['endpoint', 'client_secret_file', 'issuer_url']
  expect(closestWord('endpiont', known)).toBe('endpoint')
  expect(closestWord('clientSecretFile', known)).toBe('client_secret_file')
  expect(closestWord('issuer-url', known)).toBe('issuer_url')
  expect(closestWord('pipelines', known)).toBeNull()
  expect(editDistance('ab', 'ba')).toBe(1)
  expect(editDistance('', 'abc')).toBe(3)
})

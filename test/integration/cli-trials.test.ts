/** `authgw token` and `authgw explain` against a real provider. */
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { OTLP_EXPORT_PATHS } from '../../src/auth/index.ts'
import { runProgram } from '../../src/cli/index.ts'
import { captureIo } from '../support/capture-io.ts'
import { makeConfigFolder } from '../support/config-folder.ts'
import type { ConfigFolder } from '../support/config-folder.ts'
import { startProvider } from '../support/oidc-provider.ts'
import type { RunningProvider } from '../support/oidc-provider.ts'

const SECRET = 'a secret that is printed nowhere'

let folder: ConfigFolder
let provider: RunningProvider
beforeAll(async () => {
  folder = await makeConfigFolder()
})
afterAll(() => folder.remove())
beforeEach(async () => {
  provider = await startProvider({
    audience: 'control-plane',
    clients: [{ clientId: 'workload', secret: SECRET, claims: { roles: ['writer'] } }],
  })
  folder.write('client-secret', SECRET)
})
afterEach(() => provider.close())

async function authgw(args: string[], input = '') {
  const { io, text } = captureIo({ readInput: () => Promise.resolve(input) })
  const parts = {
    io,
    startRoles: () => Promise.reject(new Error('nothing is started')),
    pages: () => Promise.resolve([]),
  }
  const code = await runProgram(args, parts)
  expect(text.out + text.err).not.toContain(SECRET)
  return { code, ...text }
}

const workload = (identity: string): string => `workload:
  listen: {endpoint: localhost:4317}
  upstream: {endpoint: localhost:5317}
${identity}
`
const grant = (more = ''): string =>
  `{issuer_url: '${provider.issuer}', client_id: workload, client_secret_file: client-secret${more}}`

const controlPlane = (more = ''): string => `control_plane:
  listen: {endpoint: localhost:4317}
  upstream: {endpoint: localhost:5317}
  oidc:
    providers: [{issuer_url: '${provider.issuer}', audience: control-plane}]
${more}`

const runToken = (yaml: string, ...args: string[]) =>
  authgw(['token', '-c', folder.write('token.yaml', yaml), ...args])
const explain = (token: string, yaml: string, ...args: string[]) =>
  authgw(['explain', '-c', folder.write('explain.yaml', yaml), ...args], token)

test('token prints the claims and the times of a token, and neither the token nor its signature', async () => {
  const { code, out, err } = await runToken(workload(`  oauth2client: ${grant()}`))
  expect(err).toBe('')
  expect(code).toBe(0)
  expect(out).toMatch(/^identity {2}default\nlives {5}300 s, until \d{4}-.*Z\nused {6}until .*Z/)
  const claims = JSON.parse(out.split('\nclaims ')[1]!) as Record<string, unknown>
  expect(claims).toMatchObject({ iss: provider.issuer, aud: 'control-plane', roles: ['writer'] })
  expect(out).toMatch(/\nheader {4}\{.*"alg":"[A-Z0-9]+"/)
  expect(out).not.toMatch(/eyJ|[\w-]{64,}/)
  expect(provider.requestCounts['/token']).toBe(1)
})

test('token asks for each identity, or for the one that is named', async () => {
  const yaml = workload(`  identities:
    - {name: first, oauth2client: ${grant()}}
    - {name: second, bearertokenauth: {filename: opaque}}
  routes: [{prefix: /, identity: first}]`)
  folder.write('opaque', 'opaque-token')
  const all = await runToken(yaml)
  expect(all.code).toBe(0)
  expect(all.out).toMatch(/identity {2}first\n[^]*identity {2}second\n[^]*claims {4}unknown: it is no JWT/)
  expect(all.out).not.toContain('opaque-token')
  const one = await runToken(yaml, '--identity', 'first')
  expect(one.out).not.toContain('second')
  const none = await runToken(yaml, '--identity', 'third')
  expect([none.code, none.err]).toEqual([2, 'there is no identity "third"  → write one of first, second\n'])
})

test('a secret that the provider refuses is invalid_client, with what to do about it', async () => {
  folder.write('client-secret', 'another')
  const { code, out, err } = await runToken(workload(`  oauth2client: ${grant()}`))
  expect([code, out]).toEqual([1, ''])
  expect(err).toMatch(/^default: invalid_client: .+\n {2}The identity provider does not know the client/)
})

test('a provider that is away is idp_unreachable; one that answers nonsense is said by its status', async () => {
  provider.fault = { kind: 'answer', status: 503, body: SECRET }
  expect((await runToken(workload(`  oauth2client: ${grant()}`))).err).toMatch(/^default: idp_status: .*503/)
  await provider.stop()
  const { code, err } = await runToken(workload(`  oauth2client: ${grant()}`))
  expect(code).toBe(1)
  expect(err).toMatch(/^default: idp_unreachable/)
})

test('token refuses a configuration that fetches none', async () => {
  const { code, err } = await runToken(controlPlane())
  expect(code).toBe(2)
  expect(err).toContain('no identity')
})

test('explain --online verifies the signature with the provider’s keys and names what allows the call', async () => {
  const { code, out } = await explain(await provider.mintToken({}), controlPlane(), '--online')
  expect(out).toContain(`method     ${OTLP_EXPORT_PATHS.traces}\nkeys       ${provider.issuer}\n`)
  expect(out).toMatch(/\nsignature {2}passed: /)
  expect(out).toMatch(/\nverdict {4}allowed by the default/)
  expect(code).toBe(0)
})

test('explain asks nobody by itself: without keys the signature is left open, and the verdict says so', async () => {
  const before = JSON.stringify(provider.requestCounts)
  const { code, out } = await explain(`Bearer ${await provider.mintToken({})}\n`, controlPlane())
  expect(out).toContain('keys       none; give --keys FILE or --online')
  expect(out).toMatch(/\nsignature {2}open: /)
  expect(out).toMatch(/\nverdict {4}allowed by .*, if the signature is good\n/)
  expect(code).toBe(0)
  expect(JSON.stringify(provider.requestCounts)).toBe(before)
})

test('explain takes the keys from a file, and finds a forged token', async () => {
  const keys = folder.write('keys.json', await (await fetch(`${provider.url}/jwks`)).text())
  const token = await provider.mintToken({})
  expect((await explain(token, controlPlane(), '--keys', keys)).out).toMatch(/\nsignature {2}passed: /)
  const forged = `${token.slice(0, -8)}AAAAAAAA`
  const { code, out } = await explain(forged, controlPlane(), '--keys', keys)
  expect(code).toBe(1)
  expect(out).toMatch(/\nverdict {4}refused: token_signature\n {11}docs\/errors\.md#token_signature\n$/)
  expect(out).not.toContain(forged.split('.')[2])
})

test('explain says when the keys cannot be fetched, and writes nothing beside a gateway that runs', async () => {
  const cache = join(folder.path, 'cache')
  mkdirSync(cache, { mode: 0o700, recursive: true })
  const yaml = controlPlane(`    key_cache_directory: cache\n`)
  expect((await explain(await provider.mintToken({}), yaml, '--online')).code).toBe(0)
  expect(readdirSync(cache)).toEqual([])
  const token = await provider.mintToken({})
  await provider.stop()
  const { out } = await explain(token, yaml, '--online')
  expect(out).toMatch(/\nkeys {7}idp_unreachable: .*127\.0\.0\.1/)
})

test.each([
  ['another audience', { aud: 'other' }, 'refused: token_audience'],
  ['an issuer that is not configured', { iss: 'https://other.example' }, 'refused: token_issuer'],
  ['an end long ago', { exp: 1_000_000_000, iat: 999_999_900 }, 'refused: token_expired'],
  ['a binding to another certificate', { cnf: { 'x5t#S256': 'x' } }, 'refused: token_binding'],
])('explain: a token with %s', async (_what, claims, verdict) => {
  const { code, out } = await explain(await provider.mintToken(claims), controlPlane(), '--online')
  expect(code).toBe(1)
  expect(out).toContain(`\nverdict    ${verdict}\n`)
})

const RULES = `  policy:
    rules:
      - {name: writers, when: [{claim: roles, any_of: [writer]}], to: {signals: [traces, logs]}}
      - {name: no-strangers, action: deny, to: {signals: [logs]}, expression: 'peer.spiffe_id == ""'}
      - {name: watch, action: audit}
`

test('explain names the rule, the field by which others do not match, and the certificate’s part in it', async () => {
  const token = await provider.mintToken({ roles: ['writer'] })
  const traces = await explain(token, controlPlane(RULES), '--online')
  expect(traces.out).toContain('rule       writers (allow): matches\n')
  expect(traces.out).toContain('rule       no-strangers (deny): does not match, by its to\n')
  expect(traces.out).toContain('audit      watch\nverdict    allowed by the rule "writers"\n')
  const logs = await explain(token, controlPlane(RULES), '--online', '--method', 'logs')
  expect([logs.code, logs.out]).toEqual([
    1,
    expect.stringContaining('verdict    denied by the rule "no-strangers": policy_denied\n'),
  ])
  const certificate = ['--client-cert', join(folder.path, 'client.pem')]
  const known = await explain(token, controlPlane(RULES), '--online', '-m', 'logs', ...certificate)
  expect(known.out).toContain('verdict    allowed by the rule "writers"\n')
  const dry = await explain(token, controlPlane(`${RULES}    dry_run: true\n`), '--online', '-m', 'logs')
  expect([dry.code, dry.out]).toEqual([0, expect.stringContaining('allowed by the dry run; the rule "no-')])
})

test('explain refuses what it cannot work with, and says what to give', async () => {
  const errors = [
    await explain('', controlPlane()),
    await explain('x', controlPlane(), '--method', 'Export'),
    await explain('x', controlPlane(), '--client-cert', folder.write('no-cert', 'x')),
    await explain('x', workload(`  oauth2client: ${grant()}`)),
  ]
  expect(errors.map(({ code }) => code)).toEqual([2, 2, 2, 2])
  expect(errors.map(({ err }) => err)).toEqual([
    expect.stringContaining('there is no token'),
    expect.stringContaining('neither a signal nor a method'),
    expect.stringContaining('holds no certificate'),
    expect.stringContaining('control_plane.oidc  is not there'),
  ])
  expect((await explain('x', controlPlane(), '--keys', '/no/such/file')).code).toBe(1)
  expect((await explain('garbage', controlPlane())).out).toContain('verdict    refused: token_malformed\n')
})

import { expect, test } from 'vitest'
import { CredentialError, InvariantError } from '../../../src/base/index.ts'
import { REDACTED, redactFields, redactText } from '../../../src/telemetry/redact.ts'

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const JWT = `${encode({ alg: 'RS256', kid: 'k1' })}.${encode({ iss: 'https://issuer', marker: 'MARKER' })}.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg`

/** A line of PEM around a private key, in parts: scanners for secrets take the whole for one. */
const KEY_LABEL = ['PRIVATE', 'KEY-----'].join(' ')
const marker = (end: 'BEGIN' | 'END', kind = ''): string => `-----${end} ${kind}${KEY_LABEL}`

test.each([
  ['a JWT in a sentence', `the token ${JWT} was refused`, 'the token [redacted] was refused'],
  ['a JWT cut off in the middle', JWT.slice(0, 40), REDACTED],
  [
    'a JWT whose header was pretty-printed',
    Buffer.from('{\n  "alg": "none"}').toString('base64url'),
    REDACTED,
  ],
  ['an unsigned JWT', `${JWT.split('.').slice(0, 2).join('.')}.`, REDACTED],
  [
    'a Bearer header with an opaque token',
    'authorization: Bearer 2YotnFZFEjr1zCsicMWpAA',
    `authorization: Bearer ${REDACTED}`,
  ],
  ['a short Bearer token', 'got bearer s3cr3tXY', `got bearer ${REDACTED}`],
  ['Basic client credentials', 'Basic d29ya2xvYWQ6czNjcjN0', `Basic ${REDACTED}`],
  [
    'a form body',
    'grant_type=client_credentials&client_secret=hunter2&scope=otlp',
    `grant_type=client_credentials&client_secret=${REDACTED}&scope=otlp`,
  ],
  [
    'a token response',
    '{"access_token":"abc","expires_in":300}',
    `{"access_token":"${REDACTED}","expires_in":300}`,
  ],
  [
    'a token response inside a quoted text',
    String.raw`body was "{\"refresh_token\": \"abc\"}"`,
    String.raw`body was "{\"refresh_token\": \"[redacted]\"}"`,
  ],
  [
    'the userinfo of an URL',
    'connect to https://user:hunter2@proxy:3128/ failed',
    `connect to https://${REDACTED}@proxy:3128/ failed`,
  ],
  [
    'a private key',
    `${marker('BEGIN', 'EC ')}\nMHcCAQEE\n${marker('END', 'EC ')}\nrest`,
    `${REDACTED}\nrest`,
  ],
  ['a private key that was cut off', `x ${marker('BEGIN')}\nMHcCAQEE`, `x ${REDACTED}`],
])('%s is not written down', (_title, text, clean) => {
  expect(redactText(text)).toBe(clean)
})

test.each([
  'bearer authentication is required',
  `there is no private key in it; use PEM: ${marker('BEGIN')}`,
  `name a file that begins with ${marker('BEGIN')}, readable by authgw alone`,
  'use PEM: -----BEGIN CERTIFICATE-----',
  'token unavailable: idp_unreachable',
  'cannot read client_secret_file /var/run/secrets/authgw/client-secret',
  'fetching https://keycloak.example.com/realms/opentelemetry/protocol/openid-connect/certs failed',
  'opentelemetry-collector.observability.svc.cluster.local:4317',
  'MIIBszCCAVmgAwIBAgIUc3ViamVjdA',
])('what an operator needs to read stays: %s', (text) => {
  expect(redactText(text)).toBe(text)
})

test('a long text is cut, and a token across the cut goes with it', () => {
  const text = `${'x '.repeat(4090)}${JWT}`
  const clean = redactText(text)
  expect(clean).toMatch(/characters more\)$/)
  expect(clean).not.toContain('eyJ')
})

test('the value of a secret-looking key is not written down, whatever it looks like', () => {
  const clean = redactFields({
    authorization: 'x',
    'Proxy-Authorization': 'x',
    client_secret: 'x',
    accessToken: ['x'],
    id_token: { deep: 'x' },
    key_pem: 'x',
    'set-cookie': 'x',
    password: Buffer.from('x'),
    nested: { list: [{ client_assertion: 'x' }] },
  })
  expect(JSON.stringify(clean)).not.toContain('"x"')
  expect(clean['nested']).toEqual({ list: [{ client_assertion: REDACTED }] })
})

test('keys that only speak of secrets stay: files, counts, fault tokens', () => {
  const fields = {
    client_secret_file: '/run/secret',
    tokens: 3,
    has_token: true,
    token: 'data_on_stream_0',
    kid: 'k1',
  }
  expect(redactFields(fields)).toEqual(fields)
})

test('claims of a token that did not verify are cut at 64 characters', () => {
  expect(redactFields({ unverified_iss: 'i'.repeat(500) })).toEqual({ unverified_iss: 'i'.repeat(64) })
})

test('an error keeps class, code and causes, and loses tokens in its message and the response that hangs on it', () => {
  const body = Object.assign(new TypeError(`fetch failed with Bearer ${JWT}`), {
    code: 'ECONNREFUSED',
    port: 8443,
  })
  const error = new CredentialError('idp_unreachable', `POST client_secret=hunter2 failed`, { cause: body })
  Object.assign(error, { response: { access_token: 'MARKER' }, body: 'MARKER' })
  expect(redactFields({ err: error })['err']).toEqual({
    type: 'CredentialError',
    message: `POST client_secret=${REDACTED} failed`,
    code: 'idp_unreachable',
    cause: {
      type: 'TypeError',
      message: `fetch failed with Bearer ${REDACTED}`,
      code: 'ECONNREFUSED',
      port: 8443,
    },
  })
})

test('a cause that is no error is left out: HTTP libraries put whole bodies there', () => {
  const error = new Error('refused', { cause: { access_token: 'MARKER' } })
  expect(JSON.stringify(redactFields({ err: error }))).not.toContain('MARKER')
})

test('a surprise keeps its stack, a failure that was foreseen does not', () => {
  const stackOf = (err: Error): unknown => (redactFields({ err })['err'] as Record<string, unknown>)['stack']
  expect(stackOf(new InvariantError('credit'))).toContain('redact.test')
  expect(stackOf(new TypeError('x is null'))).toContain('redact.test')
  const foreseen = new CredentialError('idp_timeout', 'late', { cause: new TypeError('fetch failed') })
  expect(stackOf(foreseen)).toBeUndefined()
  expect(JSON.stringify(redactFields({ err: foreseen }))).not.toContain('stack')
})

test('the errors of an AggregateError are told, as a dial of many addresses fails', () => {
  const err = new AggregateError(
    [Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })],
    'all failed',
  )
  expect(JSON.stringify(redactFields({ err }))).toContain('ECONNREFUSED')
})

test('bytes are never written down, only how many there were', () => {
  expect(redactFields({ chunk: Buffer.from('MARKER'), view: new Uint16Array(4) })).toEqual({
    chunk: '[6 bytes]',
    view: '[8 bytes]',
  })
})

test('cycles, depth, long lists and odd values are bounded', () => {
  const cycle: Record<string, unknown> = {}
  cycle['self'] = cycle
  const clean = redactFields({
    cycle,
    list: Array.from({ length: 100 }, (_, i) => i),
    big: 10n,
    nothing: undefined,
    nan: NaN,
    map: new Map([['k', JWT]]),
    at: new Date(0),
    url: new URL('https://user:pw@host/'),
  })
  expect(JSON.stringify(clean)).toContain('[deeper]')
  expect(clean['list']).toHaveLength(65)
  expect(clean).toMatchObject({
    big: '10',
    nan: 'NaN',
    map: '[1 entries]',
    at: '1970-01-01T00:00:00.000Z',
    url: `https://${REDACTED}@host/`,
  })
  expect('nothing' in clean).toBe(false)
  expect(
    Object.keys(redactFields(Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`k${i}`, i])))).length,
  ).toBe(65)
})

test('text made to be slow is not: every pattern is linear', () => {
  const nasty = ['eyJ', 'bearer ', '://', 'client_secret="', marker('BEGIN')].map((s) => s.repeat(3000))
  const startMs = performance.now()
  for (const text of nasty) redactText(text)
  expect(performance.now() - startMs).toBeLessThan(500)
})

import { generateKeyPairSync } from 'node:crypto'
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  CredentialGate,
  OAuthTokenSource,
  OTLP_EXPORT_PATHS,
  Permit,
  TokenKeeper,
  anonymousPeer,
} from '../../src/auth/index.ts'
import type { CallFacts, OAuthTokenOptions, TokenSnapshot } from '../../src/auth/index.ts'
import { NO_LOG } from '../../src/base/index.ts'
import type { CredentialError, Snapshot } from '../../src/base/index.ts'
import { HttpClient, SystemClock } from '../../src/net/index.ts'
import { startProvider } from '../support/oidc-provider.ts'
import type { RunningProvider } from '../support/oidc-provider.ts'
import { FakeFiles } from '../support/token-endpoint.ts'

const SECRET = 'odd secret: +/%~'
const signing = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const files = new FakeFiles({
  '/secret': `${SECRET}\n`,
  '/key': signing.privateKey.export({ format: 'pem', type: 'pkcs8' }),
})
const clock = new SystemClock()

let provider: RunningProvider
let http: HttpClient

const start = (tokenLifeSeconds: number) =>
  startProvider({
    audience: 'control-plane',
    resources: ['https://other.example'],
    tokenLifeSeconds,
    clients: [
      { clientId: 'by-basic', secret: SECRET, claims: { roles: ['writer'] } },
      { clientId: 'by-post', secret: SECRET, auth: 'client_secret_post' },
      {
        clientId: 'by-key',
        auth: 'private_key_jwt',
        publicKeys: [signing.publicKey.export({ format: 'jwk' })],
      },
    ],
  })

beforeEach(() => {
  http = new HttpClient({ tls: null, environment: {} })
})
afterEach(async () => {
  await provider.close()
  await http.close()
})

function source(options: Partial<OAuthTokenOptions> = {}): OAuthTokenSource {
  return new OAuthTokenSource({
    grant: { kind: 'client_credentials' },
    issuerUrl: provider.issuer,
    discoveryUrl: null,
    tokenUrl: null,
    clientId: { value: 'by-basic' },
    authentication: { kind: 'basic', clientSecret: { file: '/secret' } },
    scopes: ['otlp.write'],
    endpointParams: {},
    allowsPlainHttp: false,
    fetch: http.fetch,
    readFile: files.read,
    clock,
    ...options,
  })
}
const fetchToken = (options: Partial<OAuthTokenOptions> = {}) =>
  source(options).fetchToken(new AbortController().signal)
const failureCode = (options: Partial<OAuthTokenOptions> = {}): Promise<string> =>
  fetchToken(options).then(
    () => 'none',
    (error: unknown) => (error as CredentialError).code,
  )
const verify = (token: string, audience = 'control-plane') =>
  jwtVerify(token, createRemoteJWKSet(new URL(`${provider.issuer}/jwks`)), {
    issuer: provider.issuer,
    audience,
    typ: 'at+jwt',
  })

describe('a certified provider', () => {
  beforeEach(async () => {
    provider = await start(10)
  })

  test('gives a signed access token of ten seconds for a secret in the authorization field', async () => {
    const fetched = await fetchToken()
    expect(fetched.lifeMs).toBe(10_000)
    const { payload } = await verify(fetched.accessToken)
    expect(payload).toMatchObject({ client_id: 'by-basic', scope: 'otlp.write', roles: ['writer'] })
    expect(payload.exp! - payload.iat!).toBe(10)
  })

  test('for a secret in the form', async () => {
    const { accessToken } = await fetchToken({
      clientId: { value: 'by-post' },
      authentication: { kind: 'post', clientSecret: { file: '/secret' } },
    })
    expect((await verify(accessToken)).payload['client_id']).toBe('by-post')
  })

  test('for an assertion signed with the client’s key, each used once', async () => {
    const byKey = source({
      clientId: { value: 'by-key' },
      authentication: { kind: 'private_key_jwt', key: { file: '/key' } },
    })
    for (let i = 0; i < 2; i++) {
      const { accessToken } = await byKey.fetchToken(new AbortController().signal)
      expect((await verify(accessToken)).payload['client_id']).toBe('by-key')
    }
  })

  test('for another resource, with that audience', async () => {
    const { accessToken } = await fetchToken({ endpointParams: { resource: 'https://other.example' } })
    expect((await verify(accessToken, 'https://other.example')).payload.aud).toBe('https://other.example')
  })

  test('by token_url, without discovery', async () => {
    const { accessToken } = await fetchToken({ issuerUrl: null, tokenUrl: `${provider.issuer}/token` })
    await verify(accessToken)
    expect(provider.requestCounts['/.well-known/openid-configuration']).toBeUndefined()
  })

  test('says no in ways that are told apart', async () => {
    expect(await failureCode({ authentication: { kind: 'basic', clientSecret: { value: 'wrong' } } })).toBe(
      'invalid_client',
    )
    expect(await failureCode({ clientId: { value: 'nobody' } })).toBe('invalid_client')
    expect(await failureCode({ endpointParams: { resource: 'https://unknown.example' } })).toBe(
      'grant_refused',
    )
    expect(await failureCode({ issuerUrl: `${provider.issuer}/elsewhere` })).toBe('idp_status')
  })

  test('fails in ways that are told apart', async () => {
    provider.fault = { kind: 'answer', status: 503, body: '<html>', headers: { 'retry-after': '3' } }
    expect(await failureCode()).toBe('idp_status')
    provider.fault = { kind: 'answer', status: 429 }
    expect(await failureCode()).toBe('idp_rate_limited')
    provider.fault = { kind: 'answer', status: 200, body: 'hello' }
    expect(await failureCode()).toBe('idp_malformed')
    provider.fault = { kind: 'answer', status: 200, body: ' '.repeat(2_000_000) }
    expect(await failureCode()).toBe('idp_malformed')
    await provider.stop()
    expect(await failureCode()).toBe('idp_unreachable')
    expect(await failureCode({ issuerUrl: `https://127.0.0.1:${provider.port}` })).toBe('idp_unreachable')
    await provider.start()
    expect(await failureCode({ issuerUrl: `https://127.0.0.1:${provider.port}` })).toBe('idp_tls')
  })

  test('signs with a new key after a rotation; older tokens verify unless the old key is forgotten', async () => {
    const older = (await fetchToken()).accessToken
    const keyId = await provider.rotateKeys()
    const newer = (await fetchToken()).accessToken
    expect(decodeProtectedHeader(newer).kid).toBe(keyId)
    await verify(older)
    await verify(newer)
    await provider.rotateKeys({ forgetOld: true })
    await expect(verify(newer)).rejects.toThrow('no applicable key')
  })

  test('stops and starts on the same port with the same keys', async () => {
    const { accessToken } = await fetchToken()
    const { issuer } = provider
    await provider.stop()
    expect(provider.isListening).toBe(false)
    await provider.start()
    expect(provider.issuer).toBe(issuer)
    await verify(accessToken)
    await fetchToken()
  })
})

test('a keeper refreshes in the background, outlives an outage with its token, and recovers', async () => {
  provider = await start(3)
  const keeper = new TokenKeeper({ identity: 'main', source: source(), clock, log: NO_LOG })
  const gate = new CredentialGate({ identity: 'main', port: keeper, clock })
  const call: CallFacts = {
    path: OTLP_EXPORT_PATHS.traces,
    authorization: null,
    authorizationCount: 0,
    isAuthgwHop: false,
    peer: anonymousPeer('127.0.0.1', true),
    receivedAtMs: clock.wallMs(),
    timeoutMs: 10_000,
  }
  const nextToken = () =>
    new Promise<Snapshot<TokenSnapshot>>((resolve) => {
      const stop = keeper.tokens.subscribe((snapshot) => {
        stop()
        resolve(snapshot)
      })
    })
  keeper.start()
  const first = await gate.admit(call)
  expect(first).toBeInstanceOf(Permit)
  const { generation, value } = await nextToken()
  expect(generation).toBe(2)
  await verify(value.accessToken)

  await provider.stop()
  expect(await keeper.refreshNow()).toMatchObject({ kind: 'failure', reason: 'idp_unreachable' })
  expect(gate.admit(call)).toBeInstanceOf(Permit)
  expect(keeper.degraded?.reason).toBe('idp_unreachable')

  const recovered = nextToken()
  await provider.start()
  await verify((await recovered).value.accessToken)
  expect(keeper.degraded).toBeNull()
  keeper.close()
  gate.close()
})

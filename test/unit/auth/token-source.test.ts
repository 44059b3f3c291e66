import { generateKeyPairSync } from 'node:crypto'
import { decodeProtectedHeader, jwtVerify } from 'jose'
import { describe, expect, test } from 'vitest'
import { OAuthTokenSource } from '../../../src/auth/index.ts'
import type { ClientAuthentication, Grant, OAuthTokenOptions } from '../../../src/auth/index.ts'
import { CredentialError, TransportError } from '../../../src/base/index.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import {
  FakeFiles,
  ISSUER,
  TOKEN_URL,
  TokenEndpoint,
  connectionError,
  json,
  jwt,
  tokenAnswer,
} from '../../support/token-endpoint.ts'

function setUp(options: Partial<OAuthTokenOptions> = {}, files: Record<string, string> = {}) {
  const clock = new FakeClock()
  const endpoint = new TokenEndpoint()
  const disk = new FakeFiles({ '/secret': 's3cr:t ä\n', ...files })
  const source = new OAuthTokenSource({
    grant: { kind: 'client_credentials' },
    issuerUrl: ISSUER,
    discoveryUrl: null,
    tokenUrl: TOKEN_URL,
    clientId: { value: 'workload' },
    authentication: { kind: 'basic', clientSecret: { file: '/secret' } },
    scopes: [],
    endpointParams: {},
    allowsPlainHttp: false,
    fetch: endpoint.fetch,
    readFile: disk.read,
    clock,
    ...options,
  })
  const fetchToken = () => source.fetchToken(new AbortController().signal)
  const failure = async (): Promise<CredentialError> => {
    const error: unknown = await fetchToken().then(
      () => null,
      (error: unknown) => error,
    )
    expect(error).toBeInstanceOf(CredentialError)
    return error as CredentialError
  }
  return { clock, endpoint, files: disk.files, source, fetchToken, failure }
}

const authenticated = (authentication: ClientAuthentication, files: Record<string, string> = {}) =>
  setUp({ authentication }, files)
const granted = (grant: Grant, files: Record<string, string> = {}) => setUp({ grant }, files)

/** A 200 whose body fails on the way. */
function breakingOff(code: string): Response {
  const body = new ReadableStream({
    pull: (controller) => {
      controller.error(connectionError(code))
    },
  })
  return new Response(body, { headers: { 'content-type': 'application/json' } })
}

describe('where the token endpoint is', () => {
  test('an issuer is discovered once and remembered for ten minutes', async () => {
    const { endpoint, fetchToken, clock } = setUp({ tokenUrl: null })
    await fetchToken()
    await fetchToken()
    expect(endpoint.requests.map((request) => request.url)).toEqual([TOKEN_URL, TOKEN_URL])
    expect(endpoint.discoveryCount).toBe(1)
    await clock.advance(600_000)
    await fetchToken()
    expect(endpoint.discoveryCount).toBe(2)
  })

  test('token_url needs no discovery', async () => {
    const { endpoint, fetchToken } = setUp({ issuerUrl: null, tokenUrl: 'https://idp.example/token' })
    await fetchToken()
    expect(endpoint.discoveryCount).toBe(0)
    expect(endpoint.requests[0]!.url).toBe('https://idp.example/token')
  })

  test('a remembered document outlives a failing discovery', async () => {
    const { endpoint, fetchToken, clock } = setUp({ tokenUrl: null })
    await fetchToken()
    await clock.advance(600_000)
    endpoint.discovery = () => json({}, 503)
    expect((await fetchToken()).accessToken).toBe('token-2')
  })

  test('a token endpoint that is gone is looked for again at the next attempt', async () => {
    const { endpoint, fetchToken, failure } = setUp({ tokenUrl: null })
    await fetchToken()
    endpoint.answer = () => new Response('gone', { status: 404 })
    expect((await failure()).code).toBe('idp_status')
    endpoint.discovery = () => json({ issuer: ISSUER, token_endpoint: `${ISSUER}/new` })
    endpoint.answer = tokenAnswer()
    await fetchToken()
    expect(endpoint.requests.at(-1)!.url).toBe(`${ISSUER}/new`)
  })

  test('a refused client does not cause another discovery', async () => {
    const { endpoint, failure } = setUp({ tokenUrl: null })
    endpoint.answer = () => json({ error: 'invalid_client' }, 401)
    await failure()
    await failure()
    expect(endpoint.discoveryCount).toBe(1)
  })

  test('a document of another issuer is refused', async () => {
    const { endpoint, failure } = setUp({ tokenUrl: null })
    endpoint.discovery = () => json({ issuer: 'https://evil.example', token_endpoint: TOKEN_URL })
    expect((await failure()).code).toBe('idp_issuer_mismatch')
  })

  test('the document may be read elsewhere, and must still name the issuer', async () => {
    const discoveryUrl = 'https://internal.example/.well-known/openid-configuration'
    const { endpoint, fetchToken } = setUp({ tokenUrl: null, discoveryUrl })
    expect((await fetchToken()).accessToken).toBe('token-1')
    endpoint.discovery = () => json({ issuer: 'https://evil.example', token_endpoint: TOKEN_URL })
    const other = setUp({ tokenUrl: null, discoveryUrl, fetch: endpoint.fetch })
    expect((await other.failure()).code).toBe('idp_issuer_mismatch')
  })

  test.each([
    ['without a token endpoint', { issuer: ISSUER }],
    ['with a token endpoint that is no URL', { issuer: ISSUER, token_endpoint: 'nowhere' }],
  ])('a document %s is malformed', async (_name, document) => {
    const { endpoint, failure } = setUp({ tokenUrl: null })
    endpoint.discovery = () => json(document)
    expect((await failure()).code).toBe('idp_malformed')
  })

  test('plain HTTP is refused beyond this machine, before anything is sent', async () => {
    const { endpoint, failure } = setUp({ tokenUrl: 'http://idp.example/token' })
    expect((await failure()).code).toBe('idp_tls')
    expect(endpoint.requests).toEqual([])
  })

  test('a discovered endpoint over plain HTTP is refused too', async () => {
    const { endpoint, failure } = setUp({ tokenUrl: null })
    endpoint.discovery = () => json({ issuer: ISSUER, token_endpoint: 'http://idp.example/token' })
    expect((await failure()).code).toBe('idp_tls')
    expect(endpoint.requests).toEqual([])
  })

  test.each(['http://127.0.0.1:8080/token', 'http://localhost/token', 'http://[::1]:1/token'])(
    'plain HTTP on loopback is allowed: %s',
    async (tokenUrl) => {
      expect((await setUp({ tokenUrl }).fetchToken()).accessToken).toBe('token-1')
    },
  )

  test('a URL with a password in it is refused', async () => {
    const { endpoint, failure } = setUp({ tokenUrl: 'https://user:MARKER@idp.example/token' })
    expect((await failure()).message).not.toContain('MARKER')
    expect(endpoint.requests).toEqual([])
  })

  test('plain HTTP passes when it is allowed', async () => {
    const { fetchToken } = setUp({ tokenUrl: 'http://idp.example/token', allowsPlainHttp: true })
    expect((await fetchToken()).accessToken).toBe('token-1')
  })

  test('a source with neither issuer nor token_url, or with half a URL, is a mistake of ours', () => {
    expect(() => setUp({ issuerUrl: null, tokenUrl: null })).toThrow(TypeError)
    expect(() => setUp({ tokenUrl: '/token' })).toThrow(TypeError)
  })
})

describe('how the client authenticates', () => {
  test('client_secret_basic: form-encoded, in the authorization field', async () => {
    const { endpoint, fetchToken } = authenticated({ kind: 'basic', clientSecret: { file: '/secret' } })
    await fetchToken()
    const { headers, form, method } = endpoint.requests[0]!
    expect(method).toBe('POST')
    expect(headers.get('authorization')).toBe(`Basic ${btoa('workload:s3cr%3At+%C3%A4')}`)
    expect(Object.fromEntries(form)).toEqual({ grant_type: 'client_credentials' })
  })

  test('client_secret_post: in the form', async () => {
    const { endpoint, fetchToken } = authenticated({ kind: 'post', clientSecret: { value: 'from-config' } })
    await fetchToken()
    expect(endpoint.requests[0]!.headers.has('authorization')).toBe(false)
    expect(endpoint.lastForm).toMatchObject({ client_id: 'workload', client_secret: 'from-config' })
  })

  test('secrets and client ids are read from their files at each fetch', async () => {
    const { endpoint, fetchToken, files } = setUp(
      {
        clientId: { file: '/id' },
        authentication: { kind: 'post', clientSecret: { file: '/secret' } },
      },
      { '/id': 'first\n' },
    )
    await fetchToken()
    expect(endpoint.lastForm).toMatchObject({ client_id: 'first', client_secret: 's3cr:t ä' })
    files['/secret'] = 'rotated'
    files['/id'] = 'second'
    await fetchToken()
    expect(endpoint.lastForm).toMatchObject({ client_id: 'second', client_secret: 'rotated' })
  })

  test('a secret file that is missing is named, with the reason of the system', async () => {
    const { failure, endpoint } = authenticated({ kind: 'basic', clientSecret: { file: '/nowhere' } })
    const error = await failure()
    expect(error.code).toBe('secret_unreadable')
    expect(error.message).toBe('cannot read the client secret from /nowhere: ENOENT')
    expect(endpoint.requests).toEqual([])
  })

  test('an empty secret file is unreadable', async () => {
    const { failure } = authenticated({ kind: 'basic', clientSecret: { file: '/e' } }, { '/e': ' \n' })
    expect((await failure()).message).toBe('the client secret file /e is empty')
  })

  const pem = (key: { privateKey: { export(options: object): string | Buffer } }, type = 'pkcs8'): string =>
    key.privateKey.export({ format: 'pem', type }).toString()
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const ec384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  const ed = generateKeyPairSync('ed25519')

  test.each([
    ['RSA as PKCS#1', pem(rsa, 'pkcs1'), rsa.publicKey, 'RS256'],
    ['P-256 as SEC1', pem(ec, 'sec1'), ec.publicKey, 'ES256'],
    ['P-384 as PKCS#8', pem(ec384), ec384.publicKey, 'ES384'],
    ['Ed25519 as PKCS#8', pem(ed), ed.publicKey, 'EdDSA'],
  ])(
    'private_key_jwt with %s: an assertion that the provider can verify',
    async (_name, key, publicKey, alg) => {
      const { endpoint, fetchToken, clock } = authenticated(
        { kind: 'private_key_jwt', key: { file: '/key' }, keyId: 'kid-1' },
        { '/key': key },
      )
      await fetchToken()
      const { client_assertion: assertion, ...form } = endpoint.lastForm
      expect(form).toEqual({
        grant_type: 'client_credentials',
        client_id: 'workload',
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      })
      const { payload, protectedHeader } = await jwtVerify(assertion!, publicKey, {
        currentDate: new Date(clock.wallMs()),
        audience: ISSUER,
        issuer: 'workload',
        subject: 'workload',
      })
      expect(protectedHeader).toEqual({ alg, typ: 'JWT', kid: 'kid-1' })
      expect(payload.exp! - payload.iat!).toBe(60)
      expect(payload.jti).toMatch(/^[0-9a-f-]{36}$/)
    },
  )

  test('private_key_jwt with a JWK takes its kid, and the algorithm and audience that are configured', async () => {
    const jwk = JSON.stringify({ ...rsa.privateKey.export({ format: 'jwk' }), kid: 'own' })
    const { endpoint, fetchToken } = authenticated(
      { kind: 'private_key_jwt', key: { file: '/key' }, algorithm: 'PS256', audience: 'https://other' },
      { '/key': jwk },
    )
    await fetchToken()
    const assertion = endpoint.lastForm['client_assertion']!
    expect(decodeProtectedHeader(assertion)).toEqual({ alg: 'PS256', typ: 'JWT', kid: 'own' })
    const payload = JSON.parse(Buffer.from(assertion.split('.')[1]!, 'base64url').toString()) as {
      aud: string
    }
    expect(payload.aud).toBe('https://other')
  })

  test.each([
    ['no key', 'rubbish-MARKER'],
    ['a JWK that is not one', '{"kty":"MARKER"}'],
    ['a key of a type that signs nothing', pem(generateKeyPairSync('x25519'))],
  ])('a key file with %s is unreadable, and shows nothing of itself', async (_name, text) => {
    const { failure } = authenticated({ kind: 'private_key_jwt', key: { file: '/key' } }, { '/key': text })
    const error = await failure()
    expect(error.code).toBe('secret_unreadable')
    expect(`${error.message}${String(error.cause)}`).not.toContain('MARKER')
  })

  test('a key that does not fit the algorithm says so', async () => {
    const { failure } = authenticated(
      { kind: 'private_key_jwt', key: { value: pem(ec) }, algorithm: 'RS256' },
      {},
    )
    const error = await failure()
    expect(error.code).toBe('secret_unreadable')
    expect(error.message).toContain('cannot sign with RS256')
  })

  test('a client assertion from a file is sent as it stands, read again at each fetch', async () => {
    const { endpoint, fetchToken, files } = authenticated(
      { kind: 'client_assertion_file', file: '/var/run/token' },
      { '/var/run/token': 'first.jwt.svid\n' },
    )
    await fetchToken()
    expect(endpoint.lastForm).toEqual({
      grant_type: 'client_credentials',
      client_id: 'workload',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: 'first.jwt.svid',
    })
    files['/var/run/token'] = 'second.jwt.svid'
    await fetchToken()
    expect(endpoint.lastForm['client_assertion']).toBe('second.jwt.svid')
  })

  test.each<[string, Partial<OAuthTokenOptions>]>([
    ['as authentication', { authentication: { kind: 'tls' } }],
    ['beside another one', { authentication: { kind: 'none' }, presentsCertificate: true }],
  ])('mTLS %s: only the client id is sent, to the endpoint for certificates', async (_name, options) => {
    const { endpoint, fetchToken } = setUp({ tokenUrl: null, ...options })
    endpoint.discovery = () =>
      json({
        issuer: ISSUER,
        token_endpoint: TOKEN_URL,
        mtls_endpoint_aliases: { token_endpoint: 'https://mtls.idp.example/token' },
      })
    await fetchToken()
    expect(endpoint.requests[0]!.url).toBe('https://mtls.idp.example/token')
    expect(endpoint.lastForm).toEqual({ grant_type: 'client_credentials', client_id: 'workload' })
  })
})

describe('what is asked for', () => {
  test('scopes and further parameters go into the form', async () => {
    const { endpoint, fetchToken } = setUp({
      scopes: ['otlp.write', 'otlp.read'],
      endpointParams: { audience: 'control-plane', resource: ['https://a', 'https://b'] },
    })
    await fetchToken()
    const { form } = endpoint.requests[0]!
    expect(form.get('scope')).toBe('otlp.write otlp.read')
    expect(form.get('audience')).toBe('control-plane')
    expect(form.getAll('resource')).toEqual(['https://a', 'https://b'])
  })

  test('jwt-bearer with an assertion from a file', async () => {
    const { endpoint, fetchToken } = granted(
      { kind: 'jwt_bearer', assertionFile: '/assertion' },
      { '/assertion': 'a.b.c\n' },
    )
    await fetchToken()
    expect(endpoint.lastForm).toEqual({
      grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
      assertion: 'a.b.c',
    })
  })

  test('jwt-bearer with an assertion of our own, for a client that has no other credential', async () => {
    const key = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const { endpoint, fetchToken, clock } = setUp({
      authentication: { kind: 'none' },
      grant: {
        kind: 'jwt_bearer_signed',
        key: { value: key.privateKey.export({ format: 'pem', type: 'pkcs8' }) },
        claims: { scope: 'otlp.write' },
      },
    })
    await fetchToken()
    const { payload } = await jwtVerify(endpoint.lastForm['assertion']!, key.publicKey, {
      currentDate: new Date(clock.wallMs()),
      issuer: 'workload',
      subject: 'workload',
      audience: TOKEN_URL,
    })
    expect(payload['scope']).toBe('otlp.write')
  })

  test('token exchange sends subject and actor tokens with their types', async () => {
    const { endpoint, fetchToken } = granted(
      {
        kind: 'token_exchange',
        subjectToken: { file: '/subject' },
        actorToken: { value: 'actor' },
        actorTokenType: 'urn:ietf:params:oauth:token-type:access_token',
      },
      { '/subject': 'subject.jwt\n' },
    )
    endpoint.answer = tokenAnswer({ token_type: 'N_A' })
    expect((await fetchToken()).accessToken).toBe('token-1')
    expect(endpoint.lastForm).toEqual({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: 'subject.jwt',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      actor_token: 'actor',
      actor_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    })
  })
})

describe('how long a token lives', () => {
  test.each([
    ['a number', { expires_in: 60 }, 60_000],
    ['a string', { expires_in: '60' }, 60_000],
    [
      'missing, with the times of a JWT',
      { expires_in: undefined, access_token: jwt({ iat: 100, exp: 220 }) },
      120_000,
    ],
    [
      'missing, with half the times of a JWT',
      { expires_in: undefined, access_token: jwt({ exp: 220 }) },
      300_000,
    ],
    ['missing, with an opaque token', { expires_in: undefined }, 300_000],
    ['huge', { expires_in: 1e300 }, 86_400_000],
    ['a fraction', { expires_in: 0.5 }, 500],
  ])('expires_in is %s', async (_name, fields, lifeMs) => {
    const { endpoint, fetchToken } = setUp()
    endpoint.answer = tokenAnswer(fields)
    expect((await fetchToken()).lifeMs).toBe(lifeMs)
  })

  test('the certificate that a token is bound to is read from cnf', async () => {
    const { endpoint, fetchToken } = setUp()
    endpoint.answer = tokenAnswer({ access_token: jwt({ cnf: { 'x5t#S256': 'thumb' } }) })
    expect((await fetchToken()).certificateSha256).toBe('thumb')
    endpoint.answer = tokenAnswer({ access_token: jwt({ cnf: { 'x5t#S256': 7 } }) })
    expect((await fetchToken()).certificateSha256).toBeNull()
  })
})

describe('what else may come back', () => {
  test.each<[string, () => Response | Promise<Response>, string]>([
    [
      'a token with a line break',
      () => json({ access_token: 'a\r\nx: y', token_type: 'Bearer' }),
      'token_unusable',
    ],
    ['a token with a space', () => json({ access_token: 'a b', token_type: 'Bearer' }), 'token_unusable'],
    ['a token beyond ASCII', () => json({ access_token: 'ä', token_type: 'Bearer' }), 'token_unusable'],
    [
      'a token of 17 KiB',
      () => json({ access_token: 'a'.repeat(17_000), token_type: 'Bearer' }),
      'token_unusable',
    ],
    [
      'expires_in of 0',
      () => json({ access_token: 'a', token_type: 'Bearer', expires_in: 0 }),
      'token_unusable',
    ],
    [
      'expires_in below 0',
      () => json({ access_token: 'a', token_type: 'Bearer', expires_in: -1 }),
      'idp_malformed',
    ],
    [
      'expires_in in words',
      () => json({ access_token: 'a', token_type: 'Bearer', expires_in: 'soon' }),
      'idp_malformed',
    ],
    [
      'a JWT that was born dead',
      () => json({ access_token: jwt({ iat: 9, exp: 9 }), token_type: 'Bearer' }),
      'token_unusable',
    ],
    ['a DPoP token', () => json({ access_token: 'a', token_type: 'DPoP' }), 'token_unusable'],
    ['a token of an unknown type', () => json({ access_token: 'a', token_type: 'mac' }), 'token_unusable'],
    ['no access_token', () => json({ token_type: 'Bearer' }), 'idp_malformed'],
    ['no token_type', () => json({ access_token: 'a' }), 'idp_malformed'],
    ['an array', () => json([]), 'idp_malformed'],
    [
      'HTML with 200',
      () => new Response('<html>', { headers: { 'content-type': 'text/html' } }),
      'idp_malformed',
    ],
    [
      'JSON that breaks off',
      () => new Response('{"acc', { headers: { 'content-type': 'application/json' } }),
      'idp_malformed',
    ],
    [
      'an empty 200',
      () => new Response('', { headers: { 'content-type': 'application/json' } }),
      'idp_malformed',
    ],
    ['an empty 204', () => new Response(null, { status: 204 }), 'idp_status'],
    ['a redirect', () => new Response('', { status: 302, headers: { location: 'https://x' } }), 'idp_status'],
    ['HTML with 500', () => new Response('<html>', { status: 500 }), 'idp_status'],
    ['HTML with 403', () => new Response('<html>', { status: 403 }), 'idp_status'],
    ['server_error', () => json({ error: 'server_error' }, 400), 'idp_status'],
    ['invalid_client', () => json({ error: 'invalid_client' }, 401), 'invalid_client'],
    ['invalid_client with 400', () => json({ error: 'invalid_client' }, 400), 'invalid_client'],
    [
      'unauthorized_client, as Keycloak says',
      () => json({ error: 'unauthorized_client' }, 401),
      'invalid_client',
    ],
    [
      'a challenge',
      () => new Response('', { status: 401, headers: { 'www-authenticate': 'Basic realm="x"' } }),
      'invalid_client',
    ],
    ['invalid_scope', () => json({ error: 'invalid_scope' }, 400), 'grant_refused'],
    ['invalid_grant with 401', () => json({ error: 'invalid_grant' }, 401), 'grant_refused'],
    ['429', () => json({}, 429), 'idp_rate_limited'],
    ['slow_down', () => json({ error: 'slow_down' }, 400), 'idp_rate_limited'],
    ['a name that does not resolve', () => Promise.reject(connectionError('ENOTFOUND')), 'idp_unreachable'],
    ['a refused connection', () => Promise.reject(connectionError('ECONNREFUSED')), 'idp_unreachable'],
    ['a slow connection', () => Promise.reject(connectionError('UND_ERR_CONNECT_TIMEOUT')), 'idp_timeout'],
    ['a wrong certificate', () => Promise.reject(connectionError('DEPTH_ZERO_SELF_SIGNED_CERT')), 'idp_tls'],
    ['a wrong name', () => Promise.reject(connectionError('ERR_TLS_CERT_ALTNAME_INVALID')), 'idp_tls'],
    ['a failed handshake', () => Promise.reject(new TransportError('tls_handshake', 'x')), 'idp_tls'],
    ['a transport time-out', () => Promise.reject(new TransportError('connect_timeout', 'x')), 'idp_timeout'],
    ['a failure without a code', () => Promise.reject(new Error('odd')), 'idp_unreachable'],
    ['a 200 that breaks off with the connection', () => breakingOff('ECONNRESET'), 'idp_unreachable'],
    ['a 200 that is too large', () => breakingOff('ERR_BODY_TOO_LARGE'), 'idp_malformed'],
  ])('%s', async (_name, answer, code) => {
    const { endpoint, failure } = setUp()
    endpoint.answer = answer
    const error = await failure()
    expect(error.code).toBe(code)
    expect(error.cause).toBeUndefined()
  })

  test.each([
    ['seconds', '7', 7_000],
    ['a date', 'Sun, 22 Nov 2026 00:00:30 GMT', 30_000],
    ['a date in a leap year', 'Tue, 29 Feb 2028 00:00:00 GMT', 300_000],
    ['a date that has passed', 'Sun, 06 Nov 1994 08:49:37 GMT', 0],
    ['an hour', '3600', 300_000],
    ['rubbish', 'soon', null],
    ['a date with a month of its own', 'Sun, 22 Foo 2026 00:00:30 GMT', null],
  ])('Retry-After as %s', async (_name, value, delayMs) => {
    const { endpoint, failure } = setUp()
    endpoint.answer = () => json({}, 503, { 'retry-after': value })
    expect((await failure()).retryAfterMs).toBe(delayMs)
  })

  test('only registered error names are repeated, and nothing else that the provider wrote', async () => {
    const { endpoint, failure } = setUp()
    endpoint.answer = () => json({ error: 'invalid_scope', error_description: 'MARKER' }, 400)
    expect((await failure()).message).toBe('the identity provider answered 400 (invalid_scope)')
    endpoint.answer = () => json({ error: 'MARKER' }, 400)
    expect((await failure()).message).toBe('the identity provider answered 400')
    endpoint.answer = () => new Response('MARKER', { status: 200 })
    expect((await failure()).message).toBe("the identity provider's answer is not JSON")
  })
})

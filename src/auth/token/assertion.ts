/**
 * How a client proves who it is to the token endpoint: from configured material to an openid-client ClientAuth,
 * and the assertions of the jwt-bearer grant.
 * Floor 2; every secret and key is read again at each use, none is kept.
 * @see RFC 6749 §2.3.1, RFC 7521, RFC 7523, RFC 8705 §2
 */
import { createPrivateKey, randomUUID } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { SignJWT } from 'jose'
import { ClientSecretBasic, ClientSecretPost, None, TlsClientAuth } from 'openid-client'
import type { ClientAuth } from 'openid-client'
import { CredentialError } from '../../base/index.ts'
import type { SecretReader, SecretRef } from './source.ts'

/** A private key to sign assertions with. */
export interface SigningKey {
  /** PEM (PKCS#8, PKCS#1, SEC1) or a JWK. */
  readonly key: SecretRef
  /** JWS algorithm; by default RS256, ES256 / 384 / 512 after the curve, or EdDSA. */
  readonly algorithm?: string
  /** `kid` of the header; none by default, or the JWK's own. */
  readonly keyId?: string
}

/** How the client authenticates to the token endpoint. */
export type ClientAuthentication =
  | { readonly kind: 'basic' | 'post'; readonly clientSecret: SecretRef }
  /** @param audience `aud` of the assertion; by default the issuer, or `token_url` where no issuer is configured. */
  | ({ readonly kind: 'private_key_jwt'; readonly audience?: string } & SigningKey)
  /** A JWT that someone else renews: a projected service-account token, a JWT-SVID. */
  | { readonly kind: 'client_assertion_file'; readonly file: string }
  /** The certificate of the HTTP port's connection (RFC 8705 §2). */
  | { readonly kind: 'tls' }
  | { readonly kind: 'none' }

/** Life of an assertion of ours: long enough for clocks that differ, short enough to be worth nothing in a log. */
const ASSERTION_LIFE_SECONDS = 60
const JWT_BEARER_ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** Who authenticates to whom, and when. */
export interface AuthenticationContext {
  readonly clientId: string
  /** The audience of assertions of ours, unless configured otherwise. */
  readonly issuer: string
  /** Unix ms now, for the times of assertions. */
  readonly wallMs: number
}

/**
 * Makes the ClientAuth for one request.
 * @throws CredentialError `secret_unreadable`
 */
export async function authenticateClient(
  how: ClientAuthentication,
  secrets: SecretReader,
  context: AuthenticationContext,
): Promise<ClientAuth> {
  const { clientId, issuer, wallMs } = context
  switch (how.kind) {
    case 'basic':
      return ClientSecretBasic(await secrets.read(how.clientSecret, 'client secret'))
    case 'post':
      return ClientSecretPost(await secrets.read(how.clientSecret, 'client secret'))
    case 'private_key_jwt': {
      const key = await readSigningKey(how, secrets)
      const claims = { iss: clientId, sub: clientId, aud: how.audience ?? issuer }
      return presentAssertion(clientId, await signAssertion(key, claims, wallMs))
    }
    case 'client_assertion_file':
      return presentAssertion(clientId, await secrets.read({ file: how.file }, 'client assertion'))
    case 'tls':
      return TlsClientAuth()
    default:
      return None()
  }
}

function presentAssertion(clientId: string, assertion: string): ClientAuth {
  return (_server, _client, body) => {
    body.set('client_id', clientId)
    body.set('client_assertion_type', JWT_BEARER_ASSERTION)
    body.set('client_assertion', assertion)
  }
}

/** A key as read, with what goes into the header of what it signs. */
export interface ReadyKey {
  readonly key: KeyObject
  readonly algorithm: string
  readonly keyId: string | null
}

/**
 * Reads a signing key.
 * @throws CredentialError `secret_unreadable`; the message never shows any of the key
 */
export async function readSigningKey(from: SigningKey, secrets: SecretReader): Promise<ReadyKey> {
  const text = await secrets.read(from.key, 'client key')
  try {
    const jwk = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : null
    const key = jwk === null ? createPrivateKey(text) : createPrivateKey({ key: jwk, format: 'jwk' })
    const ownId = typeof jwk?.['kid'] === 'string' ? jwk['kid'] : null
    return { key, algorithm: from.algorithm ?? defaultAlgorithm(key), keyId: from.keyId ?? ownId }
  } catch {
    throw new CredentialError(
      'secret_unreadable',
      'the client key is neither a PEM private key nor a private JWK (RSA, EC P-256 / 384 / 521, Ed25519)',
    )
  }
}

const ALGORITHM_OF_CURVE: Readonly<Record<string, string>> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
}

function defaultAlgorithm(key: KeyObject): string {
  if (key.asymmetricKeyType === 'rsa') return 'RS256'
  if (key.asymmetricKeyType === 'ed25519') return 'EdDSA'
  const algorithm = ALGORITHM_OF_CURVE[key.asymmetricKeyDetails?.namedCurve ?? '']
  if (algorithm === undefined) throw new TypeError('unsupported key')
  return algorithm
}

/**
 * Signs an assertion that is valid now, for 60 s unless said otherwise. `jti`, `iat` and `exp` are added; `claims` win.
 * @throws CredentialError `secret_unreadable` when the key does not fit the algorithm
 */
export async function signAssertion(
  key: ReadyKey,
  claims: Readonly<Record<string, unknown>>,
  wallMs: number,
  lifeSeconds: number = ASSERTION_LIFE_SECONDS,
): Promise<string> {
  const nowSeconds = Math.floor(wallMs / 1000)
  const payload = {
    jti: randomUUID(),
    iat: nowSeconds,
    nbf: nowSeconds,
    exp: nowSeconds + lifeSeconds,
    ...claims,
  }
  const header = { alg: key.algorithm, typ: 'JWT', ...(key.keyId === null ? {} : { kid: key.keyId }) }
  try {
    return await new SignJWT(payload).setProtectedHeader(header).sign(key.key)
  } catch {
    throw new CredentialError(
      'secret_unreadable',
      `the client key cannot sign with ${key.algorithm}: it has another type, or an RSA modulus below 2048 bits`,
    )
  }
}

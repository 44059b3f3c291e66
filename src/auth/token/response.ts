/**
 * From the fields of a token response to a token that can be put into a header, with its life.
 * Floor 2; verifies no signature: the token is for the control plane, only its times and its binding are read here.
 * @see RFC 6749 §5.1, RFC 6750 §2.1, RFC 8705 §3.1
 */
import { decodeJwt } from 'jose'
import type { JWTPayload } from 'jose'
import { CredentialError } from '../../base/index.ts'
import type { FetchedToken } from './source.ts'
import { MAX_TOKEN_LIFE_MS } from './schedule.ts'

/** Life of a token about which nothing is known: Keycloak's default. */
const DEFAULT_LIFE_MS = 300_000
/** The control plane refuses larger ones (auth.md §2). */
export const MAX_TOKEN_BYTES = 16_384
/** Visible ASCII: what may follow a scheme in a header, wider than b64token so that odd opaque tokens pass. */
const HEADER_SAFE = /^[\x21-\x7e]+$/

/**
 * The payload of a JWT, unverified; null for an opaque token.
 */
export function peekClaims(token: string): JWTPayload | null {
  try {
    return decodeJwt(token)
  } catch {
    return null
  }
}

/**
 * Checks that a token can travel in a header.
 * @throws CredentialError `token_unusable`
 */
export function checkToken(token: string, origin: string): void {
  if (token.length > MAX_TOKEN_BYTES)
    throw new CredentialError(
      'token_unusable',
      `${origin}: the token is larger than ${MAX_TOKEN_BYTES} octets`,
    )
  if (!HEADER_SAFE.test(token))
    throw new CredentialError(
      'token_unusable',
      `${origin}: the token holds white space, line breaks or characters beyond ASCII`,
    )
}

/**
 * A token from the provider: `expires_in` says how long it lives, else `exp` and `iat`, else 300 s.
 * @param expiresInSeconds a number of at least 0, or undefined when the response did not say
 * @throws CredentialError `token_unusable`
 */
export function tokenFromResponse(accessToken: string, expiresInSeconds: number | undefined): FetchedToken {
  checkToken(accessToken, 'token endpoint')
  const claims = peekClaims(accessToken)
  const lifeMs = Math.min(
    expiresInSeconds === undefined ? (issuedLifeMs(claims) ?? DEFAULT_LIFE_MS) : expiresInSeconds * 1000,
    MAX_TOKEN_LIFE_MS,
  )
  if (!(lifeMs > 0))
    throw new CredentialError(
      'token_unusable',
      'token endpoint: the token has no life left (expires_in is 0)',
    )
  return { accessToken, lifeMs, certificateSha256: boundCertificate(claims), recheckMs: null }
}

/** `cnf.x5t#S256` of the claims, or null. */
export function boundCertificate(claims: JWTPayload | null): string | null {
  const binding = claims?.['cnf']
  if (typeof binding !== 'object' || binding === null) return null
  const thumbprint: unknown = (binding as Record<string, unknown>)['x5t#S256']
  return typeof thumbprint === 'string' ? thumbprint : null
}

function issuedLifeMs(claims: JWTPayload | null): number | null {
  if (typeof claims?.exp !== 'number' || typeof claims.iat !== 'number') return null
  return (claims.exp - claims.iat) * 1000
}

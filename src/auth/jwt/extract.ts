/**
 * Turns the `authorization` field into the parts of a signed JWT, by shape alone: nothing here is believed yet.
 * Floor 2; knows no issuer, key or time. RFC 6750 §2.1, RFC 7515 §7.1, RFC 7519 §7.2, RFC 8725.
 */
import type { RefusalReason } from '../verdict.ts'
import { ownMember, parseStrictObject, type JsonObject } from './strict-json.ts'

/** The longest token, in octets: Keycloak's with hundreds of roles stay below; larger ones do not fit header limits. */
export const MAX_TOKEN_BYTES = 16_384
/** The longest JOSE header once decoded, in octets: a real one is about 100. */
export const MAX_TOKEN_HEADER_BYTES = 1_024
/** The longest key id, in characters. */
const MAX_KID_LENGTH = 256

/** What the JOSE header says. Unverified. */
export interface TokenHeader {
  readonly alg: string
  /** null when the header names no key. */
  readonly kid: string | null
  /** Lower case, without `application/`; null when absent. */
  readonly typ: string | null
}

/** A token taken apart. Unverified. */
export interface ParsedToken {
  readonly token: string
  readonly header: TokenHeader
  readonly claims: JsonObject
}

const BEARER = 'bearer '
const TOKEN_SHAPE = /^[\w-]+\.[\w-]+\.[\w-]+$/
const ENCRYPTED_SHAPE = /^[\w-]+\.[\w-]*\.[\w-]+\.[\w-]+\.[\w-]+$/

/** The token of an `authorization` value: scheme `Bearer` in any case, one space, no more; null when it is not that. */
export function bearerToken(authorization: string): string | null {
  if (authorization.length <= BEARER.length) return null
  if (authorization.slice(0, BEARER.length).toLowerCase() !== BEARER) return null
  return authorization.slice(BEARER.length)
}

/** Takes a token apart, or says why it cannot be one that authgw validates. */
export function parseToken(token: string): ParsedToken | RefusalReason {
  if (token.length > MAX_TOKEN_BYTES) return 'token_too_large'
  if (!TOKEN_SHAPE.test(token)) return ENCRYPTED_SHAPE.test(token) ? 'token_encrypted' : 'token_malformed'
  const [headerSegment, payloadSegment, signatureSegment] = token.split('.') as [string, string, string]
  // Four characters carry three octets: one character left over carries none (RFC 4648 §5).
  if ([headerSegment, payloadSegment, signatureSegment].some((part) => part.length % 4 === 1))
    return 'token_malformed'
  const headerBytes = Buffer.from(headerSegment, 'base64url')
  if (headerBytes.length > MAX_TOKEN_HEADER_BYTES) return 'token_too_large'
  const parameters = parseStrictObject(headerBytes)
  if (parameters === null) return 'token_malformed'
  const header = readHeader(parameters)
  if (typeof header === 'string') return header
  const claims = parseStrictObject(Buffer.from(payloadSegment, 'base64url'))
  return claims === null ? 'token_malformed' : { token, header, claims }
}

/** `jwk`, `jku`, `x5u`, `x5c` are not looked at: keys come from the configured issuer alone (RFC 8725 §3.10). */
function readHeader(parameters: JsonObject): TokenHeader | RefusalReason {
  const alg = ownMember(parameters, 'alg')
  const kid = ownMember(parameters, 'kid')
  const typ = ownMember(parameters, 'typ')
  if (typeof alg !== 'string') return 'token_alg'
  // No extension is understood, so any `crit` is refused (RFC 7515 §4.1.11); `b64` would need one (RFC 7797 §6).
  const b64 = ownMember(parameters, 'b64')
  if (ownMember(parameters, 'crit') !== undefined || ownMember(parameters, 'zip') !== undefined)
    return 'token_header'
  if (b64 !== undefined && b64 !== true) return 'token_header'
  if (ownMember(parameters, 'enc') !== undefined) return 'token_encrypted'
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > MAX_KID_LENGTH)) return 'token_malformed'
  if (typ !== undefined && typeof typ !== 'string') return 'token_type'
  return { alg, kid: kid ?? null, typ: typ?.toLowerCase().replace(/^application\//, '') ?? null }
}

/** The claim `name` when it is a string, cut to 64 characters: for the audit log, never for a decision. */
export function unverifiedText(claims: JsonObject, name: string): string {
  const value = ownMember(claims, name)
  return typeof value === 'string' ? value.slice(0, 64) : ''
}

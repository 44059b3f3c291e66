/**
 * Turns the claims of a token into who it speaks for and how long, by one provider's rules.
 * Floor 2; knows no key and no method: what it accepts is worth nothing until the signature verifies.
 * RFC 7519 §4.1, RFC 9068 §4, RFC 8725 §3.
 */
import { isSignatureAlgorithm, type SignatureAlgorithm } from '../../base/index.ts'
import type { Principal, RefusalReason } from '../verdict.ts'
import type { TokenHeader } from './extract.ts'
import { ownMember, type JsonObject } from './strict-json.ts'

/** What a provider's tokens must look like. */
export interface ClaimRules {
  /** Exact `iss`; no folding of a trailing slash. */
  readonly issuer: string
  /** Any of these must be in `aud`; null takes every token (`ignore_audience`, an unsafe option). */
  readonly audiences: readonly string[] | null
  /** Default: all asymmetric ones. */
  readonly algorithms?: readonly SignatureAlgorithm[]
  /** Clock skew, 0 … 300 s; default 30 s. */
  readonly leewaySeconds?: number
  /** The longest life from `iat` (without it: from now) to `exp`; null for any. Default null. */
  readonly maxLifetimeSeconds?: number | null
  /** Whether `typ` must be `at+jwt` (RFC 9068 §4); default false. */
  readonly requiresAccessTokenType?: boolean
  /** When not empty, the token's client must be one of them. */
  readonly allowedClients?: readonly string[]
  /** When not empty, `sub` must be one of them. */
  readonly allowedSubjects?: readonly string[]
}

/** Clock skew that is forgiven unless configured, in seconds. */
export const DEFAULT_LEEWAY_SECONDS = 30
/** The most clock skew that can be configured, in seconds. */
export const MAX_LEEWAY_SECONDS = 300

/** Claims in the form that the gate works with. */
export interface TokenClaims {
  readonly principal: Principal
  readonly all: JsonObject
  /** `exp` in Unix ms, leeway not counted. */
  readonly expiresAtMs: number
  /** The later of `nbf` and `iat`, in Unix ms; −Infinity without both. */
  readonly startsAtMs: number
  /** From `iat` (else now) to `exp`. */
  readonly lifetimeSeconds: number
}

/** Payload `typ` values of Keycloak that are not access tokens. */
const NOT_ACCESS_TOKENS = new Set(['ID', 'Refresh', 'Offline', 'Logout'])

/** Which claim names the client: OIDC `azp`, RFC 9068 `client_id`, Entra ID v1 `appid`, Okta `cid`; first one wins. */
const CLIENT_CLAIMS = ['azp', 'client_id', 'appid', 'cid'] as const

/** Judges everything but time, binding and signature. */
export function judgeClaims(
  rules: ClaimRules,
  header: TokenHeader,
  all: JsonObject,
  wallMs: number,
): TokenClaims | RefusalReason {
  if (!isSignatureAlgorithm(header.alg)) return 'token_alg'
  if (rules.algorithms !== undefined && !rules.algorithms.includes(header.alg)) return 'token_alg'
  if (ownMember(all, 'iss') !== rules.issuer) return 'token_issuer'
  const wrongType = judgeType(rules, header, all)
  if (wrongType !== null) return wrongType
  const claims = readClaims(all, rules.issuer, wallMs)
  if (claims === null) return 'token_claims'
  const wrongAudience = judgeAudience(rules, all)
  if (wrongAudience !== null) return wrongAudience
  const maxLifetimeSeconds = rules.maxLifetimeSeconds ?? null
  if (maxLifetimeSeconds !== null && claims.lifetimeSeconds > maxLifetimeSeconds) return 'token_lifetime'
  return isListed(rules.allowedClients, claims.principal.client) &&
    isListed(rules.allowedSubjects, claims.principal.subject)
    ? claims
    : 'token_client'
}

/** How a token stands to the clock. `recently` and `soon`: within five minutes, so that a later try may pass (row 9a). */
export type TimeVerdict = 'current' | 'expired_recently' | 'expired' | 'starts_soon' | 'starts_later'

/** How far past `exp`, or ahead of `nbf` and `iat`, a try again is worth it. */
const NEAR_MS = 300_000

/** Judges `exp`, `nbf` and `iat` against the wall clock. */
export function judgeTime(claims: TokenClaims, wallMs: number, leewayMs: number): TimeVerdict {
  if (wallMs >= claims.expiresAtMs + leewayMs)
    return wallMs < claims.expiresAtMs + NEAR_MS ? 'expired_recently' : 'expired'
  if (claims.startsAtMs > wallMs + leewayMs)
    return claims.startsAtMs < wallMs + NEAR_MS ? 'starts_soon' : 'starts_later'
  return 'current'
}

/** The leeway of `rules` in ms, within its bounds. */
export function leewayMs(rules: ClaimRules): number {
  return Math.min(Math.max(rules.leewaySeconds ?? DEFAULT_LEEWAY_SECONDS, 0), MAX_LEEWAY_SECONDS) * 1_000
}

function judgeType(rules: ClaimRules, header: TokenHeader, all: JsonObject): RefusalReason | null {
  const isAccessTokenType = header.typ === 'at+jwt'
  if (rules.requiresAccessTokenType === true && !isAccessTokenType) return 'token_type'
  if (header.typ !== null && header.typ !== 'jwt' && !isAccessTokenType) return 'token_type'
  const payloadType = ownMember(all, 'typ')
  return typeof payloadType === 'string' && NOT_ACCESS_TOKENS.has(payloadType) ? 'token_type' : null
}

function judgeAudience(rules: ClaimRules, all: JsonObject): RefusalReason | null {
  const audience = ownMember(all, 'aud')
  if (audience !== undefined && !isStringOrStrings(audience)) return 'token_claims'
  if (rules.audiences === null) return null
  const listed = typeof audience === 'string' ? [audience] : (audience ?? [])
  return rules.audiences.some((ours) => listed.includes(ours)) ? null : 'token_audience'
}

function readClaims(all: JsonObject, issuer: string, wallMs: number): TokenClaims | null {
  const subject = ownMember(all, 'sub')
  const exp = ownMember(all, 'exp')
  const nbf = ownMember(all, 'nbf')
  const iat = ownMember(all, 'iat')
  if (!isNumericDate(exp)) return null
  if (nbf !== undefined && !isNumericDate(nbf)) return null
  if (iat !== undefined && !isNumericDate(iat)) return null
  if (subject !== undefined && typeof subject !== 'string') return null
  if (!isStringOrStrings(ownMember(all, 'scope') ?? '')) return null
  let client = ''
  for (const name of CLIENT_CLAIMS) {
    const value = ownMember(all, name)
    if (value !== undefined && typeof value !== 'string') return null
    if (client === '') client = value ?? ''
  }
  return {
    principal: { issuer, subject: subject ?? '', client },
    all,
    expiresAtMs: exp * 1_000,
    startsAtMs: Math.max(nbf ?? -Infinity, iat ?? -Infinity) * 1_000,
    lifetimeSeconds: exp - (iat ?? wallMs / 1_000),
  }
}

/** RFC 7519 §2: seconds, a fraction allowed. Beyond 2^53 a number is no longer exact. */
function isNumericDate(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= Number.MAX_SAFE_INTEGER
}

function isStringOrStrings(value: unknown): value is string | readonly string[] {
  return (
    typeof value === 'string' || (Array.isArray(value) && value.every((item) => typeof item === 'string'))
  )
}

function isListed(list: readonly string[] | undefined, value: string): boolean {
  return list === undefined || list.length === 0 || list.includes(value)
}

/**
 * Turns the patterns of a rule into tests of strings, of certificate names and of claims.
 * Floor 2; knows no rule. Patterns are Istio's: exact, `prefix*`, `*suffix`, `*` for anything that is not empty.
 * @see https://istio.io/latest/docs/reference/config/security/authorization-policy/
 */
import { spiffeId } from '../jwt/peer-binding.ts'
import { isJsonObject, ownMember, type JsonObject } from '../jwt/strict-json.ts'
import type { PeerIdentity } from '../ports.ts'

/** Whether `value` matches one of `patterns`. An empty value matches none. */
export function matchesAny(patterns: readonly string[], value: string): boolean {
  return value !== '' && patterns.some((pattern) => matches(pattern, value))
}

function matches(pattern: string, value: string): boolean {
  if (pattern === '*') return true
  if (pattern.endsWith('*')) return value.startsWith(pattern.slice(0, -1))
  if (pattern.startsWith('*')) return value.endsWith(pattern.slice(1))
  return value === pattern
}

/** What is wrong with a pattern; null when nothing is. */
export function patternProblem(pattern: string): string | null {
  if (pattern === '') return 'is empty'
  if (pattern.slice(1, -1).includes('*') || /^\*.*\*$/s.test(pattern))
    return 'has "*" elsewhere than at one end'
  return null
}

/** What is wrong with a pattern for a certificate's names; null when nothing is. */
export function principalProblem(pattern: string): string | null {
  // A wildcard in the trust domain would let another domain's authority speak for ours.
  if (pattern.startsWith('spiffe:') && !/^spiffe:\/\/[a-z0-9._-]+(?:\/[^*]*\*?)?$/.test(pattern))
    return 'is no SPIFFE ID with a whole trust domain (spiffe://domain/path, or spiffe://domain/path*)'
  return patternProblem(pattern)
}

/**
 * Whether a name of the peer's verified certificate matches: its SPIFFE ID, another URI when it is the only one, or a
 * DNS name. A pattern `*suffix` is for DNS names alone. The common name never counts.
 */
export function matchesPeer(patterns: readonly string[], peer: PeerIdentity): boolean {
  if (!peer.isVerified) return false
  const uri = peer.uris.length === 1 ? peer.uris[0]! : ''
  const name = uri.startsWith('spiffe:') ? (spiffeId(peer) ?? '') : uri
  return patterns.some((pattern) => {
    const isSuffix = pattern.startsWith('*') && pattern !== '*'
    const isDomain = pattern.startsWith('spiffe://') && !pattern.slice('spiffe://'.length).includes('/')
    if (pattern === '*') return true
    if (isDomain) return name.startsWith(`${pattern}/`) || name === pattern
    if (!isSuffix && name !== '' && matches(pattern, name)) return true
    return peer.dnsNames.some((dnsName) => matches(pattern.toLowerCase(), dnsName))
  })
}

/** Claims whose text is a list with spaces between (RFC 8693 §4.2; `scp` is Entra ID's and Okta's). */
const SPACED = new Set(['scope', 'scp'])

/**
 * The values of the claim at `path`, as strings. The path is a claim's whole name (`https://example.com/roles`) or else
 * names with dots between (`realm_access.roles`); arrays give their scalar members. Empty when there is none.
 */
export function claimValues(claims: JsonObject, path: string): readonly string[] {
  const value = claimAt(claims, path)
  if (typeof value === 'string' && SPACED.has(path)) return value.split(' ').filter((part) => part !== '')
  return (Array.isArray(value) ? (value as unknown[]) : [value]).filter(isScalar).map(String)
}

/** The claim at `path`, as in `claimValues`; undefined when there is none. */
export function claimAt(claims: JsonObject, path: string): unknown {
  const whole = ownMember(claims, path)
  if (whole !== undefined) return whole
  let value: unknown = claims
  for (const name of path.split('.')) value = isJsonObject(value) ? ownMember(value, name) : undefined
  return value
}

function isScalar(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
}

/**
 * Checks that a token is used by the peer it was made for: by certificate (`cnf`), or by a name in its certificate.
 * Floor 2; knows what TLS verified as a PeerIdentity only. RFC 8705 §3, RFC 7800 §3.1, SPIFFE ID §2.
 */
import type { PeerIdentity } from '../ports.ts'
import { isJsonObject, ownMember, type JsonObject } from './strict-json.ts'

/**
 * Whether `peer` may present a token with these claims. A `cnf` by any method other than `x5t#S256` (`jkt` of DPoP,
 * for one) is refused: a bound token is never taken for a plain bearer.
 */
export function isBoundToPeer(claims: JsonObject, peer: PeerIdentity): boolean {
  const confirmation = ownMember(claims, 'cnf')
  if (confirmation === undefined) return true
  if (!isJsonObject(confirmation)) return false
  if (Object.keys(confirmation).some((method) => method !== 'x5t#S256')) return false
  const thumbprint = ownMember(confirmation, 'x5t#S256')
  return peer.isVerified && typeof thumbprint === 'string' && thumbprint === peer.certificateSha256
}

/**
 * Whether the claim `name` equals a name of the peer's certificate: the last path segment of its only URI, or a DNS
 * name as a whole. For identity providers that issue no `cnf`. The subject's common name never counts.
 */
export function claimEqualsSan(claims: JsonObject, name: string, peer: PeerIdentity): boolean {
  const value = ownMember(claims, name)
  if (typeof value !== 'string' || value === '' || !peer.isVerified) return false
  if (peer.dnsNames.includes(value.toLowerCase())) return true
  const [uri] = peer.uris
  return peer.uris.length === 1 && uri!.slice(uri!.lastIndexOf('/') + 1) === value
}

/** The peer's SPIFFE ID: its certificate has exactly one URI and that is one; null otherwise (X509-SVID §2). */
export function spiffeId(peer: PeerIdentity): string | null {
  const [uri] = peer.uris
  if (!peer.isVerified || peer.uris.length !== 1) return null
  return /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/[\w.-]+)*$/.test(uri!) && uri!.length <= 2_048 ? uri! : null
}

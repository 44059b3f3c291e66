/**
 * What auth needs from the world and what others learn from it: the peer's identity and HTTP to a provider.
 * Floor 2; knows no socket: net/ implements these.
 */

/** Who is at the other end of an ingress connection, as TLS has verified it. One object per connection; immutable. */
export interface PeerIdentity {
  /** Whether TLS verified a client certificate against our trust bundle. Without it the fields below are empty. */
  readonly isVerified: boolean
  /** Whether the peer is on this machine: loopback or a UNIX socket. */
  readonly isLocal: boolean
  /** base64url SHA-256 of the DER of the leaf certificate, as in `cnf.x5t#S256` (RFC 8705 §3.1); null without one. */
  readonly certificateSha256: string | null
  /** DNS names of the leaf's subject alternative names, lower case. */
  readonly dnsNames: readonly string[]
  /** URIs of the leaf's subject alternative names. */
  readonly uris: readonly string[]
  /** Unix ms of the leaf's notAfter; Infinity without a certificate. */
  readonly notAfterMs: number
  /** The peer's address for logs and limits: IP address, or `unix`. */
  readonly address: string
}

/** The identity of a peer without a verified certificate. */
export function anonymousPeer(address: string, isLocal: boolean): PeerIdentity {
  return {
    isVerified: false,
    isLocal,
    certificateSha256: null,
    dnsNames: [],
    uris: [],
    notAfterMs: Infinity,
    address,
  }
}

/**
 * HTTP to an identity provider, in the shape of WHATWG `fetch` (openid-client takes it as `customFetch`).
 * The implementation bounds connect time and body size, and never follows a redirect to another host.
 */
export type HttpFetch = (url: string, init?: RequestInit) => Promise<Response>

/** Reads a small file whole. Rejects with the operating system's error. */
export type ReadFile = (path: string) => Promise<Buffer>

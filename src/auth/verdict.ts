/**
 * The outcome of a gate: a Permit, the only key to forwarding, or a Refusal, an ordinary value.
 * Floor 2; knows neither frames nor calls. Only files of auth/ can mint a Permit.
 */

/** Why a call was refused. Stable: the `authgw-reason` trailer, the metric label and a heading of docs/errors.md. */
export const REFUSAL_REASONS = {
  token_missing: 'No authorization field.',
  token_duplicate: 'More than one authorization field.',
  token_malformed: 'Not `Bearer` and three base64url segments, or not a JWT inside.',
  token_too_large: 'The token is larger than 16 KiB.',
  token_encrypted: 'A JWE: authgw validates signed tokens only.',
  token_alg: 'The algorithm is not on the list, or is symmetric, or none.',
  token_header: 'A header parameter that is not understood: crit, zip, b64.',
  token_type: 'The typ says that this is not an access token.',
  token_issuer: 'No provider is configured for this issuer.',
  token_audience: 'None of the audiences is ours.',
  token_claims: 'A required claim is missing or has the wrong type.',
  token_lifetime: 'The token lives longer than max_lifetime.',
  token_client: 'The client, azp or subject is not on the list.',
  token_expired: 'The token has expired.',
  token_expired_recently: 'The token has expired less than five minutes ago: a fresh one will pass.',
  token_not_yet_valid: 'nbf or iat lies in the future: the clocks differ.',
  token_signature: 'The signature does not verify.',
  token_key_unusable: 'The key under this kid does not fit the algorithm.',
  token_unknown_key: 'No key under this kid, after a fetch newer than the request.',
  token_binding: 'The token is bound to another certificate, or by a method that is not supported.',
  keys_unavailable: 'The keys of the issuer cannot be had right now.',
  verification_overload: 'Too many signatures wait to be verified.',
  policy_denied: 'The token is valid; the policy does not allow this method.',
  credential_unavailable: 'No token can be had from the identity provider right now.',
  credential_config: 'The identity provider refuses our client credentials.',
  credential_rejected: 'The control plane refuses our token.',
} as const

export type RefusalReason = keyof typeof REFUSAL_REASONS

/** gRPC status codes that a refusal can carry. @see https://grpc.io/docs/guides/status-codes/ */
export type RefusalStatus = 7 | 12 | 14 | 16

/** A denied call. Plain value; cheap to make; may be cached and shared. */
export interface Refusal {
  readonly kind: 'refusal'
  readonly reason: RefusalReason
  /** 16 UNAUTHENTICATED, 7 PERMISSION_DENIED (12 UNIMPLEMENTED for OTel-Arrow) or 14 UNAVAILABLE, after no-loss.md. */
  readonly status: RefusalStatus
  /** Seconds for google.rpc.RetryInfo, 1 … 10; null for none. */
  readonly retryDelaySeconds: number | null
  /** grpc-message for peers with a verified certificate or on this machine: names the class, never a secret. */
  readonly text: string
  /** How many glitches it is worth to the connection: 10 for a forged signature, else 0. */
  readonly glitches: number
  /** Unix ms until which the same facts give the same refusal; 0 when it must not be kept. */
  readonly validUntilMs: number
}

/** Who calls, for logs and metrics. Claims of a verified token only; empty strings where a claim is absent. */
export interface Principal {
  readonly issuer: string
  readonly subject: string
  readonly client: string
}

/** What a Permit says. */
export interface PermitTerms {
  readonly principal: Principal
  /** Fields to put on the egress head, lower-case names: the bearer token (workload) or the identity (control plane). */
  readonly fields: readonly (readonly [name: string, value: string])[]
  /** Whether the caller's own `authorization` field is left out. */
  readonly dropsAuthorization: boolean
  /** Unix ms until which the permit may be used for further calls with the same facts. */
  readonly validUntilMs: number
  /** Unix ms at which a call under it must end (no-loss.md row 29); Infinity for never. */
  readonly endsAtMs: number
  /** Generation of the credential behind it: a refused call with an older one is replayed without a refresh. */
  readonly credentialGeneration: number
  /** Part of the egress pool's key: calls of different identities never share a connection when bound to certificates. */
  readonly egressIdentity: string
}

const MINT = Symbol('mint')

/** The decision that a call may be forwarded. `relay` asks for one wherever it opens an egress stream. */
export class Permit implements PermitTerms {
  readonly kind = 'permit'
  readonly principal: Principal
  readonly fields: readonly (readonly [name: string, value: string])[]
  readonly dropsAuthorization: boolean
  readonly validUntilMs: number
  readonly endsAtMs: number
  readonly credentialGeneration: number
  readonly egressIdentity: string

  /** Not for use outside auth/: `mint` is not exported. */
  constructor(mint: typeof MINT, terms: PermitTerms) {
    if (mint !== MINT) throw new TypeError('a Permit is made by a gate')
    this.principal = terms.principal
    this.fields = terms.fields
    this.dropsAuthorization = terms.dropsAuthorization
    this.validUntilMs = terms.validUntilMs
    this.endsAtMs = terms.endsAtMs
    this.credentialGeneration = terms.credentialGeneration
    this.egressIdentity = terms.egressIdentity
  }
}

export type Verdict = Permit | Refusal

/** Makes a Permit. Exported to auth/ and to tests, not by auth/index.ts. */
export function mintPermit(terms: PermitTerms): Permit {
  return new Permit(MINT, terms)
}

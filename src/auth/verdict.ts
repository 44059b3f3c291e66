/**
 * The outcome of a gate: a Permit, the only key to forwarding, or a Refusal, an ordinary value.
 * Floor 2; knows neither frames nor calls. Only files of auth/ can mint a Permit.
 */
import { explained, type Explanation } from '../base/index.ts'

/** Why a call was refused, and what to do about it. Stable: the `authgw-reason` trailer, the metric label and a heading of docs/errors.md. */
export const REFUSAL_REASONS = {
  token_missing: explained(
    'No authorization field.',
    'Send the calls through the workload gateway, which puts a token on each, or have the caller send `authorization: Bearer …`.',
  ),
  token_duplicate: explained(
    'More than one authorization field.',
    'Find what adds the second one on the way: a proxy, or headers of the exporter. The workload gateway puts its own in their place.',
  ),
  token_malformed: explained(
    'Not `Bearer` and three base64url segments, or not a JWT inside.',
    'Look at what the caller sends after `Bearer`: an opaque token cannot be checked here. At the workload gateway `authgw token` shows what the provider gives.',
  ),
  token_too_large: explained(
    'The token is larger than 16 KiB.',
    'Have the provider put fewer claims into it: roles and groups are what grows.',
  ),
  token_encrypted: explained(
    'A JWE: authgw validates signed tokens only.',
    'Switch the encryption of access tokens off for this client at the provider.',
  ),
  token_alg: explained(
    'The algorithm is not on the list, or is symmetric, or none.',
    'Add it to `algorithms` of the provider if it is asymmetric, or have the issuer sign with one that is on the list.',
  ),
  token_header: explained(
    'A header parameter that is not understood: crit, zip, b64.',
    'Have the issuer leave it out.',
  ),
  token_type: explained(
    'The typ says that this is not an access token.',
    'Send the access token, not the ID or refresh token. With `require_token_type`, the issuer has to write `at+jwt`.',
  ),
  token_issuer: explained(
    'No provider is configured for this issuer.',
    'Compare `iss`, which `authgw token` shows, with `issuer_url`: a slash, a port or http for https makes another issuer.',
  ),
  token_audience: explained(
    'None of the audiences is ours.',
    'Have the provider put our audience into the token (in Keycloak by an audience mapper), or set `audience` to what it carries.',
  ),
  token_claims: explained(
    'A required claim is missing or has the wrong type.',
    'Have the issuer write `exp`, and `exp`, `nbf` and `iat` as numbers.',
  ),
  token_lifetime: explained(
    'The token lives longer than max_lifetime.',
    'Shorten the life at the provider, or raise `max_lifetime`.',
  ),
  token_client: explained(
    'The client, azp or subject is not on the list.',
    'Add it to `allowed_clients` or `allowed_subjects`, if it may call.',
  ),
  token_expired: explained(
    'The token has expired.',
    'Look at why the caller keeps it: a token that was pasted by hand, a refresh that fails, or a clock.',
  ),
  token_expired_recently: explained(
    'The token has expired less than five minutes ago: a fresh one will pass.',
    'Nothing, if it is rare: the caller comes back with a fresh one. If it is not, put the workload gateway before it, which refreshes ahead of the end.',
  ),
  token_not_yet_valid: explained(
    'nbf or iat lies in the future: the clocks differ.',
    'Set the clocks of provider and gateway (NTP); `clock_skew` forgives up to 5 min.',
  ),
  token_signature: explained(
    'The signature does not verify.',
    'If the callers are yours, compare the keys: `authgw explain --online` fetches those of the issuer. Else somebody forges tokens: the log names the address.',
  ),
  token_key_unusable: explained(
    'The key under this kid does not fit the algorithm.',
    'Look at `kty`, `alg`, `use` and the size of that key in the issuer’s key set; RSA keys have 2048 bits or more.',
  ),
  token_unknown_key: explained(
    'No key under this kid, after a fetch newer than the request.',
    'Look whether `jwks_uri` answers with the set of this issuer, and whether the token is older than the last rotation.',
  ),
  token_binding: explained(
    'The token is bound to another certificate, or by a method that is not supported.',
    'Fetch it with the certificate with which it is sent (`oauth2client.tls`, `upstream.tls`). DPoP is not supported. With `claim_equals_san` the claim has to be a name of the certificate.',
  ),
  keys_unavailable: explained(
    'The keys of the issuer cannot be had right now.',
    '`/readyz?verbose` and `authgw_key_fetches_total` say why: see [Credentials and keys](#credentials-and-keys). For the next time: `key_cache_directory`.',
  ),
  verification_overload: explained(
    'Too many signatures wait to be verified.',
    'Look at `authgw_signature_checks_total`: many new tokens at once, or a flood of forged ones. Callers come back; more `workers` check more.',
  ),
  policy_denied: explained(
    'The token is valid; the policy does not allow this method.',
    'The message names the rule; `authgw explain` says what it asks for. Without rules only OTLP Export passes. OTel-Arrow is answered UNIMPLEMENTED, and its exporter goes on with OTLP.',
  ),
  credential_unavailable: explained(
    'No token can be had from the identity provider right now.',
    '`/readyz?verbose` and `authgw_token_refreshes_total` say why: see [Credentials and keys](#credentials-and-keys). Calls are sent again by themselves.',
  ),
  credential_config: explained(
    'The identity provider refuses our client credentials.',
    'Put the right `client_id` and secret in place; files are read again at each try. `authgw token` tries at once.',
  ),
  credential_rejected: explained(
    'The control plane refuses our token.',
    'Compare issuer, audience and keys on both sides: `authgw token` here, `authgw explain` there.',
  ),
} as const satisfies Record<string, Explanation>

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

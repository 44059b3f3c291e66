/**
 * The error families: whose fault a failure is, and how far it reaches.
 * Floor 0; knows no wire format. Faults of peers and refusals are plain values, so that nothing a peer can
 * repeat cheaply allocates an Error; only rare failures are classes here.
 */
import { explained, type Explanation } from './explanation.ts'

/** One fault in the operator's configuration, with the place and the remedy. */
export interface ConfigFault {
  /** Dotted path of the key, such as `workload.upstream.tls.ca_file`. */
  readonly path: string
  /** `file:line:column` where known, else null. */
  readonly position: string | null
  /** What is wrong, in one sentence. */
  readonly problem: string
  /** What to do about it, in one sentence. */
  readonly remedy: string
}

/** The operator's fault, found at start-up or reload. Lists every fault at once; exit code 2. */
export class ConfigError extends Error {
  readonly code = 'config_invalid'
  readonly faults: readonly ConfigFault[]
  constructor(faults: readonly ConfigFault[]) {
    super(`configuration has ${faults.length} fault${faults.length === 1 ? '' : 's'}`)
    this.name = 'ConfigError'
    this.faults = faults
  }
}

/** Why a credential of our own, or a key set, could not be had: what it means and what to do. Headings of docs/errors.md. */
export const CREDENTIAL_ERRORS = {
  idp_unreachable: explained(
    'No connection to the identity provider.',
    'See the log for the address; look at DNS, firewalls and proxies.',
  ),
  idp_timeout: explained(
    'The identity provider did not answer in time.',
    'See oauth2client.timeout, and whether it is overloaded.',
  ),
  idp_tls: explained(
    'TLS with the identity provider failed.',
    'Give its authority as oauth2client.tls.ca_file.',
  ),
  idp_status: explained(
    'The identity provider answered with an HTTP status that is no answer.',
    'Look at its own log.',
  ),
  idp_rate_limited: explained(
    'The identity provider answered 429.',
    'Raise its limit for this client. authgw waits as long as Retry-After says.',
  ),
  idp_malformed: explained(
    'The answer is not what the protocol says: no JSON, no token, too large, or a URL that may not be used.',
    'Look at what the URL answers.',
  ),
  idp_issuer_mismatch: explained(
    'The discovery document is of another issuer than the one that is configured.',
    'Set issuer_url to what tokens carry, and discovery_url to where the document is.',
  ),
  invalid_client: explained(
    'The identity provider does not know the client or its secret.',
    'Put the right client_id and secret in place; files are read again at each try.',
  ),
  grant_refused: explained(
    'The identity provider refuses the grant: the client may not use it, or not with these scopes.',
    'Look at the client’s settings there.',
  ),
  token_rejected: explained(
    'The control plane refuses the tokens that the identity provider gives.',
    'Compare issuer, audience and keys on both sides; authgw explain says which check fails.',
  ),
  token_unusable: explained(
    'The token cannot be used: not a bearer token, expired, empty, or with characters that no field can carry.',
    'Look at what the provider, or the file that holds the token, gives: authgw token shows its claims.',
  ),
  secret_unreadable: explained(
    'A file that holds a secret, a key or a token cannot be read.',
    'The log names it: let the user that runs authgw read it. It is read again at the next try.',
  ),
  keys_unreadable: explained(
    'The file of public_keys_file cannot be read.',
    'The log names it; it is read again when it changes.',
  ),
} as const satisfies Record<string, Explanation>

/** Why a credential of our own could not be had. A stable enum: metric label and part of the public text. */
export type CredentialErrorCode = keyof typeof CREDENTIAL_ERRORS

/** The identity provider's fault, or our credential's. Reaches the calls until it is refreshed: grpc-status 14. */
export class CredentialError extends Error {
  readonly code: CredentialErrorCode
  /** What the provider asked for by Retry-After, in ms; null when it did not say. */
  readonly retryAfterMs: number | null
  constructor(
    code: CredentialErrorCode,
    message: string,
    options: { cause?: unknown; retryAfterMs?: number } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'CredentialError'
    this.code = code
    this.retryAfterMs = options.retryAfterMs ?? null
  }
}

/** Why a connection could not be made, or ended: what it means and what to do. Headings of docs/errors.md. */
export const TRANSPORT_ERRORS = {
  dns: explained('The name has no address.', 'Look at upstream.endpoint and at the resolver of the machine.'),
  connect_refused: explained(
    'Nobody listens at the address, or the network cannot reach it.',
    'Look whether the upstream runs, and at upstream.endpoint.',
  ),
  connect_timeout: explained(
    'No answer to the connection attempt: a firewall drops it, or the machine is away.',
    'Look at firewalls between the two; upstream.connect_timeout is the limit.',
  ),
  tls_handshake: explained(
    'The TLS handshake failed.',
    'The log says why: an unknown authority, an expired certificate, or a client certificate that is missing.',
  ),
  alpn: explained('The other side does not speak HTTP/2 over TLS (ALPN h2).', 'Look at what listens there.'),
  peer_name: explained(
    'The certificate is of another name.',
    'Set upstream.tls.server_name_override, or allowed_sans, or issue another one.',
  ),
  closed_by_peer: explained(
    'The other side closed the connection in good order.',
    'Nothing: it is dialled again.',
  ),
  reset_by_peer: explained(
    'The other side, or something between, broke the connection.',
    'Nothing, if it is rare: it is dialled again. Else look at the log of the upstream, and at what stands between.',
  ),
  no_response: explained(
    'The other side answers no keepalive.',
    'Look whether the upstream hangs. The connection is given up and dialled again.',
  ),
  local_close: explained(
    'authgw closed the connection itself, while it was being stopped or replaced.',
    'Nothing.',
  ),
} as const satisfies Record<string, Explanation>

/** Why a connection could not be made or ended. A stable enum and metric label. */
export type TransportErrorCode = keyof typeof TRANSPORT_ERRORS

/** The network's fault. Reaches one connection: its calls end UNAVAILABLE, and it is dialled again. */
export class TransportError extends Error {
  readonly code: TransportErrorCode
  constructor(code: TransportErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'TransportError'
    this.code = code
  }
}

/** Our fault. Ends the call (or the connection whose state is in doubt); the process keeps serving. */
export class InvariantError extends Error {
  readonly code = 'invariant'
  constructor(what: string) {
    super(`bug in authgw: ${what}`)
    this.name = 'InvariantError'
  }
}

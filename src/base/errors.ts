/**
 * The error families: whose fault a failure is, and how far it reaches.
 * Floor 0; knows no wire format. Faults of peers and refusals are plain values, so that nothing a peer can
 * repeat cheaply allocates an Error; only rare failures are classes here.
 */

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
  idp_unreachable:
    'No connection to the identity provider. See the log for the address; look at DNS, firewalls and proxies.',
  idp_timeout:
    'The identity provider did not answer in time. See oauth2client.timeout, and whether it is overloaded.',
  idp_tls: 'TLS with the identity provider failed. Give its authority as oauth2client.tls.ca_file.',
  idp_status: 'The identity provider answered with an HTTP status that is no answer. Look at its own log.',
  idp_rate_limited: 'The identity provider answered 429. authgw waits as long as Retry-After says.',
  idp_malformed:
    'The answer is not what the protocol says: no JSON, no token, too large, or a URL that may not be used. Look at what the URL answers.',
  idp_issuer_mismatch:
    'The discovery document is of another issuer than the one that is configured. Set issuer_url to what tokens carry, and discovery_url to where the document is.',
  invalid_client:
    'The identity provider does not know the client or its secret. Put the right client_id and secret in place; files are read again at each try.',
  grant_refused:
    'The identity provider refuses the grant: the client may not use it, or not with these scopes. Look at the client’s settings there.',
  token_rejected:
    'The control plane refuses the tokens that the identity provider gives. Compare issuer, audience and keys on both sides; authgw explain says which check fails.',
  token_unusable:
    'The token cannot be used: not a bearer token, expired, empty, or with characters that no field can carry.',
  secret_unreadable: 'A file that holds a secret, a key or a token cannot be read. The log names it.',
  keys_unavailable:
    'The file of public_keys_file cannot be read. The log names it; it is read again when it changes.',
} as const satisfies Record<string, string>

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
  dns: 'The name has no address. Look at upstream.endpoint and at the resolver of the machine.',
  connect_refused: 'Nobody listens at the address, or the network cannot reach it.',
  connect_timeout: 'No answer to the connection attempt: a firewall drops it, or the machine is away.',
  tls_handshake:
    'The TLS handshake failed. The log says why: an unknown authority, an expired certificate, or a client certificate that is missing.',
  alpn: 'The other side does not speak HTTP/2 over TLS (ALPN h2). Look at what listens there.',
  peer_name:
    'The certificate is of another name. Set upstream.tls.server_name_override, or allowed_sans, or issue another one.',
  closed_by_peer: 'The other side closed the connection in good order.',
  reset_by_peer: 'The other side, or something between, broke the connection.',
  no_response: 'The other side answers no keepalive. The connection is given up and dialled again.',
  local_close: 'authgw closed the connection itself, while it was being stopped or replaced.',
} as const satisfies Record<string, string>

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

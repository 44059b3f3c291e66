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

/** Why a credential of our own could not be had. A stable enum: metric label and part of the public text. */
export type CredentialErrorCode =
  | 'idp_unreachable'
  | 'idp_timeout'
  | 'idp_tls'
  | 'idp_status'
  | 'idp_rate_limited'
  | 'idp_malformed'
  | 'idp_issuer_mismatch'
  | 'invalid_client'
  | 'grant_refused'
  | 'token_rejected'
  | 'token_unusable'
  | 'secret_unreadable'
  | 'keys_unavailable'

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

/** Why a connection could not be made or ended. A stable enum and metric label. */
export type TransportErrorCode =
  | 'dns'
  | 'connect_refused'
  | 'connect_timeout'
  | 'tls_handshake'
  | 'alpn'
  | 'peer_name'
  | 'closed_by_peer'
  | 'reset_by_peer'
  | 'no_response'
  | 'local_close'

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

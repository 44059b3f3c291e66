/**
 * What the workload's half counts, as plain numbers that telemetry reads at scrape.
 * Floor 2; knows no metric name.
 */
import type { CredentialErrorCode } from '../../base/index.ts'

/** Counters of one keeper. Owned and written by it. */
export class TokenStats {
  /** Attempts to get a token, whatever came of them. */
  attempts = 0
  /** Attempts that gave a usable token. */
  fetched = 0
  /** Of those, the ones that replaced an earlier token. */
  refreshes = 0
  /** Failed attempts by reason. */
  readonly failures: Record<CredentialErrorCode, number> = {
    idp_unreachable: 0,
    idp_timeout: 0,
    idp_tls: 0,
    idp_status: 0,
    idp_rate_limited: 0,
    idp_malformed: 0,
    idp_issuer_mismatch: 0,
    invalid_client: 0,
    grant_refused: 0,
    token_rejected: 0,
    token_unusable: 0,
    secret_unreadable: 0,
    keys_unreadable: 0,
  }
  /** Failed attempts that only an operator can mend: client credentials, scopes, secret files, the wrong issuer. */
  authConfigErrors = 0
  /** Tokens that the control plane refused, as reported by the gates; each generation once. */
  rejected = 0
  /** Times that the wall clock left the monotonic clock: a suspended machine, or a clock that was set. */
  clockJumps = 0
  /** Unix ms at which the current token expires; 0 before the first. */
  tokenExpiryWallMs = 0
  /** Life of the current token in ms; 0 before the first. */
  tokenLifeMs = 0
  /** How long the last attempt took, in ms. */
  lastAttemptMs = 0
  /** Unix ms of the last success; 0 before the first. */
  lastSuccessWallMs = 0
}

/** Counters of one CredentialGate. Owned and written by it. */
export class CredentialGateStats {
  /** Calls that had to wait for a token. */
  waits = 0
  /** Refusals for want of a token (no-loss.md row 1). */
  unavailable = 0
  /** Refusals because the provider refuses our client credentials (row 2). */
  misconfigured = 0
  /** Refusals by the list of allowed methods, or for an `authorization` field that the caller may not bring. */
  denied = 0
  /** Calls that the control plane refused, as the relay reported them (row 5). */
  rejections = 0
  /** Newer tokens given out to replay under; calls that shared one replacement count once. */
  renewals = 0
  /** Calls answered locally after a refused replay. */
  heldBack = 0
  /** Calls let through meanwhile, to find out whether the control plane takes the token again. */
  probes = 0
}

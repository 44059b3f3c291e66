/**
 * Turns a reason into the refusal that a caller gets: status, RetryInfo, and the text it may read.
 * Floor 2; decides nothing. The rows of no-loss.md are this table.
 */
import { ARROW_GUARD } from './policy/subject.ts'
import type { PeerIdentity } from './ports.ts'
import type { Refusal, RefusalReason, RefusalStatus } from './verdict.ts'

/** What a refusal says beyond its reason. */
export interface RefusalDetails {
  /** Seconds for RetryInfo; makes the status UNAVAILABLE. */
  readonly retryDelaySeconds?: number
  /** Unix ms until which the refusal may be kept; 0 when left out. */
  readonly validUntilMs?: number
  /** The rule that denied. */
  readonly rule?: string
}

/** A refusal that also names the rule behind it, for the log. */
export interface RuledRefusal extends Refusal {
  readonly rule?: string
}

const UNAUTHENTICATED = 16
const PERMISSION_DENIED = 7
const UNIMPLEMENTED = 12
const UNAVAILABLE = 14

/** What a forged signature is worth to its connection. */
const FORGERY_GLITCHES = 10

/** The refusal of `peer` for `reason`. */
export function refusal(
  reason: RefusalReason,
  peer: PeerIdentity,
  details: RefusalDetails = {},
): RuledRefusal {
  const status = statusOf(reason, details)
  return {
    kind: 'refusal',
    reason,
    status,
    retryDelaySeconds: status === UNAVAILABLE ? (details.retryDelaySeconds ?? 1) : null,
    text: peer.isVerified || peer.isLocal ? fullText(reason, details.rule) : bareText(status),
    glitches: reason === 'token_signature' ? FORGERY_GLITCHES : 0,
    validUntilMs: details.validUntilMs ?? 0,
    ...(details.rule === undefined ? {} : { rule: details.rule }),
  }
}

/** RetryInfo for what may pass in `inMs`: 1 … 10 s, since the exporter drops what it is told to wait longer for. */
export function retryAfterSeconds(inMs: number): number {
  return Math.min(Math.max(Math.ceil(inMs / 1_000), 1), 10)
}

function statusOf(reason: RefusalReason, details: RefusalDetails): RefusalStatus {
  // ADR 0014: at UNIMPLEMENTED, and at nothing else, an OTel-Arrow exporter falls back to OTLP.
  if (reason === 'policy_denied') return details.rule === ARROW_GUARD ? UNIMPLEMENTED : PERMISSION_DENIED
  return details.retryDelaySeconds === undefined ? UNAUTHENTICATED : UNAVAILABLE
}

/** For peers that have proved who they are, or are on this machine. */
function fullText(reason: RefusalReason, rule: string | undefined): string {
  if (reason === 'policy_denied') return `policy ${rule ?? 'default'} denied`
  if (reason === 'token_missing') return 'no token'
  const words = reason.replace(/^token_/, '').replaceAll('_', ' ')
  return reason.startsWith('token_') ? `invalid token: ${words}` : words
}

/** For everyone else: nothing to learn from. */
function bareText(status: RefusalStatus): string {
  if (status === UNAUTHENTICATED) return 'unauthenticated'
  return status === UNAVAILABLE ? 'unavailable' : 'permission denied'
}

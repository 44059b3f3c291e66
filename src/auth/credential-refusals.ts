/**
 * The refusals of the workload's gate: from what the keeper says to the answers of no-loss.md rows 1, 2, 5 and 10.
 * Floor 2; knows no clock and no call.
 */
import type { CredentialErrorCode } from '../base/index.ts'
import { calledMethod, isArrowMethod } from './policy/subject.ts'
import type { TokenFailure } from './token/port.ts'
import type { Refusal, RefusalReason, RefusalStatus } from './verdict.ts'

/** Exporters drop data when a delay passes their `max_elapsed_time`: never ask for more. */
const MAX_RETRY_SECONDS = 10

function refusal(
  reason: RefusalReason,
  status: RefusalStatus,
  retryDelaySeconds: number | null,
  text: string,
): Refusal {
  return { kind: 'refusal', reason, status, retryDelaySeconds, text, glitches: 0, validUntilMs: 0 }
}

const unavailableText = (code: CredentialErrorCode): string => `authgw: token unavailable: ${code}`

const retrySeconds = (delayMs: number): number =>
  Math.min(Math.max(Math.ceil(delayMs / 1000), 1), MAX_RETRY_SECONDS)

/** Rows 1 and 2: no token can be had. Retried after 1 … 10 s; a refused client after 10 s, or never with `fail`. */
export function tokenUnavailable(failure: TokenFailure, onInvalidClient: 'retry' | 'fail'): Refusal {
  const text = unavailableText(failure.reason)
  if (failure.reason === 'invalid_client')
    return onInvalidClient === 'fail'
      ? refusal('credential_config', 16, null, text)
      : refusal('credential_config', 14, MAX_RETRY_SECONDS, text)
  return refusal('credential_unavailable', 14, retrySeconds(failure.retryInMs), text)
}

/** Row 5: the control plane refused the token and it could not be replaced. Retried after 1 s. */
export function replacementUnavailable(reason: CredentialErrorCode): Refusal {
  return reason === 'token_rejected'
    ? replacementPutOff(0)
    : refusal('credential_unavailable', 14, 1, unavailableText(reason))
}

/** Row 5: the control plane refused the token, and it may be replaced in so many ms. Retried then, after 1 … 10 s. */
export function replacementPutOff(delayMs: number): Refusal {
  return refusal('credential_rejected', 14, retrySeconds(delayMs), unavailableText('token_rejected'))
}

/** Row 5: the control plane refused the fresh token too. Retried after 10 s. */
export const TOKEN_REJECTED: Refusal = refusal(
  'credential_rejected',
  14,
  MAX_RETRY_SECONDS,
  unavailableText('token_rejected'),
)

/** A method that is denied for good. An OTel-Arrow exporter falls back to OTLP at UNIMPLEMENTED alone (row 10, ADR 0014). */
class MethodRefusal {
  readonly #denied: Refusal
  readonly #notServed: Refusal

  constructor(rule: string) {
    const text = `authgw: policy ${rule} denied`
    this.#denied = refusal('policy_denied', 7, null, text)
    this.#notServed = refusal('policy_denied', 12, null, text)
  }

  of(path: string): Refusal {
    return isArrowMethod(calledMethod(path)) ? this.#notServed : this.#denied
  }
}

/** The method is not on the list: no token of ours is put on it. */
export const METHOD_DENIED = new MethodRefusal('otlp-only')

/** The caller brings an `authorization` field of its own, which is configured to be refused. */
export const OWN_AUTHORIZATION_DENIED: Refusal = refusal(
  'policy_denied',
  7,
  null,
  'authgw: policy no-own-authorization denied',
)

/** No route leads to an identity. */
export const ROUTE_DENIED = new MethodRefusal('routes')

/**
 * Answers of our own: an outcome in, header lists out, as trailers-only or as trailers after a head.
 * Floor 3; knows no call. The same outcome gives the same lists, so that encoding them is a memo hit.
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md (Responses)
 */
import type { Refusal } from '../auth/index.ts'
import type { TransportErrorCode } from '../base/index.ts'
import {
  GrpcStatus,
  NOT_GRPC_FIELDS,
  trailerFields,
  trailersOnlyFields,
  type FieldPair,
  type GrpcOutcome,
} from '../grpc/index.ts'
import { HeaderField, HeaderList } from '../hpack/index.ts'
import { RELAY_REASONS, type RelayReason } from './reasons.ts'

/** An answer in both shapes. */
export interface Answer {
  readonly status: number
  /** One HEADERS frame with END_STREAM, when no head has been sent. */
  readonly trailersOnly: HeaderList
  /** Trailers, when one has. */
  readonly trailers: HeaderList
}

/** Distinct outcomes kept; they come from closed tables, so this is never reached by a peer's doing. */
const MAX_ANSWERS = 512
const answers = new Map<string, Answer>()

/** The lists for an outcome. */
function answerOf(outcome: GrpcOutcome): Answer {
  const key = `${outcome.status} ${outcome.retryDelaySeconds} ${outcome.reason} ${outcome.message}`
  const known = answers.get(key)
  if (known !== undefined) return known
  const answer = {
    status: outcome.status,
    trailersOnly: listOf(trailersOnlyFields(outcome)),
    trailers: listOf(trailerFields(outcome)),
  }
  if (answers.size < MAX_ANSWERS) answers.set(key, answer)
  return answer
}

/** The answer to a gate's refusal. */
export function refusalAnswer(refusal: Refusal): Answer {
  return answerOf({
    status: refusal.status,
    message: refusal.text,
    retryDelaySeconds: refusal.retryDelaySeconds,
    reason: refusal.reason,
  })
}

/**
 * The answer for a reason of the relay's own.
 * @param seesDetails whether the peer may read why a token does not hold
 * @param detail the class of a transport error; null for none
 */
export function reasonAnswer(
  reason: RelayReason,
  seesDetails: boolean,
  detail: TransportErrorCode | null = null,
): Answer {
  if (reason === 'not_grpc') return NOT_GRPC
  const { status, retryDelaySeconds, text } = RELAY_REASONS[reason]
  const publicText = status === GrpcStatus.UNAUTHENTICATED ? 'unauthenticated' : text
  const detailedText = detail === null ? text : `${text}: ${detail}`
  return answerOf({ status, message: seesDetails ? detailedText : publicText, retryDelaySeconds, reason })
}

/** HTTP 415, as gRPC over HTTP/2 asks for. */
const NOT_GRPC: Answer = {
  status: RELAY_REASONS.not_grpc.status,
  trailersOnly: listOf(NOT_GRPC_FIELDS),
  trailers: listOf(NOT_GRPC_FIELDS.slice(2)),
}

function listOf(pairs: readonly FieldPair[]): HeaderList {
  return new HeaderList(pairs.map(([name, value]) => new HeaderField(name, value)))
}

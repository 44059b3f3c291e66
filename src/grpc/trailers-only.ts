/**
 * Turns the outcome of a call that authgw answers itself into header fields: the one block of a trailers-only answer, or
 * the trailers of an answer that has begun.
 * Floor 1; gives plain pairs and knows neither HPACK nor streams.
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md (Responses, Trailers-Only)
 */
import { retryInfoDetails } from './retry-info.ts'
import { GrpcStatus, encodeGrpcMessage } from './status.ts'

/** A header field as name and value; both latin1. */
export type FieldPair = readonly [name: string, value: string]

/** The trailer in which authgw says why it answered itself. */
export const REASON_FIELD = 'authgw-reason'

/** What an answer of our own says. */
export interface GrpcOutcome {
  /** gRPC status code. */
  readonly status: number
  /** Short public text; percent-encoded here. Empty for none. From a bounded set when there is a retry delay. */
  readonly message: string
  /** Seconds for google.rpc.RetryInfo, 1 … 10; null for none. */
  readonly retryDelaySeconds: number | null
  /** A stable word for `authgw-reason`, `[a-z0-9_]+`; null for none. */
  readonly reason: string | null
}

/** The fields of a trailers-only answer, sent in one HEADERS frame with END_STREAM. */
export function trailersOnlyFields(outcome: GrpcOutcome): FieldPair[] {
  return [[':status', '200'], ['content-type', 'application/grpc'], ...trailerFields(outcome)]
}

/** The fields of the trailers that end an answer whose head has been sent. */
export function trailerFields(outcome: GrpcOutcome): FieldPair[] {
  const fields: FieldPair[] = [['grpc-status', String(outcome.status)]]
  if (outcome.message !== '') fields.push(['grpc-message', encodeGrpcMessage(outcome.message)])
  if (outcome.retryDelaySeconds !== null)
    fields.push([
      'grpc-status-details-bin',
      retryInfoDetails(outcome.status, outcome.retryDelaySeconds, outcome.message),
    ])
  if (outcome.reason !== null) fields.push([REASON_FIELD, outcome.reason])
  return fields
}

/** The fields of the answer to a request that is not gRPC: HTTP 415, with a gRPC status for clients that look for one. */
export const NOT_GRPC_FIELDS: readonly FieldPair[] = [
  [':status', '415'],
  ['content-type', 'application/grpc'],
  ['grpc-status', String(GrpcStatus.INVALID_ARGUMENT)],
  ['grpc-message', 'authgw: content-type is not application/grpc'],
]

/**
 * Whether a request with this `content-type` is gRPC: `application/grpc`, alone or followed by `+` and a codec or by
 * `;` and parameters. `application/grpc-web` is another protocol. Letters of either case.
 */
export function isGrpcContentType(value: string): boolean {
  const prefix = 'application/grpc'
  if (value.length < prefix.length) return false
  if (!value.startsWith(prefix) && value.slice(0, prefix.length).toLowerCase() !== prefix) return false
  if (value.length === prefix.length) return true
  const next = value.charCodeAt(prefix.length)
  return next === 0x2b || next === 0x3b || next === 0x20
}

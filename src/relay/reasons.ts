/**
 * Why the relay answers a call itself: a stable word, the status, and the text.
 * Floor 3; knows no frame. The gate's reasons stand in auth/verdict.ts; docs/errors.md shows both tables.
 */
import { GrpcStatus } from '../grpc/index.ts'

/** What one reason means. */
export interface RelayReasonEntry {
  /** grpc-status. */
  readonly status: number
  /** Seconds of RetryInfo; null for none. */
  readonly retryDelaySeconds: number | null
  /** grpc-message, for every peer: names no secret and nothing of the network behind us. */
  readonly text: string
  /** What an operator does about it. */
  readonly remedy: string
}

const reason = (
  status: number,
  retryDelaySeconds: number | null,
  text: string,
  remedy: string,
): RelayReasonEntry => ({ status, retryDelaySeconds, text, remedy })

const { UNAVAILABLE, RESOURCE_EXHAUSTED, UNIMPLEMENTED, DEADLINE_EXCEEDED, INVALID_ARGUMENT } = GrpcStatus

/** Every answer that the relay makes by itself (rows of no-loss.md). Keys are stable. */
export const RELAY_REASONS = {
  egress_unreachable: reason(
    UNAVAILABLE,
    1,
    'authgw: no connection to the upstream',
    'See the log for the address and the error: refused, DNS, time-out or TLS (row 13).',
  ),
  egress_closed: reason(
    UNAVAILABLE,
    1,
    'authgw: the upstream ended the call',
    'The upstream closed the connection or reset the stream (rows 14, 15).',
  ),
  egress_malformed: reason(
    UNAVAILABLE,
    1,
    'authgw: the upstream gave no valid gRPC status',
    'The upstream is no gRPC server, or a proxy between answers in its place (row 16).',
  ),
  egress_http_error: reason(
    UNAVAILABLE,
    1,
    'authgw: the upstream answered with an HTTP error',
    'An HTTP 5xx, 408 or 429 without a gRPC status (row 17).',
  ),
  egress_misroute: reason(
    UNAVAILABLE,
    10,
    'authgw: the upstream is not the expected gRPC server',
    'HTTP 401, 403, 404 or 415 without a gRPC status: upstream.endpoint points at something else (row 17).',
  ),
  egress_too_large: reason(
    RESOURCE_EXHAUSTED,
    null,
    'authgw: the upstream refuses the size',
    'HTTP 413 from the upstream: make the batches smaller (row 17).',
  ),
  overload: reason(
    UNAVAILABLE,
    3,
    'authgw: overloaded',
    'Memory, stream or connection limits are reached: see authgw_limit_breaches_total (row 21).',
  ),
  client_limit: reason(
    UNAVAILABLE,
    3,
    'authgw: the limit of this client is reached',
    'limits.per_client: authgw_client_refusals_total says which client, and how often. Raise the limit, or make it send less (row 21).',
  ),
  deadline: reason(
    DEADLINE_EXCEEDED,
    null,
    'authgw: deadline exceeded',
    'The time that the caller gave the call is over (row 19).',
  ),
  message_too_large: reason(
    RESOURCE_EXHAUSTED,
    null,
    'authgw: message larger than max_recv_msg_size_mib',
    'Make the batches smaller, or raise max_recv_msg_size_mib here and in the collector (row 23).',
  ),
  header_too_large: reason(
    RESOURCE_EXHAUSTED,
    null,
    'authgw: header list too large',
    'The metadata of the call is above limits.max_header_list_size, or above what the upstream takes (row 25).',
  ),
  not_grpc: reason(
    INVALID_ARGUMENT,
    null,
    'authgw: content-type is not application/grpc',
    'Something other than gRPC speaks to this port; OTLP over HTTP has its own (row 26).',
  ),
  bad_path: reason(
    UNIMPLEMENTED,
    null,
    'authgw: malformed method path',
    'The :path is not /package.Service/Method (row 26).',
  ),
  bad_timeout: reason(
    INVALID_ARGUMENT,
    null,
    'authgw: malformed grpc-timeout',
    'grpc-timeout is at most 8 digits and a unit.',
  ),
  draining: reason(
    UNAVAILABLE,
    1,
    'authgw: shutting down',
    'The gateway is being stopped; the caller retries elsewhere (row 24).',
  ),
  stream_expired: reason(
    16,
    null,
    'authgw: the token of this stream has expired',
    'A stream outlived its token; it is opened again with a fresh one (row 29).',
  ),
  stream_renewed: reason(
    UNAVAILABLE,
    1,
    'authgw: the stream is to be opened again',
    'The control plane ended a stream whose token expired; the next one carries a fresh token (row 29).',
  ),
  stream_too_long: reason(
    UNAVAILABLE,
    1,
    'authgw: the stream has reached max_stream_duration',
    'The caller opens it again. Raise max_stream_duration if streams should live longer.',
  ),
  denied_held: reason(
    UNAVAILABLE,
    10,
    'authgw: permission denied by the control plane, held',
    'on_denied: hold keeps the data while the policy at the control plane is put right (row 6).',
  ),
  credential_refused: reason(
    UNAVAILABLE,
    1,
    'authgw: the control plane refused the token',
    'The request was too large to be held for a replay; the next try carries a fresh token (row 5).',
  ),
  bug: reason(
    UNAVAILABLE,
    1,
    'authgw: internal error',
    'A bug of authgw; this call only. Please report the log line (row 28).',
  ),
} as const satisfies Record<string, RelayReasonEntry>

export type RelayReason = keyof typeof RELAY_REASONS

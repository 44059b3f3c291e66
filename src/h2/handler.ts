/**
 * What an H2Connection tells its owner: stream events, one call each.
 * Floor 2; knows nothing of calls or gRPC: relay/ implements it, and so do the tests and the bench client.
 */
import type { TransportError, FaultToken } from '../base/index.ts'
import type { HeaderList } from '../hpack/index.ts'
import type { H2Connection } from './connection.ts'
import type { H2Stream } from './stream.ts'

/**
 * The owner of a connection. Called synchronously from `receive`, `drain` and timers; may call any method of the
 * connection from within. Lists may be kept; payloads are borrowed until the call returns, unless passed to `sendData`.
 */
export interface H2Handler {
  /** Server: a checked request head. */
  onRequest(stream: H2Stream, head: HeaderList, isEnd: boolean): void
  /** Client: a checked final response head (1xx are consumed). */
  onResponse(stream: H2Stream, head: HeaderList, isEnd: boolean): void
  /** The peer's trailers; the peer's side of the stream is at its end. */
  onTrailers(stream: H2Stream, trailers: HeaderList): void
  /**
   * Octets of a DATA frame without padding. They count against the peer's windows until `stream.credit` is called
   * for them. An empty payload comes only with isEnd.
   */
  onData(stream: H2Stream, payload: Buffer, isEnd: boolean): void
  /** That many octets given to `sendData` have left for the socket. */
  onDataSent(stream: H2Stream, bytes: number): void
  /**
   * The stream is over before its orderly end: by the peer's RST_STREAM, by a fault of the peer's (`token`), or with the
   * connection. What was queued is dropped; the stream needs no further call.
   */
  onStreamReset(stream: H2Stream, code: number, cause: ResetCause, token: FaultToken | null): void
  /** Both sides are at their orderly end; the stream is forgotten after this call. */
  onStreamClosed(stream: H2Stream): void
  /** Client: the first SETTINGS, a higher stream limit or a free slot: `canOpenStream` may have become true. */
  onCapacity(connection: H2Connection): void
  /**
   * The peer sent GOAWAY; streams above lastStreamId were already reset with RESET_BY_GOAWAY.
   * @param isTooManyPings it says that our keepalive is too fast
   */
  onGoaway(connection: H2Connection, lastStreamId: number, code: number, isTooManyPings: boolean): void
  /** The connection is over; its streams were reset before. Null: an orderly end. */
  onClosed(connection: H2Connection, error: TransportError | null): void
}

/** RST_STREAM from the peer. */
export const RESET_BY_PEER = 0
/** A fault of the peer's that we answered with RST_STREAM. */
export const RESET_BY_FAULT = 1
/** GOAWAY with a lower last stream id: the peer has not begun it, a retry is safe. @see RFC 9113 §6.8 */
export const RESET_BY_GOAWAY = 2
/** The connection ended underneath. */
export const RESET_BY_CLOSE = 3
export type ResetCause = 0 | 1 | 2 | 3

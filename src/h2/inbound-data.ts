/**
 * DATA frames of the peer's: their heads and pieces in, payloads for the owners out, every octet counted.
 * Floor 2; knows no call. What the windows do with the octets is credit-ledger.ts.
 * @see RFC 9113 §6.1, §6.9
 */
import type { FaultToken } from '../base/index.ts'
import { FrameFlag } from '../frame/index.ts'
import { dataOverheadBytes } from './budget.ts'
import type { H2Connection } from './connection.ts'
import { isPeerOpen, RECV_END } from './stream-state.ts'
import { UNKNOWN_IDLE, UNKNOWN_RESET_BY_US, UNKNOWN_SKIPPED } from './stream-store.ts'
import type { H2Stream } from './stream.ts'

/** The DATA frame that one connection is reading. */
export class InboundData {
  readonly #connection: H2Connection
  /** Stream of the DATA frame that is being read; null when its octets are nobody's. */
  #stream: H2Stream | null = null
  /** Octets of that frame not yet delivered: at its end this is the padding. */
  #restBytes = 0
  #isLast = false

  constructor(connection: H2Connection) {
    this.#connection = connection
  }

  /** A frame begins: `lengthBytes` with its padding. */
  onHead(streamId: number, flags: number, lengthBytes: number): void {
    const connection = this.#connection
    this.#stream = null
    if (!connection.credits.receive(lengthBytes)) return connection.fail('connection_window_exceeded')
    connection.stats.dataBytesIn += lengthBytes
    const isLast = (flags & FrameFlag.END_STREAM) !== 0
    const stream = connection.streams.find(streamId)
    if (stream === undefined) return this.#onStray(streamId, isLast, lengthBytes)
    const fault = dataFault(stream, lengthBytes)
    if (fault !== null) {
      connection.credits.creditConnection(lengthBytes)
      return connection.fail(fault)
    }
    const isFirst = stream.receivedBytes === 0
    stream.receivedBytes += lengthBytes
    this.#isLast = isLast
    if (!connection.budget.dataFrame(lengthBytes, isLast, connection.turn.nowMs)) {
      return connection.fail('empty_data_flood')
    }
    const overheadBytes = dataOverheadBytes(lengthBytes, isFirst, isLast)
    stream.overheadBytes += overheadBytes
    connection.budget.holdOverhead(overheadBytes)
    this.#stream = stream
    this.#restBytes = lengthBytes
    if (!connection.isServer && !stream.hasResponseHead) connection.life.fail(stream, 'response_malformed')
  }

  /** Octets of that frame, without padding. */
  onPiece(payload: Buffer, isEnd: boolean): void {
    const stream = this.#stream
    if (stream === null || stream.isOver) return
    this.#restBytes -= payload.length
    // RFC 9113 §8.1.1: a message beyond its content-length is malformed before its end, and nothing of the excess is forwarded.
    const { contentLengthBytes } = stream
    if (contentLengthBytes >= 0 && stream.receivedBytes - this.#restBytes > contentLengthBytes) {
      this.#stream = null
      return this.#connection.life.fail(stream, 'content_length_mismatch')
    }
    if (isEnd) this.#onEnd(stream, payload)
    else if (payload.length > 0) this.#connection.handler.onData(stream, payload, false)
  }

  #onEnd(stream: H2Stream, payload: Buffer): void {
    const connection = this.#connection
    this.#stream = null
    // RFC 9113 §6.9.1: padding counts, and nobody will ever forward it.
    const paddingBytes = this.#restBytes
    if (paddingBytes > 0) {
      stream.receivedBytes -= paddingBytes
      connection.credits.credit(stream, paddingBytes)
    }
    if (!this.#isLast) {
      if (payload.length > 0) connection.handler.onData(stream, payload, false)
      return
    }
    if (stream.isLengthWrong) return connection.life.fail(stream, 'content_length_mismatch')
    connection.handler.onData(stream, payload, true)
    if (!stream.isOver) connection.life.move(stream, RECV_END)
  }

  /** DATA on a stream that is not live: its octets are credited at once, whatever became of the stream. */
  #onStray(streamId: number, isLast: boolean, lengthBytes: number): void {
    const connection = this.#connection
    connection.credits.creditConnection(lengthBytes)
    const was = connection.streams.unknown(streamId)
    if (!connection.budget.dataFrame(lengthBytes, isLast, connection.turn.nowMs)) {
      return connection.fail('empty_data_flood')
    }
    if (was === UNKNOWN_RESET_BY_US) {
      if (isLast) connection.streams.forgetReset(streamId)
      const overheadBytes = dataOverheadBytes(lengthBytes, false, isLast)
      if (!connection.budget.strayData(overheadBytes, connection.turn.nowMs))
        connection.fail('small_data_flood')
      return
    }
    // RFC 9113 §6.8: after our GOAWAY the peer may still send on streams that we ignore.
    if (was === UNKNOWN_IDLE && connection.departure.ignores(streamId)) return
    connection.fail(
      was === UNKNOWN_IDLE || was === UNKNOWN_SKIPPED ? 'frame_on_idle_stream' : 'data_on_closed_stream',
    )
  }
}

function dataFault(stream: H2Stream, lengthBytes: number): FaultToken | null {
  if (!isPeerOpen(stream.state)) return 'data_on_closed_stream'
  return stream.recvWindow.receive(lengthBytes) ? null : 'stream_window_exceeded'
}

/**
 * Header blocks of the peer's: HEADERS and CONTINUATION in, checked requests, responses and trailers out.
 * Floor 2; knows no call. Every block is decoded whatever becomes of its stream: the table is the connection's.
 * @see RFC 9113 §4.3, §6.2, §6.10, §8
 */
import type { FaultToken } from '../base/index.ts'
import { FrameFlag } from '../frame/index.ts'
import type { HeaderList } from '../hpack/index.ts'
import type { H2Connection } from './connection.ts'
import { DRAINING } from './departure.ts'
import { HeaderBlock } from './header-block.ts'
import { contentLengthOf, requestFault, responseFault, trailersFault } from './header-list.ts'
import { isPeerOpen, RECV_END } from './stream-state.ts'
import { UNKNOWN_IDLE, UNKNOWN_RESET_BY_US, UNKNOWN_SKIPPED } from './stream-store.ts'
import type { H2Stream } from './stream.ts'

/** Kinds of header block for the decoder's memo: the same octets may be right as one and wrong as another. */
const REQUEST_BLOCK = 0
const RESPONSE_BLOCK = 1
const TRAILERS_BLOCK = 2

/** The header blocks that one connection receives. */
export class InboundHeads {
  /** Blocks begun that did not end in their first frame, for the header block time-out. */
  blockCount = 0
  readonly #connection: H2Connection
  readonly #block = new HeaderBlock()

  constructor(connection: H2Connection) {
    this.#connection = connection
  }

  /** Whether a block waits for its CONTINUATION. */
  get isInBlock(): boolean {
    return this.#block.isOpen
  }

  onHeaders(streamId: number, flags: number, fragment: Buffer): void {
    const isEnd = (flags & FrameFlag.END_STREAM) !== 0
    if ((flags & FrameFlag.END_HEADERS) !== 0) this.#onBlock(streamId, isEnd, fragment)
    else {
      this.blockCount++
      this.#block.open(streamId, isEnd, fragment)
    }
  }

  onContinuation(flags: number, fragment: Buffer): void {
    const { limits } = this.#connection
    if (fragment.length === 0) this.#connection.glitch(1)
    const isTooMuch = !this.#block.append(
      fragment,
      limits.maxContinuationFrames,
      2 * limits.maxHeaderListBytes,
    )
    if (isTooMuch) return this.#connection.fail('continuation_flood')
    if ((flags & FrameFlag.END_HEADERS) === 0) return
    const { streamId, isEnd } = this.#block
    this.#onBlock(streamId, isEnd, this.#block.close())
  }

  /** A whole header block. It is decoded whatever becomes of the stream: the table is the connection's. */
  #onBlock(streamId: number, isEnd: boolean, block: Buffer): void {
    const connection = this.#connection
    const stream = connection.streams.find(streamId)
    const kind = this.#blockKind(stream)
    const list = connection.decoder.decode(block, kind)
    if (list === null) return connection.fail(connection.decoder.fault!)
    connection.stats.headerBlocksIn++
    if (list.sizeBytes > 2 * connection.limits.maxHeaderListBytes) return connection.fail('header_list_flood')
    if (stream === undefined) this.#onUnknownBlock(streamId, list, isEnd)
    else if (!isPeerOpen(stream.state)) connection.fail('headers_after_end')
    else if (kind === TRAILERS_BLOCK) this.#onTrailers(stream, list, isEnd)
    else this.#onResponse(stream, list, isEnd)
  }

  #blockKind(stream: H2Stream | undefined): number {
    if (this.#connection.isServer) return stream === undefined ? REQUEST_BLOCK : TRAILERS_BLOCK
    return stream === undefined || !stream.hasResponseHead ? RESPONSE_BLOCK : TRAILERS_BLOCK
  }

  /** A block on a stream that is not live: a request, or an echo of the past. */
  #onUnknownBlock(streamId: number, list: HeaderList, isEnd: boolean): void {
    const connection = this.#connection
    const { streams } = connection
    if (connection.isServer && streamId % 2 === 0) return connection.fail('stream_id_even')
    const was = streams.unknown(streamId)
    if (was === UNKNOWN_RESET_BY_US) {
      if (isEnd) streams.forgetReset(streamId)
      return connection.countStrayFrame()
    }
    if (was === UNKNOWN_IDLE && connection.isServer) return this.#onRequest(streamId, list, isEnd)
    connection.fail(
      was === UNKNOWN_IDLE || was === UNKNOWN_SKIPPED ? 'frame_on_idle_stream' : 'stream_id_reused',
    )
  }

  #onRequest(streamId: number, list: HeaderList, isEnd: boolean): void {
    const connection = this.#connection
    // RFC 9113 §6.8: streams above the last one of our GOAWAY are ignored; the peer opens them elsewhere.
    if (connection.departure.phase >= DRAINING) return
    const { streams, limits } = connection
    // A reset frees the peer's slot at once, but not what the call costs us: that is bounded by a multiple of the slots.
    const { unfinishedCount } = connection.life
    if (
      unfinishedCount > 0 &&
      streams.liveCount + unfinishedCount >= limits.maxConcurrentStreams * limits.maxUnfinishedFactor
    ) {
      return connection.fail('unfinished_streams')
    }
    if (streams.liveCount >= limits.maxConcurrentStreams) {
      streams.noteOpened(streamId)
      connection.life.refuse(streamId, 'stream_limit')
      // Until our SETTINGS are acknowledged the peer may not know the limit.
      if (connection.settings.unackedCount === 0) connection.glitch(1)
      return
    }
    let fault = list.isTruncated ? null : requestFault(list)
    const contentLengthBytes = list.isTruncated || fault !== null ? -1 : contentLengthOf(list)
    if (isEnd && contentLengthBytes > 0) fault = 'content_length_mismatch'
    if (fault !== null) {
      streams.noteOpened(streamId)
      connection.life.refuse(streamId, fault)
      return connection.glitch(1)
    }
    const stream = connection.life.make(streamId, limits.initialStreamWindowBytes)
    stream.contentLengthBytes = contentLengthBytes
    connection.handler.onRequest(stream, list, isEnd)
    if (isEnd && !stream.isOver) connection.life.move(stream, RECV_END)
  }

  #onResponse(stream: H2Stream, list: HeaderList, isEnd: boolean): void {
    const connection = this.#connection
    const fault = list.isTruncated ? null : responseFault(list)
    if (fault !== null) return connection.life.fail(stream, fault)
    const status = list.fields[0]?.value ?? ''
    if (!list.isTruncated && status.charCodeAt(0) === 0x31 /* 1xx */) {
      // RFC 9113 §8.1: interim responses are consumed; one that ends the stream is malformed.
      if (isEnd) connection.life.fail(stream, 'response_malformed')
      else connection.glitch(1)
      return
    }
    stream.hasResponseHead = true
    // RFC 9110 §8.6: these answers have no content, and content-length speaks of another one.
    const isBodiless = stream.isHead || status === '204' || status === '304'
    stream.contentLengthBytes = list.isTruncated || isBodiless ? -1 : contentLengthOf(list)
    if (isEnd && stream.contentLengthBytes > 0) return connection.life.fail(stream, 'content_length_mismatch')
    connection.handler.onResponse(stream, list, isEnd)
    if (isEnd && !stream.isOver) connection.life.move(stream, RECV_END)
  }

  #onTrailers(stream: H2Stream, list: HeaderList, isEnd: boolean): void {
    const connection = this.#connection
    const fault: FaultToken | null = !isEnd
      ? 'trailers_without_end'
      : list.isTruncated
        ? null
        : trailersFault(list)
    if (fault !== null) return connection.life.fail(stream, fault)
    if (stream.isLengthWrong) return connection.life.fail(stream, 'content_length_mismatch')
    connection.handler.onTrailers(stream, list)
    if (!stream.isOver) connection.life.move(stream, RECV_END)
  }
}

/**
 * What a peer's frames do to a connection: FrameSink calls in, stream events to the handler out.
 * Floor 2; knows no call. Every rejection names its token; what could make us send resets at a peer's will ends the
 * connection instead (MadeYouReset, RFC 9113 §5.4.1 allows it).
 * @see RFC 9113 §5, §6, §8
 */
import type { FaultToken } from '../base/index.ts'
import { faultCode, FrameFlag, H2Code, type FrameSink } from '../frame/index.ts'
import type { HeaderList } from '../hpack/index.ts'
import type { H2Connection } from './connection.ts'
import { RESET_BY_PEER } from './handler.ts'
import { dataOverheadBytes } from './budget.ts'
import { HeaderBlock } from './header-block.ts'
import { contentLengthOf, requestFault, responseFault, trailersFault } from './header-list.ts'
import { isYoung } from './stream.ts'
import { DRAINING, FINISHED } from './phase.ts'
import { widened } from './send-window.ts'
import type { H2Stream } from './stream.ts'
import { isPeerOpen, RECV_END } from './stream-state.ts'
import { UNKNOWN_IDLE, UNKNOWN_RESET_BY_US, UNKNOWN_SKIPPED } from './stream-store.ts'

/** Kinds of header block for the decoder's memo: the same octets may be right as one and wrong as another. */
const REQUEST_BLOCK = 0
const RESPONSE_BLOCK = 1
const TRAILERS_BLOCK = 2

/** What gRPC servers say in GOAWAY to a client whose keepalive is faster than they like (gRFC A8). */
const TOO_MANY_PINGS = Buffer.from('too_many_pings', 'latin1')

/** The receiving half of one connection. */
export class Inbound implements FrameSink {
  /** Frames seen, for the frame time-out. */
  frameCount = 0
  /** Header blocks begun, for the header block time-out. */
  blockCount = 0
  readonly #connection: H2Connection
  readonly #block = new HeaderBlock()
  /** Stream of the DATA frame that is being read; null when its octets are nobody's. */
  #dataStream: H2Stream | null = null
  /** Octets of that frame not yet delivered: at its end this is the padding. */
  #dataRestBytes = 0
  #isDataLast = false

  constructor(connection: H2Connection) {
    this.#connection = connection
  }

  get isInHeaderBlock(): boolean {
    return this.#block.isOpen
  }

  onConnectionFault(token: FaultToken): void {
    this.#connection.fail(token)
  }

  // ---- DATA ---------------------------------------------------------------------------------------------------

  onDataHead(streamId: number, flags: number, lengthBytes: number): void {
    const connection = this.#connection
    this.frameCount++
    this.#dataStream = null
    if (!this.#isAfterSettings()) return
    if (!connection.recvWindow.receive(lengthBytes)) return connection.fail('connection_window_exceeded')
    connection.held.usedBytes += lengthBytes
    connection.stats.dataBytesIn += lengthBytes
    connection.makeRoom()
    // Where others hold the rest of the window, no credit may follow that would announce what came back before.
    if (connection.recvWindow.isUpdateDue) connection.markDirty()
    const stream = connection.streams.find(streamId)
    if (stream === undefined) return this.#onStrayData(streamId, flags, lengthBytes)
    const fault = this.#dataFault(stream, lengthBytes)
    if (fault !== null) {
      connection.creditConnection(lengthBytes)
      return connection.fail(fault)
    }
    const isFirst = stream.receivedBytes === 0
    stream.receivedBytes += lengthBytes
    this.#isDataLast = (flags & FrameFlag.END_STREAM) !== 0
    if (!connection.budget.dataFrame(lengthBytes, this.#isDataLast, connection.turn.nowMs)) {
      return connection.fail('empty_data_flood')
    }
    const overheadBytes = dataOverheadBytes(lengthBytes, isFirst, this.#isDataLast)
    stream.overheadBytes += overheadBytes
    connection.budget.holdOverhead(overheadBytes)
    this.#dataStream = stream
    this.#dataRestBytes = lengthBytes
    if (!connection.isServer && !stream.hasResponseHead) connection.failStream(stream, 'response_malformed')
  }

  onDataPiece(payload: Buffer, isEnd: boolean): void {
    const stream = this.#dataStream
    if (stream === null || stream.isOver) return
    const connection = this.#connection
    this.#dataRestBytes -= payload.length
    if (!isEnd) {
      if (payload.length > 0) connection.handler.onData(stream, payload, false)
      return
    }
    this.#dataStream = null
    this.frameCount++
    // RFC 9113 §6.9.1: padding counts, and nobody will ever forward it.
    const paddingBytes = this.#dataRestBytes
    if (paddingBytes > 0) {
      stream.receivedBytes -= paddingBytes
      connection.credit(stream, paddingBytes)
    }
    if (!this.#isDataLast) {
      if (payload.length > 0) connection.handler.onData(stream, payload, false)
      return
    }
    if (this.#isLengthWrong(stream)) return connection.failStream(stream, 'content_length_mismatch')
    connection.handler.onData(stream, payload, true)
    if (!stream.isOver) connection.peerEnded(stream, RECV_END)
  }

  #dataFault(stream: H2Stream, lengthBytes: number): FaultToken | null {
    if (!isPeerOpen(stream.state)) return 'data_on_closed_stream'
    return stream.recvWindow.receive(lengthBytes) ? null : 'stream_window_exceeded'
  }

  /** DATA on a stream that is not live: its octets are credited at once, whatever became of the stream. */
  #onStrayData(streamId: number, flags: number, lengthBytes: number): void {
    const connection = this.#connection
    connection.creditConnection(lengthBytes)
    const was = connection.streams.unknown(streamId)
    const isLast = (flags & FrameFlag.END_STREAM) !== 0
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
    if (was === UNKNOWN_IDLE && this.#isAboveGoaway(streamId)) return
    connection.fail(
      was === UNKNOWN_IDLE || was === UNKNOWN_SKIPPED ? 'frame_on_idle_stream' : 'data_on_closed_stream',
    )
  }

  #isLengthWrong(stream: H2Stream): boolean {
    return stream.contentLengthBytes >= 0 && stream.contentLengthBytes !== stream.receivedBytes
  }

  // ---- header blocks ------------------------------------------------------------------------------------------

  onHeaders(streamId: number, flags: number, fragment: Buffer, dependsOn: number): void {
    this.frameCount++
    if (!this.#isAfterSettings()) return
    if (dependsOn === streamId) return this.#connection.fail('priority_self_dependency')
    const isEnd = (flags & FrameFlag.END_STREAM) !== 0
    if ((flags & FrameFlag.END_HEADERS) !== 0) this.#onBlock(streamId, isEnd, fragment)
    else {
      this.blockCount++
      this.#block.open(streamId, isEnd, fragment)
    }
  }

  onContinuation(_streamId: number, flags: number, fragment: Buffer): void {
    const { limits } = this.#connection
    this.frameCount++
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
      return this.#onStrayFrame()
    }
    if (was === UNKNOWN_IDLE && connection.isServer) return this.#onRequest(streamId, list, isEnd)
    connection.fail(
      was === UNKNOWN_IDLE || was === UNKNOWN_SKIPPED ? 'frame_on_idle_stream' : 'stream_id_reused',
    )
  }

  #onRequest(streamId: number, list: HeaderList, isEnd: boolean): void {
    const connection = this.#connection
    // RFC 9113 §6.8: streams above the last one of our GOAWAY are ignored; the peer opens them elsewhere.
    if (connection.phase >= DRAINING) return
    const { streams, limits } = connection
    // A reset frees the peer's slot at once, but not what the call costs us: that is bounded by a multiple of the slots.
    const { unfinishedCount } = connection
    if (
      unfinishedCount > 0 &&
      streams.liveCount + unfinishedCount >= limits.maxConcurrentStreams * limits.maxUnfinishedFactor
    ) {
      return connection.fail('unfinished_streams')
    }
    if (streams.liveCount >= limits.maxConcurrentStreams) {
      streams.noteOpened(streamId)
      connection.refuseStreamId(streamId, 'stream_limit')
      // Until our SETTINGS are acknowledged the peer may not know the limit.
      if (connection.unackedSettingsCount === 0) connection.glitch(1)
      return
    }
    let fault = list.isTruncated ? null : requestFault(list)
    const contentLengthBytes = list.isTruncated || fault !== null ? -1 : contentLengthOf(list)
    if (isEnd && contentLengthBytes > 0) fault = 'content_length_mismatch'
    if (fault !== null) {
      streams.noteOpened(streamId)
      connection.refuseStreamId(streamId, fault)
      return connection.glitch(1)
    }
    const stream = connection.newStream(streamId, limits.initialStreamWindowBytes)
    stream.contentLengthBytes = contentLengthBytes
    connection.handler.onRequest(stream, list, isEnd)
    if (isEnd && !stream.isOver) connection.peerEnded(stream, RECV_END)
  }

  #onResponse(stream: H2Stream, list: HeaderList, isEnd: boolean): void {
    const connection = this.#connection
    const fault = list.isTruncated ? null : responseFault(list)
    if (fault !== null) return connection.failStream(stream, fault)
    const status = list.fields[0]?.value ?? ''
    if (!list.isTruncated && status.charCodeAt(0) === 0x31 /* 1xx */) {
      // RFC 9113 §8.1: interim responses are consumed; one that ends the stream is malformed.
      if (isEnd) connection.failStream(stream, 'response_malformed')
      else connection.glitch(1)
      return
    }
    stream.hasResponseHead = true
    // RFC 9110 §8.6: these answers have no content, and content-length speaks of another one.
    const isBodiless = stream.isHead || status === '204' || status === '304'
    stream.contentLengthBytes = list.isTruncated || isBodiless ? -1 : contentLengthOf(list)
    if (isEnd && stream.contentLengthBytes > 0)
      return connection.failStream(stream, 'content_length_mismatch')
    connection.handler.onResponse(stream, list, isEnd)
    if (isEnd && !stream.isOver) connection.peerEnded(stream, RECV_END)
  }

  #onTrailers(stream: H2Stream, list: HeaderList, isEnd: boolean): void {
    const connection = this.#connection
    const fault: FaultToken | null = !isEnd
      ? 'trailers_without_end'
      : list.isTruncated
        ? null
        : trailersFault(list)
    if (fault !== null) return connection.failStream(stream, fault)
    if (this.#isLengthWrong(stream)) return connection.failStream(stream, 'content_length_mismatch')
    connection.handler.onTrailers(stream, list)
    if (!stream.isOver) connection.peerEnded(stream, RECV_END)
  }

  // ---- the other frames ---------------------------------------------------------------------------------------

  onPriority(streamId: number, dependsOn: number): void {
    this.frameCount++
    if (!this.#isAfterSettings()) return
    // RFC 9113 §5.3.2: the signal itself is deprecated and ignored.
    if (dependsOn === streamId) this.#connection.fail('priority_self_dependency')
    else if (!this.#connection.budget.priority()) this.#connection.fail('priority_flood')
  }

  onRstStream(streamId: number, code: number): void {
    const connection = this.#connection
    this.frameCount++
    if (!this.#isAfterSettings()) return
    connection.stats.resetsIn++
    const stream = connection.streams.find(streamId)
    if (stream === undefined) {
      if (this.#isIdle(streamId)) return connection.fail('frame_on_idle_stream')
      connection.streams.forgetReset(streamId)
      return this.#onStrayFrame()
    }
    const nowMs = connection.turn.nowMs
    const isEarly = connection.isServer && (!stream.isAdmitted || isYoung(stream, nowMs))
    connection.endStream(stream, code, RESET_BY_PEER)
    if (isEarly && !connection.budget.earlyReset(nowMs)) connection.fail('rapid_reset')
  }

  onSettings(flags: number, payload: Buffer): void {
    const connection = this.#connection
    const { peer, limits, turn } = connection
    this.frameCount++
    if ((flags & FrameFlag.ACK) !== 0) return this.#onSettingsAck()
    if (payload.length / 6 > limits.maxSettingsEntries || !connection.budget.settingsFrame(turn.nowMs)) {
      return connection.fail('settings_flood')
    }
    const windowBefore = peer.initialWindowBytes
    const fault =
      peer.apply(payload, !connection.isServer) ?? this.#moveWindows(peer.initialWindowBytes - windowBefore)
    if (fault !== null) return connection.fail(fault)
    // RFC 7541 §4.2: the lowest size in between is to be told as well.
    connection.encoder.setPeerMaxTableBytes(peer.lowestHeaderTableBytes)
    connection.encoder.setPeerMaxTableBytes(peer.headerTableBytes)
    connection.writer.settingsAck()
    connection.countControl()
    if (connection.phase === FINISHED) return
    const isFirst = !connection.hasPeerSettings
    connection.hasPeerSettings = true
    if (isFirst) connection.timers.onPeerSettings()
    if (!connection.isServer) connection.handler.onCapacity(connection)
  }

  #onSettingsAck(): void {
    const connection = this.#connection
    if (!this.#isAfterSettings()) return
    if (connection.unackedSettingsCount === 0) return connection.fail('settings_ack_unexpected')
    connection.unackedSettingsCount--
    connection.decoder.setMaxTableBytes(connection.limits.headerTableBytes)
    connection.timers.onSettingsAck()
  }

  /** RFC 9113 §6.9.2: a new initial window moves every stream's window by the difference; it may become negative. */
  #moveWindows(difference: number): FaultToken | null {
    if (difference === 0) return null
    for (const stream of this.#connection.streams.live()) {
      const moved = widened(stream.sendWindowBytes, difference)
      if (moved === null) return 'initial_window_overflow'
      stream.sendWindowBytes = moved
      this.#connection.sendQueue.schedule(stream)
    }
    this.#connection.markDirty()
    return null
  }

  onPing(flags: number, payload: Buffer): void {
    const connection = this.#connection
    this.frameCount++
    if (!this.#isAfterSettings()) return
    if ((flags & FrameFlag.ACK) !== 0) {
      if (!connection.onPingAck(payload)) this.#onIdleFrame()
      return
    }
    connection.stats.pingsIn++
    if (!connection.budget.ping(connection.turn.nowMs)) return connection.fail('ping_flood')
    connection.writer.ping(payload, true)
    connection.countControl()
  }

  onGoaway(lastStreamId: number, code: number, debug: Buffer): void {
    this.frameCount++
    if (!this.#isAfterSettings()) return
    const connection = this.#connection
    if (connection.peerGoawayLastId !== Infinity) this.#onIdleFrame()
    if (connection.phase === FINISHED) return
    const isTooManyPings = code === H2Code.ENHANCE_YOUR_CALM && debug.equals(TOO_MANY_PINGS)
    connection.peerGoaway(lastStreamId, code, isTooManyPings)
  }

  onWindowUpdate(streamId: number, increment: number): void {
    const connection = this.#connection
    this.frameCount++
    if (!this.#isAfterSettings()) return
    if (increment === 0) return connection.fail('window_update_zero')
    if (!connection.budget.windowUpdate()) return connection.fail('window_update_flood')
    if (streamId === 0) {
      if (!connection.sendQueue.widen(increment)) return connection.fail('connection_window_overflow')
      if (connection.sendQueue.canSend) connection.markDirty()
      return
    }
    const stream = connection.streams.find(streamId)
    if (stream === undefined) {
      if (this.#isIdle(streamId)) connection.fail('frame_on_idle_stream')
      return
    }
    const sum = widened(stream.sendWindowBytes, increment)
    if (sum === null) return this.#escalate(streamId, 'stream_window_overflow')
    stream.sendWindowBytes = sum
    if (stream.queue.bytes === 0) return
    connection.sendQueue.schedule(stream)
    connection.markDirty()
  }

  /** RST_STREAM, as the section asks for, and then the connection: a peer must not make us send resets at its will. */
  #escalate(streamId: number, token: FaultToken): void {
    const connection = this.#connection
    connection.writer.rstStream(streamId, faultCode(token))
    connection.stats.resetsOut++
    connection.fail(token)
  }

  /** RFC 9113 §4.1: unknown types are ignored. */
  onUnknownFrame(): void {
    this.frameCount++
    if (this.#isAfterSettings()) this.#onIdleFrame()
  }

  #onIdleFrame(): void {
    const connection = this.#connection
    if (!connection.budget.idleFrame(connection.turn.nowMs)) connection.fail('glitch_flood')
  }

  #onStrayFrame(): void {
    const connection = this.#connection
    if (!connection.budget.strayFrame(connection.turn.nowMs)) connection.fail('glitch_flood')
  }

  /** Whether an identifier without a stream was never used. Those above our GOAWAY do not count: they are ignored. */
  #isIdle(streamId: number): boolean {
    const was = this.#connection.streams.unknown(streamId)
    return was === UNKNOWN_SKIPPED || (was === UNKNOWN_IDLE && !this.#isAboveGoaway(streamId))
  }

  /** RFC 9113 §6.8: a stream that the peer opened after our last GOAWAY, and that we ignore. */
  #isAboveGoaway(streamId: number): boolean {
    const { phase, isServer } = this.#connection
    return phase >= DRAINING && isServer && streamId % 2 === 1
  }

  /** RFC 9113 §3.4: SETTINGS open each side. */
  #isAfterSettings(): boolean {
    if (this.#connection.hasPeerSettings) return true
    this.#connection.fail('first_frame_not_settings')
    return false
  }
}

/**
 * What a peer's frames do to a connection: FrameSink calls in, stream events to the handler out.
 * Floor 2; knows no call. Every rejection names its token; what could make us send resets at a peer's will ends the
 * connection instead (MadeYouReset, RFC 9113 §5.4.1 allows it). DATA is inbound-data.ts, header blocks inbound-heads.ts.
 * @see RFC 9113 §5, §6
 */
import type { FaultToken } from '../base/index.ts'
import {
  DEFAULT_MAX_FRAME_SIZE,
  faultCode,
  FrameFlag,
  FrameReader,
  H2Code,
  type FrameSink,
} from '../frame/index.ts'
import type { H2Connection } from './connection.ts'
import { FINISHED } from './departure.ts'
import { RESET_BY_PEER } from './handler.ts'
import { InboundData } from './inbound-data.ts'
import { InboundHeads } from './inbound-heads.ts'
import { widened } from './send-window.ts'
import { UNKNOWN_IDLE, UNKNOWN_SKIPPED } from './stream-store.ts'
import { isYoung } from './stream.ts'

/** What gRPC servers say in GOAWAY to a client whose keepalive is faster than they like (gRFC A8). */
const TOO_MANY_PINGS = Buffer.from('too_many_pings', 'latin1')

/** The receiving half of one connection. */
export class Inbound implements FrameSink {
  /** Frames seen, their ends too where DATA comes in pieces, for the frame time-out. */
  #frameCount = 0
  readonly #connection: H2Connection
  readonly #reader: FrameReader
  readonly #body: InboundData
  readonly #heads: InboundHeads

  constructor(connection: H2Connection) {
    this.#connection = connection
    this.#reader = new FrameReader(this, {
      maxFrameBytes: DEFAULT_MAX_FRAME_SIZE,
      expectsPreface: connection.isServer,
    })
    this.#body = new InboundData(connection)
    this.#heads = new InboundHeads(connection)
  }

  /** Whether a header block is open. */
  get isInBlock(): boolean {
    return this.#heads.isInBlock
  }

  /** Reads a chunk. */
  push(chunk: Buffer): void {
    this.#reader.push(chunk)
    const { isFinished, timers } = this.#connection
    if (isFinished) return
    timers.onAssembly(
      this.#reader.isMidFrame,
      this.#heads.isInBlock,
      this.#frameCount,
      this.#heads.blockCount,
    )
  }

  /** Final: nothing is read from now on. */
  halt(): void {
    this.#reader.halt()
  }

  onConnectionFault(token: FaultToken): void {
    this.#connection.fail(token)
  }

  // ---- DATA and header blocks ---------------------------------------------------------------------------------

  onDataHead(streamId: number, flags: number, lengthBytes: number): void {
    this.#frameCount++
    if (this.#isAfterSettings()) this.#body.onHead(streamId, flags, lengthBytes)
  }

  onDataPiece(payload: Buffer, isEnd: boolean): void {
    if (isEnd) this.#frameCount++
    this.#body.onPiece(payload, isEnd)
  }

  onHeaders(streamId: number, flags: number, fragment: Buffer, dependsOn: number): void {
    this.#frameCount++
    if (!this.#isAfterSettings()) return
    if (dependsOn === streamId) this.#connection.fail('priority_self_dependency')
    else this.#heads.onHeaders(streamId, flags, fragment)
  }

  onContinuation(_streamId: number, flags: number, fragment: Buffer): void {
    this.#frameCount++
    this.#heads.onContinuation(flags, fragment)
  }

  // ---- streams ------------------------------------------------------------------------------------------------

  onPriority(streamId: number, dependsOn: number): void {
    this.#frameCount++
    if (!this.#isAfterSettings()) return
    // RFC 9113 §5.3.2: the signal itself is deprecated and ignored.
    if (dependsOn === streamId) this.#connection.fail('priority_self_dependency')
    else if (!this.#connection.budget.priority()) this.#connection.fail('priority_flood')
  }

  onRstStream(streamId: number, code: number): void {
    const connection = this.#connection
    this.#frameCount++
    if (!this.#isAfterSettings()) return
    connection.stats.resetsIn++
    const stream = connection.streams.find(streamId)
    if (stream === undefined) {
      if (this.#isIdle(streamId)) return connection.fail('frame_on_idle_stream')
      connection.streams.forgetReset(streamId)
      return connection.countStrayFrame()
    }
    const nowMs = connection.turn.nowMs
    const isEarly = connection.isServer && (!stream.isAdmitted || isYoung(stream, nowMs))
    connection.life.end(stream, code, RESET_BY_PEER)
    if (isEarly && !connection.budget.earlyReset(nowMs)) connection.fail('rapid_reset')
  }

  onWindowUpdate(streamId: number, increment: number): void {
    const connection = this.#connection
    this.#frameCount++
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
    connection.outbound.writeReset(streamId, faultCode(token))
    connection.fail(token)
  }

  /** Whether an identifier without a stream was never used. Those above our GOAWAY do not count: they are ignored. */
  #isIdle(streamId: number): boolean {
    const { streams, departure } = this.#connection
    const was = streams.unknown(streamId)
    return was === UNKNOWN_SKIPPED || (was === UNKNOWN_IDLE && !departure.ignores(streamId))
  }

  // ---- the connection -----------------------------------------------------------------------------------------

  onSettings(flags: number, payload: Buffer): void {
    const { settings } = this.#connection
    this.#frameCount++
    if ((flags & FrameFlag.ACK) === 0) settings.onSettings(payload)
    else if (this.#isAfterSettings()) settings.onAck()
  }

  onPing(flags: number, payload: Buffer): void {
    const connection = this.#connection
    this.#frameCount++
    if (!this.#isAfterSettings()) return
    if ((flags & FrameFlag.ACK) !== 0) {
      if (!connection.timers.onPingAck(payload) && !connection.departure.onPingAck(payload))
        this.#onIdleFrame()
      return
    }
    connection.stats.pingsIn++
    if (!connection.budget.ping(connection.turn.nowMs)) return connection.fail('ping_flood')
    connection.writer.ping(payload, true)
    connection.outbound.countControl()
  }

  onGoaway(lastStreamId: number, code: number, debug: Buffer): void {
    const { departure } = this.#connection
    this.#frameCount++
    if (!this.#isAfterSettings()) return
    if (departure.peerLastId !== Infinity) this.#onIdleFrame()
    if (departure.phase === FINISHED) return
    const isTooManyPings = code === H2Code.ENHANCE_YOUR_CALM && debug.equals(TOO_MANY_PINGS)
    departure.onPeerGoaway(lastStreamId, code, isTooManyPings)
  }

  /** RFC 9113 §4.1: unknown types are ignored. */
  onUnknownFrame(): void {
    this.#frameCount++
    if (this.#isAfterSettings()) this.#onIdleFrame()
  }

  #onIdleFrame(): void {
    const connection = this.#connection
    if (!connection.budget.idleFrame(connection.turn.nowMs)) connection.fail('glitch_flood')
  }

  /** RFC 9113 §3.4: SETTINGS open each side. */
  #isAfterSettings(): boolean {
    if (this.#connection.settings.isPeerKnown) return true
    this.#connection.fail('first_frame_not_settings')
    return false
  }
}

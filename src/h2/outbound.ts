/**
 * What a connection sends: header lists, DATA and answers of the owners in, frames in the writer out.
 * Floor 2; knows no call. DATA waits in send-queue.ts for windows and its turn; all else is written at once.
 * @see RFC 9113 §5.2, §8.1
 */
import { NO_BYTES } from '../base/index.ts'
import { DEFAULT_MAX_FRAME_SIZE, FrameFlag } from '../frame/index.ts'
import type { HeaderField, HeaderList } from '../hpack/index.ts'
import type { H2Connection } from './connection.ts'
import type { SendQueueOwner } from './send-queue.ts'
import { isLocalOpen, SEND_END } from './stream-state.ts'
import type { H2Stream } from './stream.ts'

/** The sending half of one connection. */
export class Outbound implements SendQueueOwner {
  readonly #connection: H2Connection
  /** PING, SETTINGS and RST_STREAM frames that a peer made us queue and that nobody has taken. */
  queuedControlCount = 0

  constructor(connection: H2Connection) {
    this.#connection = connection
  }

  /** Whether `drain` would move something. */
  get hasOutput(): boolean {
    const { writer, sendQueue, credits, isFinished } = this.#connection
    if (writer.pendingBytes > 0) return true
    return !isFinished && (sendQueue.canSend || credits.isDue)
  }

  /** Whether so much waits unsent that nothing should be added: the socket does not take it. */
  get isFull(): boolean {
    const { writer, limits } = this.#connection
    return writer.pendingBytes >= limits.maxQueuedBytes
  }

  /** Whether so many answers wait unsent that none should be provoked: a peer that does not read cannot make us grow. */
  get isClogged(): boolean {
    const { limits, writer } = this.#connection
    return (
      this.queuedControlCount >= limits.pausingControlFrames ||
      writer.pendingFrameCount >= limits.maxQueuedFrames ||
      writer.pendingBytes >= limits.maxQueuedBytes
    )
  }

  /** Moves output to `out`, DATA until about `maxBytes` are pending; returns the octets moved. */
  drain(out: Buffer[], maxBytes: number): number {
    const connection = this.#connection
    if (!connection.isFinished) {
      connection.credits.announce()
      connection.sendQueue.pump(maxBytes)
    }
    this.queuedControlCount = 0
    return connection.writer.take(out)
  }

  // ---- for streams --------------------------------------------------------------------------------------------

  /** Sends `list` and `extra`, a field that differs from call to call, as the head of the stream. */
  sendHeaders(stream: H2Stream, list: HeaderList, extra: HeaderField | null, isEnd: boolean): void {
    const connection = this.#connection
    if (!this.#maySend(stream)) return
    stream.hasResponseHead ||= connection.isServer
    this.#writeBlock(stream, list, extra, isEnd)
    if (isEnd) connection.life.move(stream, SEND_END)
  }

  sendData(stream: H2Stream, payload: Buffer, isEnd: boolean): void {
    const connection = this.#connection
    if (!this.#maySend(stream)) return
    if (isEnd) stream.isEndQueued = true
    if (payload.length > 0) {
      connection.sendQueue.push(stream, payload)
      connection.markDirty()
    } else if (isEnd && stream.queue.bytes === 0) {
      // gRPC over HTTP/2: an empty DATA frame that carries END_STREAM must be forwarded.
      this.onQueueEnd(stream, false)
    }
  }

  sendTrailers(stream: H2Stream, list: HeaderList): void {
    if (!this.#maySend(stream)) return
    stream.isEndQueued = true
    stream.queuedTrailers = list
    // RFC 9113 §6.9: HEADERS are not flow-controlled, so a closed window does not hold back trailers with nothing before them.
    if (stream.queue.bytes === 0) this.onQueueEnd(stream, false)
  }

  #maySend(stream: H2Stream): boolean {
    return isLocalOpen(stream.state) && !this.#connection.isFinished && !stream.isEndQueued
  }

  #writeBlock(stream: H2Stream, list: HeaderList, extra: HeaderField | null, isEnd: boolean): void {
    const connection = this.#connection
    const { writer, encoder } = connection
    const start = writer.beginHeaders(encoder.maxEncodedBytes(list, extra))
    writer.endHeaders(
      stream.id,
      isEnd,
      encoder.encode(list, extra, writer.slab, start),
      DEFAULT_MAX_FRAME_SIZE,
    )
    connection.stats.headerBlocksOut++
    connection.markDirty()
  }

  // ---- for the send queue -------------------------------------------------------------------------------------

  onSent(stream: H2Stream, bytes: number, frameCount: number): void {
    const { stats, budget, handler } = this.#connection
    stats.dataBytesOut += bytes
    budget.dataFramesSent(frameCount)
    handler.onDataSent(stream, bytes)
  }

  onQueueEnd(stream: H2Stream, isEndSent: boolean): void {
    const connection = this.#connection
    if (stream.queuedTrailers !== null) {
      this.#writeBlock(stream, stream.queuedTrailers, null, true)
      stream.queuedTrailers = null
    } else if (!isEndSent) {
      connection.writer.data(stream.id, NO_BYTES, FrameFlag.END_STREAM)
      connection.markDirty()
    }
    connection.life.move(stream, SEND_END)
  }

  // ---- for the rest of the room -------------------------------------------------------------------------------

  /** Writes RST_STREAM; whoever provoked it is counted by `countControl`. */
  writeReset(streamId: number, code: number): void {
    this.#connection.writer.rstStream(streamId, code)
    this.#connection.stats.resetsOut++
    this.#connection.markDirty()
  }

  /** Counts an answer that a peer made us queue; too many unsent end the connection. */
  countControl(): void {
    this.queuedControlCount++
    if (this.queuedControlCount > this.#connection.limits.maxQueuedControlFrames)
      this.#connection.fail('control_queue_flood')
    else this.#connection.markDirty()
  }
}

/**
 * The order in which streams send: queued DATA in, DATA frames and trailers out, round robin.
 * Floor 2; knows no call. Control frames and HEADERS are already in the writer, ahead of what is sent here.
 * @see RFC 9113 §5.2, §6.9
 */
import { Ring, type ChunkPins } from '../base/index.ts'
import {
  DEFAULT_INITIAL_WINDOW_SIZE,
  DEFAULT_MAX_FRAME_SIZE,
  FrameFlag,
  type FrameWriter,
} from '../frame/index.ts'
import { widened } from './send-window.ts'
import type { H2Stream } from './stream.ts'
import { isLocalOpen } from './stream-state.ts'

/** What a stream may send before it is another's turn: one full frame. */
const QUANTUM_BYTES = DEFAULT_MAX_FRAME_SIZE

/** Streams that are over and may stand in the round robin before it is swept. */
const MAX_DEAD_STREAMS = 64

/** Told what has been sent; implemented by the connection. */
export interface SendQueueOwner {
  /** `bytes` of DATA in `frameCount` frames have left; called once a stream and turn. */
  onSent(stream: H2Stream, bytes: number, frameCount: number): void
  /** The queue is empty and the end of our side follows: trailers, or END_STREAM when it was not on the last DATA frame. */
  onQueueEnd(stream: H2Stream, isEndSent: boolean): void
}

/** The round robin of one connection, and its send window. */
export class SendQueue {
  /** What the peer lets us send on the connection. @see RFC 9113 §6.9.1 */
  windowBytes: number = DEFAULT_INITIAL_WINDOW_SIZE
  /** DATA octets queued on all streams. */
  queuedBytes = 0
  readonly #ready = new Ring<H2Stream>()
  /** Streams in `ready` that are over. */
  #deadCount = 0
  readonly #writer: FrameWriter
  readonly #owner: SendQueueOwner
  readonly #pins: ChunkPins

  /** @param pins where chunks are counted of which views wait past a turn */
  constructor(writer: FrameWriter, owner: SendQueueOwner, pins: ChunkPins) {
    this.#writer = writer
    this.#owner = owner
    this.#pins = pins
  }

  /** Whether a call to `pump` would send something. */
  get canSend(): boolean {
    return this.#ready.length > 0 && this.windowBytes > 0
  }

  /** Places taken in the round robin; streams that are over may hold a few. */
  get readyCount(): number {
    return this.#ready.length
  }

  /** Queues `payload` (not empty) on its stream; it must stay unchanged until it is sent. */
  push(stream: H2Stream, payload: Buffer): void {
    stream.queue.push(payload)
    this.queuedBytes += payload.length
    this.schedule(stream)
  }

  /** Puts a stream in the round robin, if it has DATA and window and does not stand there yet. */
  schedule(stream: H2Stream): void {
    if (stream.isScheduled || stream.queue.bytes === 0) return
    if (stream.sendWindowBytes <= 0) {
      stream.queue.detach(this.#pins)
      return
    }
    stream.isScheduled = true
    this.#ready.push(stream)
  }

  /** Drops what is queued on a stream that is over. */
  drop(stream: H2Stream): void {
    this.queuedBytes -= stream.queue.clear()
    stream.queuedTrailers = null
    if (stream.isScheduled && ++this.#deadCount > Math.max(MAX_DEAD_STREAMS, this.#ready.length / 2))
      this.#sweep()
  }

  /** Adds to the connection window; false when it would pass 2^31−1. */
  widen(increment: number): boolean {
    const sum = widened(this.windowBytes, increment)
    if (sum === null) return false
    this.windowBytes = sum
    return true
  }

  /** Writes DATA until the windows or `maxBytes` of pending output are used up. */
  pump(maxBytes: number): void {
    const ready = this.#ready
    while (ready.length > 0 && this.windowBytes > 0 && this.#writer.pendingBytes < maxBytes) {
      this.#sendTurn(ready.shift()!)
    }
    for (let i = 0; i < ready.length; i++) ready.at(i).queue.detach(this.#pins)
  }

  /** Takes streams that are over out of the round robin, where a closed window would keep them. */
  #sweep(): void {
    const ready = this.#ready
    for (let count = ready.length; count > 0; count--) {
      const stream = ready.shift()!
      if (stream.isOver) stream.isScheduled = false
      else ready.push(stream)
    }
    this.#deadCount = 0
  }

  /** Lets one stream send a quantum. */
  #sendTurn(stream: H2Stream): void {
    stream.isScheduled = false
    if (stream.isOver) {
      this.#deadCount--
      return
    }
    const queue = stream.queue
    let sentBytes = 0
    let frameCount = 0
    let isEndSent = false
    while (queue.bytes > 0 && sentBytes < QUANTUM_BYTES) {
      const allowed = Math.min(stream.sendWindowBytes, this.windowBytes, QUANTUM_BYTES - sentBytes)
      if (allowed <= 0) break
      const view = queue.take(allowed)!
      isEndSent = queue.bytes === 0 && stream.isEndQueued && stream.queuedTrailers === null
      this.#writer.data(stream.id, view, isEndSent ? FrameFlag.END_STREAM : 0)
      stream.sendWindowBytes -= view.length
      this.windowBytes -= view.length
      sentBytes += view.length
      frameCount++
    }
    if (queue.bytes === 0) stream.wasWaitingAtLook = false
    this.queuedBytes -= sentBytes
    stream.sentSinceLookBytes += sentBytes
    if (sentBytes > 0) this.#owner.onSent(stream, sentBytes, frameCount)
    if (stream.isOver) return
    if (queue.bytes > 0) this.schedule(stream)
    // The owner may have ended the stream while it was told.
    else if (stream.isEndQueued && isLocalOpen(stream.state)) this.#owner.onQueueEnd(stream, isEndSent)
  }
}

/**
 * The life of streams: what either side does to one in, its state, its end and the news of it out.
 * Floor 2; knows no frame layout. Which streams there are is stream-store.ts; which moves are legal, stream-state.ts.
 * @see RFC 9113 §5.1
 */
import { invariant, type FaultToken } from '../base/index.ts'
import { faultCode, H2Code } from '../frame/index.ts'
import type { HeaderField, HeaderList } from '../hpack/index.ts'
import type { H2Connection } from './connection.ts'
import { DRAINING } from './departure.ts'
import { RESET_BY_FAULT, type ResetCause } from './handler.ts'
import {
  CLOSED,
  HALF_CLOSED_LOCAL,
  ILLEGAL,
  isPeerOpen,
  RESET,
  TRANSITIONS,
  type StreamEvent,
  type StreamState,
} from './stream-state.ts'
import { H2Stream } from './stream.ts'

/** Opens, moves and ends the streams of one connection. */
export class StreamLife {
  /** Streams that are over and whose owners still have work under way for them. */
  unfinishedCount = 0
  /** Client: whether so many streams were reset that the peer may soon give the connection up: others are to be used. */
  isWorn = false
  readonly #connection: H2Connection
  #nextId = 1

  constructor(connection: H2Connection) {
    this.#connection = connection
  }

  /** Client: whether all identifiers are used up. @see RFC 9113 §5.1.1 */
  get isUsedUp(): boolean {
    return this.#nextId >= this.#connection.limits.maxStreamId
  }

  /** Client: whether the peer would take one stream more, and its reset. */
  get hasRoom(): boolean {
    const { streams, settings, budget, turn } = this.#connection
    return (
      streams.liveCount < settings.peer.maxConcurrentStreams &&
      !this.isUsedUp &&
      (!this.isWorn || budget.bearsReset(turn.nowMs))
    )
  }

  /** Client: opens a stream with `head` and `extra`. */
  open(head: HeaderList, extra: HeaderField | null, isEnd: boolean, attachment: object): H2Stream {
    const connection = this.#connection
    const stream = this.make(this.#nextId, connection.limits.streamWindowBytes)
    stream.attachment = attachment
    stream.isAdmitted = true
    stream.isHead = head.fields[0]?.value === 'HEAD'
    this.#nextId += 2
    // The window that SETTINGS announced is smaller than the one we stand for: the rest follows with the first credit.
    connection.outbound.sendHeaders(stream, head, extra, isEnd)
    return stream
  }

  /** Makes and counts a stream. */
  make(id: number, targetWindowBytes: number): H2Stream {
    const connection = this.#connection
    const { limits, settings, streams, stats } = connection
    const stream = new H2Stream(
      connection,
      id,
      settings.peer.initialWindowBytes,
      limits.initialStreamWindowBytes,
      connection.turn.nowMs,
    )
    stream.recvWindow.grow(targetWindowBytes)
    streams.add(stream)
    connection.budget.streamOpened()
    stats.streamsOpened++
    stats.streamsOpen++
    connection.timers.onStreamCount(streams.liveCount)
    return stream
  }

  /** The owner serves the stream: its window may grow. */
  admit(stream: H2Stream): void {
    stream.isAdmitted = true
    if (!stream.isOver) stream.recvWindow.grow(this.#connection.limits.streamWindowBytes)
  }

  /** The owner's work for the stream is over. */
  vacate(stream: H2Stream): void {
    if (stream.isOccupied && stream.isOver) this.unfinishedCount--
    stream.isOccupied = false
  }

  /** One side has reached its end of the stream. */
  move(stream: H2Stream, event: StreamEvent): void {
    const { isServer, handler } = this.#connection
    const next = TRANSITIONS[stream.state]![event]!
    invariant(next !== ILLEGAL, `stream ${stream.id}: event ${event} in state ${stream.state}`)
    if (next === HALF_CLOSED_LOCAL && isServer) {
      // RFC 9113 §8.1: the answer is complete, so the rest of the request is not wanted; NO_ERROR says that it is no failure.
      stream.state = next
      this.reset(stream, H2Code.NO_ERROR)
      handler.onStreamClosed(stream)
      return
    }
    if (next !== CLOSED) {
      stream.state = next
      return
    }
    this.#forget(stream, true)
    handler.onStreamClosed(stream)
  }

  /** Ends a stream by RST_STREAM without telling the owner, who asked for it. */
  reset(stream: H2Stream, code: number): void {
    if (stream.isOver) return
    const connection = this.#connection
    const isPeerDone = !isPeerOpen(stream.state)
    if (!connection.isFinished) {
      connection.outbound.writeReset(stream.id, code)
      if (!connection.isServer && !connection.budget.resetSent(connection.turn.nowMs)) this.isWorn = true
    }
    if (!isPeerDone) connection.streams.rememberReset(stream.id)
    this.#forget(stream, false)
  }

  /** Ends a stream that the other side has ended; the owner is told. */
  end(stream: H2Stream, code: number, cause: ResetCause): void {
    if (stream.isOver) return
    this.#forget(stream, false)
    this.#connection.handler.onStreamReset(stream, code, cause, null)
  }

  /** The peer has broken the rules of one stream: RST_STREAM with the code of `token`; the owner is told. */
  fail(stream: H2Stream, token: FaultToken): void {
    if (stream.isOver) return
    const connection = this.#connection
    connection.stats.faults[token]++
    const code = faultCode(token)
    this.reset(stream, code)
    connection.outbound.countControl()
    connection.handler.onStreamReset(stream, code, RESET_BY_FAULT, token)
    // A peer that makes us send resets at will costs us calls that its stream limit does not count (MadeYouReset).
    connection.glitch(1)
  }

  /** Refuses a stream that was never made. */
  refuse(id: number, token: FaultToken): void {
    const { stats, streams, outbound } = this.#connection
    stats.faults[token]++
    streams.rememberReset(id)
    outbound.writeReset(id, faultCode(token))
    outbound.countControl()
  }

  /** Takes a stream out, drops what it queued and settles what it holds. */
  #forget(stream: H2Stream, isOrderly: boolean): void {
    const connection = this.#connection
    const { streams, timers } = connection
    stream.state = TRANSITIONS[stream.state]![RESET] as StreamState
    connection.credits.closeStream(stream, isOrderly)
    if (stream.isOccupied) this.unfinishedCount++
    connection.sendQueue.drop(stream)
    streams.remove(stream)
    connection.stats.streamsOpen--
    timers.onStreamCount(streams.liveCount)
    if (connection.departure.phase === DRAINING) connection.markDirty()
    if (!connection.isServer && connection.settings.isPeerKnown) connection.handler.onCapacity(connection)
  }
}

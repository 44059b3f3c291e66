/**
 * One HTTP/2 connection without input or output: octets and the time in, stream events and octets out.
 * Floor 2; knows no socket, timer, call or gRPC. What is received passes `inbound.ts`; what is sent passes `send-queue.ts`.
 * @see RFC 9113
 */
import {
  Chunk,
  invariant,
  NO_BYTES,
  NO_CHUNK,
  TransportError,
  type DeadlineWheel,
  type FaultToken,
  type Flushable,
  type Turn,
} from '../base/index.ts'
import {
  DEFAULT_HEADER_TABLE_SIZE,
  faultCode,
  FrameFlag,
  FrameReader,
  FrameWriter,
  H2Code,
  DEFAULT_INITIAL_WINDOW_SIZE,
  DEFAULT_MAX_FRAME_SIZE,
  MAX_STREAM_ID,
} from '../frame/index.ts'
import { HpackDecoder, HpackEncoder, type HeaderField, type HeaderList } from '../hpack/index.ts'
import { PeerBudget, type ByteBudget } from './budget.ts'
import {
  RESET_BY_CLOSE,
  RESET_BY_FAULT,
  RESET_BY_GOAWAY,
  type H2Handler,
  type ResetCause,
} from './handler.ts'
import { Inbound } from './inbound.ts'
import type { H2Limits } from './limits.ts'
import { ANNOUNCED, DRAINING, FINISHED, RUNNING, type ConnectionPhase } from './phase.ts'
import { RecvWindow } from './recv-window.ts'
import { SendQueue } from './send-queue.ts'
import { localSettings, PeerSettings } from './settings.ts'
import type { H2Stats } from './stats.ts'
import { H2Stream, isYoung } from './stream.ts'
import {
  CLOSED,
  HALF_CLOSED_LOCAL,
  ILLEGAL,
  isLocalOpen,
  isPeerOpen,
  RESET,
  SEND_END,
  TRANSITIONS,
  type StreamEvent,
  type StreamState,
} from './stream-state.ts'
import { StreamStore } from './stream-store.ts'
import { ConnectionTimers } from './timers.ts'

/** What a connection is made from. */
export interface H2ConnectionOptions {
  /** Whether we accepted the connection (server) or dialled it (client). */
  readonly isServer: boolean
  readonly handler: H2Handler
  readonly turn: Turn
  readonly wheel: DeadlineWheel
  readonly limits: H2Limits
  readonly stats: H2Stats
  /** Octets held by all connections of the process (http2.md §4). */
  readonly held: ByteBudget
  /** A number in [0, 1) that spreads the ages of connections made together. Default 0.5. */
  readonly jitter?: number
  /** Client: ms without a received octet, while streams are open, after which we PING. Default Infinity: never (loopback). */
  readonly keepaliveMs?: number
  /** Ms to wait for the answer of that PING. Default 10 s. */
  readonly keepaliveTimeoutMs?: number
}

const DRAIN_PING = Buffer.from('authgwgo', 'latin1')
const KEEPALIVE_PING = Buffer.from('authgwka', 'latin1')

/** A server or client connection. Call `start` once; then feed `receive` and call `drain` when it asks for it. */
export class H2Connection {
  readonly isServer: boolean
  readonly handler: H2Handler
  readonly turn: Turn
  readonly limits: H2Limits
  readonly stats: H2Stats
  readonly held: ByteBudget
  readonly budget: PeerBudget
  readonly streams = new StreamStore()
  readonly peer = new PeerSettings()
  readonly decoder: HpackDecoder
  readonly encoder: HpackEncoder
  readonly writer = new FrameWriter()
  readonly sendQueue: SendQueue
  readonly recvWindow: RecvWindow
  readonly timers: ConnectionTimers
  /** Who writes for us: set by the pump. */
  link: Flushable | null = null
  /** What the owner keeps with the connection. */
  attachment: object | null = null
  /** The read whose frames are being handled: whoever keeps a view of it past the turn counts it there. */
  chunk: Chunk = NO_CHUNK
  phase: ConnectionPhase = RUNNING
  /** Whether the peer's first SETTINGS have come. */
  hasPeerSettings = false
  /** SETTINGS of ours that the peer has not acknowledged. */
  unackedSettingsCount = 0
  /** PING, SETTINGS and RST_STREAM frames that a peer made us queue and that nobody has taken. */
  queuedControlCount = 0
  /** Streams above this were not begun by the peer, after its GOAWAY. */
  peerGoawayLastId = Infinity
  /** Streams that are over and whose owners still have work under way for them. */
  unfinishedCount = 0
  /** Client: whether so many streams were reset that the peer may soon give the connection up: others are to be used. */
  isWorn = false
  /** Whether the end came from a fault of the peer's. */
  isFaulted = false
  readonly #inbound: Inbound
  readonly #reader: FrameReader
  readonly #keepaliveMs: number
  readonly #keepaliveTimeoutMs: number
  #creditList: H2Stream[] = []
  #isListed = false
  #isClosed = false
  #nextStreamId = 1
  /** Octets of streams that ended in good order and whose owners still hold them. */
  #orphanHeldBytes = 0

  constructor(options: H2ConnectionOptions) {
    const { limits, isServer } = options
    this.isServer = isServer
    this.handler = options.handler
    this.turn = options.turn
    this.limits = limits
    this.stats = options.stats
    this.held = options.held
    this.budget = new PeerBudget(limits, this.turn.nowMs)
    this.decoder = new HpackDecoder({
      // RFC 9113 §6.5.3: until our SETTINGS are acknowledged the initial value is in force.
      maxTableBytes: Math.max(limits.headerTableBytes, DEFAULT_HEADER_TABLE_SIZE),
      maxListBytes: limits.maxHeaderListBytes,
      maxFieldCount: limits.maxFieldCount,
      maxFieldBytes: limits.maxFieldBytes,
    })
    this.encoder = new HpackEncoder({ maxTableBytes: limits.headerTableBytes })
    this.sendQueue = new SendQueue(this.writer, this)
    this.recvWindow = new RecvWindow(DEFAULT_INITIAL_WINDOW_SIZE)
    this.#keepaliveMs = options.keepaliveMs ?? Infinity
    this.#keepaliveTimeoutMs = options.keepaliveTimeoutMs ?? 10_000
    this.#inbound = new Inbound(this)
    this.#reader = new FrameReader(this.#inbound, {
      maxFrameBytes: DEFAULT_MAX_FRAME_SIZE,
      expectsPreface: isServer,
    })
    this.timers = new ConnectionTimers(this, options.wheel, options.jitter ?? 0.5)
  }

  /** Queues the preface (client), SETTINGS and the connection window. */
  start(): void {
    this.stats.connectionsOpened++
    this.stats.connectionsOpen++
    if (!this.isServer) this.writer.preface()
    this.writer.settings(localSettings(this.isServer, this.limits))
    this.unackedSettingsCount++
    this.recvWindow.grow(this.limits.connectionWindowBytes)
    if (this.recvWindow.pendingBytes > 0) this.writer.windowUpdate(0, this.recvWindow.announce())
    this.timers.start(this.#keepaliveMs, this.#keepaliveTimeoutMs)
    this.markDirty()
  }

  // ---- for the pump -------------------------------------------------------------------------------------------

  /** Takes octets from the socket. Views of `chunk` may be kept until they are sent: its memory is not to be reused. */
  receive(chunk: Buffer): void {
    if (this.phase === FINISHED) return
    if (this.budget.isSmallDataSpent(this.turn.flushCount)) return this.fail('small_data_flood')
    this.timers.onReceived()
    this.chunk = new Chunk(chunk.buffer.byteLength)
    this.#reader.push(chunk)
    if (this.isFinished) return
    const inbound = this.#inbound
    this.timers.onAssembly(
      this.#reader.isMidFrame,
      inbound.isInHeaderBlock,
      inbound.frameCount,
      inbound.blockCount,
    )
    if (!this.wantsRead) this.timers.onPaused()
  }

  /** Moves output to `out`, DATA until about `maxBytes` are pending; returns the octets moved. */
  drain(out: Buffer[], maxBytes: number): number {
    this.#isListed = false
    const wasFull = this.#isWriterFull
    if (this.phase !== FINISHED) {
      this.#announceWindows()
      this.sendQueue.pump(maxBytes)
    }
    this.queuedControlCount = 0
    const bytes = this.writer.take(out)
    this.timers.onResumed()
    if (this.phase === DRAINING) this.#finishWhenIdle()
    if (wasFull && !this.isServer) this.handler.onCapacity(this)
    return bytes
  }

  /** The pump says that everything drained so far has left the process. */
  recycle(): void {
    this.writer.recycle()
  }

  /** Whether `drain` would give something. */
  get hasOutput(): boolean {
    if (this.writer.pendingBytes > 0) return true
    if (this.phase === FINISHED) return false
    return this.sendQueue.canSend || this.#creditList.length > 0 || this.recvWindow.isUpdateDue
  }

  /** False while too many answers wait unsent: stop reading, so that a peer that does not read cannot make us grow. */
  get wantsRead(): boolean {
    const { limits, writer } = this
    return (
      this.queuedControlCount < limits.pausingControlFrames &&
      writer.pendingFrameCount < limits.maxQueuedFrames &&
      writer.pendingBytes < limits.maxQueuedBytes
    )
  }

  /** Whether a header block is open. */
  get isInHeaderBlock(): boolean {
    return this.#inbound.isInHeaderBlock
  }

  /** Whether nothing more will come once the writer is empty: the pump ends the socket. */
  get isFinished(): boolean {
    return this.phase === FINISHED
  }

  /** The socket is gone, with an error or in good order. Safe to call twice. */
  onSocketClosed(error: TransportError | null): void {
    if (this.phase !== FINISHED)
      this.#end(error ?? new TransportError('closed_by_peer', 'the peer closed the connection'))
    else this.#notifyClosed(error)
  }

  /** Credits all that `stream` still holds: its owner has dropped it. */
  release(stream: H2Stream): void {
    this.credit(stream, stream.recvWindow.heldBytes)
  }

  /** Asks the pump for a turn. */
  markDirty(): void {
    if (this.#isListed || this.link === null) return
    this.#isListed = true
    this.turn.add(this.link)
  }

  // ---- for the owner ------------------------------------------------------------------------------------------

  /** Streams open now. */
  get openStreamCount(): number {
    return this.streams.liveCount
  }

  /** Client: whether `openStream` would succeed now. */
  get canOpenStream(): boolean {
    return (
      this.phase === RUNNING &&
      this.hasPeerSettings &&
      this.peerGoawayLastId === Infinity &&
      this.streams.liveCount < this.peer.maxConcurrentStreams &&
      this.#nextStreamId < this.limits.maxStreamId &&
      !this.#isWriterFull &&
      (!this.isWorn || this.budget.bearsReset(this.turn.nowMs))
    )
  }

  /** Whether so much waits unsent that nothing should be added: the socket does not take it. */
  get #isWriterFull(): boolean {
    return this.writer.pendingBytes >= this.limits.maxQueuedBytes
  }

  /** Client: whether no call will be taken ever again, so that another connection is needed. */
  get isRetired(): boolean {
    return (
      this.phase !== RUNNING ||
      this.peerGoawayLastId !== Infinity ||
      this.#nextStreamId >= this.limits.maxStreamId
    )
  }

  /**
   * Client: opens a stream with `head`, followed by `extra`, a field that differs from call to call.
   * Only while `canOpenStream`.
   */
  openStream(head: HeaderList, extra: HeaderField | null, isEnd: boolean, attachment: object): H2Stream {
    invariant(this.canOpenStream, 'a stream is opened only where there is room for one')
    const stream = this.newStream(this.#nextStreamId, this.limits.streamWindowBytes)
    stream.attachment = attachment
    stream.isAdmitted = true
    stream.isHead = head.fields[0]?.value === 'HEAD'
    this.#nextStreamId += 2
    // The window that SETTINGS announced is smaller than the one we stand for: the rest follows with the first credit.
    this.sendHeaders(stream, head, extra, isEnd)
    return stream
  }

  /** Makes and counts a stream. For this room. */
  newStream(id: number, targetWindowBytes: number): H2Stream {
    const stream = new H2Stream(
      this,
      id,
      this.peer.initialWindowBytes,
      this.limits.initialStreamWindowBytes,
      this.turn.nowMs,
    )
    stream.recvWindow.grow(targetWindowBytes)
    this.streams.add(stream)
    this.budget.streamOpened()
    this.stats.streamsOpened++
    this.stats.streamsOpen++
    this.timers.onStreamCount(this.streams.liveCount)
    return stream
  }

  sendHeaders(stream: H2Stream, list: HeaderList, extra: HeaderField | null, isEnd: boolean): void {
    if (!isLocalOpen(stream.state) || this.phase === FINISHED || stream.isEndQueued) return
    stream.hasResponseHead ||= this.isServer
    this.#writeBlock(stream, list, extra, isEnd)
    if (isEnd) this.#moveStream(stream, SEND_END)
  }

  sendData(stream: H2Stream, payload: Buffer, isEnd: boolean): void {
    if (!isLocalOpen(stream.state) || this.phase === FINISHED || stream.isEndQueued) return
    if (isEnd) stream.isEndQueued = true
    if (payload.length > 0) {
      this.sendQueue.push(stream, payload)
      this.markDirty()
    } else if (isEnd && stream.queue.bytes === 0) {
      // gRPC over HTTP/2: an empty DATA frame that carries END_STREAM must be forwarded.
      this.onQueueEnd(stream, false)
    }
  }

  sendTrailers(stream: H2Stream, list: HeaderList): void {
    if (!isLocalOpen(stream.state) || this.phase === FINISHED || stream.isEndQueued) return
    stream.isEndQueued = true
    stream.queuedTrailers = list
    // RFC 9113 §6.9: HEADERS are not flow-controlled, so a closed window does not hold back trailers with nothing before them.
    if (stream.queue.bytes === 0) this.onQueueEnd(stream, false)
  }

  /** Ends a stream by RST_STREAM without telling the owner, who asked for it. */
  resetStream(stream: H2Stream, code: number): void {
    if (stream.isOver) return
    const isPeerDone = !isPeerOpen(stream.state)
    if (this.phase !== FINISHED) {
      this.writer.rstStream(stream.id, code)
      this.stats.resetsOut++
      if (!this.isServer && !this.budget.resetSent(this.turn.nowMs)) this.isWorn = true
      this.markDirty()
    }
    if (!isPeerDone) this.streams.rememberReset(stream.id)
    this.forget(stream)
  }

  credit(stream: H2Stream, wantedBytes: number): void {
    // What an orderly end left held is credited as it is taken; a reset has credited it already.
    const bytes = Math.min(wantedBytes, stream.recvWindow.heldBytes)
    if (bytes <= 0) return
    this.#releaseOverhead(stream, bytes)
    stream.recvWindow.credit(bytes)
    this.creditConnection(bytes)
    if (stream.isOver) this.#orphanHeldBytes -= bytes
    else if (isPeerOpen(stream.state) && stream.recvWindow.isUpdateDue && !stream.isCreditListed) {
      stream.isCreditListed = true
      this.#creditList.push(stream)
      this.markDirty()
    }
  }

  vacate(stream: H2Stream): void {
    if (stream.isOccupied && stream.isOver) this.unfinishedCount--
    stream.isOccupied = false
  }

  admitStream(stream: H2Stream): void {
    stream.isAdmitted = true
    if (!stream.isOver) stream.recvWindow.grow(this.limits.streamWindowBytes)
  }

  /**
   * Server: closes in two steps, so that no call is lost: GOAWAY(2^31−1) and a PING; when that is answered (or after a
   * second) GOAWAY with the last identifier; then the open streams end. Client: takes no new streams and ends when idle.
   * @see RFC 9113 §6.8
   */
  drainStreams(): void {
    if (this.phase !== RUNNING) return
    if (!this.isServer) {
      this.#announceEnd()
      return
    }
    this.phase = ANNOUNCED
    this.writer.goaway(MAX_STREAM_ID, H2Code.NO_ERROR, '')
    this.writer.ping(DRAIN_PING, false)
    this.stats.goawaysOut++
    this.timers.awaitDrainAck()
    this.markDirty()
  }

  /** Ends the connection now with GOAWAY(code); its streams are reset to the owner with RESET_BY_CLOSE. */
  close(code: number, error: TransportError | null): void {
    if (this.phase === FINISHED) return
    this.writer.goaway(this.#lastPeerStreamId(), code, '')
    this.stats.goawaysOut++
    this.#end(error)
    this.markDirty()
  }

  /** Counts oddities of the peer's that are no faults by themselves, such as a forged signature. */
  glitch(count: number): void {
    if (this.phase !== FINISHED && !this.budget.glitch(count, this.turn.nowMs)) this.fail('glitch_flood')
    else if (this.isServer && this.budget.isStrained) this.drainStreams()
  }

  /**
   * Server: a call ended by the caller's doing, and cost the upstream a reset: that counts like an early RST_STREAM of the
   * caller's own (MadeYouReset, one hop further on).
   */
  countEarlyEnd(stream: H2Stream): void {
    const { nowMs } = this.turn
    if (isYoung(stream, nowMs) && !this.budget.earlyReset(nowMs)) this.fail('rapid_reset')
  }

  /** Throws unless every octet is accounted for: on the connection and on each stream. For tests and debug builds. */
  checkCredits(): void {
    const { recvWindow } = this
    let streamHeld = 0
    for (const stream of this.streams.live()) {
      const window = stream.recvWindow
      streamHeld += window.heldBytes
      invariant(
        window.remainingBytes + window.heldBytes + window.pendingBytes === window.targetBytes,
        `stream ${stream.id}: credits outstanding + octets held = window`,
      )
    }
    invariant(
      recvWindow.remainingBytes + recvWindow.heldBytes + recvWindow.pendingBytes === recvWindow.targetBytes,
      'credits outstanding + octets held = connection window',
    )
    invariant(
      recvWindow.heldBytes === streamHeld + this.#orphanHeldBytes,
      'the connection holds what its streams hold',
    )
  }

  // ---- for this room ------------------------------------------------------------------------------------------

  /** The peer has broken the protocol: GOAWAY with the code of `token`, and the end. */
  fail(token: FaultToken): void {
    if (this.phase === FINISHED) return
    this.stats.faults[token]++
    this.isFaulted = true
    this.writer.goaway(this.#lastPeerStreamId(), faultCode(token), token)
    this.stats.goawaysOut++
    this.#end(new TransportError('closed_by_peer', `the peer broke the protocol: ${token}`))
    this.markDirty()
  }

  /** The peer has broken the rules of one stream: RST_STREAM with the code of `token`; the owner is told. */
  failStream(stream: H2Stream, token: FaultToken): void {
    if (stream.isOver) return
    this.stats.faults[token]++
    const code = faultCode(token)
    this.resetStream(stream, code)
    this.countControl()
    this.handler.onStreamReset(stream, code, RESET_BY_FAULT, token)
    // A peer that makes us send resets at will costs us calls that its stream limit does not count (MadeYouReset).
    this.glitch(1)
  }

  /** Refuses a stream that was never made. */
  refuseStreamId(id: number, token: FaultToken): void {
    this.stats.faults[token]++
    this.streams.rememberReset(id)
    this.writeReset(id, faultCode(token))
  }

  /** Ends a stream that the other side has ended; the owner is told. */
  endStream(stream: H2Stream, code: number, cause: ResetCause): void {
    if (stream.isOver) return
    this.forget(stream)
    this.handler.onStreamReset(stream, code, cause, null)
  }

  writeReset(id: number, code: number): void {
    this.writer.rstStream(id, code)
    this.stats.resetsOut++
    this.countControl()
  }

  /** Counts an answer that a peer made us queue; too many unsent end the connection. */
  countControl(): void {
    this.queuedControlCount++
    if (this.queuedControlCount > this.limits.maxQueuedControlFrames) this.fail('control_queue_flood')
    else this.markDirty()
  }

  /**
   * Client: what callers that read slowly make us hold is no window less for the answers of others, as long as the
   * process may hold more: the connection's window stands beside what is held.
   */
  makeRoom(): void {
    const { recvWindow, limits } = this
    if (this.isServer || this.held.isSpent || recvWindow.remainingBytes * 2 > limits.connectionWindowBytes)
      return
    recvWindow.grow(limits.connectionWindowBytes + recvWindow.heldBytes)
  }

  /** Credits octets that no stream holds. */
  creditConnection(bytes: number): void {
    const { recvWindow, limits } = this
    this.held.usedBytes -= bytes
    recvWindow.credit(bytes)
    if (!this.isServer) recvWindow.shrink(limits.connectionWindowBytes + recvWindow.heldBytes)
    if (this.recvWindow.isUpdateDue) this.markDirty()
  }

  /** The peer is at its end of the stream. */
  peerEnded(stream: H2Stream, event: StreamEvent): void {
    this.#moveStream(stream, event)
  }

  /** Our final GOAWAY: what the peer opens from now on is refused. */
  announceEnd(): void {
    this.#announceEnd()
  }

  /** GOAWAY from the peer: what it has not begun may be begun elsewhere. */
  peerGoaway(lastStreamId: number, code: number, isTooManyPings: boolean): void {
    this.stats.goawaysIn++
    this.peerGoawayLastId = Math.min(this.peerGoawayLastId, lastStreamId)
    for (const stream of this.streams.live()) {
      if (!this.isServer && stream.id > this.peerGoawayLastId)
        this.endStream(stream, H2Code.REFUSED_STREAM, RESET_BY_GOAWAY)
    }
    this.handler.onGoaway(this, lastStreamId, code, isTooManyPings)
    if (!this.isServer) this.#announceEnd()
  }

  onSent(stream: H2Stream, bytes: number, frameCount: number): void {
    this.stats.dataBytesOut += bytes
    this.budget.dataFramesSent(frameCount)
    this.handler.onDataSent(stream, bytes)
  }

  onQueueEnd(stream: H2Stream, isEndSent: boolean): void {
    if (stream.queuedTrailers !== null) {
      this.#writeBlock(stream, stream.queuedTrailers, null, true)
      stream.queuedTrailers = null
    } else if (!isEndSent) {
      this.writer.data(stream.id, NO_BYTES, FrameFlag.END_STREAM)
      this.markDirty()
    }
    this.#moveStream(stream, SEND_END)
  }

  /**
   * Takes a stream out and drops what it queued. What it holds is credited, unless it has ended in good order: then
   * its owner still has the octets, and credits them as the other leg takes them.
   */
  forget(stream: H2Stream, isOrderly = false): void {
    stream.state = TRANSITIONS[stream.state]![RESET] as StreamState
    const heldBytes = stream.recvWindow.heldBytes
    if (isOrderly) {
      this.#orphanHeldBytes += heldBytes
    } else if (heldBytes > 0) {
      this.#releaseOverhead(stream, heldBytes)
      stream.recvWindow.credit(heldBytes)
      this.creditConnection(heldBytes)
    }
    if (stream.isOccupied) this.unfinishedCount++
    this.sendQueue.drop(stream)
    this.streams.remove(stream)
    this.stats.streamsOpen--
    this.timers.onStreamCount(this.streams.liveCount)
    if (this.phase === DRAINING) this.markDirty()
    if (!this.isServer && this.hasPeerSettings) this.handler.onCapacity(this)
  }

  sendKeepalive(): void {
    this.writer.ping(KEEPALIVE_PING, false)
    this.markDirty()
  }

  /** An answer to a PING; false when it is none of ours. */
  onPingAck(payload: Buffer): boolean {
    if (payload.equals(KEEPALIVE_PING)) return this.timers.onKeepaliveAck()
    if (!payload.equals(DRAIN_PING) || this.phase === RUNNING) return false
    this.#announceEnd()
    return true
  }

  /** Gives back the overhead of `bytes` about to be credited: all of it with the last octet. */
  #releaseOverhead(stream: H2Stream, bytes: number): void {
    if (stream.overheadBytes === 0) return
    const share = Math.floor((stream.overheadBytes * bytes) / stream.recvWindow.heldBytes)
    stream.overheadBytes -= share
    this.budget.releaseOverhead(share)
  }

  #writeBlock(stream: H2Stream, list: HeaderList, extra: HeaderField | null, isEnd: boolean): void {
    const { writer, encoder } = this
    const start = writer.beginHeaders(encoder.maxEncodedBytes(list, extra))
    writer.endHeaders(
      stream.id,
      isEnd,
      encoder.encode(list, extra, writer.slab, start),
      DEFAULT_MAX_FRAME_SIZE,
    )
    this.stats.headerBlocksOut++
    this.markDirty()
  }

  #moveStream(stream: H2Stream, event: StreamEvent): void {
    const next = TRANSITIONS[stream.state]![event]!
    invariant(next !== ILLEGAL, `stream ${stream.id}: event ${event} in state ${stream.state}`)
    if (next === HALF_CLOSED_LOCAL && this.isServer) {
      // RFC 9113 §8.1: the answer is complete, so the rest of the request is not wanted; NO_ERROR says that it is no failure.
      stream.state = next
      this.resetStream(stream, H2Code.NO_ERROR)
      this.handler.onStreamClosed(stream)
      return
    }
    if (next !== CLOSED) {
      stream.state = next
      return
    }
    this.forget(stream, true)
    this.handler.onStreamClosed(stream)
  }

  /** WINDOW_UPDATEs for what was credited since the last turn: one per window at most. */
  #announceWindows(): void {
    if (this.recvWindow.isUpdateDue) this.writer.windowUpdate(0, this.recvWindow.announce())
    if (this.#creditList.length === 0) return
    for (const stream of this.#creditList) {
      stream.isCreditListed = false
      const window = stream.recvWindow
      if (!isPeerOpen(stream.state) || !window.isUpdateDue) continue
      if (this.held.isSpent) {
        // The process holds too much already: what was credited is kept back, down to what an unchecked stream has.
        window.shrink(this.limits.initialStreamWindowBytes)
        if (!window.isUpdateDue) continue
      } else if (stream.isAdmitted && window.drainedBytes >= window.targetBytes) {
        // The other leg has taken a whole window since it last grew: it drains, so the window may double.
        window.grow(Math.min(window.targetBytes * 2, this.limits.maxStreamWindowBytes))
      }
      this.writer.windowUpdate(stream.id, window.announce())
    }
    this.#creditList.length = 0
  }

  #announceEnd(): void {
    if (this.phase >= DRAINING) return
    this.phase = DRAINING
    this.writer.goaway(this.#lastPeerStreamId(), H2Code.NO_ERROR, '')
    this.stats.goawaysOut++
    this.markDirty()
    this.#finishWhenIdle()
  }

  #finishWhenIdle(): void {
    if (this.phase !== DRAINING || this.streams.liveCount > 0) return
    this.#end(null)
    this.markDirty()
  }

  #lastPeerStreamId(): number {
    return this.isServer ? this.streams.lastOpenedId : 0
  }

  #end(error: TransportError | null): void {
    this.phase = FINISHED
    this.#reader.halt()
    this.timers.stop()
    for (const stream of this.streams.live()) this.endStream(stream, H2Code.CANCEL, RESET_BY_CLOSE)
    this.#notifyClosed(error)
  }

  #notifyClosed(error: TransportError | null): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.stats.connectionsOpen--
    this.handler.onClosed(this, error)
  }
}

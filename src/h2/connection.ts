/**
 * One HTTP/2 connection without input or output: octets and the time in, stream events and octets out.
 * Floor 2; knows no socket, timer, call or gRPC. This file joins the parts, each of which owns its share of the state:
 * inbound, outbound, credits, settings, life (of streams), departure, timers.
 * @see RFC 9113
 */
import {
  Chunk,
  invariant,
  NO_CHUNK,
  type FaultToken,
  type Flushable,
  type TransportError,
  type Turn,
} from '../base/index.ts'
import { DEFAULT_HEADER_TABLE_SIZE, FrameWriter } from '../frame/index.ts'
import { HpackDecoder, HpackEncoder, type HeaderField, type HeaderList } from '../hpack/index.ts'
import { PeerBudget, type ByteBudget } from './budget.ts'
import { CreditLedger } from './credit-ledger.ts'
import { Departure, DRAINING, FINISHED } from './departure.ts'
import type { H2Handler } from './handler.ts'
import { Inbound } from './inbound.ts'
import type { H2Limits } from './limits.ts'
import { Outbound } from './outbound.ts'
import { SendQueue } from './send-queue.ts'
import { SettingsExchange } from './settings-exchange.ts'
import type { H2Stats } from './stats.ts'
import { StreamLife } from './stream-life.ts'
import { StreamStore } from './stream-store.ts'
import { isYoung, type H2Stream } from './stream.ts'
import { ConnectionTimers, type TimerOptions } from './timers.ts'

/** What a connection is made from. */
export interface H2ConnectionOptions extends TimerOptions {
  /** Whether we accepted the connection (server) or dialled it (client). */
  readonly isServer: boolean
  readonly handler: H2Handler
  readonly turn: Turn
  readonly limits: H2Limits
  readonly stats: H2Stats
  /** Octets held by all connections of the process (http2.md §4). */
  readonly held: ByteBudget
}

/** A server or client connection. Call `start` once; then feed `receive` and call `drain` when it asks for it. */
export class H2Connection {
  readonly isServer: boolean
  readonly handler: H2Handler
  readonly turn: Turn
  readonly limits: H2Limits
  readonly stats: H2Stats
  readonly held: ByteBudget
  /** Who writes for us: set by the pump. */
  link: Flushable | null = null
  /** What the owner keeps with the connection. */
  attachment: object | null = null
  /** The read whose frames are being handled: whoever keeps a view of it past the turn counts it there. */
  chunk: Chunk = NO_CHUNK
  // What the parts share.
  readonly budget: PeerBudget
  readonly streams = new StreamStore()
  readonly writer = new FrameWriter()
  readonly sendQueue: SendQueue
  // The parts: for this room and its tests.
  readonly settings: SettingsExchange
  readonly credits: CreditLedger
  readonly outbound: Outbound
  readonly inbound: Inbound
  readonly life: StreamLife
  readonly departure: Departure
  readonly timers: ConnectionTimers
  /** Whether the pump knows that there is something to write. */
  #isListed = false
  /** Null until the first block: idle connections have none. */
  #decoder: HpackDecoder | null = null
  #encoder: HpackEncoder | null = null

  constructor(options: H2ConnectionOptions) {
    const { limits } = options
    this.isServer = options.isServer
    this.handler = options.handler
    this.turn = options.turn
    this.limits = limits
    this.stats = options.stats
    this.held = options.held
    this.budget = new PeerBudget(limits)
    this.settings = new SettingsExchange(this)
    this.credits = new CreditLedger(this)
    this.outbound = new Outbound(this)
    this.sendQueue = new SendQueue(this.writer, this.outbound, this.held.pins)
    this.inbound = new Inbound(this)
    this.life = new StreamLife(this)
    this.departure = new Departure(this)
    this.timers = new ConnectionTimers(this, options)
  }

  get decoder(): HpackDecoder {
    const { limits } = this
    return (this.#decoder ??= new HpackDecoder({
      // RFC 9113 §6.5.3: until our SETTINGS are acknowledged the initial value is in force.
      maxTableBytes: Math.max(limits.headerTableBytes, DEFAULT_HEADER_TABLE_SIZE),
      maxListBytes: limits.maxHeaderListBytes,
      maxFieldCount: limits.maxFieldCount,
      maxFieldBytes: limits.maxFieldBytes,
    }))
  }
  get encoder(): HpackEncoder {
    return (this.#encoder ??= new HpackEncoder({ maxTableBytes: this.limits.headerTableBytes }))
  }

  /** Our SETTINGS are acknowledged. A decoder that is not made yet starts so, unless its table is to be a small one. */
  onTableBytesAcked(): void {
    const { headerTableBytes } = this.limits
    if (this.#decoder === null && headerTableBytes >= DEFAULT_HEADER_TABLE_SIZE) return
    this.decoder.setMaxTableBytes(headerTableBytes)
  }
  /** SETTINGS of the peer's. An encoder that is not made yet takes the initial value for granted. RFC 7541 §4.2 */
  onPeerTableBytes(lowestBytes: number, bytes: number): void {
    const isInitial = lowestBytes === DEFAULT_HEADER_TABLE_SIZE && bytes === DEFAULT_HEADER_TABLE_SIZE
    if (this.#encoder === null && isInitial) return
    this.encoder.setPeerMaxTableBytes(lowestBytes)
    this.encoder.setPeerMaxTableBytes(bytes)
  }

  /** Queues the preface (client), SETTINGS and the connection window. */
  start(): void {
    this.stats.connectionsOpened++
    this.stats.connectionsOpen++
    if (!this.isServer) this.writer.preface()
    this.settings.announce()
    this.credits.open()
    this.timers.start()
    this.markDirty()
  }

  // ---- for the pump -------------------------------------------------------------------------------------------

  /** Takes octets from the socket. Views of `chunk` may be kept until they are sent: its memory is not to be reused. */
  receive(chunk: Buffer): void {
    if (this.isFinished) return
    if (this.budget.isSmallDataSpent(this.turn.flushCount)) return this.fail('small_data_flood')
    this.timers.onReceived()
    this.chunk = new Chunk(chunk.buffer.byteLength)
    this.inbound.push(chunk)
    if (!this.isFinished && !this.wantsRead) this.timers.onPaused()
  }

  /** Moves output to `out`, DATA until about `maxBytes` are pending; returns the octets moved. */
  drain(out: Buffer[], maxBytes: number): number {
    this.#isListed = false
    const wasFull = this.outbound.isFull
    const bytes = this.outbound.drain(out, maxBytes)
    this.timers.onResumed()
    if (this.departure.phase === DRAINING) this.departure.finishWhenIdle()
    if (wasFull && !this.isServer) this.handler.onCapacity(this)
    return bytes
  }

  /** The pump says that everything drained so far has left the process. */
  recycle(): void {
    this.writer.recycle()
  }

  /** Whether `drain` would give something. */
  get hasOutput(): boolean {
    return this.outbound.hasOutput
  }

  /** False while too many answers wait unsent: stop reading. */
  get wantsRead(): boolean {
    return !this.outbound.isClogged
  }

  /** Whether nothing more will come once the writer is empty: the pump ends the socket. */
  get isFinished(): boolean {
    return this.departure.phase === FINISHED
  }

  /** Whether the end came from a fault of the peer's. */
  get isFaulted(): boolean {
    return this.departure.isFaulted
  }

  /** The socket is gone, with an error or in good order. Safe to call twice. */
  onSocketClosed(error: TransportError | null): void {
    this.departure.onSocketClosed(error)
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

  /** Whether the peer's first SETTINGS have come. */
  get hasPeerSettings(): boolean {
    return this.settings.isPeerKnown
  }

  /** Largest header list that the peer takes; advisory. Infinity unless it says so. */
  get maxPeerHeaderListBytes(): number {
    return this.settings.peer.maxHeaderListBytes
  }

  /** Client: whether `openStream` would succeed now. */
  get canOpenStream(): boolean {
    return this.departure.isOpen && this.settings.isPeerKnown && !this.outbound.isFull && this.life.hasRoom
  }

  /** Client: whether no call will be taken ever again, so that another connection is needed. */
  get isRetired(): boolean {
    return !this.departure.isOpen || this.life.isUsedUp
  }

  /** Client: whether others are to be used, since so many streams were reset that the peer may soon give this one up. */
  get isWorn(): boolean {
    return this.life.isWorn
  }

  /**
   * Client: opens a stream with `head`, followed by `extra`, a field that differs from call to call.
   * Only while `canOpenStream`.
   */
  openStream(head: HeaderList, extra: HeaderField | null, isEnd: boolean, attachment: object): H2Stream {
    invariant(this.canOpenStream, 'a stream is opened only where there is room for one')
    return this.life.open(head, extra, isEnd, attachment)
  }

  /** Server: asks the peer to go, in two steps. Client: takes no new streams. Open streams end by themselves. @see Departure.begin */
  drainStreams(): void {
    this.departure.begin()
  }

  /** Ends the connection now with GOAWAY(code); its streams are reset to the owner with RESET_BY_CLOSE. */
  close(code: number, error: TransportError | null): void {
    this.departure.close(code, error)
  }

  /** The peer has broken the protocol: GOAWAY with the code of `token`, and the end. */
  fail(token: FaultToken): void {
    this.departure.fail(token)
  }

  /** Counts oddities of the peer's that are no faults by themselves, such as a forged signature. */
  glitch(count: number): void {
    if (!this.isFinished && !this.budget.glitch(count, this.turn.nowMs)) this.fail('glitch_flood')
    else if (this.isServer && this.budget.isStrained) this.drainStreams()
  }

  /** Counts a frame on a stream that is over. */
  countStrayFrame(): void {
    if (!this.budget.strayFrame(this.turn.nowMs)) this.fail('glitch_flood')
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
    this.credits.check(this.streams.live())
  }
}

/**
 * One stream: its state, its windows, and what waits to be sent on it.
 * Floor 2; knows neither calls nor gRPC. All work is done by its connection; this is the handle that owners hold.
 * @see RFC 9113 §5
 */
import { ChunkQueue, type FaultToken } from '../base/index.ts'
import type { HeaderList } from '../hpack/index.ts'
import type { H2Connection } from './connection.ts'
import { RecvWindow } from './recv-window.ts'
import { CLOSED, OPEN, type StreamState } from './stream-state.ts'

/** A reset within this time of the stream's opening is early. */
const EARLY_RESET_MS = 1000

/** Whether a stream was opened so short a time ago that its end counts as an early reset. */
export function isYoung(stream: H2Stream, nowMs: number): boolean {
  return nowMs - stream.openedAtMs < EARLY_RESET_MS
}

/** A stream of an H2Connection. Methods on a stream that is over do nothing. */
export class H2Stream {
  readonly id: number
  readonly connection: H2Connection
  /** What the owner keeps with the stream; null until set. */
  attachment: object | null = null
  state: StreamState = OPEN
  readonly recvWindow: RecvWindow
  /** What the peer lets us send; negative after a lowered SETTINGS_INITIAL_WINDOW_SIZE. */
  sendWindowBytes: number
  /** DATA that waits for windows or its turn. */
  readonly queue = new ChunkQueue()
  /** Trailers that follow when the queue is empty; null without. */
  queuedTrailers: HeaderList | null = null
  /** Whether END_STREAM follows when the queue is empty. */
  isEndQueued = false
  /** Whether it stands in the connection's round robin. */
  isScheduled = false
  /** Whether it stands on the connection's list of windows to look at. */
  isCreditListed = false
  /** Client: whether the final response head has come. Server: whether the response head has left. */
  hasResponseHead = false
  /** Whether the owner has decided to serve it: a reset after that is no attack. */
  isAdmitted = false
  /** Client: whether the answer has no content, whatever its content-length says (RFC 9110 §9.3.2). */
  isHead = false
  /** Octets that content-length promised; -1 without. */
  contentLengthBytes = -1
  receivedBytes = 0
  /** What its small DATA frames cost while their octets are held; 0 when nothing is. */
  overheadBytes = 0
  /** DATA octets sent since the last look of the stall timer. */
  sentSinceLookBytes = 0
  /** Whether DATA waited at the last look of the stall timer. */
  wasWaitingAtLook = false
  /** Whether its owner has work under way that may outlive it. */
  isOccupied = false
  readonly openedAtMs: number

  constructor(
    connection: H2Connection,
    id: number,
    sendWindowBytes: number,
    recvWindowBytes: number,
    nowMs: number,
  ) {
    this.connection = connection
    this.id = id
    this.sendWindowBytes = sendWindowBytes
    this.recvWindow = new RecvWindow(recvWindowBytes)
    this.openedAtMs = nowMs
  }

  /** Whether the stream is forgotten by its connection. */
  get isOver(): boolean {
    return this.state === CLOSED
  }

  /** Whether content-length promised another number of octets than came. */
  get isLengthWrong(): boolean {
    return this.contentLengthBytes >= 0 && this.contentLengthBytes !== this.receivedBytes
  }

  /** Server: sends the response head; with isEnd it is a trailers-only answer. */
  sendHeaders(list: HeaderList, isEnd: boolean): void {
    this.connection.outbound.sendHeaders(this, list, null, isEnd)
  }

  /** Queues DATA by reference: `payload` must stay unchanged until it is sent. May be empty with isEnd. */
  sendData(payload: Buffer, isEnd: boolean): void {
    this.connection.outbound.sendData(this, payload, isEnd)
  }

  /** Sends trailers after everything queued; they end our side. */
  sendTrailers(list: HeaderList): void {
    this.connection.outbound.sendTrailers(this, list)
  }

  /** Ends the stream with RST_STREAM; what is queued is dropped, what is held is credited. The owner hears nothing more. */
  reset(code: number): void {
    this.connection.life.reset(this, code)
  }

  /** The peer does not do its part: ends the stream with the code of `token`, which is counted, and tells the owner. */
  fail(token: FaultToken): void {
    this.connection.life.fail(this, token)
  }

  /** Gives back credit for `bytes` of the payloads received: whoever held them does so no more. Never more than is held. */
  credit(bytes: number): void {
    this.connection.credits.credit(this, bytes)
  }

  /** Gives back credit for all that is still held. */
  release(): void {
    this.connection.credits.credit(this, this.recvWindow.heldBytes)
  }

  /**
   * The owner has begun work that may outlive the stream: a verdict, an egress leg. Until `vacate` a stream that is over
   * still counts against the peer (`limits.maxUnfinishedFactor`). Twice is once.
   */
  occupy(): void {
    this.isOccupied = true
  }

  /** The owner's work is over. Harmless without `occupy`. */
  vacate(): void {
    this.connection.life.vacate(this)
  }

  /** The owner serves the stream: its window may grow to `limits.streamWindowBytes`, and a reset counts no more as early. */
  admit(): void {
    this.connection.life.admit(this)
  }
}

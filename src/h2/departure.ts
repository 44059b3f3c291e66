/**
 * How a connection ends: GOAWAYs of both sides, a fault or a dead socket in; the phase, the last frames and the news out.
 * Floor 2; knows no call. Nothing here ever goes back.
 * @see RFC 9113 §5.4.1, §6.8
 */
import { TransportError, type FaultToken } from '../base/index.ts'
import { faultCode, H2Code, MAX_STREAM_ID } from '../frame/index.ts'
import type { H2Connection } from './connection.ts'
import { RESET_BY_CLOSE, RESET_BY_GOAWAY } from './handler.ts'

/** Streams are opened and served. */
export const RUNNING = 0
/** GOAWAY(2^31−1) is out: the peer is asked to stop, what it still opens is served. */
export const ANNOUNCED = 1
/** GOAWAY with the last identifier is out: open streams end, new ones are ignored. */
export const DRAINING = 2
/** Nothing more is read or sent, but for what is in the writer. */
export const FINISHED = 3
export type ConnectionPhase = 0 | 1 | 2 | 3

const DRAIN_PING = Buffer.from('authgwgo', 'latin1')

/** How far one connection is on its way out. */
export class Departure {
  phase: ConnectionPhase = RUNNING
  /** Streams above this were not begun by the peer, after its GOAWAY; Infinity before. */
  peerLastId = Infinity
  /** Whether the end came from a fault of the peer's. */
  isFaulted = false
  #isToldClosed = false
  readonly #connection: H2Connection

  constructor(connection: H2Connection) {
    this.#connection = connection
  }

  /** Whether new streams may be opened, as far as GOAWAYs say. */
  get isOpen(): boolean {
    return this.phase === RUNNING && this.peerLastId === Infinity
  }

  /** Server: whether the peer opened `streamId` after our last GOAWAY, so that it is ignored. @see RFC 9113 §6.8 */
  ignores(streamId: number): boolean {
    return this.phase >= DRAINING && this.#connection.isServer && streamId % 2 === 1
  }

  /**
   * Server: closes in two steps, so that no call is lost: GOAWAY(2^31−1) and a PING; when that is answered (or after a
   * second) GOAWAY with the last identifier; then the open streams end. Client: takes no new streams and ends when idle.
   * @see RFC 9113 §6.8
   */
  begin(): void {
    if (this.phase !== RUNNING) return
    const connection = this.#connection
    if (!connection.isServer) return this.announceEnd()
    this.phase = ANNOUNCED
    this.#goaway(MAX_STREAM_ID, H2Code.NO_ERROR, '')
    connection.writer.ping(DRAIN_PING, false)
    connection.timers.awaitDrainAck()
  }

  /** An answer to a PING has come: false when it is not to ours. */
  onPingAck(payload: Buffer): boolean {
    if (!payload.equals(DRAIN_PING) || this.phase === RUNNING) return false
    this.announceEnd()
    return true
  }

  /** Our final GOAWAY: what the peer opens from now on is ignored. */
  announceEnd(): void {
    if (this.phase >= DRAINING) return
    this.phase = DRAINING
    this.#goaway(this.#lastPeerStreamId(), H2Code.NO_ERROR, '')
    this.finishWhenIdle()
  }

  /** The last stream may be over. */
  finishWhenIdle(): void {
    if (this.phase !== DRAINING || this.#connection.streams.liveCount > 0) return
    this.#end(null)
    this.#connection.markDirty()
  }

  /** GOAWAY from the peer: what it has not begun may be begun elsewhere. */
  onPeerGoaway(lastStreamId: number, code: number, isTooManyPings: boolean): void {
    const connection = this.#connection
    connection.stats.goawaysIn++
    this.peerLastId = Math.min(this.peerLastId, lastStreamId)
    for (const stream of connection.streams.live()) {
      if (!connection.isServer && stream.id > this.peerLastId)
        connection.life.end(stream, H2Code.REFUSED_STREAM, RESET_BY_GOAWAY)
    }
    connection.handler.onGoaway(connection, lastStreamId, code, isTooManyPings)
    if (!connection.isServer) this.announceEnd()
  }

  /** Ends the connection now with GOAWAY(code); its streams are reset to the owner with RESET_BY_CLOSE. */
  close(code: number, error: TransportError | null): void {
    if (this.phase === FINISHED) return
    this.#goaway(this.#lastPeerStreamId(), code, '')
    this.#end(error)
  }

  /** The peer has broken the protocol: GOAWAY with the code of `token`, and the end. */
  fail(token: FaultToken): void {
    if (this.phase === FINISHED) return
    this.#connection.stats.faults[token]++
    this.isFaulted = true
    this.#goaway(this.#lastPeerStreamId(), faultCode(token), token)
    this.#end(new TransportError('closed_by_peer', `the peer broke the protocol: ${token}`))
  }

  /** The socket is gone, with an error or in good order. Safe to call twice. */
  onSocketClosed(error: TransportError | null): void {
    if (this.phase === FINISHED) this.#tellClosed(error)
    else this.#end(error ?? new TransportError('closed_by_peer', 'the peer closed the connection'))
  }

  #goaway(lastStreamId: number, code: number, debug: string): void {
    const connection = this.#connection
    connection.writer.goaway(lastStreamId, code, debug)
    connection.stats.goawaysOut++
    connection.markDirty()
  }

  #lastPeerStreamId(): number {
    return this.#connection.isServer ? this.#connection.streams.lastOpenedId : 0
  }

  #end(error: TransportError | null): void {
    const connection = this.#connection
    this.phase = FINISHED
    connection.inbound.halt()
    connection.timers.stop()
    for (const stream of connection.streams.live()) connection.life.end(stream, H2Code.CANCEL, RESET_BY_CLOSE)
    this.#tellClosed(error)
  }

  #tellClosed(error: TransportError | null): void {
    if (this.#isToldClosed) return
    this.#isToldClosed = true
    this.#connection.stats.connectionsOpen--
    this.#connection.handler.onClosed(this.#connection, error)
  }
}

/**
 * Octets from a socket into an HTTP/2 connection and back: the one read and write loop of both legs.
 * Floor 4; knows neither frames nor TLS, only how much may wait in a socket. Hot path: one write or one writev a turn.
 */
import type { Socket } from 'node:net'
import { TransportError } from '../base/index.ts'
import type { Clock, Flushable, Timer, Turn } from '../base/index.ts'
import type { NetStats } from './stats.ts'
import { toTransportError } from './transport-error.ts'

/** What the pump needs of an HTTP/2 connection; h2's H2Connection is one. */
export interface PumpedConnection {
  /** Whom the connection puts on the turn's list when it has output. The pump sets itself. */
  link: Flushable | null
  /** Whether `drain` would give something. */
  readonly hasOutput: boolean
  /** False: the peer does not read our answers, so do not read from it. */
  readonly wantsRead: boolean
  /** After `drain`: nothing more will come, the GOAWAY is out. */
  readonly isFinished: boolean
  /** Finished because of a fault of the peer's. */
  readonly isFaulted: boolean
  /** Takes a chunk; views of it may be kept, so its memory is never used again. */
  receive(chunk: Buffer): void
  /** Moves output into `out`, DATA up to about `maxBytes`; returns the octets. The buffers are borrowed until `recycle`. */
  drain(out: Buffer[], maxBytes: number): number
  /** All that was drained has left the process. */
  recycle(): void
  /** The socket has ended; null when both sides wanted it. Idempotent. */
  onSocketClosed(error: TransportError | null): void
  /** Asks the peer to leave; open streams end in their own time. */
  drainStreams(): void
  /** Says GOAWAY(code) and is finished. */
  close(code: number, error: TransportError | null): void
}

/** What a pump needs. */
export interface PumpOptions {
  /** Must be `allowHalfOpen`: the pump writes what is left before it ends its side. */
  readonly socket: Socket
  readonly connection: PumpedConnection
  readonly turn: Turn
  readonly clock: Clock
  readonly stats: NetStats
  readonly isIngress: boolean
  /** The peer's address for messages. */
  readonly peerName: string
  /** The socket is gone; called once. */
  readonly onClosed?: (pump: Pump) => void
  /** An error of our own reached the socket's callback; the connection is closed. */
  readonly onBug?: (error: unknown) => void
}

/**
 * Octets that may wait in a socket of ours before its connection is no longer drained. Enough to keep a fast peer
 * busy for a turn; a slow one holds no more than this beside its windows.
 */
export const MAX_WAITING_BYTES = 1024 * 1024

/**
 * Octets that may wait in all sockets of a worker before each has to do with `MIN_WAITING_BYTES`: peers that do not read
 * come by the thousand, and what waits here is nobody's window any more.
 */
export const MAX_WAITING_IN_ALL_BYTES = 4 * 1024 * 1024

/** What each socket may hold even then: the high-water mark of a socket, so that 'drain' follows. */
export const MIN_WAITING_BYTES = 64 * 1024

/** After a fault, how long to read and discard: closing with unread octets would make the kernel drop the GOAWAY. */
export const LINGER_MS = 250

/** How long an orderly end may take to leave the socket before it is cut. */
export const FINISH_MS = 5_000

/** HTTP/2's error code for an end in good order. @see RFC 9113 §7 */
const NO_ERROR = 0

/** First delay of TCP keepalive, and its interval is the system's: liveness of idle peers that never say goodbye. */
export const KEEPALIVE_DELAY_MS = 30_000

/** Serves one socket until it is closed. Made when the transport stands; starts reading at once. */
export class Pump implements Flushable {
  readonly socket: Socket
  readonly connection: PumpedConnection
  readonly #options: PumpOptions
  readonly #turn: Turn
  readonly #stats: NetStats
  readonly #isIngress: boolean
  /** Filled by `drain`, emptied by each flush; never shrinks. */
  readonly #out: Buffer[] = []
  #isReading = true
  /** Our side has said all; what still comes in is discarded. */
  #isEnding = false
  /** The end does not wait for a peer that does not read. */
  #isHurried = false
  #isOver = false
  #isTold = false
  #error: TransportError | null = null
  #timer: Timer | null = null
  /** What this socket has in `stats.socketBytesWaiting`. */
  #countedBytes = 0

  constructor(options: PumpOptions) {
    const { socket, connection } = options
    this.socket = socket
    this.connection = connection
    this.#options = options
    this.#turn = options.turn
    this.#stats = options.stats
    this.#isIngress = options.isIngress
    socket.on('error', (error) => {
      this.#error ??= toTransportError(error, options.peerName)
    })
    socket.on('close', () => {
      this.#over()
    })
    socket.on('end', () => {
      this.#onPeerEnd()
    })
    socket.on('drain', () => {
      this.#onDrain()
    })
    connection.link = this
    if (socket.destroyed) {
      this.#over()
      return
    }
    socket.on('data', (chunk: Buffer) => {
      this.#onChunk(chunk)
    })
    if (connection.hasOutput) this.#turn.add(this)
  }

  /** Writes what the connection has, as far as the socket takes it. Called at the end of a turn. */
  flush(): void {
    const { socket, connection } = this
    if (this.#isOver || this.#isEnding) return
    const waiting = socket.writableLength
    this.#count(waiting)
    const isCrowded = this.#stats.socketBytesWaiting - waiting >= MAX_WAITING_IN_ALL_BYTES
    const maxWaiting = isCrowded ? MIN_WAITING_BYTES : MAX_WAITING_BYTES
    // The write that went over the mark returned false: 'drain' will come. A last GOAWAY does not wait for it.
    if (waiting >= maxWaiting && !connection.isFinished) return
    const out = this.#out
    try {
      if (waiting === 0) connection.recycle()
      const bytes = connection.drain(out, Math.max(0, maxWaiting - waiting))
      if (this.#isIngress) this.#stats.ingressBytesOut += bytes
      else this.#stats.egressBytesOut += bytes
      const count = out.length
      if (count === 1) {
        socket.write(out[0]!)
      } else if (count > 1) {
        socket.cork()
        for (let i = 0; i < count; i++) socket.write(out[i]!)
        socket.uncork()
      }
      out.length = 0
      this.#count(socket.writableLength)
    } catch (error) {
      this.#onBug(error)
      return
    }
    if (connection.isFinished) {
      this.#end()
      return
    }
    if (connection.wantsRead !== this.#isReading) this.#steerReading()
    // Drained up to the cap and all of it has left already: go on in the next turn, after others had theirs.
    if (connection.hasOutput && !socket.writableNeedDrain) this.#turn.add(this)
  }

  /** Says goodbye and closes within `LINGER_MS`, whatever the peer does: its calls end with `error`. */
  close(error: TransportError): void {
    if (this.#isOver) return
    this.#error ??= error
    this.#isHurried = true
    this.#turn.begin()
    this.connection.close(NO_ERROR, error)
    if (this.#isEnding) this.#cutAfter(LINGER_MS)
    else this.flush()
  }

  /** Cuts the connection: its calls end with `error`. */
  destroy(error: TransportError): void {
    if (this.#isOver) return
    this.#error ??= error
    this.#turn.begin()
    this.#over()
    this.socket.destroy()
  }

  #onChunk(chunk: Buffer): void {
    if (this.#isIngress) this.#stats.ingressBytesIn += chunk.length
    else this.#stats.egressBytesIn += chunk.length
    if (this.#isEnding || this.#isOver) return
    this.#turn.begin()
    try {
      this.connection.receive(chunk)
    } catch (error) {
      this.#onBug(error)
      return
    }
    if (this.connection.wantsRead !== this.#isReading) this.#steerReading()
  }

  #steerReading(): void {
    this.#isReading = this.connection.wantsRead
    if (this.#isReading) {
      this.socket.resume()
    } else {
      this.#stats.readPauses++
      this.socket.pause()
    }
  }

  /** Notes what waits in the socket now. */
  #count(waitingBytes: number): void {
    this.#stats.socketBytesWaiting += waitingBytes - this.#countedBytes
    this.#countedBytes = waitingBytes
  }

  #onDrain(): void {
    this.#turn.begin()
    this.#count(this.socket.writableLength)
    if (this.connection.hasOutput || this.connection.isFinished) this.flush()
  }

  /** The peer has ended its side. HTTP/2 has no use for the other half, but what waits may still be wanted. */
  #onPeerEnd(): void {
    if (this.#isOver) return
    this.#turn.begin()
    if (!this.#isEnding) {
      this.#error ??= new TransportError(
        'closed_by_peer',
        `${this.#options.peerName}: the peer closed the connection`,
      )
      this.flush()
      this.#tell(this.#error)
    }
    this.#end()
  }

  /** Ends our side, reads and discards until the peer has ended its own, and cuts a peer that takes too long. */
  #end(): void {
    if (this.#isEnding || this.#isOver) return
    this.#isEnding = true
    const { socket } = this
    const linger = (): void => {
      this.#cutAfter(LINGER_MS)
    }
    if (this.connection.isFaulted || this.#isHurried) {
      linger()
    } else {
      this.#cutAfter(FINISH_MS)
      socket.once('finish', linger)
    }
    socket.end()
    socket.resume()
  }

  #cutAfter(delayMs: number): void {
    this.#timer?.cancel()
    if (this.#isOver) return
    this.#timer = this.#options.clock.setTimer(delayMs, () => {
      this.socket.destroy()
    })
  }

  /** The socket is gone, or as good as gone. */
  #over(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#count(0)
    this.#timer?.cancel()
    this.#turn.begin()
    this.#tell(this.#isEnding ? null : (this.#error ?? this.#closedByPeer()))
    this.#out.length = 0
    this.#options.onClosed?.(this)
  }

  /** Tells the connection, once, how it ended. */
  #tell(error: TransportError | null): void {
    if (this.#isTold) return
    this.#isTold = true
    try {
      this.connection.onSocketClosed(error)
    } catch (bug) {
      this.#options.onBug?.(bug)
    }
  }

  #closedByPeer(): TransportError {
    return new TransportError('closed_by_peer', `${this.#options.peerName}: the connection was closed`)
  }

  #onBug(error: unknown): void {
    this.#options.onBug?.(error)
    this.destroy(
      new TransportError('local_close', `${this.#options.peerName}: closed because of a bug in authgw`, {
        cause: error,
      }),
    )
  }
}

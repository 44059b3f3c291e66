/**
 * Whether a silent peer is still there: when octets came in, when to PING and when the peer is gone out.
 * Floor 2; owns no timer: timers.ts asks it. The PING judges the peer, so its time runs only while others of that kind do.
 * @see RFC 9113 §6.7
 */
import type { H2Connection } from './connection.ts'

/** How long a connection that was quiet may take to answer the PING that goes with its next call (http2.md §4). */
const PROBE_TIMEOUT_MS = 5000

const KEEPALIVE_PING = Buffer.from('authgwka', 'latin1')

/** How long an answer to the PING of a silent connection may take, unless the options say otherwise. */
const KEEPALIVE_TIMEOUT_MS = 10_000

/** What keepalive takes from the connection's options. */
export interface KeepaliveOptions {
  /** Ms of silence, while streams are open, after which we PING. Default Infinity: never. */
  readonly keepaliveMs?: number
  /** Ms to wait for the answer of that PING. Default 10 s. */
  readonly keepaliveTimeoutMs?: number
}

/** The keepalive of one connection. Times are monotonic ms; Infinity for those that do not run. */
export class Keepalive {
  /** When octets came last. */
  lastReceivedMs: number
  /** When to look whether the peer is silent. */
  lookAtMs = Infinity
  /** When the answer to our PING is late. */
  ackAtMs = Infinity
  readonly #connection: H2Connection
  readonly #quietMs: number
  readonly #timeoutMs: number
  #sentMs = 0

  constructor(connection: H2Connection, options: KeepaliveOptions) {
    this.#connection = connection
    this.#quietMs = options.keepaliveMs ?? Infinity
    this.#timeoutMs = options.keepaliveTimeoutMs ?? KEEPALIVE_TIMEOUT_MS
    this.lastReceivedMs = connection.turn.nowMs
  }

  /** The first stream is open. A connection that was quiet for long may be dead: its next call takes a PING along. */
  begin(nowMs: number): void {
    this.lookAtMs = nowMs + this.#quietMs
    if (nowMs - this.lastReceivedMs >= this.#quietMs) this.#probe(nowMs, PROBE_TIMEOUT_MS)
  }

  /** No stream is open: silence says nothing. */
  rest(): void {
    this.lookAtMs = Infinity
  }

  /** An answer to a PING has come: false when it is not to ours, or late. */
  onPingAck(payload: Buffer): boolean {
    if (!payload.equals(KEEPALIVE_PING)) return false
    const wasAwaited = this.ackAtMs !== Infinity
    this.ackAtMs = Infinity
    return wasAwaited
  }

  /** Whether the answer is late and nothing else came: whatever came since the PING shows as well that somebody is there. */
  isPeerGone(nowMs: number): boolean {
    if (nowMs < this.ackAtMs) return false
    this.ackAtMs = Infinity
    return this.lastReceivedMs <= this.#sentMs
  }

  /** The time to look has come. */
  look(nowMs: number): void {
    if (nowMs - this.lastReceivedMs < this.#quietMs) {
      this.lookAtMs = this.lastReceivedMs + this.#quietMs
      return
    }
    this.lookAtMs = nowMs + this.#quietMs
    this.#probe(nowMs, this.#timeoutMs)
  }

  /** Sends a PING that wants an answer, unless one is under way. */
  #probe(nowMs: number, timeoutMs: number): void {
    if (this.ackAtMs !== Infinity) return
    this.#sentMs = nowMs
    this.ackAtMs = nowMs + Math.min(timeoutMs, this.#timeoutMs)
    this.#connection.writer.ping(KEEPALIVE_PING, false)
    this.#connection.markDirty()
  }
}

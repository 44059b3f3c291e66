/**
 * A client certificate's notAfter into the end of its connection: first asked to leave, then closed.
 * Floor 4; knows no certificate, only the moment. A long-lived connection must not outlive the identity it was let in for.
 */
import { Deadline, TransportError } from '../base/index.ts'
import type { DeadlineWheel, Turn } from '../base/index.ts'
import type { PeerIdentity } from '../auth/index.ts'
import type { Pump } from './pump.ts'
import type { NetStats } from './stats.ts'

/** Before a client's certificate expires, how long it is asked to leave in good order. */
export const EXPIRY_NOTICE_MS = 5_000

/** What the timer of a peer needs. */
export interface PeerExpiryOptions {
  readonly peer: PeerIdentity
  readonly pump: Pump
  readonly wheel: DeadlineWheel
  readonly turn: Turn
  readonly stats: NetStats
}

/** Closes one peer at its certificate's notAfter. The wall clock may be set meanwhile, so each wake-up asks it again. */
export class PeerExpiry {
  readonly #options: PeerExpiryOptions
  readonly #deadline: Deadline<PeerExpiry>
  #isNoticed = false

  /** Starts the timer; a certificate that has expired already closes its peer at once. */
  constructor(options: PeerExpiryOptions) {
    this.#options = options
    this.#deadline = new Deadline<PeerExpiry>(fireExpiry, this)
    this.fire(options.turn.nowMs)
  }

  /** Ends the timer. */
  clear(): void {
    this.#options.wheel.clear(this.#deadline)
  }

  /** The deadline has come. Only the wheel calls this. */
  fire(nowMs: number): void {
    const { peer, pump, wheel, turn, stats } = this.#options
    const leftMs = peer.notAfterMs - turn.wallMs
    if (leftMs <= 0) {
      stats.peersExpired++
      pump.close(new TransportError('local_close', `peer ${peer.address}: its certificate has expired`))
      return
    }
    if (leftMs <= EXPIRY_NOTICE_MS && !this.#isNoticed) {
      this.#isNoticed = true
      pump.connection.drainStreams()
    }
    wheel.set(this.#deadline, nowMs + (this.#isNoticed ? leftMs : leftMs - EXPIRY_NOTICE_MS))
  }
}

function fireExpiry(nowMs: number, expiry: PeerExpiry): void {
  expiry.fire(nowMs)
}

/**
 * The time, timers and randomness as one port, and the turn of the event loop that shares one reading of it.
 * Floor 0; knows neither Node's timers nor sockets: net/system-clock.ts is the real one, tests move a fake one.
 */

/** A timer that was set; opaque to its owner. */
export interface Timer {
  /** Ends the timer. Harmless when it has already fired. */
  cancel(): void
}

/** Time, timers and randomness. */
export interface Clock {
  /** Monotonic milliseconds, fraction allowed. Its origin means nothing; it never goes back. */
  nowMs(): number
  /** Milliseconds since the Unix epoch, as the machine believes. May jump. */
  wallMs(): number
  /** A number in [0, 1), for jitter; never for secrets. */
  random(): number
  /** Calls `fire` once, `delayMs` (clamped to 0 … 2^31−1) from now. Does not keep the process alive. */
  setTimer(delayMs: number, fire: () => void): Timer
}

/** The longest delay a timer takes: Node turns more into 1 ms. */
export const MAX_TIMER_MS = 2 ** 31 - 1

/** Something that gathered output in this turn and wants to write it once, at the turn's end. */
export interface Flushable {
  flush(): void
}

/**
 * One turn of the event loop: a single reading of the clocks, and the list of those who have output to write.
 * Shared by all connections of a worker, so that frames for one egress socket from many ingress sockets leave together.
 */
export class Turn {
  /** Monotonic ms, read once a turn by whoever starts it. */
  nowMs: number
  /** Unix ms, read once a turn. */
  wallMs: number
  /** How many turns have ended: what was received before the last one has had its chance to be forwarded. */
  flushCount = 0
  readonly #clock: Clock
  readonly #requestFlush: () => void
  #waiting: Flushable[] = []
  #flushing: Flushable[] = []

  /** @param requestFlush asked once per turn with output; must call `flushAll()` soon (net uses setImmediate) */
  constructor(clock: Clock, requestFlush: () => void) {
    this.#clock = clock
    this.#requestFlush = requestFlush
    this.nowMs = clock.nowMs()
    this.wallMs = clock.wallMs()
  }

  /** Reads the clocks. Called at the start of a callback from the event loop. */
  begin(): void {
    this.nowMs = this.#clock.nowMs()
    this.wallMs = this.#clock.wallMs()
  }

  /** Puts `link` on the list of this turn. The caller sees to it that it stands there once only. */
  add(link: Flushable): void {
    this.#waiting.push(link)
    if (this.#waiting.length === 1) this.#requestFlush()
  }

  /** Lets everyone on the list write. Those who are added meanwhile get a turn of their own. */
  flushAll(): void {
    const links = this.#waiting
    this.#waiting = this.#flushing
    this.#flushing = links
    for (let i = 0; i < links.length; i++) links[i]!.flush()
    links.length = 0
    this.flushCount++
  }
}

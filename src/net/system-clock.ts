/**
 * The machine's clocks and timers as the Clock port, and the turn and the wheel of one worker, driven by them.
 * Floor 4; knows no connection. A suspended machine or a blocked event loop is told, not hidden.
 */
import { DeadlineWheel, MAX_TIMER_MS, Turn } from '../base/index.ts'
import type { Clock, Timer } from '../base/index.ts'

/** The real clock: monotonic time, wall time, timers that do not keep the process alive, `Math.random`. */
export class SystemClock implements Clock {
  nowMs(): number {
    return performance.now()
  }

  wallMs(): number {
    return Date.now()
  }

  random(): number {
    return Math.random()
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    const timeout = setTimeout(fire, Math.min(Math.max(delayMs, 0), MAX_TIMER_MS))
    timeout.unref()
    return {
      cancel: () => {
        clearTimeout(timeout)
      },
    }
  }
}

/** The turn of a worker: everyone with output writes when the sockets that are readable now have been read. */
export function createTurn(clock: Clock): Turn {
  const flushAll = (): void => {
    turn.flushAll()
  }
  const turn: Turn = new Turn(clock, () => {
    setImmediate(flushAll)
  })
  return turn
}

/** Later than this, the event loop was blocked or the machine asleep: deadlines wait for one reading of the sockets. */
export const LATE_MS = 1_000

/** What a wheel's driver needs. */
export interface WheelDriverOptions {
  readonly clock: Clock
  readonly turn: Turn
  /** Told that the loop came `ms` later than it was asked to, always more than `LATE_MS`. Default: nobody. */
  readonly onLate?: (ms: number) => void
  /** Runs `task` after the sockets that are readable now were read. Default setImmediate. */
  readonly afterReading?: (task: () => void) => void
}

/**
 * The deadline wheel of a worker, driven by one timer. After a late wake-up the deadlines fire only once what peers
 * sent meanwhile has been read, so that nobody is blamed for our own pause.
 */
export function createWheel(options: WheelDriverOptions): DeadlineWheel {
  return new WheelDriver(options).wheel
}

class WheelDriver {
  readonly wheel: DeadlineWheel
  readonly #options: WheelDriverOptions
  #timer: Timer | null = null
  /** Monotonic ms at which the timer was asked to fire; Infinity when none is set. */
  #wakeMs = Infinity
  /** True while deadlines fire or wait for a reading: what is set meanwhile is seen at the end. */
  #isAdvancing = false

  constructor(options: WheelDriverOptions) {
    this.#options = options
    this.wheel = new DeadlineWheel(options.clock.nowMs(), (atMs) => {
      this.#arm(atMs)
    })
  }

  /** A timer that is set already for an earlier time stays: it finds out that it came too early. */
  #arm(atMs: number): void {
    if (this.#isAdvancing || atMs >= this.#wakeMs) return
    this.#timer?.cancel()
    this.#wakeMs = atMs
    this.#timer = this.#options.clock.setTimer(Math.ceil(atMs - this.#options.clock.nowMs()), this.#wake)
  }

  readonly #wake = (): void => {
    const lateMs = this.#options.clock.nowMs() - this.#wakeMs
    this.#timer = null
    this.#wakeMs = Infinity
    this.#isAdvancing = true
    if (lateMs <= LATE_MS) {
      this.#advance()
      return
    }
    this.#options.onLate?.(lateMs)
    const afterReading = this.#options.afterReading ?? setImmediate
    afterReading(this.#advance)
  }

  readonly #advance = (): void => {
    const { turn } = this.#options
    turn.begin()
    try {
      this.wheel.advance(turn.nowMs)
    } finally {
      this.#isAdvancing = false
      const nextMs = this.wheel.nextDeadlineMs()
      if (nextMs !== Infinity) this.#arm(nextMs)
    }
  }
}

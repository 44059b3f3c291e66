/**
 * Notices that the wall clock left the monotonic one: the machine slept, or its clock was set.
 * Floor 2; knows no token.
 */
import type { Clock } from '../../base/index.ts'

/** A step above this is a jump; below it, clocks being slewed. In ms. */
export const CLOCK_JUMP_MS = 5_000

/** Compares the two clocks of the Clock port. */
export class ClockWatch {
  readonly #clock: Clock
  #offsetMs: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#offsetMs = this.offsetMs
  }

  /** Wall minus monotonic ms, now. */
  get offsetMs(): number {
    return this.#clock.wallMs() - this.#clock.nowMs()
  }

  /** How far the wall clock jumped since it was last asked, in ms; 0 for no jump. Each jump is reported once. */
  takeJumpMs(): number {
    const { offsetMs } = this
    const jumpMs = offsetMs - this.#offsetMs
    if (Math.abs(jumpMs) <= CLOCK_JUMP_MS) return 0
    this.#offsetMs = offsetMs
    return jumpMs
  }
}

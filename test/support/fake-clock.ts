import type { Clock, Timer } from '../../src/base/index.ts'

interface Waiting {
  atMs: number
  fire: () => void
  order: number
}

/** A clock that moves only when told to. Monotonic and wall time move together unless `jumpWall` is used. */
export class FakeClock implements Clock {
  #nowMs: number
  #wallMs: number
  #order = 0
  #waiting: Waiting[] = []
  /** What `random` returns; change it at will. */
  randomValue = 0.5

  constructor(nowMs = 1_000, wallMs = Date.UTC(2026, 10, 22)) {
    this.#nowMs = nowMs
    this.#wallMs = wallMs
  }
  nowMs(): number {
    return this.#nowMs
  }
  wallMs(): number {
    return this.#wallMs
  }
  random(): number {
    return this.randomValue
  }
  get timerCount(): number {
    return this.#waiting.length
  }
  setTimer(delayMs: number, fire: () => void): Timer {
    const waiting = { atMs: this.#nowMs + Math.max(0, delayMs), fire, order: this.#order++ }
    this.#waiting.push(waiting)
    return {
      cancel: () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting)
      },
    }
  }
  /** Moves the time on, firing timers in order, each at its own time. Between timers, settles promises. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms
    await settle()
    for (;;) {
      const due = this.#waiting
        .filter((waiting) => waiting.atMs <= endMs)
        .sort((a, b) => a.atMs - b.atMs || a.order - b.order)[0]
      if (due === undefined) break
      this.#waiting = this.#waiting.filter((other) => other !== due)
      this.#moveTo(Math.max(due.atMs, this.#nowMs))
      due.fire()
      await settle()
    }
    this.#moveTo(endMs)
  }
  /** The machine's clock is set: wall time jumps, monotonic time does not. */
  jumpWall(ms: number): void {
    this.#wallMs += ms
  }
  #moveTo(nowMs: number): void {
    this.#wallMs += nowMs - this.#nowMs
    this.#nowMs = nowMs
  }
}

/** Lets every promise that can settle without time passing do so. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise<void>((resolve) => setImmediate(resolve))
}

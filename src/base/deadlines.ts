/**
 * One coarse wheel of deadlines: many timers that are mostly cancelled, for the price of a linked-list node each.
 * Floor 0; owns no timer: it is told the time and says when it wants to be told again.
 */

/** What a wheel links: a deadline whatever its owner. */
type AnyDeadline = Deadline<never>

/** A deadline that can be set on one wheel. Allocated once by its owner and set again as often as it likes. */
export class Deadline<T = null> {
  /** Monotonic ms at which it fires; Infinity when it is not set. */
  atMs = Infinity
  /** Neighbours in the slot; null when not set. Only the wheel touches them. */
  previous: AnyDeadline | null = null
  next: AnyDeadline | null = null
  slot = -1
  readonly #fire: (nowMs: number, owner: T) => void
  readonly #owner: T

  /** @param fire called with the owner, so that many deadlines share one function */
  constructor(fire: (nowMs: number, owner: T) => void, owner: T) {
    this.#fire = fire
    this.#owner = owner
  }
  /** Calls its owner. Only the wheel does so. */
  fire(nowMs: number): void {
    this.#fire(nowMs, this.#owner)
  }
  /** Whether it waits on a wheel. */
  get isSet(): boolean {
    return this.slot >= 0
  }
}

/**
 * A hashed timing wheel. A deadline fires at the first `advance` at or after its time, at most one tick late.
 * Default tick 20 ms: gRPC clients keep their own deadlines, ours only has to free what they left.
 * @see Varghese and Lauck, Hashed and Hierarchical Timing Wheels, scheme 6
 */
export class DeadlineWheel {
  readonly tickMs: number
  readonly #slots: (AnyDeadline | null)[]
  /** The slot after the last: holds what is due while it fires. */
  readonly #firingSlot: number
  readonly #onEarlier: (atMs: number) => void
  #tick: number
  #count = 0
  #nextMs = Infinity

  /**
   * @param nowMs the time now
   * @param onEarlier told when a new deadline is earlier than every other, so that the owner can wake in time
   */
  constructor(nowMs: number, onEarlier: (atMs: number) => void = () => {}, tickMs = 20, slotCount = 512) {
    this.tickMs = tickMs
    this.#firingSlot = slotCount
    this.#slots = Array.from({ length: slotCount + 1 }, () => null)
    this.#onEarlier = onEarlier
    this.#tick = Math.floor(nowMs / tickMs)
  }

  /** How many deadlines are set. */
  get size(): number {
    return this.#count
  }

  /** A time at or before the earliest deadline, at which `advance` wants to be called; Infinity when none is set. */
  nextDeadlineMs(): number {
    return this.#count === 0 ? Infinity : this.#nextMs
  }

  /** Sets `deadline` to fire at `atMs`, in place of what it was set to before. Infinity clears it. */
  set<T>(owned: Deadline<T>, atMs: number): void {
    const deadline = owned as unknown as AnyDeadline
    if (deadline.slot >= 0) this.clear(deadline)
    if (atMs === Infinity) return
    const tick = Math.max(Math.ceil(atMs / this.tickMs), this.#tick + 1)
    this.#link(deadline, tick % this.#firingSlot, atMs)
    const wakeMs = tick * this.tickMs
    if (wakeMs < this.#nextMs || this.#count === 1) {
      this.#nextMs = wakeMs
      this.#onEarlier(wakeMs)
    }
  }

  /** Takes `deadline` off the wheel. Harmless when it is not set. */
  clear<T>(owned: Deadline<T>): void {
    const deadline = owned as unknown as AnyDeadline
    if (deadline.slot < 0) return
    if (deadline.previous === null) this.#slots[deadline.slot] = deadline.next
    else deadline.previous.next = deadline.next
    if (deadline.next !== null) deadline.next.previous = deadline.previous
    deadline.previous = null
    deadline.next = null
    deadline.slot = -1
    deadline.atMs = Infinity
    this.#count--
  }

  /** Fires everything that is due at `nowMs`. What fires may set and clear deadlines, its own and others'. */
  advance(nowMs: number): void {
    const until = Math.floor(nowMs / this.tickMs)
    const steps = Math.min(until - this.#tick, this.#firingSlot)
    this.#tick = Math.max(this.#tick, until)
    for (let i = 1; i <= steps; i++) this.#collectDue((until - steps + i) % this.#firingSlot, nowMs)
    for (;;) {
      const due: AnyDeadline | null = this.#slots[this.#firingSlot]!
      if (due === null) break
      this.clear(due)
      due.fire(nowMs)
    }
    this.#nextMs = this.#findNextMs()
  }

  /** Moves the due deadlines of a slot to the firing slot, where they can still be cleared; a later round stays. */
  #collectDue(slot: number, nowMs: number): void {
    let at: AnyDeadline | null = this.#slots[slot]!
    while (at !== null) {
      const next: AnyDeadline | null = at.next
      if (at.atMs <= nowMs) {
        const atMs = at.atMs
        this.clear(at)
        this.#link(at, this.#firingSlot, atMs)
      }
      at = next
    }
  }

  #link(deadline: AnyDeadline, slot: number, atMs: number): void {
    const first = this.#slots[slot]!
    deadline.atMs = atMs
    deadline.slot = slot
    deadline.previous = null
    deadline.next = first
    if (first !== null) first.previous = deadline
    this.#slots[slot] = deadline
    this.#count++
  }

  #findNextMs(): number {
    if (this.#count === 0) return Infinity
    for (let i = 1; i <= this.#firingSlot; i++) {
      if (this.#slots[(this.#tick + i) % this.#firingSlot] !== null) return (this.#tick + i) * this.tickMs
    }
    return Infinity
  }
}

/**
 * Turns the state of the life cycle and what rooms report of themselves into "ready", "degraded" and why.
 * Floor 6; knows no HTTP and no gRPC. An identity fault degrades: it must never take a pod out of its Service,
 * or the collector beside it would lose telemetry.
 */
import { invariant } from '../base/index.ts'
import { OTHER, type Metrics } from '../telemetry/index.ts'
import type { ReadinessReason } from './readiness-reasons.ts'

/** The life of the process, in this order. */
export const LIFECYCLE_STATES = ['starting', 'ready', 'draining', 'stopped'] as const
export type LifecycleState = (typeof LIFECYCLE_STATES)[number]

/** What one part of the process says of itself. */
export interface Condition {
  /** What it speaks of, such as `token default` or `keys https://idp.example.com`. */
  readonly name: string
  /** Whether the process can do its work as far as this part goes. */
  readonly isReady: boolean
  /** Whether there is trouble although it can. */
  readonly isDegraded: boolean
  /** Token of the cause, a metric label; `ok` when there is none. */
  readonly reason: ReadinessReason | 'ok'
  /** A sentence for the operator, without secrets; empty when there is none. */
  readonly detail: string
  /** Monotonic ms since when it is so. */
  readonly sinceMs: number
}

/** How readiness is judged. */
export interface ReadinessOptions {
  /** Monotonic ms. */
  readonly nowMs: () => number
  /** `readiness: strict`: what is degraded is not ready. Default false. */
  readonly isStrict?: boolean
}

/** The registry of conditions, and the one answer that follows from them. */
export class Readiness {
  readonly isStrict: boolean
  readonly #nowMs: () => number
  readonly #conditions = new Map<string, Condition>()
  readonly #listeners = new Set<() => void>()
  /** Reasons that were ever degraded: their metric goes back to 0 rather than away. */
  readonly #knownReasons = new Set<string>()
  #state: LifecycleState = 'starting'
  #stateSinceMs: number

  constructor(options: ReadinessOptions) {
    this.#nowMs = options.nowMs
    this.isStrict = options.isStrict ?? false
    this.#stateSinceMs = options.nowMs()
  }

  get state(): LifecycleState {
    return this.#state
  }

  /** How long the state has lasted, in ms. */
  get stateAgeMs(): number {
    return this.#nowMs() - this.#stateSinceMs
  }

  /**
   * Moves the life on. To the state it is in: nothing happens.
   * @throws InvariantError for a move backwards
   */
  moveTo(state: LifecycleState): void {
    if (state === this.#state) return
    invariant(
      LIFECYCLE_STATES.indexOf(state) > LIFECYCLE_STATES.indexOf(this.#state),
      `the life cycle moves forward: ${this.#state} to ${state}`,
    )
    this.#state = state
    this.#stateSinceMs = this.#nowMs()
    this.#tell()
  }

  /** Whether the listeners stand: for start-up probes. Depends on nobody else. */
  get isStarted(): boolean {
    return this.#state !== 'starting'
  }

  /** Whether calls should be sent here. */
  get isReady(): boolean {
    if (this.#state !== 'ready') return false
    for (const condition of this.#conditions.values()) {
      if (!condition.isReady || (this.isStrict && condition.isDegraded)) return false
    }
    return true
  }

  /** Whether any part is in trouble. */
  get isDegraded(): boolean {
    return [...this.#conditions.values()].some((condition) => condition.isDegraded)
  }

  /** All conditions, in the order in which they were first reported. */
  get conditions(): Condition[] {
    return [...this.#conditions.values()]
  }

  /** How long a condition has been what it is, in ms. */
  ageMs(condition: Condition): number {
    return this.#nowMs() - condition.sinceMs
  }

  /** Reports that `name` is well. */
  markReady(name: string): void {
    this.#set(name, true, false, 'ok', '')
  }

  /** Reports that `name` works in spite of trouble: provider unreachable, keys stale but usable. */
  markDegraded(name: string, reason: ReadinessReason, detail = ''): void {
    this.#set(name, true, true, reason, detail)
  }

  /** Reports that `name` cannot do its work at all: keys that were never had. Counts as degraded too. */
  markUnready(name: string, reason: ReadinessReason, detail = ''): void {
    this.#set(name, false, true, reason, detail)
  }

  /** Takes `name` off the registry: its part is gone from the configuration. */
  remove(name: string): void {
    if (this.#conditions.delete(name)) this.#tell()
  }

  /** Calls `listener` after each change. Returns the function that ends it. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  /** Serves `authgw_ready` and `authgw_degraded`. */
  feed(metrics: Metrics): void {
    metrics.addGauge('authgw_ready', {}, () => (this.isReady ? 1 : 0))
    metrics.addFamily('authgw_degraded', (emit) => {
      const present = new Set(this.conditions.filter((one) => one.isDegraded).map(labelOf))
      for (const reason of this.#knownReasons) emit({ reason }, present.has(reason) ? 1 : 0)
    })
  }

  #set(
    name: string,
    isReady: boolean,
    isDegraded: boolean,
    reason: Condition['reason'],
    detail: string,
  ): void {
    const before = this.#conditions.get(name)
    const isSame = before?.isReady === isReady && before.isDegraded === isDegraded && before.reason === reason
    if (isSame && before.detail === detail) return
    const condition: Condition = {
      name,
      isReady,
      isDegraded,
      reason,
      detail,
      sinceMs: isSame ? before.sinceMs : this.#nowMs(),
    }
    this.#conditions.set(name, condition)
    if (isDegraded) this.#knownReasons.add(labelOf(condition))
    if (!isSame) this.#tell()
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}

/** What another process says may be anything: a reason that is no token would make a label out of a text. */
function labelOf({ reason }: Condition): string {
  return /^[a-z][a-z0-9_]{0,63}$/.test(reason) ? reason : OTHER
}

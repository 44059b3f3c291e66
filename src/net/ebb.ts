/**
 * The number of open connections into the moments at which memory is worth giving back: after a crowd has gone.
 * Floor 4; knows no connection, only their count. Nobody is served meanwhile, so it is rare.
 */
import { NO_LOG } from '../base/index.ts'
import type { Clock, Log, Timer } from '../base/index.ts'
import type { SpareMemory } from './spare-memory.ts'
import type { NetStats } from './stats.ts'

/** Between two looks at the count. */
export const LOOK_MS = 5_000
/** So many connections must have gone: some 50 MiB. Fewer would not be missed. */
export const MIN_GONE = 500
/** Between collecting and trimming: V8 frees what it collected in threads of its own. */
export const SWEEP_MS = 1_000
/** Between two times: connections that come and go by the thousand must not cost a pause each. The start does not count. */
export const MIN_GAP_MS = 30_000

/** What the watch needs. */
export interface EbbOptions {
  readonly clock: Clock
  readonly stats: Pick<NetStats, 'ingressOpen'>
  readonly memory: SpareMemory
  readonly log?: Log
}

/** Looks at the count until it is stopped. The start counts as a crowd: it leaves as much behind. */
export class EbbWatch {
  readonly #options: EbbOptions
  /** Most connections at a look since memory was last given back. */
  #peakCount = Infinity
  #wasLow = false
  /** Monotonic ms. */
  #notBeforeMs = -Infinity
  #timer: Timer | null = null

  constructor(options: EbbOptions) {
    this.#options = options
    this.#wait(LOOK_MS, this.#look)
  }

  /** Final: nothing happens from now on. */
  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  #wait(delayMs: number, next: () => void): void {
    this.#timer = this.#options.clock.setTimer(delayMs, next)
  }

  /** Acts when at two looks in a row half of the crowd was gone, so that it is no short gap before all come again. */
  readonly #look = (): void => {
    const { clock, stats, memory } = this.#options
    const openCount = stats.ingressOpen
    this.#peakCount = Math.max(this.#peakCount, openCount)
    const isLow = openCount <= this.#peakCount / 2 && this.#peakCount - openCount >= MIN_GONE
    const isDue = isLow && this.#wasLow && clock.nowMs() >= this.#notBeforeMs
    this.#wasLow = isLow
    if (!isDue) {
      this.#wait(LOOK_MS, this.#look)
      return
    }
    const nowMs = clock.nowMs()
    if (this.#peakCount !== Infinity) this.#notBeforeMs = nowMs + MIN_GAP_MS
    this.#peakCount = openCount
    this.#wasLow = false
    const beforeBytes = memory.residentBytes()
    memory.collect()
    const collectMs = clock.nowMs() - nowMs
    this.#wait(SWEEP_MS, () => {
      this.#trim(beforeBytes, collectMs)
    })
  }

  #trim(beforeBytes: number, collectMs: number): void {
    const { clock, memory, log = NO_LOG } = this.#options
    const nowMs = clock.nowMs()
    memory.trim()
    log.debug(
      {
        before_bytes: beforeBytes,
        after_bytes: memory.residentBytes(),
        collect_ms: Math.round(collectMs),
        trim_ms: Math.round(clock.nowMs() - nowMs),
      },
      'memory was given back to the system',
    )
    this.#wait(LOOK_MS, this.#look)
  }
}

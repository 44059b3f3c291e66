/**
 * One fault, over all chains at once: telemetry flows, the fault begins and ends, telemetry flows on; then every chain is given
 * time to deliver what it holds, and the numbers are compared as sets.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { SIGNALS } from '../../support/otlp-proto.ts'
import type { Counts } from '../rig/counts.ts'
import type { Keycloak } from '../rig/keycloak.ts'
import { becomes } from '../rig/service.ts'
import type { Chain } from './chain.ts'

/** What one chain did in one fault. */
export interface Outcome {
  readonly fault: string
  readonly chain: string
  readonly middle: string
  readonly settings: string
  /** Items of each signal handed to the workload collector. */
  readonly sent: number
  /** Numbers that never came, by signal. */
  readonly lost: Counts
  /** Items that came again, by signal. */
  readonly duplicated: Counts
  /** Spans that the workload collector gave up for good, as its own metric says. */
  readonly permanentErrorSpans: number
  /** Whether the workload collector had nothing left in its queue at the end; else what is lost may be held. */
  readonly isSettled: boolean
  /** Seconds from the end of the fault until fresh telemetry arrived; null if it never did. */
  readonly freshAfterSeconds: number | null
  /** Seconds from the end of the fault until the last item from before it arrived. */
  readonly backlogAfterSeconds: number
  /** Requests for a token, answered or not. */
  readonly tokenRequests: number
  /** Tokens that Keycloak gave to it. */
  readonly tokens: number
  /** Times the control-plane collector ended by itself and was started again. */
  readonly endCrashes: number
  /** Seconds from the beginning to the end of the fault; null if not measured. */
  readonly faultSeconds: number | null
}

/** Items of each signal a second. */
export const RATE = 10
const BEFORE_MS = 5_000
const AFTER_MS = 8_000
const SETTLE_MS = 75_000

/** Runs a fault. `act` begins it and returns when it is over. */
export async function suffer(
  fault: string,
  chains: readonly Chain[],
  keycloak: Keycloak,
  act: () => Promise<number>,
): Promise<Outcome[]> {
  const watches = await Promise.all(chains.map((chain) => Watch.begin(chain, keycloak)))
  for (const { telemetry } of chains) telemetry.run(RATE)
  await sleep(BEFORE_MS)
  const faultMs = await act()
  for (const watch of watches) watch.faultIsOver()
  await sleep(AFTER_MS)
  const outcomes = await Promise.all(watches.map((watch) => watch.end(fault, faultMs)))
  return outcomes
}

/** Watches one chain through one fault. */
class Watch {
  readonly #chain: Chain
  readonly #keycloak: Keycloak
  readonly #first: number
  readonly #failedBefore: number
  readonly #repeatsBefore: Counts
  readonly #requestsBefore: number
  readonly #tokensBefore: number
  readonly #crashesBefore: number
  #overAtMs = 0
  #sentAtOver = 0
  #freshMs: number | null = null
  #backlogMs = 0
  #missingAtOver = 0
  #timer: NodeJS.Timeout | null = null

  private constructor(chain: Chain, keycloak: Keycloak, failed: number) {
    this.#chain = chain
    this.#keycloak = keycloak
    this.#first = chain.telemetry.sent
    this.#failedBefore = failed
    const { arrived } = chain.receiver
    this.#repeatsBefore = {
      traces: arrived.traces.repeats,
      metrics: arrived.metrics.repeats,
      logs: arrived.logs.repeats,
    }
    this.#requestsBefore = chain.counter.count
    this.#tokensBefore = keycloak.tokensOf(chain.plan.name)
    this.#crashesBefore = chain.end.crashCount
  }

  static async begin(chain: Chain, keycloak: Keycloak): Promise<Watch> {
    return new Watch(chain, keycloak, (await chain.counts()).failed.traces)
  }

  /** From now on it is noted when what is new, and what is late, arrives. */
  faultIsOver(): void {
    this.#overAtMs = performance.now()
    this.#sentAtOver = this.#chain.telemetry.sent
    this.#missingAtOver = this.#missingBefore()
    this.#timer = setInterval(() => this.#look(), 200)
  }

  async end(fault: string, faultMs: number): Promise<Outcome> {
    const chain = this.#chain
    chain.telemetry.pause()
    await chain.telemetry.flush()
    const isSettled = await becomes(() => chain.isSettled(), SETTLE_MS)
    const count = chain.telemetry.sent - this.#first
    // What was delivered to the control-plane collector is on its way through that.
    await becomes(() => SIGNALS.every((signal) => chain.lost(this.#first, count)[signal] === 0), 3_000)
    this.#look()
    clearInterval(this.#timer ?? undefined)
    const { arrived } = chain.receiver
    const again = (signal: keyof Counts): number => arrived[signal].repeats - this.#repeatsBefore[signal]
    return {
      fault,
      chain: chain.plan.name,
      middle: chain.plan.middle,
      settings: chain.plan.endurance,
      sent: count,
      lost: chain.lost(this.#first, count),
      duplicated: { traces: again('traces'), metrics: again('metrics'), logs: again('logs') },
      permanentErrorSpans: (await chain.counts()).failed.traces - this.#failedBefore,
      isSettled,
      freshAfterSeconds: this.#freshMs === null ? null : seconds(this.#freshMs),
      backlogAfterSeconds: seconds(this.#backlogMs),
      tokenRequests: chain.counter.count - this.#requestsBefore,
      tokens: this.#keycloak.tokensOf(chain.plan.name) - this.#tokensBefore,
      endCrashes: chain.end.crashCount - this.#crashesBefore,
      faultSeconds: seconds(faultMs),
    }
  }

  #look(): void {
    const sinceMs = performance.now() - this.#overAtMs
    if (this.#freshMs === null && this.#chain.receiver.arrived.traces.has(this.#sentAtOver))
      this.#freshMs = sinceMs
    const missing = this.#missingBefore()
    if (missing < this.#missingAtOver) this.#backlogMs = sinceMs
    this.#missingAtOver = missing
  }

  /** Spans emitted before the end of the fault that have not come. */
  #missingBefore(): number {
    return this.#chain.receiver.arrived.traces.missing(this.#sentAtOver - this.#first, this.#first).length
  }
}

const seconds = (ms: number): number => Math.round(ms / 100) / 10

/**
 * The demo's view of what runs: what arrived, what the gateways say of themselves, and waiting for it with a limit.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { readConditions, readMetrics } from '../support/gateway-readings.ts'
import type { Readings } from '../support/gateway-readings.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import type { NumberedTelemetry } from '../support/numbered-telemetry.ts'
import { SIGNALS } from '../support/otlp-proto.ts'
import type { ArrivedRequest } from '../support/otlp-receiver.ts'
import { CLIENT_HEADER } from '../support/whole-pattern.ts'
import type { WholePattern } from '../support/whole-pattern.ts'
import type { LiveRow, Screen } from './screen.ts'

/** Something is not as it should be, in a sentence; no stack trace helps. */
export class DemoFailure extends Error {
  override readonly name = 'DemoFailure'
}

/** Requests by the client that the control plane found in their tokens, and requests without an item. */
export class Arrivals {
  readonly requestsByClient = new Map<string, number>()
  emptyRequests = 0

  readonly note = ({ itemCount, metadata }: ArrivedRequest): void => {
    if (itemCount === 0) return void this.emptyRequests++
    const client = metadata.get(CLIENT_HEADER).join(', ')
    this.requestsByClient.set(client, (this.requestsByClient.get(client) ?? 0) + 1)
  }
}

const LOOK_EVERY_MS = 250

/** All that the acts of the demo work on. */
export class Stage {
  readonly pattern: WholePattern
  readonly telemetry: NumberedTelemetry
  readonly screen: Screen
  readonly arrivals: Arrivals
  readonly #interrupted: AbortSignal
  /** Whether requests come through a collector that does not pass metadata on. */
  readonly isBehindCollector: boolean
  /** When the provider was stopped; null while it is up. */
  providerDownSinceMs: number | null = null
  /** The workload gateway was ready whenever it was asked. */
  wasAlwaysReady = true
  #workload!: Readings
  #conditions: readonly string[] = []

  constructor(parts: {
    pattern: WholePattern
    telemetry: NumberedTelemetry
    screen: Screen
    arrivals: Arrivals
    interrupted: AbortSignal
    isBehindCollector: boolean
  }) {
    this.pattern = parts.pattern
    this.telemetry = parts.telemetry
    this.screen = parts.screen
    this.arrivals = parts.arrivals
    this.#interrupted = parts.interrupted
    this.isBehindCollector = parts.isBehindCollector
  }

  /** How often the workload gateway has replaced its token. The first one is no refresh. */
  get refreshCount(): number {
    return Math.max(0, this.#workload.sum('authgw_token_refreshes_total', { result: 'ok' }) - 1)
  }

  /** Tries of the workload collector that were answered "not now". */
  get putOffCount(): number {
    return Object.values(this.pattern.collector.stats.retriesByStatus).reduce((sum, count) => sum + count, 0)
  }

  /** Whether every item that was sent has arrived. */
  get hasAllArrived(): boolean {
    const { receiver } = this.pattern
    return SIGNALS.every((signal) => receiver.arrived[signal].distinct === this.telemetry.sent)
  }

  /** Looks at everything four times a second and shows it until `isDone`. @throws DemoFailure after `timeoutMs` */
  async until(what: string, timeoutMs: number, isDone: () => boolean): Promise<void> {
    const endMs = performance.now() + timeoutMs
    for (;;) {
      await this.#look()
      this.#paint()
      if (isDone()) return
      if (performance.now() > endMs) throw new DemoFailure(`waited ${timeoutMs / 1000} s in vain: ${what}`)
      await sleep(LOOK_EVERY_MS, undefined, { signal: this.#interrupted })
    }
  }

  async #look(): Promise<void> {
    this.#interrupted.throwIfAborted()
    const { pattern } = this
    const ended = endOf(pattern)
    const seen = await Promise.race([ended, read(pattern.workload.ports['admin']!)]).catch(() =>
      Promise.race([ended, sleep(500, 'the workload gateway does not answer at its admin endpoint')]),
    )
    this.#interrupted.throwIfAborted()
    if (typeof seen === 'string') throw new DemoFailure(seen)
    this.#workload = seen.readings
    this.#conditions = seen.conditions
    this.wasAlwaysReady &&= this.#conditions.at(-1) === 'readyz: ready'
  }

  #paint(): void {
    const { pattern, telemetry, screen } = this
    const { arrived } = pattern.receiver
    const counts = SIGNALS.map((signal) => `${signal} ${arrived[signal].distinct}`).join('   ')
    const waiting = pattern.collector.waiting
    const token = `refreshed ${times(this.refreshCount)}, ${this.#tokenLife()}`
    const rows: LiveRow[] = [
      ['arrived', `${counts}   of ${telemetry.sent} each`],
      ['client', this.#clients()],
      ['token', token],
      ['waiting', `${waiting} requests at the workload collector; ${this.putOffCount} tries put off so far`],
      ['provider', this.#provider()],
    ]
    const brief = `${counts} of ${telemetry.sent}; client ${this.#clientNames()}; token ${token}; waiting ${waiting}`
    const down = this.providerDownSinceMs === null ? '' : `; provider ${this.#provider()}`
    screen.live(rows, brief + down)
  }

  #clientNames(): string {
    if (this.isBehindCollector) return 'known to otelcol'
    return [...this.arrivals.requestsByClient.keys()].join(', ') || 'none yet'
  }

  #clients(): string {
    if (this.isBehindCollector) return 'otelcol has it in its metadata and does not pass it on'
    const counts = [...this.arrivals.requestsByClient].map(([name, count]) => `${name}, ${count} requests`)
    return `${counts.join('; ') || 'none yet'} (client_id of the token, which is checked on each)`
  }

  #tokenLife(): string {
    const expiresAt = this.#workload.sum('authgw_token_expiry_timestamp_seconds')
    if (expiresAt === 0) return 'none yet'
    const left = Math.round(expiresAt - Date.now() / 1000)
    return left > 0 ? `the one in use lives ${left} s more` : 'the last one has expired'
  }

  #provider(): string {
    const trouble = this.#conditions.find((line) => line.startsWith('[~]'))?.slice(4)
    const readiness = `workload gateway ${this.#conditions.at(-1)?.replace('readyz: ', '')}`
    const state =
      this.providerDownSinceMs === null
        ? 'up'
        : `down for ${Math.round((performance.now() - this.providerDownSinceMs) / 1000)} s`
    return `${state}; ${readiness}${trouble === undefined ? '' : `, ${trouble}`}`
  }
}

const times = (count: number): string => (count === 1 ? 'once' : count === 2 ? 'twice' : `${count} times`)

async function read(adminPort: number): Promise<{ readings: Readings; conditions: string[] }> {
  const [readings, conditions] = await Promise.all([readMetrics(adminPort), readConditions(adminPort)])
  return { readings, conditions }
}

/** Resolves with a sentence when a gateway ends. */
function endOf({ workload, controlPlane }: WholePattern): Promise<string> {
  const sentence = (name: string, gateway: GatewayProcess): Promise<string> =>
    gateway.ended.then(
      (code) =>
        `the ${name} gateway has ended by itself, ${code === null ? 'by a signal' : `with code ${code}`}`,
    )
  return Promise.race([sentence('workload', workload), sentence('control plane', controlPlane)])
}

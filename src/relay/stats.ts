/**
 * What the relay has counted: plain number fields, read at scrape.
 * Floor 3; knows no metric names.
 */
import { Histogram } from '../base/index.ts'
import { Clients, NO_CLIENT_LIMITS, type ClientLimits } from './clients.ts'
import { RELAY_REASONS, type RelayReason } from './reasons.ts'

/** gRPC status codes that get a series of their own; others count as UNKNOWN. */
const STATUS_COUNT = 17

/** Durations of the calls of one method, by status. */
export class MethodSeries {
  /** `package.Service/Method`, or `_OTHER`. */
  readonly method: string
  /** By grpc-status; null until the first call ends with it. */
  readonly byStatus: (Histogram | null)[] = Array.from({ length: STATUS_COUNT }, () => null)

  constructor(method: string) {
    this.method = method
  }

  /** Counts a call that ended with `status` after `durationMs`. */
  observe(status: number, durationMs: number): void {
    const index = status >= 0 && status < STATUS_COUNT ? status : 2
    const histogram = (this.byStatus[index] ??= new Histogram())
    histogram.observe(durationMs / 1000)
  }
}

/** Issuers that get a counter of their own: they are configured ones, so more would be a bug. */
const MAX_ISSUERS = 64

/** Calls let pass under permits of one issuer; kept where the permit is, so that a call costs one increment. */
export class PermitCount {
  /** As in the permit's principal; `_OTHER` for those that are too many. */
  readonly issuer: string
  count = 0
  constructor(issuer: string) {
    this.issuer = issuer
  }
}

/** Counters of one relay. */
export class RelayStats {
  callsStarted = 0
  /** Calls open now. */
  callsOpen = 0
  /** Calls that wait for an egress connection now. */
  callsWaiting = 0
  replays = 0
  renewals = 0
  /** Calls that went without a replay copy because the budget was full. */
  unheldCalls = 0
  memoHits = 0
  memoMisses = 0
  dials = 0
  dialFailures = 0
  /** Bugs of ours that were contained. */
  bugs = 0
  /** Answers of our own by reason. */
  readonly answers: Record<RelayReason, number> = Object.fromEntries(
    Object.keys(RELAY_REASONS).map((reason) => [reason, 0]),
  ) as Record<RelayReason, number>
  /** `authgw-reason` trailers seen on egress, by reason; reasons that we do not know count as `other`. */
  readonly egressReasons: Record<string, number> = {}
  /** What each client sent, and what it may send. */
  readonly clients: Clients
  readonly #permits = new Map<string, PermitCount>()
  readonly #series = new Map<string, MethodSeries>()
  readonly #other = new MethodSeries('_OTHER')

  /** @param methods those that get a series of their own: a caller must not choose our label values */
  constructor(methods: Iterable<string>, clientLimits: ClientLimits = NO_CLIENT_LIMITS) {
    this.clients = new Clients(clientLimits)
    for (const method of methods) this.#series.set(method, new MethodSeries(method))
  }

  /** The series of a method (without its leading slash). */
  seriesOf(method: string): MethodSeries {
    return this.#series.get(method) ?? this.#other
  }

  /** The counter for permits of `issuer`. */
  permitsOf(issuer: string): PermitCount {
    const known = this.#permits.get(issuer)
    if (known !== undefined) return known
    const label = this.#permits.size < MAX_ISSUERS ? issuer : '_OTHER'
    const made = this.#permits.get(label) ?? new PermitCount(label)
    this.#permits.set(label, made)
    return made
  }

  /** Calls let pass, by issuer: those that the gate was asked about and those that an earlier permit covered. */
  get permits(): readonly PermitCount[] {
    return [...this.#permits.values()]
  }

  /** All series, for the scrape. */
  series(): MethodSeries[] {
    return [...this.#series.values(), this.#other]
  }
}

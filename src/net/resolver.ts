/**
 * The name of an endpoint into all its addresses, kept fresh: every 30 s, and soon after a dial has failed.
 * Floor 4; dials nothing. A failing name server keeps the last good addresses.
 */
import { lookup as lookupOfNode } from 'node:dns'
import { isIP } from 'node:net'
import { NO_LOG } from '../base/index.ts'
import type { Clock, Log, Timer, TransportError } from '../base/index.ts'
import { formatEndpoint } from './address.ts'
import type { Endpoint } from './address.ts'
import type { NetStats } from './stats.ts'
import { toTransportError } from './transport-error.ts'

/** Gives all IP addresses of a name; rejects with the system's error. */
export type LookupAll = (host: string) => Promise<readonly string[]>

/** What a resolver needs. */
export interface ResolverOptions {
  readonly endpoint: Endpoint
  readonly clock: Clock
  readonly stats: NetStats
  /** The addresses changed. */
  readonly onChange: () => void
  /** Default: getaddrinfo, IPv4 and IPv6. */
  readonly lookup?: LookupAll
  readonly log?: Log
}

/** Ms between resolutions: as often as the collector's clients do (grpc-go resolves at 30 s). */
export const RESOLVE_EVERY_MS = 30_000
/** Ms between the starts of two resolutions at least, however many dials fail. */
export const RESOLVE_SPACING_MS = 1_000

/** Keeps the addresses of one endpoint. An IP literal and a UNIX socket are their own address for ever. */
export class Resolver {
  /** As for `EgressDialer.addresses`; in an order of this process's own, so that a fleet spreads. Replaced, not changed. */
  addresses: readonly string[] = []
  /** Why the last resolution failed; null after a good one. */
  lastError: TransportError | null = null
  readonly #options: ResolverOptions
  readonly #lookup: LookupAll
  readonly #isFixed: boolean
  /** Sorted, to see whether anything changed. */
  #known = ''
  #timer: Timer | null = null
  #startedMs = -Infinity
  #isResolving = false
  #isClosed = false

  constructor(options: ResolverOptions) {
    this.#options = options
    this.#lookup = options.lookup ?? lookupAll
    const { endpoint } = options
    this.#isFixed = endpoint.kind === 'unix' || isIP(endpoint.host.split('%')[0]!) !== 0
    if (this.#isFixed) this.addresses = [formatEndpoint(endpoint)]
  }

  /** Resolves now and from then on at intervals. Resolves when the first answer is there, good or bad. */
  async start(): Promise<void> {
    if (!this.#isFixed) await this.#resolve()
  }

  /** Asks for a new resolution soon: at once, or a second after the start of the last one. */
  resolveAgain(): void {
    if (this.#isFixed || this.#isClosed || this.#isResolving) return
    const waitMs = this.#startedMs + RESOLVE_SPACING_MS - this.#options.clock.nowMs()
    if (waitMs <= 0) void this.#resolve()
    else this.#armTimer(waitMs)
  }

  /** Ends it; the addresses stay. */
  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
  }

  #armTimer(delayMs: number): void {
    this.#timer?.cancel()
    if (this.#isClosed) return
    this.#timer = this.#options.clock.setTimer(delayMs, () => {
      void this.#resolve()
    })
  }

  async #resolve(): Promise<void> {
    if (this.#isResolving || this.#isClosed || this.#options.endpoint.kind === 'unix') return
    const { clock, stats } = this.#options
    const { host } = this.#options.endpoint
    this.#isResolving = true
    this.#startedMs = clock.nowMs()
    this.#timer?.cancel()
    stats.resolutions++
    try {
      const found = await this.#lookup(host)
      if (found.length === 0) throw Object.assign(new Error('no address'), { code: 'ENOTFOUND' })
      this.lastError = null
      if (!this.#isClosed) this.#take(found)
    } catch (error) {
      stats.resolutionsFailed++
      this.#fail(toTransportError(error, `resolve ${host}`, 'dns'))
    } finally {
      this.#isResolving = false
      this.#armTimer(RESOLVE_EVERY_MS)
    }
  }

  #take(found: readonly string[]): void {
    const unique = [...new Set(found)].sort()
    const known = unique.join(' ')
    if (known === this.#known) return
    this.#known = known
    const { endpoint, clock, onChange, log = NO_LOG } = this.#options
    if (endpoint.kind === 'unix') return
    const addresses = unique.map((host) => formatEndpoint({ kind: 'tcp', host, port: endpoint.port }))
    this.addresses = shuffled(addresses, () => clock.random())
    log.info({ host: endpoint.host, addresses: unique }, 'the addresses of the upstream changed')
    onChange()
  }

  #fail(error: TransportError): void {
    const { log = NO_LOG } = this.#options
    if (this.lastError === null) {
      log.warn(
        { reason: error.message, kept: this.addresses.length },
        'the upstream cannot be resolved; addresses known before stay in use',
      )
    }
    this.lastError = error
  }
}

/** A fair order (Fisher and Yates). */
function shuffled(items: readonly string[], random: () => number): string[] {
  const order = [...items]
  for (let last = order.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1))
    const item = order[last]!
    order[last] = order[other]!
    order[other] = item
  }
  return order
}

/** getaddrinfo: the hosts file, the name server and its search list count as everywhere on the machine. */
const lookupAll: LookupAll = (host) =>
  new Promise((resolve, reject) => {
    lookupOfNode(host, { all: true }, (error, found) => {
      if (error !== null) reject(error)
      else resolve(found.map(({ address }) => address))
    })
  })

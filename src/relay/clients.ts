/**
 * What each client sends, counted, and what it may: calls a second, octets a second, calls at once.
 * Floor 3; knows no call. A client is an issuer's, as a verified token names it: nobody else can make one.
 */
import type { Principal } from '../auth/index.ts'

/** What one client may do in one worker. Infinity lifts a limit. */
export interface ClientLimits {
  /** Calls begun in a second; as many at once after a rest. */
  readonly callsPerSecond: number
  /** Octets of requests in a second. A call that has begun is not cut: further ones wait until its octets are paid for. */
  readonly bytesPerSecond: number
  readonly concurrentCalls: number
}

/** No limits: the default. */
export const NO_CLIENT_LIMITS: ClientLimits = {
  callsPerSecond: Infinity,
  bytesPerSecond: Infinity,
  concurrentCalls: Infinity,
}

/** Clients that have counters and limits of their own; those beyond share one. More than one installation has. */
const MAX_CLIENTS = 4_096
/** Name of the client that stands for those. */
const OTHER = '_OTHER'
/** The longest name, in characters: it becomes a metric label. Longer ones are cut, and alike from there on. */
const MAX_NAME_LENGTH = 128

/** An allowance that grows with time up to one second's worth, and may be overdrawn: then it is paid off first. */
class Allowance {
  readonly #perSecond: number
  readonly #max: number
  #left: number
  #atMs = 0

  constructor(perSecond: number) {
    this.#perSecond = perSecond
    // Less than one a second still lets one pass.
    this.#max = Math.max(1, perSecond)
    this.#left = this.#max
  }

  /** Whether as much as `count` is left now. */
  has(count: number, nowMs: number): boolean {
    if (this.#perSecond === Infinity) return true
    if (nowMs > this.#atMs) {
      this.#left = Math.min(this.#max, this.#left + ((nowMs - this.#atMs) * this.#perSecond) / 1000)
      this.#atMs = nowMs
    }
    return this.#left >= count
  }

  take(count: number): void {
    this.#left -= count
  }
}

/** One client: its counters and what is left of its limits. */
export class Client {
  readonly issuer: string
  /** `client_id` or `azp` of its tokens, else their `sub`; at most 128 characters. */
  readonly name: string
  /** Calls that were let pass. */
  callCount = 0
  /** Octets of their requests. */
  requestBytes = 0
  /** Calls that a limit refused. */
  refusedCount = 0
  /** Calls open now. */
  openCount = 0
  readonly #maxOpen: number
  readonly #calls: Allowance
  readonly #bytes: Allowance

  constructor(issuer: string, name: string, limits: ClientLimits) {
    this.issuer = issuer
    this.name = name
    this.#maxOpen = limits.concurrentCalls
    this.#calls = new Allowance(limits.callsPerSecond)
    this.#bytes = new Allowance(limits.bytesPerSecond)
  }

  /** A call wants to begin: false when the client has had enough. Each true is followed by one `leave`. */
  enter(nowMs: number): boolean {
    if (this.openCount >= this.#maxOpen || !this.#calls.has(1, nowMs) || !this.#bytes.has(1, nowMs)) {
      this.refusedCount++
      return false
    }
    this.#calls.take(1)
    this.openCount++
    this.callCount++
    return true
  }

  /** Octets of a request have come. */
  count(bytes: number): void {
    this.requestBytes += bytes
    this.#bytes.take(bytes)
  }

  leave(): void {
    this.openCount--
  }
}

/** All clients of one relay. */
export class Clients {
  readonly #limits: ClientLimits
  readonly #clients = new Map<string, Client>()

  constructor(limits: ClientLimits) {
    this.#limits = limits
  }

  /** The client behind a principal; null where there is no token to name one. */
  of({ issuer, client, subject }: Principal): Client | null {
    if (issuer === '') return null
    const name = (client === '' ? subject : client).slice(0, MAX_NAME_LENGTH)
    const key = `${issuer}\0${name}`
    return this.#clients.get(key) ?? this.#add(key, issuer, name)
  }

  /** Those that have called, the first ones first. */
  all(): IterableIterator<Client> {
    return this.#clients.values()
  }

  #add(key: string, issuer: string, name: string): Client {
    if (this.#clients.size < MAX_CLIENTS) {
      const made = new Client(issuer, name, this.#limits)
      this.#clients.set(key, made)
      return made
    }
    const shared = this.#clients.get(OTHER) ?? new Client(OTHER, OTHER, this.#limits)
    this.#clients.set(OTHER, shared)
    return shared
  }
}

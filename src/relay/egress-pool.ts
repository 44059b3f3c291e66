/**
 * Connections to the upstream: addresses in, a connection with room for one more call out.
 * Floor 3; knows no call beyond "somebody waits", and no socket: the dialer makes the transport.
 */
import { Backoff, type Clock, type Log, type TransportError, type Turn } from '../base/index.ts'
import type { H2Connection } from '../h2/index.ts'
import type { EgressDialer } from './ports.ts'
import type { RelayStats } from './stats.ts'

/** After a failed dial an address rests: 100 ms, doubling to 1 s, so that an upstream that is back is found within 2 s. */
const REDIAL = { initialMs: 100, maxMs: 1000 }

/** Connections that are on their way out, with the calls they still have, beyond which worn ones are not replaced. */
const MAX_RETIRED = 64

/** Somebody who waits for a connection. */
export interface Waiter {
  /** A connection has room: called once, and the waiter waits no more. */
  proceed(connection: H2Connection): void
  /** There will be none soon. */
  giveUp(error: TransportError | null): void
}

/** One address and its connections. */
interface Slot {
  readonly address: string
  readonly connections: H2Connection[]
  readonly backoff: Backoff
  isDialling: boolean
  retryAtMs: number
  /** Why the last dial failed; null when it did not. */
  dialError: TransportError | null
  lastError: TransportError | null
}

/** What the pool needs. */
export interface EgressPoolOptions {
  readonly dialer: EgressDialer
  readonly turn: Turn
  readonly clock: Clock
  readonly log: Log
  readonly stats: RelayStats
  /** Connections to one address at most: another one opens when the peer's stream limit is full. */
  readonly maxConnections: number
  /** Makes a connection, not yet started. */
  readonly connect: () => H2Connection
}

/** Round robin over all addresses of the upstream (`balancer_name: round_robin`). */
export class EgressPool {
  readonly #options: EgressPoolOptions
  #slots: Slot[] = []
  #next = 0
  #generation: number
  readonly #waiters = new Set<Waiter>()
  readonly #retired = new Set<H2Connection>()
  #isClosing = false

  constructor(options: EgressPoolOptions) {
    this.#options = options
    this.#generation = options.dialer.generation
    options.dialer.onChange = () => this.#onChange()
    this.#onChange()
  }

  /** Connections open now, those on their way out included. */
  get connectionCount(): number {
    return this.#slots.reduce((sum, slot) => sum + slot.connections.length, this.#retired.size)
  }

  /** Whether a call could be opened at once. */
  get isReady(): boolean {
    return this.#slots.some((slot) => slot.connections.some((connection) => connection.canOpenStream))
  }

  /** Whether the upstream answers at all: a connection has had its SETTINGS. */
  get isConnected(): boolean {
    return this.#slots.some((slot) => slot.connections.some((connection) => connection.hasPeerSettings))
  }

  /** Dials every address, so that the first call does not wait. */
  warmUp(): void {
    for (const slot of this.#slots) this.#dialWhereUseful(slot)
  }

  /**
   * A connection with room, or null: then `wait` is the way.
   * @param avoid taken only if no other has room: it has just refused the call
   */
  acquire(avoid: H2Connection | null = null): H2Connection | null {
    const slots = this.#slots
    for (let i = 0; i < slots.length; i++) {
      const index = (this.#next + i) % slots.length
      const connection = this.#roomIn(slots[index]!, avoid)
      if (connection === null) continue
      this.#next = index + 1
      return connection
    }
    return avoid !== null && avoid.canOpenStream ? avoid : null
  }

  #roomIn(slot: Slot, avoid: H2Connection | null): H2Connection | null {
    const { connections } = slot
    let worn: H2Connection | null = null
    let hasWorn = false
    let hasRoom = false
    let hasRetired = false
    for (let i = 0; i < connections.length; i++) {
      const connection = connections[i]!
      if (connection.canOpenStream && connection !== avoid) {
        if (!connection.isWorn) return hasWorn ? this.#insteadOfWorn(slot, connection) : connection
        worn ??= connection
      }
      hasWorn ||= connection.isWorn
      hasRoom ||= connection.canOpenStream && !connection.isWorn
      hasRetired ||= connection.isRetired
    }
    // Idle time-out, age or the last stream identifier: nobody says so, it shows here.
    if (hasRetired)
      for (const connection of connections.filter((one) => one.isRetired)) this.#retire(slot, connection)
    if (!hasRoom) this.#dialWhereUseful(slot)
    return worn
  }

  /** Worn connections serve until another one has room, and then end with the calls that they have. */
  #insteadOfWorn(slot: Slot, connection: H2Connection): H2Connection {
    for (const worn of slot.connections.filter((one) => one.isWorn)) this.#retire(slot, worn)
    return connection
  }

  /** Waits for a connection. The waiter hears at once when none can be had. */
  wait(waiter: Waiter): void {
    this.#waiters.add(waiter)
    this.#options.stats.callsWaiting = this.#waiters.size
    this.#failIfHopeless()
  }

  /** Ends the wait. Harmless when it has ended. */
  stopWaiting(waiter: Waiter): void {
    this.#waiters.delete(waiter)
    this.#options.stats.callsWaiting = this.#waiters.size
  }

  /** A connection has room for more. */
  onCapacity(connection: H2Connection): void {
    while (this.#waiters.size > 0 && connection.canOpenStream) {
      for (const waiter of this.#waiters) {
        this.stopWaiting(waiter)
        waiter.proceed(connection)
        break
      }
    }
    // This one is full and some still wait: another connection may be had.
    if (this.#waiters.size > 0) this.warmUp()
  }

  /** The peer takes no new calls on this connection: another one is needed. */
  onRetired(connection: H2Connection): void {
    const slot = this.#slotOf(connection)
    if (slot === null) return
    this.#retire(slot, connection)
    if (slot.connections.length === 0 || this.#waiters.size > 0) this.#dialWhereUseful(slot)
  }

  /** Takes a connection out of use; its calls end in their own time. */
  #retire(slot: Slot, connection: H2Connection): void {
    slot.connections.splice(slot.connections.indexOf(connection), 1)
    this.#retired.add(connection)
    connection.drainStreams()
  }

  onClosed(connection: H2Connection, error: TransportError | null): void {
    this.#retired.delete(connection)
    const slot = this.#slotOf(connection)
    if (slot === null) return
    slot.connections.splice(slot.connections.indexOf(connection), 1)
    if (connection.hasPeerSettings) slot.backoff.reset()
    if (error !== null) {
      slot.lastError = error
      this.#options.log.info(
        { address: slot.address, code: error.code, err: error },
        'egress connection lost',
      )
      // A connection that ended before its first SETTINGS never worked: that counts as a failed dial.
      if (!connection.hasPeerSettings) this.#rest(slot)
    }
    this.#failIfHopeless()
  }

  /** Lets all connections end when their calls have; dials no more. */
  drain(): void {
    this.#isClosing = true
    for (const slot of this.#slots)
      for (const connection of slot.connections.slice()) connection.drainStreams()
  }

  /** Ends all connections now. */
  close(): void {
    this.#isClosing = true
    const all = this.#slots.flatMap((slot) => slot.connections).concat([...this.#retired])
    for (const connection of all) connection.close(0, null)
    for (const waiter of this.#waiters) {
      this.stopWaiting(waiter)
      waiter.giveUp(null)
    }
  }

  /** Addresses or TLS material have changed: what is no longer right takes no new calls. */
  #onChange(): void {
    const { dialer } = this.#options
    const isOutdated = dialer.generation !== this.#generation
    this.#generation = dialer.generation
    const before = this.#slots
    this.#slots = dialer.addresses.map(
      (address) => before.find((slot) => slot.address === address) ?? this.#newSlot(address),
    )
    for (const slot of before) {
      if (!isOutdated && this.#slots.includes(slot)) continue
      for (const connection of slot.connections.slice()) this.#retire(slot, connection)
    }
    if (this.#waiters.size > 0) this.warmUp()
  }

  #newSlot(address: string): Slot {
    const { clock } = this.#options
    return {
      address,
      connections: [],
      backoff: new Backoff(REDIAL, () => clock.random()),
      isDialling: false,
      retryAtMs: 0,
      dialError: null,
      lastError: null,
    }
  }

  #slotOf(connection: H2Connection): Slot | null {
    return this.#slots.find((slot) => slot.connections.includes(connection)) ?? null
  }

  #dialWhereUseful(slot: Slot): void {
    const { turn, dialer, stats, connect, log } = this.#options
    const freshCount = slot.connections.filter((one) => !one.isWorn).length
    // Calls that last keep what was replaced: a worn connection serves on rather than that these pile up.
    const replacedCount = slot.connections.length - freshCount + this.#retired.size
    const isCrowded = freshCount < slot.connections.length && replacedCount > MAX_RETIRED
    const isFull = freshCount >= this.#options.maxConnections || isCrowded
    if (this.#isClosing || slot.isDialling || isFull || turn.nowMs < slot.retryAtMs) return
    // A connection that still waits for its SETTINGS is as good as a dial under way.
    if (slot.connections.some((connection) => !connection.hasPeerSettings)) return
    slot.isDialling = true
    stats.dials++
    const { generation } = dialer
    dialer.dial(slot.address, {
      onConnected: () => {
        slot.isDialling = false
        const connection = connect()
        slot.connections.push(connection)
        connection.start()
        if (slot.dialError === null) log.debug({ address: slot.address }, 'egress connection open')
        else log.info({ address: slot.address, after: slot.dialError.code }, 'egress connection open again')
        slot.dialError = null
        // The world may have changed while the dial was under way.
        if (this.#isClosing || !this.#slots.includes(slot) || generation !== this.#generation) {
          this.#retire(slot, connection)
          if (this.#waiters.size > 0) this.warmUp()
        }
        return connection
      },
      onDialFailed: (error) => {
        const fields = { address: slot.address, code: error.code, err: error }
        // One line when trouble begins or changes; repetitions at debug.
        if (slot.dialError?.message === error.message) log.debug(fields, 'egress dial still fails')
        else log.warn(fields, 'egress dial failed')
        slot.isDialling = false
        slot.dialError = error
        slot.lastError = error
        this.#rest(slot)
        this.#failIfHopeless()
      },
    })
  }

  #rest(slot: Slot): void {
    const { turn, stats, dialer } = this.#options
    stats.dialFailures++
    slot.retryAtMs = turn.nowMs + slot.backoff.nextDelayMs()
    dialer.resolveAgain()
  }

  /** Nobody is dialling and nothing is open: those who wait would wait in vain. */
  #failIfHopeless(): void {
    if (this.#waiters.size === 0) return
    for (const slot of this.#slots) this.#dialWhereUseful(slot)
    const hasHope = this.#slots.some((slot) => slot.isDialling || slot.connections.length > 0)
    if (hasHope) return
    const error = this.#slots.find((slot) => slot.lastError !== null)?.lastError ?? null
    for (const waiter of this.#waiters) {
      this.stopWaiting(waiter)
      waiter.giveUp(error)
    }
  }
}

/**
 * The relay: accepted connections and a gate in, calls on egress connections out.
 * Floor 3; knows neither sockets nor configuration. This file joins the parts; the work is in call.ts.
 */
import { isOtlpExport, REFUSAL_REASONS, type Gate, type PeerIdentity, type Permit } from '../auth/index.ts'
import type { Clock, DeadlineWheel, Log, Turn } from '../base/index.ts'
import {
  H2Connection,
  H2Stats,
  type ByteBudget,
  type H2Handler,
  type H2Limits,
  type H2Stream,
} from '../h2/index.ts'
import { isGrpcContentType } from '../grpc/index.ts'
import type { HeaderList } from '../hpack/index.ts'
import { reasonAnswer } from './answer.ts'
import { Call } from './call.ts'
import type { ClientLimits } from './clients.ts'
import type { IngressPeer, RelayContext } from './context.ts'
import { callOf, EgressHandler, IngressHandler } from './handlers.ts'
import { EgressPool } from './egress-pool.ts'
import { egressHead } from './head-rewrite.ts'
import { Intake, type HeadPlan } from './intake.ts'
import type { EgressDialer, IngressAcceptor } from './ports.ts'
import { RELAY_REASONS, type RelayReason } from './reasons.ts'
import type { ReplayBudget } from './replay.ts'
import { SHORT_SHARE, shedSlowest } from './shed.ts'
import { RelayStats } from './stats.ts'

/** Egress heads shared by the connections of clients that are alike. */
const MAX_SHARED_HEADS = 256
/** architecture.md §3: calls wait so long for an egress connection with room, and so many are made to one address. */
const EGRESS_WAIT_MS = 2000
const MAX_EGRESS_CONNECTIONS = 8
/** Times that one call may be begun again (rows 5 and 14). */
const MAX_REPLAYS = 3

/** To this at most the time between keepalive PINGs is doubled: past it a dead peer would never be noticed. */
const MAX_KEEPALIVE_MS = 3_600_000

/** When nobody was found whose answers wait, the next look comes so much later. */
const SHED_REST_MS = 100

/** What a relay is made from. */
export interface RelayOptions {
  readonly gate: Gate
  readonly dialer: EgressDialer
  readonly turn: Turn
  readonly wheel: DeadlineWheel
  readonly clock: Clock
  readonly log: Log
  readonly ingressLimits: H2Limits
  readonly egressLimits: H2Limits
  /** Octets that all connections of the process may hold. Default 48 MiB. */
  readonly held: ByteBudget
  readonly replayBudget: ReplayBudget
  /** Longest gRPC message. Default 64 MiB. */
  readonly maxMessageBytes: number
  /** Accepted connections at most. Default 10,000. */
  readonly maxConnections: number
  readonly isGrpcOnly: boolean
  /** What one client may do. Default: as much as it likes. */
  readonly perClient?: ClientLimits
  /** Workload role: a refused token is renewed and the call replayed (row 5). */
  readonly renews: boolean
  readonly holdsDenied: boolean
  /** Control plane role: `authgw-reason` from egress is dropped. */
  readonly dropsReason: boolean
  /** Names that identity is put under, folded (`_` as `-`): stripped from every head. */
  readonly strippedNames: ReadonlySet<string>
  /** Methods with a metric series of their own, without the leading slash. */
  readonly knownMethods: Iterable<string>
  /** Ms of silence after which a remote egress connection with open calls is PINGed; Infinity on loopback. */
  readonly keepaliveMs: number
  readonly keepaliveTimeoutMs: number
  /** Calls end after so long, UNAVAILABLE, so that their callers open them again. Default Infinity: never. */
  readonly maxStreamDurationMs?: number
  /** Set on every call to egress, in place of the caller's fields of the same names (lower case). Default none. */
  readonly upstreamHeaders?: readonly (readonly [name: string, value: string])[]
  /** A call waits so long at most for an egress connection with room. Default 2000. */
  readonly egressWaitMs?: number
  /** Egress connections to one address at most. Default 8. */
  readonly maxEgressConnections?: number
  /** Times that one call may be begun again. Default 3. */
  readonly maxReplays?: number
}

/** What an ingress connection carries. */
interface IngressState {
  readonly peer: IngressPeer
  readonly intake: Intake
}

/** Forwards calls from accepted connections to the upstream. */
export class Relay implements IngressAcceptor, RelayContext {
  readonly gate: Gate
  readonly pool: EgressPool
  readonly turn: Turn
  readonly wheel: DeadlineWheel
  readonly stats: RelayStats
  readonly ingressStats = new H2Stats()
  readonly egressStats = new H2Stats()
  readonly replayBudget: ReplayBudget
  readonly maxMessageBytes: number
  readonly isGrpcOnly: boolean
  readonly renews: boolean
  readonly holdsDenied: boolean
  readonly dropsReason: boolean
  readonly maxStreamDurationMs: number
  readonly egressWaitMs: number
  readonly maxReplays: number
  readonly #options: RelayOptions
  readonly #ingress = new Set<H2Connection>()
  readonly #sharedHeads = new Map<string, HeaderList>()
  readonly #ingressHandler: H2Handler
  /** Of egress connections to come: doubled by an upstream that finds it too short. */
  #keepaliveMs: number
  #isDraining = false
  #shedAgainAtMs = -Infinity
  /** Those who wait for the last ingress connection to end. */
  readonly #onIdle = new Set<() => void>()

  constructor(options: RelayOptions) {
    this.#options = options
    this.gate = options.gate
    this.turn = options.turn
    this.wheel = options.wheel
    this.replayBudget = options.replayBudget
    this.maxMessageBytes = options.maxMessageBytes
    this.isGrpcOnly = options.isGrpcOnly
    this.renews = options.renews
    this.holdsDenied = options.holdsDenied
    this.dropsReason = options.dropsReason
    this.maxStreamDurationMs = options.maxStreamDurationMs ?? Infinity
    this.egressWaitMs = options.egressWaitMs ?? EGRESS_WAIT_MS
    this.maxReplays = options.maxReplays ?? MAX_REPLAYS
    this.#keepaliveMs = options.keepaliveMs
    this.stats = new RelayStats(options.knownMethods, options.perClient)
    this.#ingressHandler = new IngressHandler(this)
    const egressHandler = new EgressHandler(this)
    this.pool = new EgressPool({
      dialer: options.dialer,
      turn: options.turn,
      clock: options.clock,
      log: options.log,
      stats: this.stats,
      maxConnections: options.maxEgressConnections ?? MAX_EGRESS_CONNECTIONS,
      connect: () => this.#newConnection(false, egressHandler),
    })
  }

  /** Ingress connections open now. */
  get ingressConnections(): ReadonlySet<H2Connection> {
    return this.#ingress
  }

  accept(peer: PeerIdentity): H2Connection | null {
    if (this.#isDraining || this.#ingress.size >= this.#options.maxConnections) return null
    const connection = this.#newConnection(true, this.#ingressHandler)
    const state: IngressState = {
      peer: { identity: peer, seesDetails: peer.isVerified || peer.isLocal },
      intake: new Intake(this.stats, this.isGrpcOnly),
    }
    connection.attachment = state
    this.#ingress.add(connection)
    connection.start()
    return connection
  }

  #newConnection(isServer: boolean, handler: H2Handler): H2Connection {
    const { turn, wheel, clock, held, ingressLimits, egressLimits, keepaliveTimeoutMs } = this.#options
    return new H2Connection({
      isServer,
      handler,
      turn,
      wheel,
      held,
      limits: isServer ? ingressLimits : egressLimits,
      stats: isServer ? this.ingressStats : this.egressStats,
      jitter: clock.random(),
      keepaliveMs: isServer ? Infinity : this.#keepaliveMs,
      keepaliveTimeoutMs,
    })
  }

  /**
   * Begins to end all ingress connections in two steps; resolves when the last call is done, or after `timeoutMs`,
   * when those that are left are answered UNAVAILABLE (row 24).
   */
  async drain(timeoutMs: number): Promise<void> {
    this.#isDraining = true
    for (const connection of this.#ingress) connection.drainStreams()
    if (this.#ingress.size > 0) {
      await new Promise<void>((resolve) => {
        const end = (): void => {
          timer.cancel()
          this.#onIdle.delete(end)
          resolve()
        }
        const timer = this.#options.clock.setTimer(timeoutMs, end)
        this.#onIdle.add(end)
      })
    }
    this.turn.begin()
    for (const connection of this.#ingress) {
      for (const stream of connection.streams.live()) callOf(stream)?.fail('draining')
    }
    this.pool.drain()
  }

  /** Ends all connections now. */
  close(): void {
    this.turn.begin()
    for (const connection of this.#ingress) connection.close(0, null)
    this.pool.close()
  }

  /** A request head has come. */
  onRequest(stream: H2Stream, head: HeaderList, isEnd: boolean): void {
    let call: Call | null = null
    try {
      call = this.#callFor(stream, head)
      call?.start(isEnd)
    } catch (error) {
      if (call !== null) return call.onBug(error)
      this.onBug(error)
      this.#refuse(stream, 'bug')
    }
  }

  /** A call for a head that may be one; else it is refused. Order of checks: malformed (h2), 415, limits, path, token, policy. */
  #callFor(stream: H2Stream, head: HeaderList): Call | null {
    const { peer, intake } = stream.connection.attachment as IngressState
    if (head.isTruncated) return this.#refuse(stream, this.#truncatedReason(head))
    const reading = intake.read(head)
    const { problem } = reading.plan
    if (problem === 'not_grpc') return this.#refuse(stream, problem)
    if (!this.#hasMemory()) return this.#refuse(stream, 'overload')
    if (problem !== null) return this.#refuse(stream, problem)
    if (Number.isNaN(reading.timeoutMs)) return this.#refuse(stream, 'bad_timeout')
    const call = new Call(this, stream, peer, reading)
    stream.attachment = call
    return call
  }

  /** Row 21. Before anybody is refused, whoever holds most by not reading loses it. */
  #hasMemory(): boolean {
    const { held } = this.#options
    const shortBytes = SHORT_SHARE * held.maxBytes
    if (held.heldBytes < shortBytes) return true
    // Looking at all connections is not for every call of an upstream that is slow.
    if (this.turn.nowMs >= this.#shedAgainAtMs && !shedSlowest(this.#ingress))
      this.#shedAgainAtMs = this.turn.nowMs + SHED_REST_MS
    return !held.isSpent
  }

  /** Of a head that is too large some fields are missing; the content-type is not, unless it is what was too large. */
  #truncatedReason(head: HeaderList): RelayReason {
    const contentType = head.first('content-type')
    const isGrpc = contentType === null || isGrpcContentType(contentType)
    return this.isGrpcOnly && !isGrpc ? 'not_grpc' : 'header_too_large'
  }

  /** Refuses a head that is no call. */
  #refuse(stream: H2Stream, reason: RelayReason): null {
    this.stats.answers[reason]++
    stream.sendHeaders(reasonAnswer(reason, false).trailersOnly, true)
    return null
  }

  onIngressClosed(connection: H2Connection): void {
    this.#ingress.delete(connection)
    if (this.#ingress.size === 0) for (const end of this.#onIdle) end()
  }

  /** gRFC A8: the connections to come PING half as often. */
  onTooManyPings(): void {
    if (this.#keepaliveMs >= MAX_KEEPALIVE_MS) return
    this.#keepaliveMs = Math.min(2 * this.#keepaliveMs, MAX_KEEPALIVE_MS)
    this.#options.log.warn(
      { keepalive_ms: this.#keepaliveMs },
      'the upstream finds our keepalive too fast; raise upstream.keepalive.time',
    )
  }

  endsAtMs(permit: Permit): number {
    return permit.endsAtMs === Infinity ? Infinity : this.turn.nowMs + (permit.endsAtMs - this.turn.wallMs)
  }

  /** Clients that are alike share one list, so that their egress connection encodes it once. */
  egressHead(plan: HeadPlan, permit: Permit): HeaderList {
    const { dialer, strippedNames, upstreamHeaders } = this.#options
    const { scheme, authority } = dialer
    const terms = { scheme, authority, strippedNames, upstreamHeaders: upstreamHeaders ?? [] }
    const list = egressHead(plan.fields, permit, terms)
    const key = list.fields.map((field) => `${field.indexing}${field.name}\0${field.value}`).join('\0\0')
    const shared = this.#sharedHeads.get(key)
    if (shared !== undefined) return shared
    if (this.#sharedHeads.size >= MAX_SHARED_HEADS) this.#sharedHeads.clear()
    this.#sharedHeads.set(key, list)
    return list
  }

  isOtlp(path: string): boolean {
    return isOtlpExport(path)
  }

  countReason(reason: string): void {
    const isKnown = Object.hasOwn(REFUSAL_REASONS, reason) || Object.hasOwn(RELAY_REASONS, reason)
    const label = isKnown ? reason : 'other'
    this.stats.egressReasons[label] = (this.stats.egressReasons[label] ?? 0) + 1
  }

  onBug(error: unknown): void {
    this.stats.bugs++
    this.#options.log.error({ err: error }, 'bug: a call was ended by an internal error; please report this')
  }
}

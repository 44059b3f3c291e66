/**
 * Checks signatures, a bounded number at a time, and each token once however many calls carry it.
 * Floor 2; knows no claim and no policy. A forged signature costs about 100 µs: that is what the bounds are for.
 */
import { compactVerify } from 'jose'
import { JOSEError } from 'jose/errors'
import type { Clock } from '../../base/index.ts'
import type { ImportedKeys } from '../jwks/cache.ts'
import type { PublicKey } from '../jwks/document.ts'
import type { PeerIdentity } from '../ports.ts'
import type { GateStats } from '../stats.ts'

/** Signatures in work at once, a worker. */
export const MAX_VERIFICATIONS = 32
/** Signatures in work at once, a connection. */
export const MAX_VERIFICATIONS_PER_PEER = 4
/** Forged signatures of one connection after which no more are checked: by default the last is one glitch too many. */
export const MAX_FORGERIES_PER_PEER = 21
/** Forged signatures of one connection that slow nothing down: as many as may be in work at once. */
export const FREE_FORGERIES_PER_PEER = MAX_VERIFICATIONS_PER_PEER
/** After each further one nothing is checked for its connection for so long, so that a flood of them costs next to nothing. */
export const FORGERY_PAUSE_MS = 100
/** So many are forgiven, as glitches are: a caller behind a proxy must not bar all others there for long. */
const FORGIVEN_PER_SECOND = 0.5
/** Calls of one connection that may wait for their turn; more are refused at once. */
export const MAX_WAITING_PER_PEER = 256

/** What came of a signature check; `overload` when its turn did not come in time. */
export type SignatureVerdict = 'valid' | 'invalid' | 'overload'

/** One connection's place in the queue. Connections take turns. */
interface Lane {
  active: number
  /** Forgeries not yet forgiven, as of `forgedAtMs`. */
  forgeries: number
  forgedAtMs: number
  /** Monotonic ms until which nothing is checked. */
  pausedUntilMs: number
  isReady: boolean
  /** Called with whether the turn has come, or never will. */
  readonly waiting: ((hasTurn: boolean) => void)[]
}

/**
 * Hands out turns: `MAX_VERIFICATIONS` in all, `MAX_VERIFICATIONS_PER_PEER` a connection, round robin among connections. One
 * that brings forgeries gets a turn at a time, and a pause after each (docs/adr/0018-forgers-wait.md).
 */
export class VerificationTurns {
  readonly #clock: Clock
  readonly #stats: GateStats
  readonly #lanes = new WeakMap<PeerIdentity, Lane>()
  /** Lanes with someone waiting and fewer than their share active; each at most once. */
  readonly #ready: Lane[] = []

  constructor(clock: Clock, stats: GateStats) {
    this.#clock = clock
    this.#stats = stats
  }

  /** Runs `task` in its turn; null when the turn has not come within `waitMs`. One that gives false was a forgery. */
  async run<T>(peer: PeerIdentity, waitMs: number, task: () => Promise<T>): Promise<T | null> {
    const lane = this.#laneOf(peer)
    if (!(await this.#begin(lane, waitMs))) return null
    try {
      const result = await task()
      if (result === false) this.#noteForgery(lane)
      return result
    } finally {
      this.#stats.verificationsActive--
      lane.active--
      this.#markReady(lane)
      this.#startNext()
    }
  }

  /** Whether `run` would give null at once, because of forgeries. */
  isBarred(peer: PeerIdentity): boolean {
    const lane = this.#lanes.get(peer)
    return lane !== undefined && this.#isBarred(lane)
  }

  #laneOf(peer: PeerIdentity): Lane {
    let lane = this.#lanes.get(peer)
    if (lane === undefined) {
      lane = { active: 0, forgeries: 0, forgedAtMs: 0, pausedUntilMs: 0, isReady: false, waiting: [] }
      this.#lanes.set(peer, lane)
    }
    return lane
  }

  /** What waits behind a forgery is likely to be one: its callers are told to come again, and honest ones do. */
  #noteForgery(lane: Lane): void {
    lane.forgeries = this.#forgeriesOf(lane) + 1
    lane.forgedAtMs = this.#clock.nowMs()
    if (lane.forgeries <= FREE_FORGERIES_PER_PEER) return
    lane.pausedUntilMs = lane.forgedAtMs + FORGERY_PAUSE_MS
    for (const end of lane.waiting.splice(0)) end(false)
  }

  #forgeriesOf({ forgeries, forgedAtMs }: Lane): number {
    return Math.max(0, forgeries - ((this.#clock.nowMs() - forgedAtMs) * FORGIVEN_PER_SECOND) / 1000)
  }

  /** Whether nothing is checked for it now, and nobody may wait. */
  #isBarred(lane: Lane): boolean {
    if (lane.forgeries === 0) return false
    return this.#clock.nowMs() < lane.pausedUntilMs || this.#forgeriesOf(lane) >= MAX_FORGERIES_PER_PEER
  }

  #shareOf(lane: Lane): number {
    const isSuspect = lane.forgeries > 0 && this.#forgeriesOf(lane) > FREE_FORGERIES_PER_PEER
    return isSuspect ? 1 : MAX_VERIFICATIONS_PER_PEER
  }

  #begin(lane: Lane, waitMs: number): boolean | Promise<boolean> {
    if (this.#isBarred(lane)) return false
    if (lane.active < this.#shareOf(lane) && this.#stats.verificationsActive < MAX_VERIFICATIONS) {
      this.#start(lane)
      return true
    }
    if (lane.waiting.length >= MAX_WAITING_PER_PEER) return false
    return this.#wait(lane, waitMs)
  }

  #wait(lane: Lane, waitMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (hasTurn: boolean): void => {
        timer.cancel()
        this.#stats.verificationsWaiting--
        resolve(hasTurn)
      }
      const timer = this.#clock.setTimer(waitMs, () => {
        lane.waiting.splice(lane.waiting.indexOf(end), 1)
        end(false)
      })
      this.#stats.verificationsWaiting++
      lane.waiting.push(end)
      this.#markReady(lane)
    })
  }

  #start(lane: Lane): void {
    lane.active++
    this.#stats.verificationsActive++
  }

  #markReady(lane: Lane): void {
    if (lane.isReady || lane.waiting.length === 0 || lane.active >= this.#shareOf(lane)) return
    lane.isReady = true
    this.#ready.push(lane)
  }

  #startNext(): void {
    while (this.#stats.verificationsActive < MAX_VERIFICATIONS) {
      const lane = this.#ready.shift()
      if (lane === undefined) return
      lane.isReady = false
      const begin = lane.waiting.shift()
      if (begin === undefined) continue
      this.#start(lane)
      this.#markReady(lane)
      begin(true)
    }
  }
}

/** A signature to check. */
export interface SignatureCheck {
  /** Names the check: equal for equal token and keys. */
  readonly name: string
  readonly token: string
  readonly alg: string
  /** In this order; one that verifies is enough. */
  readonly keys: readonly PublicKey[]
  readonly imported: ImportedKeys
}

/** Checks signatures with jose; calls with the same token share one check. */
export class SignatureVerifier {
  readonly #turns: VerificationTurns
  readonly #stats: GateStats
  readonly #flights = new Map<string, Promise<SignatureVerdict>>()

  constructor(clock: Clock, stats: GateStats) {
    this.#turns = new VerificationTurns(clock, stats)
    this.#stats = stats
  }

  /** Whether nothing is checked for `peer` now, because of its forgeries. */
  isBarred(peer: PeerIdentity): boolean {
    return this.#turns.isBarred(peer)
  }

  /** Checks in the turn of `peer`, for which it waits up to `waitMs`. */
  verify(check: SignatureCheck, peer: PeerIdentity, waitMs: number): Promise<SignatureVerdict> {
    const flying = this.#flights.get(check.name)
    if (flying !== undefined) return flying
    const flight = this.#turns
      .run(peer, waitMs, () => this.#check(check))
      .then((isValid) => (isValid === null ? 'overload' : isValid ? 'valid' : 'invalid'))
      .finally(() => this.#flights.delete(check.name))
    this.#flights.set(check.name, flight)
    return flight
  }

  async #check(check: SignatureCheck): Promise<boolean> {
    this.#stats.verifications++
    for (const key of check.keys) {
      const imported = await check.imported.import(key, check.alg)
      try {
        await compactVerify(check.token, imported, { algorithms: [check.alg] })
        return true
      } catch (error) {
        if (!(error instanceof JOSEError)) throw error
      }
    }
    return false
  }
}

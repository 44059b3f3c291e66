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
/** Calls of one connection that may wait for their turn; more are refused at once. */
const MAX_WAITING_PER_PEER = 256

/** What came of a signature check; `overload` when its turn did not come in time. */
export type SignatureVerdict = 'valid' | 'invalid' | 'overload'

/** One connection's place in the queue. Connections take turns. */
interface Lane {
  active: number
  isReady: boolean
  readonly waiting: (() => void)[]
}

/** Hands out turns: `MAX_VERIFICATIONS` in all, `MAX_VERIFICATIONS_PER_PEER` a connection, round robin among connections. */
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

  /** Runs `task` in its turn; null when the turn has not come within `waitMs`. */
  async run<T>(peer: PeerIdentity, waitMs: number, task: () => Promise<T>): Promise<T | null> {
    const lane = this.#laneOf(peer)
    if (!(await this.#begin(lane, waitMs))) return null
    try {
      return await task()
    } finally {
      this.#stats.verificationsActive--
      lane.active--
      this.#markReady(lane)
      this.#startNext()
    }
  }

  #laneOf(peer: PeerIdentity): Lane {
    let lane = this.#lanes.get(peer)
    if (lane === undefined) {
      lane = { active: 0, isReady: false, waiting: [] }
      this.#lanes.set(peer, lane)
    }
    return lane
  }

  #begin(lane: Lane, waitMs: number): boolean | Promise<boolean> {
    if (lane.active < MAX_VERIFICATIONS_PER_PEER && this.#stats.verificationsActive < MAX_VERIFICATIONS) {
      this.#start(lane)
      return true
    }
    if (lane.waiting.length >= MAX_WAITING_PER_PEER) return false
    return this.#wait(lane, waitMs)
  }

  #wait(lane: Lane, waitMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const begin = (): void => {
        timer.cancel()
        this.#stats.verificationsWaiting--
        resolve(true)
      }
      const timer = this.#clock.setTimer(waitMs, () => {
        lane.waiting.splice(lane.waiting.indexOf(begin), 1)
        this.#stats.verificationsWaiting--
        resolve(false)
      })
      this.#stats.verificationsWaiting++
      lane.waiting.push(begin)
      this.#markReady(lane)
    })
  }

  #start(lane: Lane): void {
    lane.active++
    this.#stats.verificationsActive++
  }

  #markReady(lane: Lane): void {
    if (lane.isReady || lane.waiting.length === 0 || lane.active >= MAX_VERIFICATIONS_PER_PEER) return
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
      begin()
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

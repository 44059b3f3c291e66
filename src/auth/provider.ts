/**
 * One identity provider as a gate sees it: its rules, its keys, and when asking for newer ones is of use.
 * Floor 2; fetches nothing: the owner of the keys does, behind the ProviderKeys port.
 */
import { SingleFlight, type Clock } from '../base/index.ts'
import {
  findKeys,
  ImportedKeys,
  type KeyFetchReport,
  type KeyMatch,
  type ProviderKeys,
} from './jwks/cache.ts'
import { leewayMs, type ClaimRules } from './jwt/claims.ts'
import type { TokenHeader } from './jwt/extract.ts'
import { claimEqualsSan, isBoundToPeer } from './jwt/peer-binding.ts'
import type { JsonObject } from './jwt/strict-json.ts'
import type { PeerIdentity } from './ports.ts'
import { retryAfterSeconds } from './refusal.ts'
import type { GateStats } from './stats.ts'

/** One identity provider whose tokens are taken. */
export interface ProviderOptions extends ClaimRules {
  /** A claim that must equal a name of the client certificate, for providers without `cnf`; null for none. */
  readonly sanClaim?: string | null
}

/** The longest that a call waits for keys or a signature, in ms (row 4); and at most 60 % of its own time. */
export const MAX_WAIT_MS = 2_000
/** RetryInfo while a fetch of keys is under way, in seconds. */
const PENDING_RETRY_SECONDS = 2

/** A provider's rules and keys. One per gate. */
export class Provider {
  readonly options: ProviderOptions
  /** Clock skew that is forgiven, in ms. */
  readonly leewayMs: number
  readonly imported = new ImportedKeys()
  readonly #keys: ProviderKeys
  readonly #clock: Clock
  readonly #stats: GateStats
  readonly #flight = new SingleFlight<KeyFetchReport>()
  /** Monotonic ms before which the owner does not fetch: until then no kid, however new, is worth a message. */
  #quietUntilMs = -Infinity

  constructor(options: ProviderOptions, keys: ProviderKeys, clock: Clock, stats: GateStats) {
    this.options = options
    this.leewayMs = leewayMs(options)
    this.#keys = keys
    this.#clock = clock
    this.#stats = stats
  }

  /** Grows with each change of the keys; 0 before the first. */
  get keyGeneration(): number {
    return this.#keys.snapshots.current?.generation ?? 0
  }

  /** Calls `onChange` after each change of the keys. Returns the function that ends it. */
  follow(onChange: () => void): () => void {
    return this.#keys.snapshots.subscribe((snapshot) => {
      this.imported.prune(snapshot.value.keys)
      onChange()
    })
  }

  /** The keys that may have signed a token with this header. */
  match(header: TokenHeader): KeyMatch {
    return findKeys(this.#keys.snapshots.current?.value.keys ?? [], header.kid, header.alg)
  }

  /** Whether `peer` may present a token with these claims. */
  isPeerRight(claims: JsonObject, peer: PeerIdentity): boolean {
    const { sanClaim } = this.options
    if (!isBoundToPeer(claims, peer)) return false
    return sanClaim === undefined || sanClaim === null || claimEqualsSan(claims, sanClaim, peer)
  }

  /** Whether no newer keys can come within `waitMs`. A flood of unknown kids costs nothing while this holds. */
  isQuietFor(waitMs: number): boolean {
    return this.#clock.nowMs() + waitMs < this.#quietUntilMs
  }

  /** Asks the owner for newer keys, together with everyone who asks at the same time. */
  requestKeys(): Promise<KeyFetchReport> {
    return this.#flight.run(async () => {
      this.#stats.keyRequests++
      const report = await this.#keys.request({ waitMs: MAX_WAIT_MS })
      this.#quietUntilMs = this.#clock.nowMs() + report.nextFetchInMs
      return report
    })
  }

  /** RetryInfo for a call that cannot be judged without newer keys. */
  retryAfterSeconds(): number {
    if (this.#flight.isFlying) return PENDING_RETRY_SECONDS
    return retryAfterSeconds(this.#quietUntilMs - this.#clock.nowMs())
  }
}

/**
 * Remembers what was found out about tokens, so that a signature is checked once and a call costs a look-up.
 * Floor 2; decides nothing, and keeps no token: entries are found by SHA-256. auth.md §2 and §4.
 */
import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { PeerIdentity } from '../ports.ts'
import type { RuledRefusal } from '../refusal.ts'
import type { Permit, Principal, RefusalReason } from '../verdict.ts'
import type { TokenClaims } from './claims.ts'

/** Entries of each cache, a worker. */
export const MAX_CACHED_TOKENS = 4_096
/** The longest life of an entry, in ms. */
export const MAX_ENTRY_MS = 300_000
/** The life of an entry of the negative cache, in ms. */
export const REJECTION_MS = 10_000

/** A token whose signature verified. Time and binding are judged anew with each use. */
export interface VerifiedToken {
  readonly claims: TokenClaims
  readonly kid: string | null
  /** Of the provider's keys: with others the signature proves nothing. */
  readonly keyGeneration: number
  /** Monotonic ms. */
  readonly keptUntilMs: number
}

/** A token that no passing of time can mend. */
export interface RejectedToken {
  readonly reason: RefusalReason
  /** As it is counted: empty where the token names none. */
  readonly issuer: string
  /** Of all keys and the policy together; a change makes the entry worthless. */
  readonly epoch: number
  /** Monotonic ms. */
  readonly keptUntilMs: number
}

/** A decision for one token, peer and method. */
export interface CachedVerdict {
  readonly verdict: Permit | RuledRefusal
  readonly principal: Principal
  readonly kid: string | null
  readonly epoch: number
  /** Unix ms: the token's or certificate's end. */
  readonly validUntilMs: number
  /** Monotonic ms. */
  readonly keptUntilMs: number
}

/** The name under which a token is remembered: SHA-256 of the whole token. */
export function tokenHash(token: string): string {
  return hash('sha256', token, 'base64url')
}

/** The part of a name that stands for the peer: its certificate, and whether it may read why it was refused. */
export function peerName(peer: PeerIdentity): string {
  return peer.isVerified ? (peer.certificateSha256 ?? 'verified') : peer.isLocal ? 'local' : 'none'
}

/** The caches of one gate. Clocks are passed in; an entry that has outlived itself is dropped when it is met. */
export class TokenCaches {
  readonly #verified = new LRUCache<string, VerifiedToken>({ max: MAX_CACHED_TOKENS })
  readonly #rejected = new LRUCache<string, RejectedToken>({ max: MAX_CACHED_TOKENS })
  readonly #verdicts = new LRUCache<string, CachedVerdict>({ max: MAX_CACHED_TOKENS })

  /** Entries held in all. */
  get size(): number {
    return this.#verified.size + this.#rejected.size + this.#verdicts.size
  }

  /** A verified token by its hash. The caller compares the key generation. */
  verified(name: string, nowMs: number): VerifiedToken | null {
    return alive(this.#verified, name, nowMs)
  }

  /** A rejection by hash and peer: a binding fails for one peer only. */
  rejected(name: string, epoch: number, nowMs: number): RejectedToken | null {
    const entry = alive(this.#rejected, name, nowMs)
    return entry !== null && entry.epoch === epoch ? entry : null
  }

  /** A verdict by hash, peer and method. */
  verdict(name: string, epoch: number, nowMs: number, wallMs: number): CachedVerdict | null {
    const entry = alive(this.#verdicts, name, nowMs)
    return entry !== null && entry.epoch === epoch && wallMs < entry.validUntilMs ? entry : null
  }

  keepVerified(name: string, entry: VerifiedToken): void {
    this.#verified.set(name, entry)
  }

  keepRejected(name: string, entry: RejectedToken): void {
    this.#rejected.set(name, entry)
  }

  keepVerdict(name: string, entry: CachedVerdict): void {
    this.#verdicts.set(name, entry)
  }
}

function alive<T extends { readonly keptUntilMs: number }>(
  cache: LRUCache<string, T>,
  name: string,
  nowMs: number,
): T | null {
  const entry = cache.get(name)
  if (entry === undefined) return null
  if (nowMs < entry.keptUntilMs) return entry
  cache.delete(name)
  return null
}

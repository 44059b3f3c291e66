/**
 * The gate's end of a provider's keys: turns (kid, alg) into keys that jose can verify with.
 * Floor 2; fetches nothing: the owner (refresh.ts) may live in another process and publishes snapshots.
 */
import { importJWK, type CryptoKey } from 'jose'
import type { SnapshotSource } from '../../base/index.ts'
import { fitsAlgorithm, toJwk, type PublicKey } from './document.ts'

/** A provider's keys as they are published: plain JSON, immutable. Its snapshot's generation changes with a thumbprint. */
export interface KeySet {
  readonly issuer: string
  /** Empty once the set is older than the stale limit. */
  readonly keys: readonly PublicKey[]
}

/** Asks the owner for keys that are newer than what the asker has seen. Plain JSON: it may travel as a message. */
export interface KeyRequest {
  /** How long the asker can wait for a fetch that may not start yet, in ms. */
  readonly waitMs: number
}

/** The owner's answer, given after the snapshot of a successful fetch is published. Plain JSON. */
export interface KeyFetchReport {
  /** Unix ms at which the last successful fetch was started; 0 before the first. */
  readonly fetchStartedAtMs: number
  /** Ms until the next attempt may be made. */
  readonly nextFetchInMs: number
}

/** What a gate needs of a provider's keys. KeyKeeper is one; with several workers, an adapter over IPC. */
export interface ProviderKeys {
  readonly snapshots: SnapshotSource<KeySet>
  /** Fetches at most once per cooldown however often it is asked; never rejects. */
  request(request: KeyRequest): Promise<KeyFetchReport>
}

/** Keys found for a token; or that the kid is not in the set, does not fit the algorithm, or that there is no set. */
export type KeyMatch = readonly PublicKey[] | 'unknown' | 'unusable' | 'no_keys'

/** How many keys may be tried for one token where the set names no kid. */
const MAX_CANDIDATES = 4

/**
 * The keys that may have made a signature: by kid **and** type, curve and algorithm. A token without a kid is taken
 * when just one key fits; a set that names no kid at all (a PEM file) is tried key by key.
 */
export function findKeys(keys: readonly PublicKey[], kid: string | null, alg: string): KeyMatch {
  if (keys.length === 0) return 'no_keys'
  const fitting = keys.filter((key) => fitsAlgorithm(key, alg))
  if (keys.every((key) => key.kid === null))
    return fitting.length === 0 ? 'unusable' : fitting.slice(0, MAX_CANDIDATES)
  if (kid === null) return fitting.length === 1 ? fitting : 'unusable'
  const named = fitting.filter((key) => key.kid === kid)
  if (named.length > 0) return named.slice(0, MAX_CANDIDATES)
  return keys.some((key) => key.kid === kid) ? 'unusable' : 'unknown'
}

/** Imported keys, one per (thumbprint, algorithm). Holds only keys of the set it was last pruned to. */
export class ImportedKeys {
  readonly #byName = new Map<string, Promise<CryptoKey>>()

  get size(): number {
    return this.#byName.size
  }

  /** Imports `key` for `alg` once. The owner has imported it before, so that this does not fail. */
  import(key: PublicKey, alg: string): Promise<CryptoKey> {
    const name = `${key.thumbprint} ${alg}`
    let imported = this.#byName.get(name)
    if (imported === undefined) {
      imported = importJWK(toJwk(key), alg) as Promise<CryptoKey>
      this.#byName.set(name, imported)
    }
    return imported
  }

  /** Forgets keys that are no longer in `keys`. */
  prune(keys: readonly PublicKey[]): void {
    const kept = new Set(keys.map((key) => key.thumbprint))
    for (const name of this.#byName.keys()) if (!kept.has(name.split(' ')[0]!)) this.#byName.delete(name)
  }
}

/**
 * The owner of one provider's keys: fetches them in the background, keeps the last good set through an outage, and
 * publishes it to every gate.
 * Floor 2; verifies no token and knows no call. One per provider and process group: gates in other processes ask
 * through the same port. jose's remote set is not used: it refuses known kids when a reload fails.
 */
import {
  Backoff,
  CredentialError,
  Published,
  SingleFlight,
  type Log,
  type SnapshotSource,
  type Timer,
} from '../../base/index.ts'
import type { KeyFetchReport, KeyRequest, KeySet, ProviderKeys } from './cache.ts'
import { readKeyDocument, type PublicKey } from './document.ts'
import { KeySetFetcher, type KeyFetchPorts, type KeySource } from './fetch.ts'
import type { KeyCache, StoredKeySet } from './persist.ts'

/** How one provider's keys are kept. */
export interface KeyKeeperOptions extends KeySource {
  /** Age at which a set is due to be replaced, in ms; default 10 min. Refreshed at 70 … 90 % of it. */
  readonly maxAgeMs?: number
  /** How long a set outlives its last successful fetch (`key_max_stale`), in ms; default 24 h. */
  readonly maxStaleMs?: number
}

/** Ports of a keeper; `cache` is null without `key_cache_directory`. */
export interface KeyKeeperPorts extends KeyFetchPorts {
  readonly log: Log
  readonly cache: KeyCache | null
}

/** Where the current keys came from. */
export type KeyOrigin = 'none' | 'network' | 'disk' | 'file'

const FAILURES = [
  'idp_unreachable',
  'idp_timeout',
  'idp_tls',
  'idp_status',
  'idp_rate_limited',
  'idp_malformed',
  'idp_issuer_mismatch',
  'keys_unreadable',
] as const

/** Why a key set could not be had; `keys_unreadable` is a local file that cannot be read. */
export type KeyFetchFailure = (typeof FAILURES)[number]

/** How a provider's keys are, for readiness and metrics. Plain values. */
export interface KeyKeeperState {
  readonly issuer: string
  readonly origin: KeyOrigin
  readonly keyCount: number
  /** Whether there were ever keys: a control plane is unready only while there were none (no-loss.md, Readiness). */
  readonly hadKeys: boolean
  /** Ms since the fetch that brought the current keys was started; Infinity without keys. */
  readonly ageMs: number
  /** Why the last attempt failed; null when it succeeded or none was made. */
  readonly failure: KeyFetchFailure | null
}

/** Attempts at a key set by outcome: plain counters, read at scrape. */
export type KeyFetchCounts = Record<KeyFetchFailure | 'ok', number>

/** Time between two attempts, whoever asks, in ms: what floods of unknown kids cost the provider (auth.md §3). */
export const FETCH_COOLDOWN_MS = 10_000
const DEFAULT_MAX_AGE_MS = 600_000
const DEFAULT_MAX_STALE_MS = 86_400_000
/** How often a local file is read again where nobody watches it, in ms. */
const FILE_POLL_MS = 30_000
/** The longest pause between attempts while there are keys to go on with, in ms. */
const MAX_RETRY_MS = 60_000

/** The class of a failed attempt. */
function failureOf(error: unknown): KeyFetchFailure {
  const code = error instanceof CredentialError ? error.code : null
  return FAILURES.find((failure) => failure === code) ?? 'idp_unreachable'
}

/** Owns one provider's key set. */
export class KeyKeeper implements ProviderKeys {
  readonly issuer: string
  readonly counts = Object.fromEntries(['ok', ...FAILURES].map((result) => [result, 0])) as KeyFetchCounts
  readonly #options: KeyKeeperOptions
  readonly #ports: KeyKeeperPorts
  readonly #fetcher: KeySetFetcher
  readonly #published = new Published<KeySet>()
  readonly #flight = new SingleFlight<void>()
  readonly #retry: Backoff
  readonly #isFile: boolean
  #thumbprints = ''
  #origin: KeyOrigin = 'none'
  /** Monotonic ms of the last attempt's start; −Infinity before the first. The cooldown runs from here. */
  #attemptedAtMs = -Infinity
  /** Monotonic ms that the age of the current keys runs from. */
  #keysSinceMs = -Infinity
  /** Unix ms of the start of the last successful fetch of this process; 0 before. */
  #fetchStartedAtMs = 0
  #failure: KeyFetchFailure | null = null
  #refreshTimer: Timer | null = null
  #staleTimer: Timer | null = null
  /** Ends when the stored set has been read, or there is none. */
  #stored: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(options: KeyKeeperOptions, ports: KeyKeeperPorts) {
    this.issuer = options.issuer
    this.#options = options
    this.#ports = ports
    this.#fetcher = new KeySetFetcher(options, ports)
    this.#retry = new Backoff({ initialMs: 2 * FETCH_COOLDOWN_MS, maxMs: MAX_RETRY_MS }, () =>
      ports.clock.random(),
    )
    this.#isFile = options.publicKeysFile !== undefined && options.publicKeysFile !== null
  }

  get snapshots(): SnapshotSource<KeySet> {
    return this.#published
  }

  get state(): KeyKeeperState {
    return {
      issuer: this.issuer,
      origin: this.#origin,
      keyCount: this.#published.current?.value.keys.length ?? 0,
      hadKeys: this.#published.current !== null,
      ageMs: this.#origin === 'none' ? Infinity : this.#ports.clock.nowMs() - this.#keysSinceMs,
      failure: this.#failure,
    }
  }

  /** Starts to fetch, and reads the stored set meanwhile. Blocks nobody: calls are answered by row 7 until there are keys. */
  start(): void {
    this.#stored = this.#loadStored()
    void this.#attempt()
  }

  /** Ends all timers. A fetch under way ends without effect. */
  close(): void {
    this.#isClosed = true
    this.#refreshTimer?.cancel()
    this.#staleTimer?.cancel()
  }

  /** Reads a local file again at once: its watcher has seen a change. */
  reload(): Promise<void> {
    return this.#attempt()
  }

  async request(request: KeyRequest): Promise<KeyFetchReport> {
    const pauseMs = this.#flight.isFlying ? 0 : this.#nextFetchInMs()
    if (pauseMs > request.waitMs || this.#isClosed) return this.#report()
    if (pauseMs > 0)
      await new Promise<void>((resolve) => {
        this.#ports.clock.setTimer(pauseMs, resolve)
      })
    // Of those who waited, the first starts a fetch and the others join it, or find that it has been made.
    if (this.#flight.isFlying || this.#nextFetchInMs() <= 0) await this.#attempt()
    return this.#report()
  }

  #report(): KeyFetchReport {
    return { fetchStartedAtMs: this.#fetchStartedAtMs, nextFetchInMs: Math.max(0, this.#nextFetchInMs()) }
  }

  #nextFetchInMs(): number {
    return this.#attemptedAtMs + FETCH_COOLDOWN_MS - this.#ports.clock.nowMs()
  }

  #attempt(): Promise<void> {
    return this.#flight.run(() => this.#fetch())
  }

  async #fetch(): Promise<void> {
    const { clock } = this.#ports
    const startedMs = clock.nowMs()
    const startedAtMs = clock.wallMs()
    this.#attemptedAtMs = startedMs
    try {
      const text = await this.#fetcher.fetchText()
      const keys = await this.#readKeys(text)
      if (this.#isClosed) return
      this.counts.ok++
      this.#accept(keys, startedMs, this.#isFile ? 'file' : 'network')
      this.#fetchStartedAtMs = startedAtMs
      this.#recover()
      if (!this.#isFile) void this.#ports.cache?.save({ fetchedAtMs: startedAtMs, text })
    } catch (error) {
      // A refused connection is quicker than the disk: calls that wait for this attempt may take the stored keys.
      await this.#stored
      if (!this.#isClosed) this.#fail(error)
    }
    this.#schedule()
  }

  async #readKeys(text: string): Promise<readonly PublicKey[]> {
    const document = await readKeyDocument(text)
    if (typeof document === 'string')
      throw new CredentialError('idp_malformed', `the key set of ${this.issuer} is of no use: ${document}`)
    if (document.leftOut.length > 0)
      this.#ports.log.warn(
        { issuer: this.issuer, left_out: document.leftOut.slice(0, 8) },
        'keys of the provider are left out',
      )
    return document.keys
  }

  /** Takes `keys` as the current ones; publishes them only if they differ, so that caches survive a refresh. */
  #accept(keys: readonly PublicKey[], sinceMs: number, origin: KeyOrigin): void {
    const thumbprints = keys
      .map((key) => `${key.thumbprint} ${key.kid} ${key.alg}`)
      .sort()
      .join('\n')
    this.#origin = origin
    this.#keysSinceMs = sinceMs
    this.#armStaleTimer()
    if (thumbprints === this.#thumbprints) return
    this.#thumbprints = thumbprints
    this.#published.publish({ issuer: this.issuer, keys })
    this.#ports.log.info(
      { issuer: this.issuer, origin, kids: keys.map((key) => key.kid) },
      'the keys have changed',
    )
  }

  #recover(): void {
    if (this.#failure !== null)
      this.#ports.log.info({ issuer: this.issuer, origin: this.#origin }, 'keys can be fetched again')
    this.#failure = null
    this.#retry.reset()
  }

  /** One line when trouble begins or changes; repetitions at debug. */
  #fail(error: unknown): void {
    const code = failureOf(error)
    this.counts[code]++
    const isKnown = this.#failure === code
    this.#failure = code
    const consequence =
      this.#origin === 'none' ? 'no token of this issuer can be validated' : 'the last good keys are used'
    const fields = { issuer: this.issuer, reason: code, err: error }
    if (isKnown) this.#ports.log.debug(fields, 'the keys still cannot be fetched')
    else this.#ports.log.warn(fields, `the keys cannot be fetched; ${consequence}`)
  }

  #schedule(): void {
    if (this.#isClosed) return
    this.#refreshTimer?.cancel()
    this.#refreshTimer = this.#ports.clock.setTimer(this.#pauseMs(), () => void this.#attempt())
  }

  /** Until the next attempt of our own: sooner, at the cooldown's pace, while there is nothing to go on with. */
  #pauseMs(): number {
    const random = this.#ports.clock.random()
    if (this.#isFile) return FILE_POLL_MS
    if (this.#failure === null)
      return Math.round((this.#options.maxAgeMs ?? DEFAULT_MAX_AGE_MS) * (0.7 + 0.2 * random))
    return this.#origin === 'none' ? FETCH_COOLDOWN_MS + 1_000 * random : this.#retry.nextDelayMs()
  }

  #armStaleTimer(): void {
    this.#staleTimer?.cancel()
    const endMs = this.#keysSinceMs + (this.#options.maxStaleMs ?? DEFAULT_MAX_STALE_MS)
    this.#staleTimer = this.#ports.clock.setTimer(endMs - this.#ports.clock.nowMs(), () => this.#discard())
  }

  /** The stale limit is reached: a key that was withdrawn meanwhile must not validate for ever. */
  #discard(): void {
    this.#origin = 'none'
    this.#thumbprints = ''
    this.#published.publish({ issuer: this.issuer, keys: [] })
    this.#ports.log.error(
      { issuer: this.issuer },
      'the keys are older than key_max_stale and are no longer used',
    )
  }

  async #loadStored(): Promise<void> {
    const stored = (await this.#ports.cache?.load()) ?? null
    if (stored === null) return
    const ageMs = this.#ageOf(stored)
    if (ageMs >= (this.#options.maxStaleMs ?? DEFAULT_MAX_STALE_MS)) {
      this.#ports.log.warn(
        { issuer: this.issuer },
        'the stored keys are older than key_max_stale and are not used',
      )
      return
    }
    try {
      const keys = await this.#readKeys(stored.text)
      // The network was quicker: what it gave is newer.
      if (this.#origin !== 'none' || this.#isClosed) return
      this.#accept(keys, this.#ports.clock.nowMs() - ageMs, 'disk')
    } catch (err) {
      this.#ports.log.warn({ issuer: this.issuer, err }, 'the stored keys are of no use')
    }
  }

  /** A fetch time in the future says that a clock was wrong: the set counts as stale, as old as the age at which it is due. */
  #ageOf(stored: StoredKeySet): number {
    const ageMs = this.#ports.clock.wallMs() - stored.fetchedAtMs
    return ageMs >= 0 ? ageMs : (this.#options.maxAgeMs ?? DEFAULT_MAX_AGE_MS)
  }
}

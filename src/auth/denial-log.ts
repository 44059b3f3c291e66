/**
 * Turns denials into an audit log that a flood cannot fill: one line per (client, reason) in ten seconds.
 * Floor 2; decides nothing. Lines never hold a token; claims of a token that did not verify are named `unverified_*`.
 */
import { LRUCache } from 'lru-cache'
import type { Clock, Log, LogFields } from '../base/index.ts'
import { unverifiedText, type ParsedToken } from './jwt/extract.ts'
import type { PeerIdentity } from './ports.ts'
import type { Principal } from './verdict.ts'

/** Who is denied, as far as it is known. */
export interface DeniedCaller {
  readonly peer: PeerIdentity
  readonly path: string
  /** Of a verified token; null when it did not verify. */
  readonly principal: Principal | null
  /** Of a token that did not verify; null when it could not even be taken apart. */
  readonly unverified: ParsedToken | null
  readonly kid: string | null
}

/** Time in which one line per (client, reason) is written, in ms. */
const WINDOW_MS = 10_000
/** How many (client, reason) pairs are remembered. */
const MAX_PAIRS = 1_024
/** How many lines all pairs together may write in one window: a caller can change its address. */
const MAX_LINES = 100

interface Pair {
  /** Monotonic ms from which another line may be written. */
  quietUntilMs: number
  /** Denials since the last line. */
  suppressed: number
}

/** Writes the audit log of one gate. */
export class DenialLog {
  readonly #log: Log
  readonly #clock: Clock
  readonly #pairs = new LRUCache<string, Pair>({ max: MAX_PAIRS })
  #windowStartMs = -Infinity
  #lineCount = 0

  constructor(log: Log, clock: Clock) {
    this.#log = log
    this.#clock = clock
  }

  /** Says that a caller was denied, or would have been, or is worth a line for another reason. */
  write(
    caller: DeniedCaller,
    reason: string,
    message: string,
    more: LogFields = {},
    windowMs = WINDOW_MS,
  ): void {
    // An unverified token could name a new client with each call: there, the address is the client.
    const client =
      caller.principal === null
        ? caller.peer.address
        : `${caller.principal.issuer} ${caller.principal.client}`
    const key = `${reason} ${client}`
    const nowMs = this.#clock.nowMs()
    const pair = this.#pairs.get(key)
    if (pair !== undefined && nowMs < pair.quietUntilMs) {
      pair.suppressed++
      return
    }
    if (!this.#hasRoom(nowMs)) return
    this.#pairs.set(key, { quietUntilMs: nowMs + windowMs, suppressed: 0 })
    this.#log.warn({ reason, ...more, ...describe(caller), suppressed: pair?.suppressed ?? 0 }, message)
  }

  #hasRoom(nowMs: number): boolean {
    if (nowMs >= this.#windowStartMs + WINDOW_MS) {
      this.#windowStartMs = nowMs
      this.#lineCount = 0
    }
    return ++this.#lineCount <= MAX_LINES
  }
}

function describe(caller: DeniedCaller): LogFields {
  const { principal, unverified } = caller
  const base = {
    kid: caller.kid?.slice(0, 64) ?? '',
    path: caller.path.slice(0, 256),
    peer: caller.peer.address,
  }
  if (principal !== null)
    return { ...base, iss: principal.issuer, azp: principal.client, sub: principal.subject }
  if (unverified === null) return base
  return {
    ...base,
    unverified_iss: unverifiedText(unverified.claims, 'iss'),
    unverified_azp: unverifiedText(unverified.claims, 'azp'),
    unverified_sub: unverifiedText(unverified.claims, 'sub'),
  }
}

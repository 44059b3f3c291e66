/**
 * Events that strangers can cause at will into few log lines: one for each kind in ten seconds, with the count of the rest.
 * Floor 4; knows no socket. Kinds are remembered up to a bound; past it those of one message share a line.
 */
import type { Clock, Log } from '../base/index.ts'

/** At most one log line of a kind in this time. */
const QUIET_MS = 10_000
/** Kinds with a line of their own: more than there are messages and OpenSSL codes that occur in practice. */
const MAX_KINDS = 64

interface Kind {
  quietUntilMs: number
  suppressed: number
}

/** Writes warnings, seldom. */
export class SeldomLog {
  readonly #log: Log
  readonly #clock: Clock
  readonly #kinds = new Map<string, Kind>()

  constructor(log: Log, clock: Clock) {
    this.#log = log
    this.#clock = clock
  }

  /**
   * Warns, or counts: the next line of the same message and reason says how many were left out (`suppressed`).
   * @param reason what tells apart events with one message; empty when nothing does
   */
  warn(message: string, reason: string, fields: Readonly<Record<string, unknown>>): void {
    const nowMs = this.#clock.nowMs()
    const kind = this.#kindOf(message, reason)
    const line = reason === '' ? fields : { ...fields, reason }
    if (nowMs < kind.quietUntilMs) {
      kind.suppressed++
      this.#log.debug(line, message)
      return
    }
    this.#log.warn(kind.suppressed === 0 ? line : { ...line, suppressed: kind.suppressed }, message)
    kind.suppressed = 0
    kind.quietUntilMs = nowMs + QUIET_MS
  }

  #kindOf(message: string, reason: string): Kind {
    const key = `${message}\0${reason}`
    const known = this.#kinds.get(key)
    if (known !== undefined) return known
    if (reason !== '' && this.#kinds.size >= MAX_KINDS) return this.#kindOf(message, '')
    const made: Kind = { quietUntilMs: -Infinity, suppressed: 0 }
    this.#kinds.set(key, made)
    return made
  }
}

/**
 * The times of one call: its deadline, its Permit's end, the longest that a call or a wait may last, on one deadline of the
 * wheel.
 * Floor 3; ends nothing: it says for which reason the call is to end. Monotonic ms.
 */
import { Deadline } from '../base/index.ts'
import { formatGrpcTimeout } from '../grpc/index.ts'
import { HeaderField, UNINDEXED_FIELD } from '../hpack/index.ts'
import type { RelayContext } from './context.ts'
import type { HeadReading } from './intake.ts'
import type { RelayReason } from './reasons.ts'

/** A call waits at most this share of its deadline for a connection (rows 4 and 21). */
const WAIT_SHARE = 0.6
/** A deadline goes out less the time that the call was held here, where that is more than this share of it. */
const HELD_SHARE = 0.01

/** Woken when a time may have come. Implemented by the call. */
export interface TimedCall {
  onTime(nowMs: number): void
  onBug(error: unknown): void
}

/** What time means for one call. */
export class CallClock {
  readonly startedAtMs: number
  /** When the call's Permit ends; Infinity for never. */
  endsAtMs = Infinity
  readonly #relay: RelayContext
  readonly #call: TimedCall
  readonly #deadlineAtMs: number
  readonly #tooLongAtMs: number
  #waitUntilMs = Infinity
  #alarm: Deadline<TimedCall> | null = null

  /** @param timeoutMs the caller's deadline; Infinity without */
  constructor(relay: RelayContext, call: TimedCall, timeoutMs: number) {
    const { nowMs } = relay.turn
    this.#relay = relay
    this.#call = call
    this.startedAtMs = nowMs
    this.#deadlineAtMs = nowMs + timeoutMs
    this.#tooLongAtMs = nowMs + relay.maxStreamDurationMs
  }

  /** The call waits for a connection from now on. */
  beginWait(): void {
    const { turn, egressWaitMs } = this.#relay
    this.#waitUntilMs = turn.nowMs + Math.min(egressWaitMs, WAIT_SHARE * (this.#deadlineAtMs - turn.nowMs))
    this.watch()
  }

  /** The wait is over. */
  endWait(): void {
    this.#waitUntilMs = Infinity
    this.watch()
  }

  /** Sets the alarm to the earliest of the times. */
  watch(): void {
    const atMs = Math.min(this.#deadlineAtMs, this.endsAtMs, this.#tooLongAtMs, this.#waitUntilMs)
    if (atMs === Infinity && this.#alarm === null) return
    this.#alarm ??= new Deadline<TimedCall>(wakeCall, this.#call)
    this.#relay.wheel.set(this.#alarm, atMs)
  }

  stop(): void {
    if (this.#alarm !== null) this.#relay.wheel.clear(this.#alarm)
  }

  /** Why the call has to end now; null while it need not. */
  reasonAt(nowMs: number): RelayReason | null {
    const { pool, renews } = this.#relay
    if (nowMs >= this.#deadlineAtMs) return 'deadline'
    // Row 21 where all streams are taken, row 13 where the upstream does not even answer a dial.
    if (nowMs >= this.#waitUntilMs) return pool.isConnected ? 'overload' : 'egress_unreachable'
    if (nowMs >= this.endsAtMs) return renews ? 'stream_renewed' : 'stream_expired'
    return nowMs >= this.#tooLongAtMs ? 'stream_too_long' : null
  }

  /** grpc-timeout as it came, or less what the call was held for here; null without. */
  timeoutField({ timeout, timeoutMs }: HeadReading): HeaderField | null {
    if (timeout === null) return null
    const heldMs = this.#relay.turn.nowMs - this.startedAtMs
    if (heldMs <= HELD_SHARE * timeoutMs) return timeout
    return new HeaderField('grpc-timeout', formatGrpcTimeout(timeoutMs - heldMs), UNINDEXED_FIELD)
  }
}

function wakeCall(nowMs: number, call: TimedCall): void {
  try {
    call.onTime(nowMs)
  } catch (error) {
    call.onBug(error)
  }
}

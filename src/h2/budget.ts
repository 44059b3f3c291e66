/**
 * The budgets of a connection: events and the time in, "enough" or "too much" out.
 * Floor 2; knows no frame. The numbers are those of limits.ts.
 */
import { ChunkPins } from '../base/index.ts'
import type { H2Limits } from './limits.ts'

/** A bucket of tokens that refills with time. Starts full. */
export class TokenBucket {
  /** `0 <= level <= capacity`. */
  level: number
  readonly capacity: number
  readonly perSecond: number
  #atMs: number

  constructor(capacity: number, perSecond: number, nowMs: number) {
    this.level = capacity
    this.capacity = capacity
    this.perSecond = perSecond
    this.#atMs = nowMs
  }

  /** Takes `count` tokens; false when there are not so many, and then the bucket is empty. */
  take(count: number, nowMs: number): boolean {
    if (nowMs > this.#atMs) {
      this.level = Math.min(this.capacity, this.level + ((nowMs - this.#atMs) * this.perSecond) / 1000)
      this.#atMs = nowMs
    }
    if (this.level < count) {
      this.level = 0
      return false
    }
    this.level -= count
    return true
  }

  /** Puts `count` tokens back, up to the capacity. */
  refund(count: number): void {
    this.level = Math.min(this.capacity, this.level + count)
  }
}

/** Octets that a whole process may hold, shared by all its connections. */
export class ByteBudget {
  /** Octets in use. `usedBytes >= 0`. */
  usedBytes = 0
  /** The chunks that those pin which wait for the other leg. */
  readonly pins = new ChunkPins()
  readonly maxBytes: number
  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }
  /** Octets in use, and the memory that they pin besides: a chunk counts whole as long as a part of it waits. */
  get heldBytes(): number {
    return this.usedBytes + this.pins.idleBytes
  }
  /** Whether the budget is spent: new work is to be refused (no-loss.md row 21). */
  get isSpent(): boolean {
    return this.heldBytes >= this.maxBytes
  }
}

/** What a DATA frame costs us beyond its octets, in octets (http2.md §4). */
const FRAME_OVERHEAD_BYTES = 256

/**
 * What a small DATA frame costs while it waits, in octets. The first of a stream is free, since a unary call may well be
 * small and streams have a limit of their own; END_STREAM frames and empty ones are free: others count those.
 */
export function dataOverheadBytes(lengthBytes: number, isFirst: boolean, isEnd: boolean): number {
  return isFirst || isEnd || lengthBytes === 0 ? 0 : Math.max(0, FRAME_OVERHEAD_BYTES - lengthBytes)
}

/** Frames on a stream that may cross our reset: HEADERS, trailers, RST_STREAM, and one to spare. */
const STRAY_FRAMES_PER_STREAM = 4

/** PINGs that work may have explained in advance. */
const MAX_HONEST_PINGS = 100_000

/** The budgets of one connection: what a peer may do in the odd and the small before it is told to calm down. */
export class PeerBudget {
  readonly #limits: H2Limits
  // Buckets are full until their first use, and made then: most connections are idle and honest.
  #glitches: TokenBucket | null = null
  #earlyResets: TokenBucket | null = null
  #sentResets: TokenBucket | null = null
  #strayData: TokenBucket | null = null
  #emptyData: TokenBucket | null = null
  #settingsFrames: TokenBucket | null = null
  #idlePings: TokenBucket | null = null
  #smallData: number
  /** Count of turns when the small-DATA budget was first seen overdrawn; -1 while it is not. */
  #overdrawnAtFlush = -1
  #honestPings = 0
  #windowUpdates: number
  #priorities: number
  #strayFrames = STRAY_FRAMES_PER_STREAM

  constructor(limits: H2Limits) {
    this.#limits = limits
    this.#smallData = limits.smallDataBudget
    this.#windowUpdates = limits.windowUpdatesPerWork
    this.#priorities = limits.priorityFrames
  }

  /** Whether three quarters of the glitches are used: time to drain politely. */
  get isStrained(): boolean {
    return this.#glitches !== null && this.#glitches.level < this.#limits.glitches / 4
  }

  glitch(count: number, nowMs: number): boolean {
    const { glitches, glitchesPerSecond } = this.#limits
    this.#glitches ??= new TokenBucket(glitches, glitchesPerSecond, nowMs)
    return this.#glitches.take(count, nowMs)
  }
  earlyReset(nowMs: number): boolean {
    const { earlyResets, earlyResetsPerSecond } = this.#limits
    this.#earlyResets ??= new TokenBucket(earlyResets, earlyResetsPerSecond, nowMs)
    return this.#earlyResets.take(1, nowMs)
  }
  /** We sent RST_STREAM: false when so many went out that the peer may soon take us for an attacker. */
  resetSent(nowMs: number): boolean {
    const bucket = this.#sentResetBucket(nowMs)
    return bucket.take(1, nowMs) && bucket.level >= this.#limits.egressResets / 4
  }
  /** Whether the peer would still bear a reset of ours. */
  bearsReset(nowMs: number): boolean {
    const bucket = this.#sentResetBucket(nowMs)
    const hasOne = bucket.take(1, nowMs)
    if (hasOne) bucket.refund(1)
    return hasOne
  }
  #sentResetBucket(nowMs: number): TokenBucket {
    const { egressResets, egressResetsPerSecond } = this.#limits
    return (this.#sentResets ??= new TokenBucket(egressResets, egressResetsPerSecond, nowMs))
  }
  settingsFrame(nowMs: number): boolean {
    const { settingsFrames } = this.#limits
    this.#settingsFrames ??= new TokenBucket(settingsFrames, settingsFrames / 60, nowMs)
    return this.#settingsFrames.take(1, nowMs)
  }

  /** A stream was opened: it explains some WINDOW_UPDATEs, PRIORITYs and PINGs. */
  streamOpened(): void {
    this.#windowUpdates += 2
    this.#priorities += this.#limits.priorityFrames
    this.#strayFrames += STRAY_FRAMES_PER_STREAM
    this.#explainPings(1)
  }

  /** We sent DATA frames: each explains up to 20 WINDOW_UPDATEs, and PINGs of a peer that measures its bandwidth. */
  dataFramesSent(count: number): void {
    this.#windowUpdates += 20 * count
    this.#explainPings(count)
  }

  /** A DATA frame came: false when it is an empty one too many. */
  dataFrame(lengthBytes: number, isEnd: boolean, nowMs: number): boolean {
    this.#explainPings(1)
    if (lengthBytes > 0 || isEnd) return true
    this.#emptyData ??= new TokenBucket(this.#limits.emptyDataFrames, 1, nowMs)
    return this.#emptyData.take(1, nowMs)
  }

  /** Charges what a small frame costs while it waits. */
  holdOverhead(bytes: number): void {
    this.#smallData -= bytes
  }

  /** The other leg has taken what was charged: only frames that pile up count. */
  releaseOverhead(bytes: number): void {
    this.#smallData += bytes
  }

  /**
   * Whether small DATA frames pile up: the budget was overdrawn before the last turn ended, and forwarding has not made
   * up for it. What came in this very turn is not judged yet: an honest burst arrives in one chunk.
   */
  isSmallDataSpent(flushCount: number): boolean {
    if (this.#smallData >= 0) {
      this.#overdrawnAtFlush = -1
      return false
    }
    if (this.#overdrawnAtFlush < 0) this.#overdrawnAtFlush = flushCount
    return flushCount > this.#overdrawnAtFlush
  }

  /** DATA came on a stream that we ended: false when small frames go on long after the peer must know. */
  strayData(overheadBytes: number, nowMs: number): boolean {
    if (overheadBytes === 0) return true
    const { smallDataBudget } = this.#limits
    this.#strayData ??= new TokenBucket(smallDataBudget, smallDataBudget / 8, nowMs)
    return this.#strayData.take(overheadBytes, nowMs)
  }

  /** A frame came on a stream that is over: false when streams that crossed do not explain it, nor the glitches. */
  strayFrame(nowMs: number): boolean {
    if (this.#strayFrames > 0) {
      this.#strayFrames--
      return true
    }
    return this.glitch(1, nowMs)
  }

  /** A frame came that says nothing: an unknown type, an answer to nothing, another GOAWAY. */
  idleFrame(nowMs: number): boolean {
    return this.#idlePing(nowMs) || this.glitch(1, nowMs)
  }

  windowUpdate(): boolean {
    return --this.#windowUpdates >= 0
  }
  priority(): boolean {
    return --this.#priorities >= 0
  }

  /** A PING came: false when neither work nor the idle allowance explains it and the glitches are used up. */
  ping(nowMs: number): boolean {
    if (this.#honestPings > 0) {
      this.#honestPings--
      return true
    }
    return this.#idlePing(nowMs) || this.glitch(1, nowMs)
  }

  #idlePing(nowMs: number): boolean {
    const { idlePingsPerSecond } = this.#limits
    this.#idlePings ??= new TokenBucket(idlePingsPerSecond, idlePingsPerSecond, nowMs)
    return this.#idlePings.take(1, nowMs)
  }

  #explainPings(frameCount: number): void {
    this.#honestPings = Math.min(this.#honestPings + this.#limits.pingsPerWork * frameCount, MAX_HONEST_PINGS)
  }
}

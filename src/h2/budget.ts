/**
 * The limits of a connection and the budgets that keep account of them: events and the time in, "enough" or "too much" out.
 * Floor 2; knows no frame. Every default says what it bounds; docs/limits.md is made from LIMITS.
 */

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
  readonly maxBytes: number
  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }
  /** Whether the budget is spent: new work is to be refused (no-loss.md row 21). */
  get isSpent(): boolean {
    return this.usedBytes >= this.maxBytes
  }
}

/** One limit as operators read it. */
export interface LimitEntry {
  /** Name under `limits.` in the configuration. */
  readonly key: string
  readonly unit: 'count' | 'bytes' | 'ms' | 'per second'
  readonly default: number
  /** What happens on a breach, and what the limit protects. */
  readonly text: string
}

const limit = (key: string, unit: LimitEntry['unit'], value: number, text: string): LimitEntry => ({
  key,
  unit,
  default: value,
  text,
})

const KIB = 1024
const MIB = 1024 * KIB

/** Every limit of a connection, by its field name in H2Limits. */
export const LIMITS = {
  maxConcurrentStreams: limit(
    'max_concurrent_streams',
    'count',
    250,
    'Open streams a connection (1000 on loopback and UNIX sockets). More: REFUSED_STREAM.',
  ),
  maxUnfinishedFactor: limit(
    'max_unfinished_factor',
    'count',
    2,
    'Streams that still cost us, as a multiple of max_concurrent_streams. More: GOAWAY.',
  ),
  earlyResets: limit(
    'early_resets',
    'count',
    1000,
    'RST_STREAM on streams younger than a second or before their verdict: the bucket. More: GOAWAY (rapid reset).',
  ),
  earlyResetsPerSecond: limit('early_resets_per_second', 'per second', 33, 'Refill of early_resets.'),
  egressResets: limit(
    'egress_resets',
    'count',
    200,
    'RST_STREAM sent to the upstream on one connection: the bucket. At 75 % new calls go to another connection as soon as there is one, empty they wait for it: before an upstream that counts resets gives this one up with all its calls.',
  ),
  egressResetsPerSecond: limit('egress_resets_per_second', 'per second', 5, 'Refill of egress_resets.'),
  maxContinuationFrames: limit(
    'max_continuation_frames',
    'count',
    8,
    'CONTINUATION frames a header block. More: GOAWAY.',
  ),
  maxHeaderListBytes: limit(
    'max_header_list_size',
    'bytes',
    64 * KIB,
    'Header list, 32 added per field (RFC 9113 §6.5.2), and no more than 8 KiB, twice the table and four times its block: what is above repeats entries. Above: the call is refused with RESOURCE_EXHAUSTED; above twice of it: GOAWAY.',
  ),
  maxFieldCount: limit(
    'max_header_fields',
    'count',
    128,
    'Fields of a request head or of trailers. More: as above.',
  ),
  maxFieldBytes: limit('max_header_field_size', 'bytes', 32 * KIB, 'One field. Above: as above.'),
  headerTableBytes: limit('header_table_size', 'bytes', 4096, 'HPACK table in each direction.'),
  maxSettingsEntries: limit(
    'max_settings_entries',
    'count',
    32,
    'Entries of a SETTINGS frame. More: GOAWAY.',
  ),
  settingsFrames: limit('settings_frames', 'count', 100, 'SETTINGS frames a minute. More: GOAWAY.'),
  settingsAckTimeoutMs: limit(
    'settings_ack_timeout',
    'ms',
    10_000,
    'Time to acknowledge our SETTINGS. Later: GOAWAY SETTINGS_TIMEOUT.',
  ),
  pausingControlFrames: limit(
    'pausing_control_frames',
    'count',
    100,
    'Control answers queued unsent at which we stop reading.',
  ),
  maxQueuedControlFrames: limit(
    'max_queued_control_frames',
    'count',
    1000,
    'Control answers queued unsent. More: GOAWAY.',
  ),
  pingsPerWork: limit(
    'pings_per_work',
    'count',
    20,
    'PINGs for each DATA or HEADERS frame seen that are honest (bandwidth probing); above that each is a glitch.',
  ),
  idlePingsPerSecond: limit(
    'idle_pings_per_second',
    'per second',
    10,
    'PINGs a second that are honest without work.',
  ),
  windowUpdatesPerWork: limit(
    'window_updates',
    'count',
    5,
    'WINDOW_UPDATEs beyond 2 × (streams + 10 × DATA frames sent). More: GOAWAY.',
  ),
  priorityFrames: limit(
    'priority_frames',
    'count',
    100,
    'PRIORITY frames for each stream, and once more for the connection. More: GOAWAY.',
  ),
  emptyDataFrames: limit(
    'empty_data_frames',
    'count',
    100,
    'Empty DATA frames without END_STREAM: the bucket, refilled by 1 a second. More: GOAWAY.',
  ),
  smallDataBudget: limit(
    'small_data',
    'bytes',
    8 * MIB,
    'Overhead of small DATA frames that wait: each costs max(0, 256 − payload) until the other leg has taken it. Above, turn after turn: GOAWAY.',
  ),
  maxQueuedFrames: limit(
    'max_queued_frames',
    'count',
    2000,
    'Frames that wait unsent on a connection; at the cap we stop reading from it, and give it up after stall_timeout.',
  ),
  maxQueuedBytes: limit(
    'max_queued_size',
    'bytes',
    4 * MIB,
    'Octets that wait unsent on a connection, DATA apart: as for max_queued_frames. DATA is bounded by the windows of where it comes from.',
  ),
  initialStreamWindowBytes: limit(
    'initial_stream_window',
    'bytes',
    65_535,
    'Stream window until its Permit: what an unchecked caller can make us hold.',
  ),
  streamWindowBytes: limit('stream_window', 'bytes', 256 * KIB, 'Stream window after its Permit.'),
  maxStreamWindowBytes: limit(
    'max_stream_window',
    'bytes',
    MIB,
    'Stream window while the other leg drains well.',
  ),
  connectionWindowBytes: limit('connection_window', 'bytes', 4 * MIB, 'Connection window.'),
  stallTimeoutMs: limit(
    'stall_timeout',
    'ms',
    30_000,
    'Time in which a stream must drain 16 KiB or all that waits. Else: CANCEL.',
  ),
  stallBytes: limit('stall_bytes', 'bytes', 16 * KIB, 'Octets that a stream must drain in stall_timeout.'),
  prefaceTimeoutMs: limit(
    'preface_timeout',
    'ms',
    10_000,
    'Time to the preface and the first SETTINGS. Later: close.',
  ),
  headerBlockTimeoutMs: limit(
    'header_block_timeout',
    'ms',
    10_000,
    'Time to complete a header block. Later: GOAWAY.',
  ),
  frameTimeoutMs: limit('frame_timeout', 'ms', 10_000, 'Time to complete a frame. Later: GOAWAY.'),
  idleTimeoutMs: limit('idle_timeout', 'ms', 15 * 60_000, 'Time without a stream. Later: GOAWAY.'),
  maxAgeMs: limit(
    'max_connection_age',
    'ms',
    30 * 60_000,
    'Age of an ingress connection, ± 10 %. Later: two-step GOAWAY.',
  ),
  ageGraceMs: limit('max_connection_age_grace', 'ms', 60_000, 'Time for open streams after that.'),
  maxStreamId: limit(
    'max_stream_id',
    'count',
    2 ** 30,
    'Stream identifier at which an egress connection is replaced.',
  ),
  glitches: limit(
    'glitches',
    'count',
    200,
    'Small oddities: the bucket. GOAWAY when it is empty; new calls move elsewhere at 75 %.',
  ),
  glitchesPerSecond: limit('glitches_per_second', 'per second', 5, 'Refill of glitches.'),
} as const satisfies Record<string, LimitEntry>

/** The limits of one connection. Units are in the names; defaults in LIMITS. Infinity lifts a time limit. */
export type H2Limits = { readonly [K in keyof typeof LIMITS]: number }

/** All defaults. */
export const DEFAULT_H2_LIMITS: H2Limits = Object.fromEntries(
  Object.entries(LIMITS).map(([name, entry]) => [name, entry.default]),
) as unknown as H2Limits

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
  readonly #glitches: TokenBucket
  readonly #earlyResets: TokenBucket
  readonly #sentResets: TokenBucket
  readonly #strayData: TokenBucket
  readonly #emptyData: TokenBucket
  readonly #settingsFrames: TokenBucket
  readonly #idlePings: TokenBucket
  #smallData: number
  /** Count of turns when the small-DATA budget was first seen overdrawn; -1 while it is not. */
  #overdrawnAtFlush = -1
  #honestPings = 0
  #windowUpdates: number
  #priorities: number
  #strayFrames = STRAY_FRAMES_PER_STREAM

  constructor(limits: H2Limits, nowMs: number) {
    this.#limits = limits
    this.#glitches = new TokenBucket(limits.glitches, limits.glitchesPerSecond, nowMs)
    this.#earlyResets = new TokenBucket(limits.earlyResets, limits.earlyResetsPerSecond, nowMs)
    this.#sentResets = new TokenBucket(limits.egressResets, limits.egressResetsPerSecond, nowMs)
    this.#strayData = new TokenBucket(limits.smallDataBudget, limits.smallDataBudget / 8, nowMs)
    this.#emptyData = new TokenBucket(limits.emptyDataFrames, 1, nowMs)
    this.#settingsFrames = new TokenBucket(limits.settingsFrames, limits.settingsFrames / 60, nowMs)
    this.#idlePings = new TokenBucket(limits.idlePingsPerSecond, limits.idlePingsPerSecond, nowMs)
    this.#smallData = limits.smallDataBudget
    this.#windowUpdates = limits.windowUpdatesPerWork
    this.#priorities = limits.priorityFrames
  }

  /** Whether three quarters of the glitches are used: time to drain politely. */
  get isStrained(): boolean {
    return this.#glitches.level < this.#limits.glitches / 4
  }

  glitch(count: number, nowMs: number): boolean {
    return this.#glitches.take(count, nowMs)
  }
  earlyReset(nowMs: number): boolean {
    return this.#earlyResets.take(1, nowMs)
  }
  /** We sent RST_STREAM: false when so many went out that the peer may soon take us for an attacker. */
  resetSent(nowMs: number): boolean {
    return this.#sentResets.take(1, nowMs) && this.#sentResets.level >= this.#limits.egressResets / 4
  }
  /** Whether the peer would still bear a reset of ours. */
  bearsReset(nowMs: number): boolean {
    const hasOne = this.#sentResets.take(1, nowMs)
    if (hasOne) this.#sentResets.refund(1)
    return hasOne
  }
  settingsFrame(nowMs: number): boolean {
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
    return lengthBytes > 0 || isEnd || this.#emptyData.take(1, nowMs)
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
    return overheadBytes === 0 || this.#strayData.take(overheadBytes, nowMs)
  }

  /** A frame came on a stream that is over: false when streams that crossed do not explain it, nor the glitches. */
  strayFrame(nowMs: number): boolean {
    if (this.#strayFrames > 0) {
      this.#strayFrames--
      return true
    }
    return this.#glitches.take(1, nowMs)
  }

  /** A frame came that says nothing: an unknown type, an answer to nothing, another GOAWAY. */
  idleFrame(nowMs: number): boolean {
    return this.#idlePings.take(1, nowMs) || this.#glitches.take(1, nowMs)
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
    return this.#idlePings.take(1, nowMs) || this.#glitches.take(1, nowMs)
  }

  #explainPings(frameCount: number): void {
    this.#honestPings = Math.min(this.#honestPings + this.#limits.pingsPerWork * frameCount, MAX_HONEST_PINGS)
  }
}

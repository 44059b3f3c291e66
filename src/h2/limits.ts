/**
 * The limits of a connection in one table: name, unit, default, and what each bounds.
 * Floor 2; enforces none. docs/limits.md is made from it.
 */

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

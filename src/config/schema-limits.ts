/**
 * Every limit of the HTTP/2 core and of the work that one peer can cause, with its default.
 * Floor 1; enforces none: the keys and defaults are those of h2/limits.ts, which a test compares.
 */
import { count, duration, orElse, size } from './fields.ts'
import { section } from './section.ts'

const TIMEOUT = { minMs: 100, maxMs: 3_600_000 }
const WINDOW = [16_384, 2 ** 31 - 1] as const

const perClientSection = section(
  'What one client of the control plane may do: an issuer’s client_id or azp, else its sub. Counted in each worker; over a limit its calls are answered UNAVAILABLE, to be sent again later.',
  {
    calls_per_second: orElse(
      count('Calls begun in a second, and at once after a rest.', 0.001, undefined, false),
      'no limit',
    ),
    size_per_second: orElse(
      size(
        'Octets of requests in a second. A call that has begun is not cut: the next ones wait until its octets are paid for.',
      ),
      'no limit',
    ),
    concurrent_calls: orElse(count('Calls at once.', 1), 'no limit'),
  },
)

/** Limits of peers. */
export const limitsSection = section(
  'What one peer, one connection and one process may cost. The defaults suit; each breach is counted by name.',
  {
    max_connections: count('Connections at once, at each listener.', 1).prefault(10_000),
    max_connections_per_address: count(
      'Connections at once from one address without a verified client certificate.',
      1,
    ).prefault(256),
    max_pending_handshakes: count('TLS handshakes at once.', 1).prefault(128),
    handshake_timeout: duration('Time for a TLS handshake.', TIMEOUT).prefault('10s'),
    preface_timeout: duration('Time to the preface and the first SETTINGS.', TIMEOUT).prefault('10s'),
    settings_ack_timeout: duration('Time to acknowledge our SETTINGS.', TIMEOUT).prefault('10s'),
    header_block_timeout: duration('Time to complete a header block.', TIMEOUT).prefault('10s'),
    frame_timeout: duration('Time to complete a frame.', TIMEOUT).prefault('10s'),
    stall_timeout: duration(
      'Time in which a stream must drain stall_bytes, or all that waits.',
      TIMEOUT,
    ).prefault('30s'),
    stall_bytes: size('Octets that a stream must drain in stall_timeout.').prefault('16KiB'),
    idle_timeout: duration('Time without a call after which a connection is closed; 0 for never.', {
      minMs: 1_000,
      zeroIsNever: true,
    }).prefault('15m'),
    max_connection_age: duration('Age at which an accepted connection is replaced, ± 10 %; 0 for never.', {
      minMs: 1_000,
      zeroIsNever: true,
    }).prefault('30m'),
    max_connection_age_grace: duration('Time for open calls after that; 0 for as long as they like.', {
      zeroIsNever: true,
    }).prefault('60s'),
    max_concurrent_streams: orElse(
      count(
        'Calls at once on a connection; 250 when left out, 1000 on loopback and UNIX sockets.',
        1,
        1_000_000,
      ),
      '250; 1000 on loopback and UNIX sockets',
    ),
    max_unfinished_factor: count(
      'Calls that still cost us, as a multiple of max_concurrent_streams.',
      1,
      100,
    ).prefault(2),
    early_resets: count(
      'RST_STREAM on streams younger than a second or before their verdict: the bucket.',
      1,
    ).prefault(1_000),
    early_resets_per_second: count('Refill of early_resets.', 0, undefined, false).prefault(33),
    egress_resets: count(
      'RST_STREAM sent to the upstream on one connection: the bucket; at 75 % another one takes over.',
      1,
    ).prefault(200),
    egress_resets_per_second: count('Refill of egress_resets.', 0, undefined, false).prefault(5),
    max_continuation_frames: count('CONTINUATION frames of a header block.', 1).prefault(8),
    max_header_list_size: size('Header list: names, values and 32 for each field.', 1_024, 2 ** 24).prefault(
      '64KiB',
    ),
    max_header_fields: count('Fields of a header list, cookie crumbs counted.', 8).prefault(128),
    max_header_field_size: size('One field.', 256, 2 ** 24).prefault('32KiB'),
    header_table_size: size('Header compression table, in each direction.', 0, 2 ** 20).prefault('4KiB'),
    max_settings_entries: count('Entries of a SETTINGS frame.', 1).prefault(32),
    settings_frames: count('SETTINGS frames a minute.', 1).prefault(100),
    pings_per_work: count('PINGs for each DATA or HEADERS frame seen.', 1).prefault(20),
    idle_pings_per_second: count('PINGs a second without work.', 1).prefault(10),
    window_updates: count('WINDOW_UPDATEs beyond those that the data we sent explains.', 0).prefault(5),
    priority_frames: count('PRIORITY frames for each stream, and once more for the connection.', 0).prefault(
      100,
    ),
    empty_data_frames: count(
      'Empty DATA frames that end nothing: the bucket, refilled by one a second.',
      1,
    ).prefault(100),
    small_data: size(
      'What small DATA frames may cost us before they are forwarded, overhead counted; forwarding refills it.',
      256,
    ).prefault('8MiB'),
    glitches: count('Small oddities on one connection: the bucket.', 1).prefault(200),
    glitches_per_second: count('Refill of glitches.', 0, undefined, false).prefault(5),
    pausing_control_frames: count('Control answers queued unsent at which we stop reading.', 1).prefault(100),
    max_queued_control_frames: count(
      'Control answers queued unsent at which the connection ends.',
      1,
    ).prefault(1_000),
    max_queued_frames: count('Frames queued for a connection at which its sources wait.', 16).prefault(2_000),
    max_queued_size: size('Output queued for a connection at which its sources wait.', 65_536).prefault(
      '4MiB',
    ),
    initial_stream_window: size('Window of a call until its verdict.', 1, WINDOW[1]).prefault(65_535),
    stream_window: size('Window of a call after it.', ...WINDOW).prefault('256KiB'),
    max_stream_window: size('Window of a call that drains well.', ...WINDOW).prefault('1MiB'),
    connection_window: size('Window of a connection.', 65_535, WINDOW[1]).prefault('4MiB'),
    max_stream_id: count(
      'Stream identifier at which an egress connection is replaced.',
      1_001,
      2 ** 31 - 1,
    ).prefault(2 ** 30),
    max_held_size: size(
      'Octets held in all, with the memory that they pin; above, windows shrink and then calls are refused.',
      2 ** 20,
    ).prefault('48MiB'),
    max_replay_size: size(
      'Octets of requests kept in all, to be sent again after a refused token or connection.',
      0,
    ).prefault('16MiB'),
    max_call_replay_size: size('Octets of one request kept for that.', 0).prefault('1MiB'),
    max_replays: count(
      'Times that one call is sent again at most; then it is answered UNAVAILABLE.',
      0,
      100,
    ).prefault(3),
    max_egress_connections: count(
      'Connections to one address of the upstream at most, of each worker; another one opens when those there have no room.',
      1,
      1_000,
    ).prefault(8),
    egress_wait: duration(
      'How long a call waits for room on one of them, and never longer than 60 % of its deadline; then it is answered UNAVAILABLE.',
      { minMs: 0, maxMs: 60_000 },
    ).prefault('2s'),
    per_client: perClientSection.prefault({}),
  },
  'authgw',
)

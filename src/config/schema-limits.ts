/**
 * Every limit of the HTTP/2 core and of the work that one peer can cause, with its default.
 * Floor 1; enforces none. The defaults come from what honest grpc-go, grpc-java and grpc-js clients do at full rate.
 */
import { count, duration, size } from './fields.ts'
import { section } from './section.ts'

const bucket = (description: string, burst: number, perSecond: number) =>
  section(description, {
    burst: count('How many at once.', 1).prefault(burst),
    per_second: count('How many more each second.', 0, undefined, false).prefault(perSecond),
  }).prefault({})

const TIMEOUT = { minMs: 100, maxMs: 3_600_000 }

/** Limits of peers. */
export const limitsSection = section(
  'What one peer, one connection and one process may cost. The defaults suit; each breach is counted by name.',
  {
    max_connections: count('Connections at once.', 1).prefault(10_000),
    max_connections_per_address: count(
      'Connections at once from one address, without a verified client certificate.',
      1,
    ).prefault(256),
    reserved_file_descriptors: count('File descriptors that no connection may take.', 0).prefault(64),
    max_pending_handshakes: count('TLS handshakes at once.', 1).prefault(128),
    handshake_timeout: duration('TLS handshake.', TIMEOUT).prefault('10s'),
    preface_timeout: duration('Preface and first SETTINGS of a connection.', TIMEOUT).prefault('10s'),
    settings_ack_timeout: duration('Acknowledgement of our SETTINGS.', TIMEOUT).prefault('10s'),
    header_block_timeout: duration('Completion of a header block.', TIMEOUT).prefault('10s'),
    frame_timeout: duration('Completion of a frame.', TIMEOUT).prefault('10s'),
    stall_timeout: duration(
      'A stream with data waiting must drain 16 KiB, or all that waits, in this time.',
      TIMEOUT,
    ).prefault('30s'),
    max_concurrent_streams: count(
      'Calls at once on a connection; 250 when left out, 1000 on loopback and UNIX sockets.',
      1,
      1_000_000,
    ).optional(),
    max_header_list_size: size('Header list: names, values and 32 for each field.', 1_024, 2 ** 24).prefault(
      '64KiB',
    ),
    max_header_fields: count('Fields in a header list, cookie crumbs counted.', 8).prefault(128),
    max_field_size: size('One field.', 256, 2 ** 24).prefault('32KiB'),
    max_token_size: size('The token of a call.', 256, 2 ** 20).prefault('16KiB'),
    max_continuation_frames: count('CONTINUATION frames of a header block.', 1).prefault(8),
    hpack_decode_table_size: size('Header compression table that a peer may use.', 0, 2 ** 20).prefault(
      4_096,
    ),
    hpack_encode_table_size: size(
      'Header compression table that we use, where the peer allows it.',
      0,
      2 ** 20,
    ).prefault(4_096),
    max_settings_entries: count('Entries of a SETTINGS frame.', 1).prefault(32),
    settings_frames_per_minute: count('SETTINGS frames.', 1).prefault(100),
    early_resets: bucket('Streams that a peer resets within a second or before their verdict.', 1_000, 33),
    pings: section('PING frames, as far as the work under way does not explain them.', {
      per_frame: count('For each DATA or HEADERS frame seen.', 1).prefault(20),
      per_second: count('Each second besides.', 1).prefault(10),
    }).prefault({}),
    window_updates: section('WINDOW_UPDATE frames, as far as the data we sent does not explain them.', {
      base: count('At the start.', 0).prefault(5),
      per_stream: count('For each stream.', 0).prefault(2),
      per_data_frame: count('For each DATA frame sent.', 1).prefault(20),
    }).prefault({}),
    priority_frames: section('PRIORITY frames.', {
      base: count('At the start.', 0).prefault(100),
      per_stream: count('For each stream.', 0).prefault(100),
    }).prefault({}),
    empty_data_frames: bucket('Empty DATA frames that end nothing.', 100, 1),
    small_data_budget: count(
      'Octets by which DATA frames may fall short of 256, refilled by large ones.',
      256,
    ).prefault(25_600),
    glitches: bucket('Small oddities on one connection.', 200, 5),
    pause_queued_control_frames: count('Control answers unsent at which we stop reading.', 1).prefault(100),
    max_queued_control_frames: count('Control answers unsent at which the connection ends.', 1).prefault(
      1_000,
    ),
    max_outbound_frames: count('Frames queued for a connection at which its sources wait.', 16).prefault(
      2_000,
    ),
    max_outbound_size: size('Octets queued for a connection at which its sources wait.', 65_536).prefault(
      '4MiB',
    ),
    initial_stream_window_size: size('Window of a stream until its verdict.', 16_384, 2 ** 31 - 1).prefault(
      '64KiB',
    ),
    stream_window_size: size('Window of a stream after it.', 16_384, 2 ** 31 - 1).prefault('256KiB'),
    max_stream_window_size: size('Window of a stream that drains well.', 16_384, 2 ** 31 - 1).prefault(
      '1MiB',
    ),
    connection_window_size: size('Window of a connection.', 65_535, 2 ** 31 - 1).prefault('4MiB'),
    max_held_size: size(
      'Octets held in all; above, windows shrink and then calls are refused.',
      2 ** 20,
    ).prefault('48MiB'),
    max_call_replay_size: size('Octets of a request kept for a replay.', 0).prefault('1MiB'),
    max_replay_size: size('Octets kept for replays in all.', 0).prefault('16MiB'),
    max_egress_connections: count('Connections to one upstream address.', 1, 1_024).prefault(8),
    egress_wait: duration('How long a call waits for a connection.', { maxMs: 60_000 }).prefault('2s'),
    verified_tokens: count('Verified tokens remembered by each worker.', 16).prefault(4_096),
    max_verifications: count('Signatures verified at once by each worker.', 1).prefault(32),
    max_verifications_per_connection: count('Signatures verified at once for one connection.', 1).prefault(4),
    verification_wait: duration('How long a call waits for a token, for keys or for a signature.', {
      maxMs: 60_000,
    }).prefault('2s'),
    per_client: section('Limits of each client, by issuer and client_id; none when left out.', {
      calls_per_second: count('Calls each second.', 1).optional(),
      bytes_per_second: count('Octets each second.', 1).optional(),
      max_concurrent_calls: count('Calls at once.', 1).optional(),
    }).prefault({}),
  },
  'authgw',
)

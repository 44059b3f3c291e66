/**
 * The table of protocol faults: every place that rejects a peer's bytes has a token here.
 * Floor 0; knows no frame, only names. The token is the metric label and a heading of docs/errors.md.
 */

/** How far a fault reaches: the stream, the connection, or the connection because of the peer's rate. */
export type FaultRadius = 'stream' | 'connection' | 'flood'

/** What a fault token stands for. */
export interface FaultEntry {
  /** The HTTP/2 error code sent, in the RFC's spelling. */
  readonly code: string
  readonly radius: FaultRadius
  /** What the peer did, in one sentence for an operator. */
  readonly text: string
  /** The section that is violated, such as `RFC 9113 §6.1`, or the limit's name. */
  readonly source: string
}

const fault = (radius: FaultRadius, code: string, source: string, text: string): FaultEntry => ({
  code,
  radius,
  source,
  text,
})

/** Every protocol fault. Keys are stable: an operator's alert may name them. */
export const FAULTS = {
  // frame/
  bad_preface: fault(
    'connection',
    'PROTOCOL_ERROR',
    'RFC 9113 §3.4',
    'The connection does not open with the HTTP/2 client preface.',
  ),
  frame_too_large: fault(
    'connection',
    'FRAME_SIZE_ERROR',
    'RFC 9113 §4.2',
    'A frame is longer than SETTINGS_MAX_FRAME_SIZE.',
  ),
  data_on_stream_0: fault('connection', 'PROTOCOL_ERROR', 'RFC 9113 §6.1', 'DATA on stream 0.'),
  data_too_short: fault(
    'connection',
    'FRAME_SIZE_ERROR',
    'RFC 9113 §4.2',
    'DATA is padded and has no octet for the length of the padding.',
  ),
  pad_exceeds_payload: fault(
    'connection',
    'PROTOCOL_ERROR',
    'RFC 9113 §6.1',
    'The padding is as long as the payload or longer.',
  ),
  headers_on_stream_0: fault('connection', 'PROTOCOL_ERROR', 'RFC 9113 §6.2', 'HEADERS on stream 0.'),
  headers_too_short: fault(
    'connection',
    'FRAME_SIZE_ERROR',
    'RFC 9113 §6.2',
    'HEADERS is too short for its flags.',
  ),
  priority_on_stream_0: fault('connection', 'PROTOCOL_ERROR', 'RFC 9113 §6.3', 'PRIORITY on stream 0.'),
  priority_bad_length: fault(
    'connection',
    'FRAME_SIZE_ERROR',
    'RFC 9113 §6.3',
    'PRIORITY is not 5 octets long; escalated from the stream (MadeYouReset).',
  ),
  rst_on_stream_0: fault('connection', 'PROTOCOL_ERROR', 'RFC 9113 §6.4', 'RST_STREAM on stream 0.'),
  rst_bad_length: fault(
    'connection',
    'FRAME_SIZE_ERROR',
    'RFC 9113 §6.4',
    'RST_STREAM is not 4 octets long.',
  ),
  settings_on_stream: fault(
    'connection',
    'PROTOCOL_ERROR',
    'RFC 9113 §6.5',
    'SETTINGS on a stream other than 0.',
  ),
  settings_bad_length: fault(
    'connection',
    'FRAME_SIZE_ERROR',
    'RFC 9113 §6.5',
    'SETTINGS is not a multiple of 6 octets, or an ACK with a payload.',
  ),
  push_promise_received: fault(
    'connection',
    'PROTOCOL_ERROR',
    'RFC 9113 §8.4',
    'PUSH_PROMISE, which is switched off.',
  ),
  ping_on_stream: fault('connection', 'PROTOCOL_ERROR', 'RFC 9113 §6.7', 'PING on a stream other than 0.'),
  ping_bad_length: fault('connection', 'FRAME_SIZE_ERROR', 'RFC 9113 §6.7', 'PING is not 8 octets long.'),
  goaway_on_stream: fault(
    'connection',
    'PROTOCOL_ERROR',
    'RFC 9113 §6.8',
    'GOAWAY on a stream other than 0.',
  ),
  goaway_bad_length: fault(
    'connection',
    'FRAME_SIZE_ERROR',
    'RFC 9113 §6.8',
    'GOAWAY is shorter than 8 octets.',
  ),
  window_update_bad_length: fault(
    'connection',
    'FRAME_SIZE_ERROR',
    'RFC 9113 §6.9',
    'WINDOW_UPDATE is not 4 octets long.',
  ),
  window_update_zero: fault(
    'connection',
    'PROTOCOL_ERROR',
    'RFC 9113 §6.9',
    'WINDOW_UPDATE of 0; escalated from the stream (MadeYouReset).',
  ),
  continuation_on_stream_0: fault(
    'connection',
    'PROTOCOL_ERROR',
    'RFC 9113 §6.10',
    'CONTINUATION on stream 0.',
  ),
  continuation_unexpected: fault(
    'connection',
    'PROTOCOL_ERROR',
    'RFC 9113 §6.10',
    'CONTINUATION without an open header block.',
  ),
  continuation_expected: fault(
    'connection',
    'PROTOCOL_ERROR',
    'RFC 9113 §6.2',
    'Another frame in the middle of a header block.',
  ),
  // hpack/
  hpack_truncated: fault(
    'connection',
    'COMPRESSION_ERROR',
    'RFC 7541 §5',
    'A header block ends inside a field.',
  ),
  hpack_integer_overflow: fault(
    'connection',
    'COMPRESSION_ERROR',
    'RFC 7541 §5.1',
    'An integer in a header block is too large.',
  ),
  hpack_bad_index: fault(
    'connection',
    'COMPRESSION_ERROR',
    'RFC 7541 §2.3.3',
    'An index in a header block points to nothing.',
  ),
  hpack_bad_huffman: fault(
    'connection',
    'COMPRESSION_ERROR',
    'RFC 7541 §5.2',
    'A Huffman string holds EOS or wrong padding.',
  ),
  hpack_table_size_too_large: fault(
    'connection',
    'COMPRESSION_ERROR',
    'RFC 7541 §6.3',
    'A table size update is above SETTINGS_HEADER_TABLE_SIZE.',
  ),
  hpack_table_size_misplaced: fault(
    'connection',
    'COMPRESSION_ERROR',
    'RFC 7541 §4.2',
    'A table size update stands after a field, or more than two open a block.',
  ),
  hpack_table_size_missing: fault(
    'connection',
    'COMPRESSION_ERROR',
    'RFC 7541 §4.2',
    'The table size was lowered by SETTINGS, and the next block does not say so.',
  ),
  // h2/ connection
  first_frame_not_settings: fault(
    'connection',
    'PROTOCOL_ERROR',
    'RFC 9113 §3.4',
    'The first frame is not SETTINGS.',
  ),
  settings_bad_enable_push: fault(
    'connection',
    'PROTOCOL_ERROR',
    'RFC 9113 §6.5.2',
    'SETTINGS_ENABLE_PUSH is neither 0 nor 1, or a server sent 1.',
  ),
  settings_bad_window: fault(
    'connection',
    'FLOW_CONTROL_ERROR',
    'RFC 9113 §6.5.2',
    'SETTINGS_INITIAL_WINDOW_SIZE is above 2^31-1.',
  ),
  settings_bad_frame_size: fault(
    'connection',
    'PROTOCOL_ERROR',
    'RFC 9113 §6.5.2',
    'SETTINGS_MAX_FRAME_SIZE is outside 2^14 to 2^24-1.',
  ),
  settings_ack_unexpected: fault(
    'connection',
    'PROTOCOL_ERROR',
    'RFC 9113 §6.5.3',
    'SETTINGS ACK without SETTINGS of ours.',
  ),
  settings_ack_late: fault(
    'connection',
    'SETTINGS_TIMEOUT',
    'RFC 9113 §6.5.3',
    'Our SETTINGS were not acknowledged in time.',
  ),
  stream_id_even: fault(
    'connection',
    'PROTOCOL_ERROR',
    'RFC 9113 §5.1.1',
    'A client opened a stream with an even identifier.',
  ),
  stream_id_reused: fault(
    'connection',
    'STREAM_CLOSED',
    'RFC 9113 §5.1.1',
    'HEADERS on a stream that is closed or was never opened by us.',
  ),
  frame_on_idle_stream: fault(
    'connection',
    'PROTOCOL_ERROR',
    'RFC 9113 §5.1',
    'A frame on an idle stream that may not open one.',
  ),
  data_on_closed_stream: fault(
    'connection',
    'STREAM_CLOSED',
    'RFC 9113 §5.1',
    'DATA on a stream whose end was already seen; escalated (MadeYouReset).',
  ),
  headers_after_end: fault(
    'connection',
    'STREAM_CLOSED',
    'RFC 9113 §5.1',
    'HEADERS on a stream whose end was already seen; escalated (MadeYouReset).',
  ),
  connection_window_exceeded: fault(
    'connection',
    'FLOW_CONTROL_ERROR',
    'RFC 9113 §6.9.1',
    'DATA beyond the connection window.',
  ),
  stream_window_exceeded: fault(
    'connection',
    'FLOW_CONTROL_ERROR',
    'RFC 9113 §6.9.1',
    'DATA beyond the stream window; escalated from the stream.',
  ),
  connection_window_overflow: fault(
    'connection',
    'FLOW_CONTROL_ERROR',
    'RFC 9113 §6.9.1',
    'WINDOW_UPDATE lifts the connection window above 2^31-1.',
  ),
  stream_window_overflow: fault(
    'connection',
    'FLOW_CONTROL_ERROR',
    'RFC 9113 §6.9.1',
    'WINDOW_UPDATE lifts a stream window above 2^31-1; escalated (MadeYouReset).',
  ),
  initial_window_overflow: fault(
    'connection',
    'FLOW_CONTROL_ERROR',
    'RFC 9113 §6.9.2',
    'A new SETTINGS_INITIAL_WINDOW_SIZE lifts a window above 2^31-1.',
  ),
  priority_self_dependency: fault(
    'connection',
    'PROTOCOL_ERROR',
    'RFC 7540 §5.3.1',
    'A stream depends on itself; escalated (MadeYouReset).',
  ),
  preface_late: fault(
    'connection',
    'PROTOCOL_ERROR',
    'limits.preface_timeout',
    'The preface and first SETTINGS did not come in time.',
  ),
  header_block_late: fault(
    'connection',
    'PROTOCOL_ERROR',
    'limits.header_block_timeout',
    'A header block was not completed in time.',
  ),
  frame_late: fault(
    'connection',
    'PROTOCOL_ERROR',
    'limits.frame_timeout',
    'A frame was not completed in time.',
  ),
  // h2/ streams
  stream_limit: fault(
    'stream',
    'REFUSED_STREAM',
    'RFC 9113 §5.1.2',
    'More streams than SETTINGS_MAX_CONCURRENT_STREAMS.',
  ),
  field_name_invalid: fault(
    'stream',
    'PROTOCOL_ERROR',
    'RFC 9113 §8.2.1',
    'A field name is empty, has an upper-case letter or a forbidden octet.',
  ),
  field_value_invalid: fault(
    'stream',
    'PROTOCOL_ERROR',
    'RFC 9113 §8.2.1',
    'A field value holds CR, LF or NUL, or begins or ends with white space.',
  ),
  connection_specific_field: fault(
    'stream',
    'PROTOCOL_ERROR',
    'RFC 9113 §8.2.2',
    'A connection-specific field, or te other than trailers.',
  ),
  pseudo_header_unknown: fault(
    'stream',
    'PROTOCOL_ERROR',
    'RFC 9113 §8.3',
    'A pseudo-header field that is not defined for this block.',
  ),
  pseudo_header_duplicate: fault(
    'stream',
    'PROTOCOL_ERROR',
    'RFC 9113 §8.3',
    'A pseudo-header field stands twice.',
  ),
  pseudo_header_late: fault(
    'stream',
    'PROTOCOL_ERROR',
    'RFC 9113 §8.3',
    'A pseudo-header field stands after a regular one.',
  ),
  pseudo_header_missing: fault(
    'stream',
    'PROTOCOL_ERROR',
    'RFC 9113 §8.3.1',
    'A mandatory pseudo-header field is missing.',
  ),
  pseudo_header_in_trailers: fault(
    'stream',
    'PROTOCOL_ERROR',
    'RFC 9113 §8.1',
    'A pseudo-header field in trailers.',
  ),
  path_empty: fault('stream', 'PROTOCOL_ERROR', 'RFC 9113 §8.3.1', 'An empty :path.'),
  authority_invalid: fault(
    'stream',
    'PROTOCOL_ERROR',
    'RFC 9113 §8.3.1',
    ':authority holds user information, or host says something else.',
  ),
  content_length_mismatch: fault(
    'stream',
    'PROTOCOL_ERROR',
    'RFC 9113 §8.1.1',
    'content-length is not the sum of the DATA octets.',
  ),
  trailers_without_end: fault(
    'stream',
    'PROTOCOL_ERROR',
    'RFC 9113 §8.1',
    'A second header block without END_STREAM.',
  ),
  response_malformed: fault(
    'stream',
    'PROTOCOL_ERROR',
    'RFC 9113 §8.1.1',
    'A response without :status, or DATA before it.',
  ),
  stalled: fault(
    'stream',
    'CANCEL',
    'limits.stall_timeout',
    'A peer let data wait longer than the stall time-out.',
  ),
  // floods
  rapid_reset: fault(
    'flood',
    'ENHANCE_YOUR_CALM',
    'limits.early_resets',
    'Streams reset before their verdict or within a second (CVE-2023-44487).',
  ),
  unfinished_streams: fault(
    'flood',
    'ENHANCE_YOUR_CALM',
    'limits.max_concurrent_streams',
    'More streams still cost us than twice the limit.',
  ),
  continuation_flood: fault(
    'flood',
    'ENHANCE_YOUR_CALM',
    'limits.max_continuation_frames',
    'Too many CONTINUATION frames in one block.',
  ),
  header_list_flood: fault(
    'flood',
    'ENHANCE_YOUR_CALM',
    'limits.max_header_list_size',
    'A header list of more than twice the limit.',
  ),
  settings_flood: fault(
    'flood',
    'ENHANCE_YOUR_CALM',
    'limits.settings_frames',
    'Too many SETTINGS frames or entries.',
  ),
  control_queue_flood: fault(
    'flood',
    'ENHANCE_YOUR_CALM',
    'limits.max_queued_control_frames',
    'The peer makes us answer and does not read the answers.',
  ),
  ping_flood: fault(
    'flood',
    'ENHANCE_YOUR_CALM',
    'limits.glitches',
    'More PINGs than the work under way explains.',
  ),
  window_update_flood: fault(
    'flood',
    'ENHANCE_YOUR_CALM',
    'limits.window_updates',
    'More WINDOW_UPDATEs than the data we sent explains.',
  ),
  priority_flood: fault(
    'flood',
    'ENHANCE_YOUR_CALM',
    'limits.priority_frames',
    'More PRIORITY frames than streams explain.',
  ),
  empty_data_flood: fault(
    'flood',
    'ENHANCE_YOUR_CALM',
    'limits.empty_data_frames',
    'Empty DATA frames that end nothing.',
  ),
  small_data_flood: fault(
    'flood',
    'ENHANCE_YOUR_CALM',
    'limits.small_data',
    'Very small DATA frames at a high rate.',
  ),
  glitch_flood: fault(
    'flood',
    'ENHANCE_YOUR_CALM',
    'limits.glitches',
    'Too many small oddities on one connection.',
  ),
} as const satisfies Record<string, FaultEntry>

/** Names the place that rejected a peer's bytes. */
export type FaultToken = keyof typeof FAULTS

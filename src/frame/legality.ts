/**
 * RFC 9113 §6 as one table: which stream identifiers and lengths each frame type may have.
 * Floor 1; judges a frame by its head alone. Knows no connection state; the order of header blocks is the reader's.
 * @see RFC 9113 §4.2 (sizes), §6.1 – §6.10
 */
import type { FaultToken } from '../base/index.ts'
import { FrameFlag, FrameType, SETTING_BYTES } from './constants.ts'

/** Any stream identifier, 0 included. */
const ANY_STREAM = 0
/** The connection only: identifier 0. */
const STREAM_0 = 1
/** A stream only: any identifier but 0. */
const NOT_STREAM_0 = 2

const UNBOUNDED_BYTES = Number.MAX_SAFE_INTEGER

/** What the head of one frame type must be. Every rule has the same shape, so that reading one is one load. */
interface FrameRule {
  /** ANY_STREAM, STREAM_0 or NOT_STREAM_0. */
  readonly streamRule: number
  readonly streamFault: FaultToken | null
  readonly minBytes: number
  readonly maxBytes: number
  /** The payload is a multiple of this. */
  readonly stepBytes: number
  readonly lengthFault: FaultToken | null
  /** Flags that ask for room at the start of the payload: PADDED one octet, PRIORITY five. */
  readonly roomFlags: number
  /** Flags that forbid a payload. */
  readonly emptyFlags: number
  /** The type itself is a fault. */
  readonly typeFault: FaultToken | null
}

const FREE: FrameRule = {
  streamRule: ANY_STREAM,
  streamFault: null,
  minBytes: 0,
  maxBytes: UNBOUNDED_BYTES,
  stepBytes: 1,
  lengthFault: null,
  roomFlags: 0,
  emptyFlags: 0,
  typeFault: null,
}

const exactly = (bytes: number, lengthFault: FaultToken): Partial<FrameRule> => ({
  minBytes: bytes,
  maxBytes: bytes,
  lengthFault,
})
const onConnection = (streamFault: FaultToken): Partial<FrameRule> => ({ streamRule: STREAM_0, streamFault })
const onStream = (streamFault: FaultToken): Partial<FrameRule> => ({ streamRule: NOT_STREAM_0, streamFault })
const rule = (...parts: Partial<FrameRule>[]): FrameRule => Object.assign({ ...FREE }, ...parts) as FrameRule

/** The rules by frame type, 0 to 9. */
const RULES: readonly FrameRule[] = [
  // DATA
  rule(onStream('data_on_stream_0'), { roomFlags: FrameFlag.PADDED, lengthFault: 'data_too_short' }),
  // HEADERS
  rule(onStream('headers_on_stream_0'), {
    roomFlags: FrameFlag.PADDED | FrameFlag.PRIORITY,
    lengthFault: 'headers_too_short',
  }),
  // PRIORITY
  rule(onStream('priority_on_stream_0'), exactly(5, 'priority_bad_length')),
  // RST_STREAM
  rule(onStream('rst_on_stream_0'), exactly(4, 'rst_bad_length')),
  // SETTINGS
  rule(onConnection('settings_on_stream'), {
    stepBytes: SETTING_BYTES,
    emptyFlags: FrameFlag.ACK,
    lengthFault: 'settings_bad_length',
  }),
  // PUSH_PROMISE
  rule({ typeFault: 'push_promise_received' }),
  // PING
  rule(onConnection('ping_on_stream'), exactly(8, 'ping_bad_length')),
  // GOAWAY
  rule(onConnection('goaway_on_stream'), { minBytes: 8, lengthFault: 'goaway_bad_length' }),
  // WINDOW_UPDATE
  rule(exactly(4, 'window_update_bad_length')),
  // CONTINUATION
  rule(onStream('continuation_on_stream_0')),
]

/**
 * The fault in a frame's head, or null when the head is legal. Types above CONTINUATION are always legal: they are
 * ignored (RFC 9113 §5.5). SETTINGS_MAX_FRAME_SIZE is checked by the reader, before.
 * @param lengthBytes the payload's length, padding included
 */
export function headFault(
  type: number,
  flags: number,
  streamId: number,
  lengthBytes: number,
): FaultToken | null {
  if (type > FrameType.CONTINUATION) return null
  const rule = RULES[type]!
  if (rule.typeFault !== null) return rule.typeFault
  if (rule.streamRule !== ANY_STREAM && (rule.streamRule === STREAM_0) !== (streamId === 0))
    return rule.streamFault
  const roomBytes = prefixBytes(flags & rule.roomFlags)
  if (lengthBytes < rule.minBytes + roomBytes || lengthBytes > rule.maxBytes) return rule.lengthFault
  if (rule.stepBytes !== 1 && lengthBytes % rule.stepBytes !== 0) return rule.lengthFault
  if ((flags & rule.emptyFlags) !== 0 && lengthBytes !== 0) return rule.lengthFault
  return null
}

/** Octets that PADDED and PRIORITY put before the fragment of a HEADERS frame. @see RFC 9113 §6.2 */
export function prefixBytes(flags: number): number {
  return ((flags & FrameFlag.PADDED) === 0 ? 0 : 1) + ((flags & FrameFlag.PRIORITY) === 0 ? 0 : 5)
}

/**
 * The numbers of HTTP/2 framing under the names that the RFC gives them.
 * Floor 1; knows no connection and no state.
 * @see RFC 9113 §3.4 (preface), §4.1 (head), §6 (frames), §6.5.2 (settings), §7 (error codes)
 */
import { FAULTS } from '../base/index.ts'
import type { FaultToken } from '../base/index.ts'

/** Frame types. @see RFC 9113 §6 */
export const FrameType = {
  DATA: 0x0,
  HEADERS: 0x1,
  PRIORITY: 0x2,
  RST_STREAM: 0x3,
  SETTINGS: 0x4,
  PUSH_PROMISE: 0x5,
  PING: 0x6,
  GOAWAY: 0x7,
  WINDOW_UPDATE: 0x8,
  CONTINUATION: 0x9,
} as const

/** Frame flags; a bit's meaning depends on the type. @see RFC 9113 §6 */
export const FrameFlag = {
  /** DATA, HEADERS: the sender is done with the stream. */
  END_STREAM: 0x1,
  /** SETTINGS, PING: an answer. */
  ACK: 0x1,
  /** HEADERS, CONTINUATION: the header block ends here. */
  END_HEADERS: 0x4,
  /** DATA, HEADERS: the first octet is the length of the padding at the end. */
  PADDED: 0x8,
  /** HEADERS: five octets of priority stand before the fragment. */
  PRIORITY: 0x20,
} as const

/** Error codes of RST_STREAM and GOAWAY. @see RFC 9113 §7 */
export const H2Code = {
  NO_ERROR: 0x0,
  PROTOCOL_ERROR: 0x1,
  INTERNAL_ERROR: 0x2,
  FLOW_CONTROL_ERROR: 0x3,
  SETTINGS_TIMEOUT: 0x4,
  STREAM_CLOSED: 0x5,
  FRAME_SIZE_ERROR: 0x6,
  REFUSED_STREAM: 0x7,
  CANCEL: 0x8,
  COMPRESSION_ERROR: 0x9,
  CONNECT_ERROR: 0xa,
  ENHANCE_YOUR_CALM: 0xb,
  INADEQUATE_SECURITY: 0xc,
  HTTP_1_1_REQUIRED: 0xd,
} as const

/** The RFC's spelling of an error code. */
export type H2CodeName = keyof typeof H2Code

const CODE_NAMES: readonly string[] = Object.keys(H2Code)

/**
 * The RFC's spelling of `code`; `UNKNOWN` for any other number, so that a peer cannot choose our metric labels.
 * @see RFC 9113 §7
 */
export function h2CodeName(code: number): H2CodeName | 'UNKNOWN' {
  return (CODE_NAMES[code] ?? 'UNKNOWN') as H2CodeName | 'UNKNOWN'
}

const isH2CodeName = (name: string): name is H2CodeName => Object.hasOwn(H2Code, name)

/** The error code that answers a fault: the `code` of its entry in FAULTS, as the number on the wire. */
export function faultCode(token: FaultToken): number {
  const name: string = FAULTS[token].code
  return isH2CodeName(name) ? H2Code[name] : H2Code.PROTOCOL_ERROR
}

/** Identifiers of settings. @see RFC 9113 §6.5.2 */
export const SettingId = {
  HEADER_TABLE_SIZE: 0x1,
  ENABLE_PUSH: 0x2,
  MAX_CONCURRENT_STREAMS: 0x3,
  INITIAL_WINDOW_SIZE: 0x4,
  MAX_FRAME_SIZE: 0x5,
  MAX_HEADER_LIST_SIZE: 0x6,
  /** @see RFC 8441 §3 */
  ENABLE_CONNECT_PROTOCOL: 0x8,
  /** @see RFC 9218 §2.1 */
  NO_RFC7540_PRIORITIES: 0x9,
} as const

/** Octets of a frame's head. @see RFC 9113 §4.1 */
export const FRAME_HEAD_BYTES = 9

/** SETTINGS_MAX_FRAME_SIZE until a peer says otherwise, and the least that it may say. @see RFC 9113 §6.5.2 */
export const DEFAULT_MAX_FRAME_SIZE = 16_384

/** The most that SETTINGS_MAX_FRAME_SIZE may be: 2^24−1, all that the length field holds. @see RFC 9113 §4.2 */
export const LARGEST_MAX_FRAME_SIZE = 16_777_215

/** Flow-control window of a new stream and of the connection until told otherwise. @see RFC 9113 §6.9.2 */
export const DEFAULT_INITIAL_WINDOW_SIZE = 65_535

/** The largest flow-control window, and the largest increment: 2^31−1. @see RFC 9113 §6.9.1 */
export const MAX_WINDOW_SIZE = 2_147_483_647

/** The last stream identifier there is: 2^31−1. @see RFC 9113 §4.1 */
export const MAX_STREAM_ID = 2_147_483_647

/** SETTINGS_HEADER_TABLE_SIZE until told otherwise. @see RFC 9113 §6.5.2 */
export const DEFAULT_HEADER_TABLE_SIZE = 4_096

/** Octets of one entry of SETTINGS: 16 bits of identifier, 32 of value. @see RFC 9113 §6.5.1 */
export const SETTING_BYTES = 6

/** The client's connection preface, without the SETTINGS frame that follows it. @see RFC 9113 §3.4 */
export const PREFACE: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

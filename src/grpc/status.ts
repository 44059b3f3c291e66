/**
 * gRPC status codes and the text forms of `grpc-status` and `grpc-message`.
 * Floor 1; knows no header list and no call.
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md (Status, Status-Message)
 * @see https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
 */

/** The status codes of gRPC. */
export const GrpcStatus = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const

/** The name of a status code, such as `UNAVAILABLE`. */
export type GrpcStatusName = keyof typeof GrpcStatus

const NAMES: readonly string[] = Object.keys(GrpcStatus)

/** The name of `code`; `OTHER` for a number that has none, so that a peer cannot choose our metric labels. */
export function grpcStatusName(code: number): GrpcStatusName | 'OTHER' {
  return (NAMES[code] ?? 'OTHER') as GrpcStatusName | 'OTHER'
}

/** The largest code that every client can read: codes travel as 32-bit signed integers. */
const MAX_STATUS = 2_147_483_647

const DIGIT_0 = 0x30
const DIGIT_9 = 0x39

/**
 * The code in a `grpc-status` value; −1 when the value is malformed: not all digits, a leading zero, or beyond 2^31−1.
 * A code that has no name yet is well-formed: what it means is between client and server.
 */
export function parseGrpcStatus(text: string): number {
  if (text.length === 0 || text.length > 10) return -1
  if (text.length > 1 && text.charCodeAt(0) === DIGIT_0) return -1
  let code = 0
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i)
    if (char < DIGIT_0 || char > DIGIT_9) return -1
    code = code * 10 + char - DIGIT_0
  }
  return code <= MAX_STATUS ? code : -1
}

/** Whether `text` may stand in `grpc-status`: decimal digits without a leading zero. */
export function isGrpcStatusValid(text: string): boolean {
  return parseGrpcStatus(text) >= 0
}

/** Octets that `grpc-message` carries as they are: printable ASCII without the percent sign. */
const isPlain = (octet: number): boolean => octet >= 0x20 && octet <= 0x7e && octet !== 0x25

/**
 * Percent-encodes text for `grpc-message`: UTF-8, with everything but printable ASCII as `%` and two upper-case digits,
 * the percent sign included.
 */
export function encodeGrpcMessage(text: string): string {
  const octets = Buffer.from(text, 'utf8')
  let encoded = ''
  for (const octet of octets)
    encoded += isPlain(octet)
      ? String.fromCharCode(octet)
      : `%${octet.toString(16).toUpperCase().padStart(2, '0')}`
  return encoded
}

/**
 * The text of a `grpc-message` value, for logs. A percent sign that begins no pair of digits stands for itself: the
 * protocol forbids to drop or refuse a message for it. Octets that are no UTF-8 become U+FFFD.
 */
export function decodeGrpcMessage(value: string): string {
  const octets = Buffer.alloc(value.length)
  let length = 0
  for (let i = 0; i < value.length; i++) {
    const pair = value.charCodeAt(i) === 0x25 ? value.slice(i + 1, i + 3) : ''
    if (/^[0-9a-fA-F]{2}$/.test(pair)) {
      octets[length++] = Number.parseInt(pair, 16)
      i += 2
    } else {
      octets[length++] = value.charCodeAt(i)
    }
  }
  return octets.toString('utf8', 0, length)
}

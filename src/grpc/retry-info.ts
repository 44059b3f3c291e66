/**
 * Turns "try again in n seconds" into the value of `grpc-status-details-bin`: google.rpc.Status with a RetryInfo, which
 * an OTLP exporter obeys.
 * Floor 1; writes the few protobuf fields by hand and knows no other message.
 * @see https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto (RetryInfo)
 * @see https://protobuf.dev/programming-guides/encoding/
 */

const RETRY_INFO_URL = 'type.googleapis.com/google.rpc.RetryInfo'

const VARINT = 0
const LENGTH_DELIMITED = 2

/** Answers kept encoded. Messages name classes of fault, so there are few; above this, one is encoded anew each time. */
const MAX_KEPT = 512

const kept = new Map<string, string>()

/**
 * The value of `grpc-status-details-bin` for this status with a retry delay: base64 without padding.
 * @param code gRPC status code, the one in `grpc-status`
 * @param delaySeconds whole seconds, 1 … 10 after no-loss rules; 0 is encoded as an empty Duration
 * @param message the text in `grpc-message`, before percent-encoding; from a bounded set
 */
export function retryInfoDetails(code: number, delaySeconds: number, message: string): string {
  const key = `${code} ${delaySeconds} ${message}`
  const known = kept.get(key)
  if (known !== undefined) return known
  const encoded = encodeRetryStatus(code, delaySeconds, message).toString('base64').replace(/=+$/, '')
  if (kept.size < MAX_KEPT) kept.set(key, encoded)
  return encoded
}

/** Encodes google.rpc.Status { code = 1, message = 2, details = 3: [Any { RetryInfo { retry_delay = 1 } }] }. */
function encodeRetryStatus(code: number, delaySeconds: number, message: string): Buffer {
  const duration = varintField(1, delaySeconds)
  const retryInfo = bytesField(1, duration)
  const any = Buffer.concat([bytesField(1, Buffer.from(RETRY_INFO_URL)), bytesField(2, retryInfo)])
  return Buffer.concat([varintField(1, code), bytesField(2, Buffer.from(message)), bytesField(3, any)])
}

/** proto3 leaves a field out that has its default. */
function varintField(field: number, value: number): Buffer {
  return value === 0 ? Buffer.alloc(0) : Buffer.from([(field << 3) | VARINT, ...varint(value)])
}

function bytesField(field: number, bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(field << 3) | LENGTH_DELIMITED, ...varint(bytes.length)]), bytes])
}

/** @param value a whole number, 0 … 2^31−1 */
function varint(value: number): number[] {
  const octets: number[] = []
  let rest = value
  while (rest > 0x7f) {
    octets.push((rest & 0x7f) | 0x80)
    rest >>>= 7
  }
  octets.push(rest)
  return octets
}

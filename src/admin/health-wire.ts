/**
 * Turns the messages of grpc.health.v1 into bytes and back, and describes the service to @grpc/grpc-js.
 * Floor 6; knows no readiness. Written out by hand because a loader of .proto files reads them from disk at run
 * time, which one bundled file does not have; the messages have one field each.
 * @see https://github.com/grpc/grpc-proto/blob/master/grpc/health/v1/health.proto
 */

/** grpc.health.v1.HealthCheckResponse.ServingStatus. */
export const SERVING_STATUS = { UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } as const
export type ServingStatus = (typeof SERVING_STATUS)[keyof typeof SERVING_STATUS]

/** grpc.health.v1.HealthCheckRequest. An object, because @grpc/grpc-js takes a falsy request for none at all. */
export interface HealthCheckRequest {
  /** Empty for the process as a whole. */
  readonly service: string
}

/** grpc.health.v1.HealthListResponse, as pairs of service and status. */
export type HealthList = readonly (readonly [service: string, status: ServingStatus])[]

const WIRE_VARINT = 0
const WIRE_FIXED64 = 1
const WIRE_BYTES = 2
const WIRE_FIXED32 = 5

/** A place in a message that is being read. */
interface Cursor {
  readonly bytes: Uint8Array
  at: number
}

/** Reads a varint of at most 5 octets: nothing here is longer than a small message. */
function readVarint(cursor: Cursor): number {
  let value = 0
  for (let shift = 0; shift < 35; shift += 7) {
    const octet = cursor.bytes[cursor.at++]
    if (octet === undefined) break
    value += (octet & 0x7f) * 2 ** shift
    if (octet < 0x80) return value
  }
  throw new RangeError('not a protobuf message')
}

/**
 * Reads HealthCheckRequest. Unknown fields are skipped.
 * @throws RangeError when it is no message
 */
export function decodeCheckRequest(bytes: Buffer): HealthCheckRequest {
  const cursor: Cursor = { bytes, at: 0 }
  let service = ''
  while (cursor.at < bytes.length) {
    const tag = readVarint(cursor)
    const isService = tag === ((1 << 3) | WIRE_BYTES)
    const lengthBytes = fieldLength(cursor, tag & 7)
    const end = cursor.at + lengthBytes
    if (end > bytes.length) throw new RangeError('not a protobuf message')
    if (isService) service = bytes.toString('utf8', cursor.at, end)
    cursor.at = end
  }
  return { service }
}

/** Octets of the field's value that lie ahead; a varint is passed at once. */
function fieldLength(cursor: Cursor, wireType: number): number {
  switch (wireType) {
    case WIRE_VARINT:
      // Up to ten octets, whose value does not matter.
      while ((cursor.bytes[cursor.at] ?? 0) >= 0x80) cursor.at++
      return 1
    case WIRE_FIXED64:
      return 8
    case WIRE_BYTES:
      return readVarint(cursor)
    case WIRE_FIXED32:
      return 4
    default:
      throw new RangeError('not a protobuf message')
  }
}

/** Writes HealthCheckResponse. */
export function encodeCheckResponse(status: ServingStatus): Buffer {
  return status === 0 ? Buffer.alloc(0) : Buffer.from([(1 << 3) | WIRE_VARINT, status])
}

/** Writes HealthListResponse: a map of service to HealthCheckResponse. Names are shorter than 100 octets. */
export function encodeList(list: HealthList): Buffer {
  const bytesField = (number: number, value: Buffer): Buffer =>
    Buffer.concat([Buffer.from([(number << 3) | WIRE_BYTES, value.length]), value])
  return Buffer.concat(
    list.map(([service, status]) => {
      const entry = [bytesField(1, Buffer.from(service)), bytesField(2, encodeCheckResponse(status))]
      return bytesField(1, Buffer.concat(entry))
    }),
  )
}

const unused = (): never => {
  throw new TypeError('this end only serves')
}

const method = <Q, S>(
  name: string,
  responseStream: boolean,
  requestDeserialize: (bytes: Buffer) => Q,
  responseSerialize: (value: S) => Buffer,
) => ({
  path: `/grpc.health.v1.Health/${name}`,
  requestStream: false,
  responseStream,
  requestDeserialize,
  responseSerialize,
  requestSerialize: unused,
  responseDeserialize: unused,
})

/** The service grpc.health.v1.Health, in the form that `Server.addService` takes. */
export const HEALTH_SERVICE = {
  Check: method('Check', false, decodeCheckRequest, encodeCheckResponse),
  Watch: method('Watch', true, decodeCheckRequest, encodeCheckResponse),
  List: method('List', false, () => ({}), encodeList),
} as const

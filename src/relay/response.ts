/**
 * What a block of an egress answer says, found out once per distinct list: HTTP and gRPC status, the reason of a gateway
 * behind, and the form in which it goes back to the caller.
 * Floor 3; knows no call. Metadata and status details are not touched (no-loss.md row 18).
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md (Responses)
 */
import { isGrpcContentType, parseGrpcStatus } from '../grpc/index.ts'
import { HeaderField, HeaderList } from '../hpack/index.ts'
import type { RelayReason } from './reasons.ts'

/** The field that says why authgw refused a call. */
const REASON_FIELD = 'authgw-reason'

const STATUS_200 = new HeaderField(':status', '200')
const CONTENT_TYPE_GRPC = new HeaderField('content-type', 'application/grpc')

/** How answers are passed on. */
export interface ResponseTerms {
  /** False: HTTP passes as it is. */
  readonly isGrpcOnly: boolean
  /** Whether `authgw-reason` is ours to say and is taken out. */
  readonly dropsReason: boolean
}

/** A head, trailers, or a trailers-only answer, read. Kept in `HeaderList.annotation`. */
export class ResponseReading {
  /** `:status`; empty for trailers. */
  readonly httpStatus: string
  /** Whether the content-type is that of gRPC, or absent: then it is put in, and grpc-status alone decides. */
  readonly isGrpcContent: boolean
  /** Whether there is a grpc-status, well-formed or not. */
  readonly hasStatus: boolean
  /** grpc-status; −1 when there is none, a malformed one, or two that differ. */
  readonly status: number
  /** `authgw-reason`; null without. */
  readonly reason: string | null
  /** What the caller gets. */
  readonly passed: HeaderList

  constructor(list: HeaderList, terms: ResponseTerms) {
    let httpStatus = ''
    let contentType: string | null = null
    let statusText: string | null = null
    let isStatusDoubtful = false
    let reason: string | null = null
    for (const { name, value } of list.fields) {
      if (name === ':status') httpStatus = value
      else if (name === 'content-type') contentType = value
      else if (name === 'grpc-status') {
        isStatusDoubtful ||= statusText !== null && statusText !== value
        statusText ??= value
      } else if (name === REASON_FIELD) reason ??= value
    }
    this.httpStatus = httpStatus
    this.isGrpcContent = contentType === null || isGrpcContentType(contentType)
    this.hasStatus = statusText !== null
    this.status = statusText === null || isStatusDoubtful ? -1 : parseGrpcStatus(statusText)
    this.reason = reason
    const isMended = httpStatus !== '200' || contentType === null || !this.isGrpcContent
    this.passed = passedList(list, terms, httpStatus !== '', isMended)
  }
}

/** Reads a checked, whole block of an answer. The same list object gives the same reading. */
export function readResponse(list: HeaderList, terms: ResponseTerms): ResponseReading {
  const known = list.annotation
  if (known !== null) return known as ResponseReading
  const reading = new ResponseReading(list, terms)
  list.annotation = reading
  return reading
}

/**
 * The list itself where nothing is to be changed. A caller never sees an HTTP status other than 200 or another
 * content-type, which clients turn into permanent errors; nor content-length, which an answer ended by us would not keep.
 */
function passedList(
  list: HeaderList,
  terms: ResponseTerms,
  hasHead: boolean,
  isHeadMended: boolean,
): HeaderList {
  const isHead = terms.isGrpcOnly && hasHead
  const isMended = isHead && isHeadMended
  const fields: HeaderField[] = isMended ? [STATUS_200, CONTENT_TYPE_GRPC] : []
  for (const field of list.fields) {
    const { name } = field
    if (terms.dropsReason && name === REASON_FIELD) continue
    if (isHead && name === 'content-length') continue
    if (isMended && (name === ':status' || name === 'content-type')) continue
    fields.push(field)
  }
  return fields.length === list.fields.length && !isMended ? list : new HeaderList(fields)
}

/** Why a head that does not end the answer is not passed on; null when it is (rows 16 and 17). */
export function headProblem(reading: ResponseReading, { isGrpcOnly }: ResponseTerms): RelayReason | null {
  if (!isGrpcOnly) return null
  if (reading.httpStatus !== '200') return httpReason(reading.httpStatus)
  return reading.isGrpcContent ? null : 'egress_malformed'
}

/** Why trailers, or an answer of trailers only, are not passed on; null when they are (rows 16 and 17). */
export function endProblem(reading: ResponseReading, { isGrpcOnly }: ResponseTerms): RelayReason | null {
  if (!isGrpcOnly) return null
  const { httpStatus, hasStatus, status } = reading
  if (httpStatus !== '' && httpStatus !== '200' && !hasStatus) return httpReason(httpStatus)
  return status < 0 ? 'egress_malformed' : null
}

/** Row 17: an HTTP status without a gRPC status. */
function httpReason(status: string): RelayReason {
  if (status === '413') return 'egress_too_large'
  return status === '401' || status === '403' || status === '404' || status === '415'
    ? 'egress_misroute'
    : 'egress_http_error'
}

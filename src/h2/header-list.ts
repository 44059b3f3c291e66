/**
 * The rules of HTTP for a header list: a decoded list in, a fault token or null out.
 * Floor 2; knows no gRPC. Each field is classified once (`field.mark`) and each list once (`list.mark`), so that the
 * same list on the next call costs one comparison.
 * @see RFC 9113 §8.1, §8.2, §8.3
 */
import type { FaultToken } from '../base/index.ts'
import type { HeaderField, HeaderList } from '../hpack/index.ts'

/** What a field is to HTTP; kept in `HeaderField.mark`. 0 is "not classified yet". */
export const REGULAR = 1
export const PSEUDO_METHOD = 2
export const PSEUDO_SCHEME = 3
export const PSEUDO_AUTHORITY = 4
export const PSEUDO_PATH = 5
export const PSEUDO_STATUS = 6
export const PSEUDO_UNKNOWN = 7
export const HOST = 8
export const CONTENT_LENGTH = 9
const NAME_INVALID = 20
const VALUE_INVALID = 21
const CONNECTION_SPECIFIC = 22

/** Marks of a list that was checked and is right. */
const LIST_OK = 1
const LIST_OK_WITH_LENGTH = 2

const KINDS: Readonly<Record<string, number>> = {
  ':method': PSEUDO_METHOD,
  ':scheme': PSEUDO_SCHEME,
  ':authority': PSEUDO_AUTHORITY,
  ':path': PSEUDO_PATH,
  ':status': PSEUDO_STATUS,
  host: HOST,
  'content-length': CONTENT_LENGTH,
}
const KIND_BY_NAME = new Map(Object.entries(KINDS))
const CONNECTION_SPECIFIC_NAMES = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
])

/** RFC 9113 §8.2.1: no upper case, no controls, no space, nothing above 0x7e; a colon only opens a pseudo-header. */
function isNameValid(name: string): boolean {
  if (name.length === 0) return false
  for (let i = 0; i < name.length; i++) {
    const octet = name.charCodeAt(i)
    if (octet <= 0x20 || octet >= 0x7f || (octet >= 0x41 && octet <= 0x5a) || (octet === 0x3a && i > 0))
      return false
  }
  return name !== ':'
}

/** RFC 9113 §8.2.1: no NUL, LF, CR anywhere, no space or tab at either end. */
function isValueValid(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const octet = value.charCodeAt(i)
    if (octet === 0 || octet === 0x0a || octet === 0x0d) return false
  }
  if (value.length === 0) return true
  const first = value.charCodeAt(0)
  const last = value.charCodeAt(value.length - 1)
  return first !== 0x20 && first !== 0x09 && last !== 0x20 && last !== 0x09
}

/** Classifies a field by its name and value alone. */
function classify(field: HeaderField): number {
  const { name, value } = field
  if (!isNameValid(name)) return NAME_INVALID
  if (!isValueValid(value)) return VALUE_INVALID
  const kind = KIND_BY_NAME.get(name)
  if (kind !== undefined) return kind
  if (name.charCodeAt(0) === 0x3a) return PSEUDO_UNKNOWN
  if (CONNECTION_SPECIFIC_NAMES.has(name)) return CONNECTION_SPECIFIC
  if (name === 'te' && value !== 'trailers') return CONNECTION_SPECIFIC
  return REGULAR
}

/** The field's kind, classified at first sight. */
export function kindOf(field: HeaderField): number {
  if (field.mark === 0) field.mark = classify(field)
  return field.mark
}

/** The fault of a field by itself, or null. */
function fieldFault(kind: number): FaultToken | null {
  if (kind === NAME_INVALID) return 'field_name_invalid'
  if (kind === VALUE_INVALID) return 'field_value_invalid'
  return kind === CONNECTION_SPECIFIC ? 'connection_specific_field' : null
}

/** Checks a request head. Cached on the list; a faulty list is checked anew each time, since it is answered by a reset. */
export function requestFault(list: HeaderList): FaultToken | null {
  return list.mark !== 0 ? null : remember(list, checkRequest(list))
}

/** Checks a response head. */
export function responseFault(list: HeaderList): FaultToken | null {
  return list.mark !== 0 ? null : remember(list, checkResponse(list))
}

/** Checks trailers: no pseudo-header fields. @see RFC 9113 §8.1 */
export function trailersFault(list: HeaderList): FaultToken | null {
  return list.mark !== 0 ? null : remember(list, checkTrailers(list))
}

/** The value of content-length of a checked list, in octets; -1 without one. */
export function contentLengthOf(list: HeaderList): number {
  if (list.mark !== LIST_OK_WITH_LENGTH) return -1
  for (const field of list.fields) if (field.mark === CONTENT_LENGTH) return Number(field.value)
  return -1
}

function remember(list: HeaderList, token: FaultToken | null): FaultToken | null {
  if (token !== null) return token
  list.mark = list.fields.some((field) => field.mark === CONTENT_LENGTH) ? LIST_OK_WITH_LENGTH : LIST_OK
  return null
}

function checkRequest(list: HeaderList): FaultToken | null {
  const seen: (HeaderField | null)[] = [null, null, null, null, null, null, null, null, null, null]
  const fault = checkFields(list, PSEUDO_PATH, seen)
  if (fault !== null) return fault
  const method = seen[PSEUDO_METHOD]
  const authority = seen[PSEUDO_AUTHORITY]
  const host = seen[HOST]
  if (!method) return 'pseudo_header_missing'
  if (method.value === 'CONNECT') {
    // RFC 9113 §8.5: CONNECT names an authority, and neither scheme nor path.
    if (!authority || seen[PSEUDO_SCHEME] || seen[PSEUDO_PATH]) return 'pseudo_header_missing'
  } else {
    if (!seen[PSEUDO_SCHEME] || !seen[PSEUDO_PATH]) return 'pseudo_header_missing'
    if (seen[PSEUDO_PATH].value === '') return 'path_empty'
  }
  // RFC 9113 §8.3.1: no user information; a host that disagrees is how requests are smuggled past a check.
  if (authority?.value.includes('@')) return 'authority_invalid'
  const scheme = seen[PSEUDO_SCHEME]?.value ?? ''
  if (authority && host && normalAuthority(authority.value, scheme) !== normalAuthority(host.value, scheme))
    return 'authority_invalid'
  return null
}

/** An authority without what makes no difference: case, an empty port, the default port of its scheme. RFC 3986 §6.2.3 */
function normalAuthority(value: string, scheme: string): string {
  const text = value.toLowerCase()
  if (text.endsWith(':')) return text.slice(0, -1)
  const port = scheme === 'https' ? ':443' : ':80'
  return text.endsWith(port) && (scheme === 'https' || scheme === 'http') ? text.slice(0, -port.length) : text
}

function checkResponse(list: HeaderList): FaultToken | null {
  const seen: (HeaderField | null)[] = [null, null, null, null, null, null, null, null, null, null]
  const fault = checkFields(list, PSEUDO_STATUS, seen)
  if (fault !== null) return fault
  const status = seen[PSEUDO_STATUS]
  return status && /^[1-9]\d\d$/.test(status.value) ? null : 'response_malformed'
}

function checkTrailers(list: HeaderList): FaultToken | null {
  for (const field of list.fields) {
    const kind = kindOf(field)
    const fault = fieldFault(kind)
    if (fault !== null) return fault
    if (kind >= PSEUDO_METHOD && kind <= PSEUDO_UNKNOWN) return 'pseudo_header_in_trailers'
  }
  return null
}

/** Checks each field, the order and the number of pseudo-headers; fills `seen` by kind. `side` tells request from response. */
function checkFields(list: HeaderList, side: number, seen: (HeaderField | null)[]): FaultToken | null {
  let isRegularSeen = false
  for (const field of list.fields) {
    const kind = kindOf(field)
    const fault = fieldFault(kind)
    if (fault !== null) return fault
    if (kind >= PSEUDO_METHOD && kind <= PSEUDO_UNKNOWN) {
      if (isRegularSeen) return 'pseudo_header_late'
      const isExpected = side === PSEUDO_STATUS ? kind === PSEUDO_STATUS : kind <= PSEUDO_PATH
      if (!isExpected) return 'pseudo_header_unknown'
      if (seen[kind]) return 'pseudo_header_duplicate'
      seen[kind] = field
      continue
    }
    isRegularSeen = true
    if (kind === CONTENT_LENGTH) {
      // RFC 9110 §8.6: digits only; several that differ are how requests are smuggled.
      if (!/^\d{1,15}$/.test(field.value) || (seen[kind] && seen[kind].value !== field.value))
        return 'content_length_mismatch'
    }
    if (kind === CONTENT_LENGTH || kind === HOST) {
      if (kind === HOST && seen[HOST]) return 'authority_invalid'
      seen[kind] = field
    }
  }
  return null
}

/**
 * A header field and a list of them, decoded once and shared by identity.
 * Floor 1; knows no rule of HTTP: what a field means is its consumer's business.
 * @see RFC 7541 §1.3 (header field, header list), §4.1 (size)
 */

/** How a field came, and hence how it leaves. @see RFC 7541 §6 */
export const INDEXED_FIELD = 0
/** Literal without indexing: stays out of the table of the next hop too. @see RFC 7541 §6.2.2 */
export const UNINDEXED_FIELD = 1
/** Literal never indexed: must leave so on every hop. @see RFC 7541 §6.2.3 */
export const NEVER_INDEXED_FIELD = 2

/** A name and a value, as latin1 strings: one character is one octet. Immutable apart from `mark` and the encoder's notes. */
export class HeaderField {
  readonly name: string
  readonly value: string
  /** INDEXED_FIELD, UNINDEXED_FIELD or NEVER_INDEXED_FIELD. */
  readonly indexing: number
  /** Octets of name and value plus 32. @see RFC 7541 §4.1 */
  readonly sizeBytes: number
  /** A small integer that the consumer may keep here: its classification of the field. 0 means none yet. */
  mark = 0
  /** The encoder's note: the table in which it last found the field; 0 means none. Written only by HpackEncoder. */
  tableId = 0
  /** The encoder's note: where in that table. It proves nothing alone: entries are evicted. */
  tableIndex = 0

  constructor(name: string, value: string, indexing: number = INDEXED_FIELD) {
    this.name = name
    this.value = value
    this.indexing = indexing
    this.sizeBytes = name.length + value.length + 32
  }
}

/**
 * A decoded header block. The same octets under the same table give the same object, so what a consumer found out
 * about a list it may keep in `annotation` and find again on the next call.
 */
export class HeaderList {
  readonly fields: readonly HeaderField[]
  /** Sum of the fields' sizes, those that were dropped included. */
  readonly sizeBytes: number
  /** Whether fields were dropped because the list is over the decoder's limits. */
  readonly isTruncated: boolean
  /** The consumer's verdict on the list as a whole; 0 means none yet. */
  mark = 0
  /** What the consumer found out about the list; null means nothing yet. */
  annotation: object | null = null

  constructor(fields: readonly HeaderField[], sizeBytes: number = sumSizes(fields), isTruncated = false) {
    this.fields = fields
    this.sizeBytes = sizeBytes
    this.isTruncated = isTruncated
  }

  /** The first value under `name`, or null. For tests and cold paths. */
  first(name: string): string | null {
    for (const field of this.fields) if (field.name === name) return field.value
    return null
  }
}

function sumSizes(fields: readonly HeaderField[]): number {
  let sum = 0
  for (const field of fields) sum += field.sizeBytes
  return sum
}

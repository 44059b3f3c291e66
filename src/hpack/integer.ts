/**
 * Turns prefixed integers into numbers and back.
 * Floor 1; knows no field: the bits before the prefix are the caller's.
 * @see RFC 7541 §5.1
 */

/** The octets end inside the integer. */
export const INTEGER_TRUNCATED = -1
/** The integer has more than four continuation octets, as one of 2^28 or more has. */
export const INTEGER_OVERFLOW = -2

/** Where a reader stands in a block; moved on by what reads. */
export interface Cursor {
  at: number
}

/**
 * Reads an integer at the cursor and moves it on.
 * @param end the offset after the last octet that may be read
 * @param prefixMask the bits of the first octet that belong to it: 2^N - 1, N from 4 to 7
 * @returns the value, below 2^28 + 128, or INTEGER_TRUNCATED, or INTEGER_OVERFLOW (an integer that large is no honest
 *   length or index, and five octets bound the work on leading zeros: RFC 7541 §5.1 demands such a limit)
 */
export function readInteger(octets: Uint8Array, end: number, prefixMask: number, cursor: Cursor): number {
  let at = cursor.at
  if (at >= end) return INTEGER_TRUNCATED
  let value = octets[at++]! & prefixMask
  if (value === prefixMask) {
    let shift = 0
    let octet = 0
    do {
      if (shift === 28) return INTEGER_OVERFLOW
      if (at >= end) return INTEGER_TRUNCATED
      octet = octets[at++]!
      value += (octet & 0x7f) << shift
      shift += 7
    } while (octet >= 0x80)
  }
  cursor.at = at
  return value
}

/**
 * Writes an integer, 6 octets at most.
 * @param pattern the bits of the first octet above the prefix
 * @param value 0 to 2^31 - 1
 * @returns the offset after it
 */
export function writeInteger(
  target: Uint8Array,
  at: number,
  pattern: number,
  prefixMask: number,
  value: number,
): number {
  if (value < prefixMask) {
    target[at] = pattern | value
    return at + 1
  }
  target[at++] = pattern | prefixMask
  let rest = value - prefixMask
  while (rest >= 0x80) {
    target[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  target[at] = rest
  return at + 1
}

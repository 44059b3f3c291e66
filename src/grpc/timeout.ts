/**
 * Turns `grpc-timeout` into milliseconds and back.
 * Floor 1; knows no clock: a deadline is its reader's.
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md (Timeout)
 */

/** The protocol's most digits of a time-out. */
const MAX_DIGITS = 8
const MAX_VALUE = 99_999_999

/** Milliseconds of each unit: hours, minutes, seconds, milliseconds, microseconds, nanoseconds. */
const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
}

/** Units from the finest to the coarsest, with how many of them make a millisecond. */
const UNITS: readonly (readonly [unit: string, perMs: number])[] = [
  ['n', 1e6],
  ['u', 1e3],
  ['m', 1],
  ['S', 1 / 1_000],
  ['M', 1 / 60_000],
  ['H', 1 / 3_600_000],
]

/**
 * The milliseconds in a `grpc-timeout` value, fraction included; null when it is malformed: anything but one to eight
 * digits and one of `HMSmun`. Zero is well-formed: the deadline has passed.
 */
export function parseGrpcTimeout(text: string): number | null {
  const digits = text.length - 1
  if (digits < 1 || digits > MAX_DIGITS) return null
  let value = 0
  for (let i = 0; i < digits; i++) {
    const char = text.charCodeAt(i)
    if (char < 0x30 || char > 0x39) return null
    value = value * 10 + char - 0x30
  }
  const unitMs = UNIT_MS[text[digits]!]
  return unitMs === undefined ? null : value * unitMs
}

/**
 * The `grpc-timeout` value for `ms`, in the finest unit that fits into eight digits. Never more time than `ms`; what is
 * cut off is less than one unit. `0n` for zero and below; at most 99,999,999 hours.
 */
export function formatGrpcTimeout(ms: number): string {
  if (!(ms > 0)) return '0n'
  for (const [unit, perMs] of UNITS) {
    let value = Math.floor(ms * perMs)
    if (value > MAX_VALUE) continue
    // The product was rounded: what is read back must not be above `ms`.
    if (value * UNIT_MS[unit]! > ms) value--
    return `${value}${unit}`
  }
  return `${MAX_VALUE}H`
}

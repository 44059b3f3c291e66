/**
 * Compares and copies runs of octets, by a loop or natively, whichever is quicker for their length.
 * Floor 1; knows no field. bench/micro/hpack.bench.ts pays for the two ways: a native call costs some 40 ns however
 * short the run is, and a loop 1 to 2 ns an octet.
 */

/** The longest run that a loop takes. */
export const MAX_LOOP_BYTES = 24

/** Whether `block` holds exactly `octets` at `at`; the caller sees to it that it is long enough. */
export function holdsAt(block: Buffer, at: number, octets: Buffer): boolean {
  const length = octets.length
  if (length > MAX_LOOP_BYTES) return block.subarray(at, at + length).equals(octets)
  // From the end: what varies from call to call mostly stands there.
  for (let i = length - 1; i >= 0; i--) if (block[at + i] !== octets[i]) return false
  return true
}

/** Copies all of `octets` to `at` in `target`. @returns the offset after them */
export function copyTo(target: Buffer, at: number, octets: Buffer): number {
  const length = octets.length
  if (length > MAX_LOOP_BYTES) octets.copy(target, at)
  else for (let i = 0; i < length; i++) target[at + i] = octets[i]!
  return at + length
}

/** Octets that are kept: a view on memory of its own, which the next ones reuse if they fit. */
export class KeptOctets {
  #room: Buffer
  #octets: Buffer

  /** Copies `block` from `start` to `end`. */
  constructor(block: Buffer, start: number, end: number) {
    this.#room = Buffer.allocUnsafeSlow(roomFor(end - start))
    this.#octets = this.#room
    this.replace(block, start, end)
  }

  get octets(): Buffer {
    return this.#octets
  }

  /** Memory held. */
  get roomBytes(): number {
    return this.#room.length
  }

  /** Copies `block` from `start` to `end` in place of what was kept. */
  replace(block: Buffer, start: number, end: number): void {
    const length = end - start
    if (this.#room.length < length) {
      this.#room = Buffer.allocUnsafeSlow(roomFor(length))
      this.#octets = this.#room
    }
    if (this.#octets.length !== length) this.#octets = this.#room.subarray(0, length)
    if (length > MAX_LOOP_BYTES) block.copy(this.#room, 0, start, end)
    else for (let i = 0; i < length; i++) this.#room[i] = block[start + i]!
  }
}

function roomFor(length: number): number {
  let bytes = 64
  while (bytes < length) bytes *= 2
  return bytes
}

/** Reads an input of a fuzzer as numbers and octets; past its end everything is 0 or empty. */
export class Cursor {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }
  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length
  }
  octet(): number {
    return this.#bytes[this.#at++] ?? 0
  }
  /** A length in one octet, or in three. */
  length(): number {
    const first = this.octet()
    return first < 0xff ? first : this.octet() * 256 + this.octet()
  }
  /** At most `count` octets, a copy: what is given to a reader is memory of its own. */
  take(count: number): Buffer {
    const from = this.#at
    this.#at = Math.min(this.#bytes.length, from + count)
    return Buffer.from(this.#bytes.subarray(from, this.#at))
  }
  rest(): Buffer {
    return this.take(this.#bytes.length)
  }
}

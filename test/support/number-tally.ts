/**
 * Counts numbered items, so that what was sent and what arrived can be compared one by one, for millions of them.
 */

/** How often each number was seen. */
export class NumberTally {
  /** By number; 255 stands for that and more. */
  #counts = new Uint8Array(1024)
  #distinct = 0
  #repeats = 0

  /** How many different numbers were seen. */
  get distinct(): number {
    return this.#distinct
  }
  /** How often a number was seen that had been seen before. */
  get repeats(): number {
    return this.#repeats
  }

  /** @param number a whole number, 0 … 100,000,000 */
  add(number: number): void {
    if (!Number.isInteger(number) || number < 0 || number > 1e8) throw new Error(`not a number: ${number}`)
    if (number >= this.#counts.length) {
      const larger = new Uint8Array(2 ** Math.ceil(Math.log2(number + 1)))
      larger.set(this.#counts)
      this.#counts = larger
    }
    const count = this.#counts[number]!
    if (count === 0) this.#distinct++
    else this.#repeats++
    if (count < 255) this.#counts[number] = count + 1
  }

  has(number: number): boolean {
    return (this.#counts[number] ?? 0) > 0
  }

  /** Numbers from `first` on, `count` of them, that were not seen. */
  missing(count: number, first = 0): number[] {
    const lost: number[] = []
    for (let number = first; number < first + count; number++) if (!this.has(number)) lost.push(number)
    return lost
  }
}

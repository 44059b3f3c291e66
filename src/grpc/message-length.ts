/**
 * Follows the lengths of gRPC messages through the octets of a stream, wherever DATA is cut, and says when one is too long.
 * Floor 1; reads the five octets before each message and nothing else: payloads are never decoded, copied or kept.
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md (Length-Prefixed-Message)
 */

/** Octets before a message: one of flags, four of length. */
const PREFIX_BYTES = 5

/** One direction of one call. */
export class MessageLengthFollower {
  /** Octets of the current prefix that have been read; `0 <= prefixCount < 5`. */
  #prefixCount = 0
  /** The length as far as it has been read. */
  #lengthBytes = 0
  /** Octets of the current message to come. */
  #leftBytes = 0

  /** Whether the octets so far are whole messages: where a stream may end without having cut one. */
  get isAtMessageBoundary(): boolean {
    return this.#prefixCount === 0 && this.#leftBytes === 0
  }

  /**
   * Follows the octets of `piece`, which is only read. False as soon as a prefix announces a message of more than
   * `maxBytes`; the call is then to be ended, and the follower not to be asked again.
   * @param maxBytes the longest message, its prefix not counted; 0 … 2^32−1
   */
  push(piece: Buffer, maxBytes: number): boolean {
    let at = 0
    const end = piece.length
    while (at < end) {
      if (this.#leftBytes > 0) {
        const passedBytes = Math.min(this.#leftBytes, end - at)
        this.#leftBytes -= passedBytes
        at += passedBytes
        continue
      }
      if (this.#prefixCount > 0) this.#lengthBytes = this.#lengthBytes * 256 + piece[at]!
      at++
      if (++this.#prefixCount < PREFIX_BYTES) continue
      if (this.#lengthBytes > maxBytes) return false
      this.#leftBytes = this.#lengthBytes
      this.#lengthBytes = 0
      this.#prefixCount = 0
    }
    return true
  }
}

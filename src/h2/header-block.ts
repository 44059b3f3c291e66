/**
 * Gathers a header block that is cut into HEADERS and CONTINUATION frames.
 * Floor 2; knows no HPACK. Copies fragments, since they are borrowed; a block in one frame never comes here.
 * @see RFC 9113 §4.3, §6.10
 */
import { NO_BYTES } from '../base/index.ts'

/** The one header block that may be open on a connection. */
export class HeaderBlock {
  isOpen = false
  streamId = 0
  isEnd = false
  #parts: Buffer[] = []
  #bytes = 0
  #continuationCount = 0

  /** Starts a block with the fragment of its HEADERS frame. */
  open(streamId: number, isEnd: boolean, fragment: Buffer): void {
    this.isOpen = true
    this.streamId = streamId
    this.isEnd = isEnd
    this.#bytes = fragment.length
    this.#continuationCount = 0
    this.#parts = [Buffer.from(fragment)]
  }

  /** Adds a CONTINUATION; false when it is one frame or one octet too many (CVE-2024-27316 and its kin). */
  append(fragment: Buffer, maxContinuationCount: number, maxBytes: number): boolean {
    this.#continuationCount++
    this.#bytes += fragment.length
    if (this.#continuationCount > maxContinuationCount || this.#bytes > maxBytes) return false
    if (fragment.length > 0) this.#parts.push(Buffer.from(fragment))
    return true
  }

  /** Ends the block and gives it whole. */
  close(): Buffer {
    const block = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts)
    this.isOpen = false
    this.#parts = []
    return block.length === 0 ? NO_BYTES : block
  }
}

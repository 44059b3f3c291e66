/**
 * Octets that wait, as views of the chunks they came in: pushed at the tail, taken from the head in pieces of any size.
 * Floor 0; knows no frame. Owns nothing but references: a queued view pins its chunk until it is taken or detached.
 */
import type { ChunkPins } from './chunk-pins.ts'
import { Ring } from './ring.ts'

/** Views up to this size are copied by `detach`: 20 octets must not pin a chunk of 64 KiB. */
const SMALL_VIEW_BYTES = 4096

/** A queue of views. The first lies in a field of its own, so that the usual one-view queue allocates nothing. */
export class ChunkQueue {
  /** Octets in the queue. `bytes === 0` exactly when it holds no view. */
  bytes = 0
  #first: Buffer | null = null
  #rest: Ring<Buffer> | null = null
  #isDetached = true
  /** How many views, from the head, were there at the last `detach`, and are counted in `#pins`. */
  #pinnedCount = 0
  #pins: ChunkPins | null = null

  /** Appends a view, not empty; it must stay unchanged until it is taken. */
  push(view: Buffer): void {
    this.bytes += view.length
    this.#isDetached = false
    if (this.#first === null) this.#first = view
    else (this.#rest ??= new Ring<Buffer>()).push(view)
  }

  /** Takes at most `maxBytes` (≥ 1) from the first view; null when the queue is empty. */
  take(maxBytes: number): Buffer | null {
    const first = this.#first
    if (first === null) return null
    if (first.length <= maxBytes) {
      this.bytes -= first.length
      this.#first = this.#rest === null ? null : this.#rest.shift()
      if (this.#pinnedCount > 0) {
        this.#pinnedCount--
        this.#pins!.unpin(first)
      }
      return first
    }
    this.bytes -= maxBytes
    if (this.#pinnedCount > 0) this.#pins!.cut(first, maxBytes)
    this.#first = first.subarray(maxBytes)
    return first.subarray(0, maxBytes)
  }

  /**
   * To be called when what waits will outlive the turn: copies small views out of their chunks, and counts in `pins` what
   * the others pin. Always with the same `pins`.
   */
  detach(pins: ChunkPins): void {
    if (this.#isDetached || this.#first === null) return
    this.#isDetached = true
    this.#pins = pins
    if (this.#pinnedCount === 0) {
      this.#first = detached(this.#first)
      pins.pin(this.#first)
      this.#pinnedCount = 1
    }
    const rest = this.#rest
    if (rest === null) return
    for (let i = this.#pinnedCount - 1; i < rest.length; i++) {
      const view = detached(rest.at(i))
      rest.replaceAt(i, view)
      pins.pin(view)
    }
    this.#pinnedCount = 1 + rest.length
  }

  /** Drops everything; returns the octets dropped. */
  clear(): number {
    const dropped = this.bytes
    while (this.#pinnedCount > 0) this.take(Infinity)
    this.bytes = 0
    this.#first = null
    this.#rest = null
    return dropped
  }
}

/** A copy of `view` when it is small and pins a chunk that is not; else the view itself. */
export function detached(view: Buffer): Buffer {
  if (view.length > SMALL_VIEW_BYTES || view.buffer.byteLength <= 2 * view.length) return view
  const copy = Buffer.allocUnsafeSlow(view.length)
  view.copy(copy)
  return copy
}

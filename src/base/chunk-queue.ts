/**
 * Octets that wait, as views of the chunks they came in: pushed at the tail, taken from the head in pieces of any size.
 * Floor 0; knows no frame. Owns nothing but references: a queued view pins its chunk until it is taken or detached.
 */
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
      return first
    }
    this.bytes -= maxBytes
    this.#first = first.subarray(maxBytes)
    return first.subarray(0, maxBytes)
  }

  /** Copies small views out of their chunks: to be called when what waits will outlive the turn. */
  detach(): void {
    if (this.#isDetached || this.#first === null) return
    this.#isDetached = true
    this.#first = detached(this.#first)
    const rest = this.#rest
    if (rest === null) return
    for (let i = 0; i < rest.length; i++) rest.replaceAt(i, detached(rest.at(i)))
  }

  /** Drops everything; returns the octets dropped. */
  clear(): number {
    const dropped = this.bytes
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

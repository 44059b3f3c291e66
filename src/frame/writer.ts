/**
 * Turns frames into octets that leave in as few buffers as possible: heads and small payloads in a slab, large payloads
 * by reference.
 * Floor 1; knows no stream state and judges nothing: who calls it has checked windows, sizes and order.
 * @see RFC 9113 §4.1, §6
 */
import { NO_BYTES, invariant, writeUint16, writeUint24, writeUint32 } from '../base/index.ts'
import { FRAME_HEAD_BYTES, FrameFlag, FrameType, PREFACE, SETTING_BYTES } from './constants.ts'

/** Payloads up to here are copied into the slab; above, one more buffer in the write costs less than the copy. */
export const MAX_COPIED_BYTES = 2_048

/** Octets of a slab once a connection is busy. */
const DEFAULT_SLAB_BYTES = 65_536

/**
 * Octets of a connection's first slab, and of the first one after it was idle: enough for the SETTINGS exchange and some
 * PINGs. What is let go stays a hole in the C library's heap between what other idle connections keep.
 */
const FIRST_SLAB_BYTES = 256

/** Octets of the second: enough for a few calls. */
const SECOND_SLAB_BYTES = 4_096

/** Each further slab is this many times the one before, up to the full size. */
const SLAB_GROWTH = 4

/** Octets of the longest debug text in GOAWAY: our own texts are one sentence. */
const MAX_DEBUG_BYTES = 1_024

/** Writes frames for one direction of one connection, and keeps them until they are taken. */
export class FrameWriter {
  readonly #maxSlabBytes: number
  #slab: Buffer = NO_BYTES
  #nextSlabBytes: number
  /** Octets of the slab that are written; `0 <= viewStart <= at <= slab.length`. */
  #at = 0
  /** Where the octets begin that are neither taken nor among the parts. */
  #viewStart = 0
  /** What is pending before `slab[viewStart, at)`, in order. */
  readonly #parts: Buffer[] = []
  #pendingBytes = 0
  #pendingFrameCount = 0
  /** Where `beginHeaders` said that the block begins; −1 when none was begun. */
  #blockStart = -1

  /** @param slabBytes octets of a slab of a busy connection; default 64 KiB. None is allocated before the first frame. */
  constructor(slabBytes: number = DEFAULT_SLAB_BYTES) {
    this.#maxSlabBytes = slabBytes
    this.#nextSlabBytes = Math.min(FIRST_SLAB_BYTES, slabBytes)
  }

  /** Octets written and not yet taken. */
  get pendingBytes(): number {
    return this.#pendingBytes
  }

  /** Frames written and not yet taken; the preface is none. */
  get pendingFrameCount(): number {
    return this.#pendingFrameCount
  }

  /** The slab that `beginHeaders` made room in. Another one after the next call of any method. */
  get slab(): Buffer {
    return this.#slab
  }

  /**
   * Writes a DATA frame without padding. Above MAX_COPIED_BYTES the payload goes by reference: it must stay unchanged
   * until it has left the process. @see RFC 9113 §6.1
   * @param flags END_STREAM or 0
   */
  data(streamId: number, payload: Buffer, flags: number): void {
    const lengthBytes = payload.length
    if (lengthBytes <= MAX_COPIED_BYTES) {
      const at = this.#head(lengthBytes, FrameType.DATA, flags, streamId)
      if (lengthBytes !== 0) payload.copy(this.#slab, at)
      return
    }
    this.#reserve(FRAME_HEAD_BYTES)
    this.#writeHead(lengthBytes, FrameType.DATA, flags, streamId)
    this.#sealView()
    this.#parts.push(payload)
    this.#pendingBytes += lengthBytes
  }

  /**
   * Makes room for a header block of at most `maxBytes` and gives the offset at which to encode it into `slab`. Nothing
   * is written yet: a block that is given up needs no undoing, but no other frame may come between begin and end.
   * A close bound saves memory: one larger than what is left of the slab starts a new slab.
   */
  beginHeaders(maxBytes: number): number {
    this.#reserve(FRAME_HEAD_BYTES + maxBytes)
    this.#blockStart = this.#at + FRAME_HEAD_BYTES
    return this.#blockStart
  }

  /**
   * Ends the block at `endOffset` of the slab and writes its frames: HEADERS, and CONTINUATION for what is beyond
   * `maxFrameBytes`. @see RFC 9113 §4.3, §6.2, §6.10
   * @param maxFrameBytes the peer's SETTINGS_MAX_FRAME_SIZE
   */
  endHeaders(streamId: number, endStream: boolean, endOffset: number, maxFrameBytes: number): void {
    const start = this.#blockStart
    invariant(start === this.#at + FRAME_HEAD_BYTES, 'nothing is written between beginHeaders and endHeaders')
    invariant(endOffset >= start && endOffset <= this.#slab.length, 'a header block ends inside the slab')
    this.#blockStart = -1
    const blockBytes = endOffset - start
    const streamFlag = endStream ? FrameFlag.END_STREAM : 0
    if (blockBytes > maxFrameBytes) {
      this.#splitBlock(
        streamId,
        streamFlag,
        Buffer.from(this.#slab.subarray(start, endOffset)),
        maxFrameBytes,
      )
      return
    }
    this.#writeHead(blockBytes, FrameType.HEADERS, FrameFlag.END_HEADERS | streamFlag, streamId)
    this.#at = endOffset
    this.#pendingBytes += blockBytes
  }

  /** Writes SETTINGS with these entries, in this order. @see RFC 9113 §6.5 */
  settings(entries: readonly (readonly [id: number, value: number])[]): void {
    let at = this.#head(entries.length * SETTING_BYTES, FrameType.SETTINGS, 0, 0)
    for (const [id, value] of entries) {
      writeUint16(this.#slab, at, id)
      writeUint32(this.#slab, at + 2, value)
      at += SETTING_BYTES
    }
  }

  /** Writes the answer to the peer's SETTINGS. @see RFC 9113 §6.5.3 */
  settingsAck(): void {
    this.#head(0, FrameType.SETTINGS, FrameFlag.ACK, 0)
  }

  /** Writes PING, or the answer to one. @param payload eight octets, copied @see RFC 9113 §6.7 */
  ping(payload: Buffer, isAck: boolean): void {
    invariant(payload.length === 8, 'PING carries eight octets')
    const at = this.#head(8, FrameType.PING, isAck ? FrameFlag.ACK : 0, 0)
    payload.copy(this.#slab, at)
  }

  /** Writes GOAWAY. @param debug one sentence for the peer's operator; cut after 1,024 octets @see RFC 9113 §6.8 */
  goaway(lastStreamId: number, code: number, debug: string): void {
    const text = Buffer.from(debug, 'utf8').subarray(0, MAX_DEBUG_BYTES)
    const at = this.#head(8 + text.length, FrameType.GOAWAY, 0, 0)
    writeUint32(this.#slab, at, lastStreamId)
    writeUint32(this.#slab, at + 4, code)
    text.copy(this.#slab, at + 8)
  }

  /** Writes RST_STREAM. @see RFC 9113 §6.4 */
  rstStream(streamId: number, code: number): void {
    const at = this.#head(4, FrameType.RST_STREAM, 0, streamId)
    writeUint32(this.#slab, at, code)
  }

  /** Writes WINDOW_UPDATE. @param increment 1 … 2^31−1 @see RFC 9113 §6.9 */
  windowUpdate(streamId: number, increment: number): void {
    const at = this.#head(4, FrameType.WINDOW_UPDATE, 0, streamId)
    writeUint32(this.#slab, at, increment)
  }

  /** Writes the client's preface; SETTINGS must follow. @see RFC 9113 §3.4 */
  preface(): void {
    this.#reserve(PREFACE.length)
    PREFACE.copy(this.#slab, this.#at)
    this.#at += PREFACE.length
    this.#pendingBytes += PREFACE.length
  }

  /**
   * Moves what is pending to the end of `out`, adjacent octets of the slab as one view, and gives their number. The
   * views must leave the process before `recycle`.
   */
  take(out: Buffer[]): number {
    const takenBytes = this.#pendingBytes
    if (takenBytes === 0) return 0
    this.#sealView()
    const parts = this.#parts
    for (let i = 0; i < parts.length; i++) out.push(parts[i]!)
    parts.length = 0
    this.#pendingBytes = 0
    this.#pendingFrameCount = 0
    return takenBytes
  }

  /**
   * The caller says that all that was taken has left the process: the slab is filled from its start again. Does nothing
   * while frames are pending, since those stand in the slab. A slab that one long block made larger than usual is let go.
   */
  recycle(): void {
    if (this.#pendingBytes !== 0) return
    if (this.#slab.length > this.#maxSlabBytes) this.#slab = NO_BYTES
    this.#at = 0
    this.#viewStart = 0
    this.#blockStart = -1
  }

  /**
   * Lets the slab go, so that an idle connection keeps none; the next frame starts with a small one. Views that were
   * taken stay good. Does nothing while frames are pending.
   */
  release(): void {
    if (this.#pendingBytes !== 0) return
    this.recycle()
    this.#slab = NO_BYTES
    this.#nextSlabBytes = Math.min(FIRST_SLAB_BYTES, this.#maxSlabBytes)
  }

  /** Writes a head and leaves room for the payload, which counts as written. Gives the payload's offset. */
  #head(lengthBytes: number, type: number, flags: number, streamId: number): number {
    this.#reserve(FRAME_HEAD_BYTES + lengthBytes)
    this.#writeHead(lengthBytes, type, flags, streamId)
    const payloadAt = this.#at
    this.#at = payloadAt + lengthBytes
    this.#pendingBytes += lengthBytes
    return payloadAt
  }

  /** Writes a head where room has been made. */
  #writeHead(lengthBytes: number, type: number, flags: number, streamId: number): void {
    const slab = this.#slab
    const at = this.#at
    writeUint24(slab, at, lengthBytes)
    slab[at + 3] = type
    slab[at + 4] = flags
    writeUint32(slab, at + 5, streamId)
    this.#at = at + FRAME_HEAD_BYTES
    this.#pendingBytes += FRAME_HEAD_BYTES
    this.#pendingFrameCount++
  }

  /** A block too long for one frame: rare, so it is copied out and written again with the heads between. */
  #splitBlock(streamId: number, streamFlag: number, block: Buffer, maxFrameBytes: number): void {
    for (let from = 0; from < block.length; from += maxFrameBytes) {
      const to = Math.min(from + maxFrameBytes, block.length)
      const flags = (from === 0 ? streamFlag : 0) | (to === block.length ? FrameFlag.END_HEADERS : 0)
      const type = from === 0 ? FrameType.HEADERS : FrameType.CONTINUATION
      const at = this.#head(to - from, type, flags, streamId)
      block.copy(this.#slab, at, from, to)
    }
  }

  /** Sees to it that `bytes` fit behind `at`; turns to a new slab if not. */
  #reserve(bytes: number): void {
    if (this.#slab.length - this.#at >= bytes) return
    this.#sealView()
    // What does not fit a first slab is a call: it gets one for a few.
    if (bytes > this.#nextSlabBytes && this.#nextSlabBytes < SECOND_SLAB_BYTES) this.#growNext()
    this.#slab = Buffer.allocUnsafeSlow(Math.max(this.#nextSlabBytes, bytes))
    this.#growNext()
    this.#at = 0
    this.#viewStart = 0
  }

  #growNext(): void {
    const grownBytes = Math.max(this.#nextSlabBytes * SLAB_GROWTH, SECOND_SLAB_BYTES)
    this.#nextSlabBytes = Math.min(grownBytes, this.#maxSlabBytes)
  }

  /** Makes what was written into the slab since the last view a part of its own. */
  #sealView(): void {
    if (this.#at === this.#viewStart) return
    this.#parts.push(this.#slab.subarray(this.#viewStart, this.#at))
    this.#viewStart = this.#at
  }
}

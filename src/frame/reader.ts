/**
 * Turns a peer's octets, cut anywhere, into FrameSink calls.
 * Floor 1; knows framing and the order of header blocks; no stream state, no window, no HPACK, no time.
 * @see RFC 9113 §3.4 (preface), §4 (frames), §4.3 (header blocks), §6 (frame types)
 */
import { NO_BYTES, invariant, readUint24, readUint31, readUint32 } from '../base/index.ts'
import type { FaultToken } from '../base/index.ts'
import { FRAME_HEAD_BYTES, FrameFlag, FrameType, PREFACE } from './constants.ts'
import { headFault, prefixBytes } from './legality.ts'
import type { FrameSink } from './sink.ts'

/** What a FrameReader accepts. */
export interface FrameReaderOptions {
  /** The SETTINGS_MAX_FRAME_SIZE that we advertised; a longer payload is a fault. 16,384 … 2^24−1. */
  readonly maxFrameBytes: number
  /** Whether the peer is a client, whose first 24 octets are the preface. */
  readonly expectsPreface: boolean
}

/**
 * The least DATA that leaves as a piece before its frame is complete. Less is carried to the next chunk, so that a peer
 * that trickles octets causes no more pieces than one that does not.
 */
export const MIN_PIECE_BYTES = 2_048

/** Carried octets and those that complete them are joined by copy up to here; above, they leave as two pieces. */
const MAX_JOIN_BYTES = 4_096

/** A carry buffer above this is let go when nothing is pending, so that an idle connection does not keep it. */
const MAX_IDLE_CARRY_BYTES = 4_096

/** The carry grows by doubling from here, never ahead of what has arrived: a head alone buys no memory. */
const MIN_CARRY_BYTES = 512

// What the next octet is.
const IN_PREFACE = 0
const IN_HEAD = 1
const IN_PAD_LENGTH = 2
const IN_DATA = 3
const IN_PAYLOAD = 4
const IN_SKIPPED = 5
const HALTED = 6

/**
 * A push parser of frames for one direction of one connection. Any split of the same octets gives the same calls, apart
 * from where DATA pieces are cut. Payloads are views of the chunk where they can be; see FrameSink for how long they last.
 */
export class FrameReader {
  readonly #sink: FrameSink
  readonly #maxFrameBytes: number
  #state: number
  /** Octets of the preface or of the frame's head that have been read; 0 <= count <= 24. */
  #headCount = 0
  #lengthBytes = 0
  #type = 0
  #flags = 0
  #streamId = 0
  /** Octets of the payload to come, apart from trailing padding. Carried ones have come. */
  #leftBytes = 0
  /** Octets of trailing padding to skip after the content of a DATA frame. */
  #paddingBytes = 0
  /** The stream whose header block is open, else 0. @see RFC 9113 §4.3 */
  #blockStreamId = 0
  #hasPreface: boolean
  /** Octets of the frame that came in earlier chunks; `0 <= carriedBytes <= carry.length`. */
  #carry: Buffer = NO_BYTES
  #carriedBytes = 0

  constructor(sink: FrameSink, options: FrameReaderOptions) {
    this.#sink = sink
    this.#maxFrameBytes = options.maxFrameBytes
    this.#state = options.expectsPreface ? IN_PREFACE : IN_HEAD
    this.#hasPreface = !options.expectsPreface
  }

  /** Whether part of a frame, or part of the preface, has come and the rest has not. */
  get isMidFrame(): boolean {
    return this.#state === HALTED ? false : this.#state > IN_HEAD || this.#headCount > 0
  }

  /** Whether the preface has come whole; true from the start when none is expected. */
  get hasPreface(): boolean {
    return this.#hasPreface
  }

  /** Reads no more, not even the rest of the chunk whose frame the sink is being told of. Final. */
  halt(): void {
    this.#state = HALTED
    this.#carry = NO_BYTES
    this.#carriedBytes = 0
  }

  /**
   * Reads `chunk`. Its memory is not to be used again: DATA is given as views of it. Not to be called from within a
   * sink's method. After `halt` or a fault it does nothing.
   */
  push(chunk: Buffer): void {
    const end = chunk.length
    let at = 0
    while (at < end) {
      switch (this.#state) {
        case IN_HEAD:
          at = this.#readHead(chunk, at)
          break
        case IN_DATA:
          at = this.#readData(chunk, at)
          break
        case IN_PAYLOAD:
          at = this.#readPayload(chunk, at)
          break
        case IN_PAD_LENGTH:
          this.#beginData(chunk[at++]!)
          break
        case IN_SKIPPED:
          at = this.#skip(at, end)
          break
        case IN_PREFACE:
          at = this.#readPreface(chunk, at)
          break
        default:
          return
      }
    }
    if (this.#carry.length > MAX_IDLE_CARRY_BYTES && this.#carriedBytes === 0) this.#carry = NO_BYTES
  }

  #readPreface(chunk: Buffer, from: number): number {
    let at = from
    while (at < chunk.length && this.#headCount < PREFACE.length) {
      // RFC 9113 §3.4: an invalid preface is a connection error; told at the first octet that differs.
      if (chunk[at++] !== PREFACE[this.#headCount++]) {
        this.#fail('bad_preface')
        return at
      }
    }
    if (this.#headCount === PREFACE.length) {
      this.#headCount = 0
      this.#hasPreface = true
      this.#state = IN_HEAD
    }
    return at
  }

  #readHead(chunk: Buffer, from: number): number {
    let at = from
    if (this.#headCount === 0 && chunk.length - at >= FRAME_HEAD_BYTES) {
      this.#lengthBytes = readUint24(chunk, at)
      this.#type = chunk[at + 3]!
      this.#flags = chunk[at + 4]!
      this.#streamId = readUint31(chunk, at + 5)
      at += FRAME_HEAD_BYTES
    } else {
      if (this.#headCount === 0) this.#lengthBytes = this.#streamId = 0
      while (at < chunk.length && this.#headCount < FRAME_HEAD_BYTES) this.#readHeadOctet(chunk[at++]!)
      if (this.#headCount < FRAME_HEAD_BYTES) return at
      this.#headCount = 0
    }
    this.#beginFrame()
    return at
  }

  /** Reads the head octet by octet: it is cut by the end of a chunk. */
  #readHeadOctet(octet: number): void {
    const index = this.#headCount++
    if (index < 3) this.#lengthBytes = (this.#lengthBytes << 8) | octet
    else if (index === 3) this.#type = octet
    else if (index === 4) this.#flags = octet
    // RFC 9113 §4.1: the reserved bit is ignored.
    else this.#streamId = (this.#streamId << 8) | (index === 5 ? octet & 0x7f : octet)
  }

  /** The head is complete: judges it, and turns to what follows. */
  #beginFrame(): void {
    const fault = this.#findFault()
    if (fault !== null) {
      this.#fail(fault)
      return
    }
    const lengthBytes = this.#lengthBytes
    this.#leftBytes = lengthBytes
    if (this.#type === FrameType.DATA) {
      if ((this.#flags & FrameFlag.PADDED) === 0) this.#beginData(-1)
      else this.#state = IN_PAD_LENGTH
    } else if (this.#type > FrameType.CONTINUATION) {
      // RFC 9113 §5.5: frames of unknown types are ignored and discarded.
      this.#state = lengthBytes === 0 ? IN_HEAD : IN_SKIPPED
      this.#sink.onUnknownFrame(this.#type, this.#streamId, lengthBytes)
    } else if (lengthBytes === 0) {
      this.#deliver(NO_BYTES, 0)
    } else {
      this.#state = IN_PAYLOAD
    }
  }

  #findFault(): FaultToken | null {
    const type = this.#type
    if (this.#lengthBytes > this.#maxFrameBytes) return 'frame_too_large'
    // RFC 9113 §4.3: nothing may stand between the frames of a header block, unknown types included (§5.5).
    if (this.#blockStreamId !== 0 && type !== FrameType.CONTINUATION) return 'continuation_expected'
    const fault = headFault(type, this.#flags, this.#streamId, this.#lengthBytes)
    if (fault !== null || type !== FrameType.CONTINUATION) return fault
    if (this.#blockStreamId === 0) return 'continuation_unexpected'
    return this.#blockStreamId === this.#streamId ? null : 'continuation_expected'
  }

  /** @param padLength the pad length octet, or −1 when the frame is not padded */
  #beginData(padLength: number): void {
    if (padLength >= 0) {
      // RFC 9113 §6.1: padding as long as the payload, its length octet included, is a connection error.
      if (padLength >= this.#lengthBytes) {
        this.#fail('pad_exceeds_payload')
        return
      }
      this.#leftBytes = this.#lengthBytes - 1 - padLength
      this.#paddingBytes = padLength
    } else {
      this.#paddingBytes = 0
    }
    this.#state = IN_DATA
    this.#sink.onDataHead(this.#streamId, this.#flags, this.#lengthBytes)
    if (this.#leftBytes === 0) this.#deliverData(NO_BYTES, true)
  }

  /** Delivers what is at hand of a DATA frame, or carries it while it is little. Gives where the chunk is read on. */
  #readData(chunk: Buffer, from: number): number {
    const takenBytes = Math.min(this.#leftBytes, chunk.length - from)
    const to = from + takenBytes
    const isEnd = takenBytes === this.#leftBytes
    const carriedBytes = this.#carriedBytes
    const atHandBytes = carriedBytes + takenBytes
    this.#leftBytes -= takenBytes
    if (!isEnd && atHandBytes < MIN_PIECE_BYTES) {
      this.#carryOn(chunk, from, to)
    } else if (carriedBytes === 0) {
      this.#deliverData(from === 0 && to === chunk.length ? chunk : chunk.subarray(from, to), isEnd)
    } else if (atHandBytes <= MAX_JOIN_BYTES) {
      this.#carryOn(chunk, from, to)
      this.#deliverData(this.#giveCarry(), isEnd)
    } else {
      this.#deliverData(this.#giveCarry(), false)
      this.#deliverData(chunk.subarray(from, to), isEnd)
    }
    return to
  }

  /** What was carried, with its buffer: DATA may wait long after this call, so the buffer is never written again. */
  #giveCarry(): Buffer {
    const piece = this.#carry.subarray(0, this.#carriedBytes)
    this.#carry = NO_BYTES
    this.#carriedBytes = 0
    return piece
  }

  #deliverData(piece: Buffer, isEnd: boolean): void {
    if (this.#state === HALTED) return
    if (isEnd) {
      this.#leftBytes = this.#paddingBytes
      this.#state = this.#paddingBytes === 0 ? IN_HEAD : IN_SKIPPED
    }
    this.#sink.onDataPiece(piece, isEnd)
  }

  /** Delivers a frame that must be in one piece, or carries what there is of it. */
  #readPayload(chunk: Buffer, from: number): number {
    const takenBytes = Math.min(this.#leftBytes, chunk.length - from)
    const to = from + takenBytes
    if (takenBytes === this.#lengthBytes) {
      this.#deliver(chunk, from)
      return to
    }
    this.#leftBytes -= takenBytes
    this.#carryOn(chunk, from, to)
    if (this.#leftBytes === 0) {
      this.#carriedBytes = 0
      this.#deliver(this.#carry, 0)
    }
    return to
  }

  /** Tells the sink of a whole frame, other than DATA, whose payload stands in `bytes` at `at`. */
  #deliver(bytes: Buffer, at: number): void {
    this.#state = IN_HEAD
    const sink = this.#sink
    const flags = this.#flags
    const end = at + this.#lengthBytes
    switch (this.#type) {
      case FrameType.HEADERS:
        this.#deliverHeaders(bytes, at, end)
        break
      case FrameType.CONTINUATION:
        if ((flags & FrameFlag.END_HEADERS) !== 0) this.#blockStreamId = 0
        sink.onContinuation(this.#streamId, flags, bytes.subarray(at, end))
        break
      case FrameType.WINDOW_UPDATE:
        sink.onWindowUpdate(this.#streamId, readUint31(bytes, at))
        break
      case FrameType.RST_STREAM:
        sink.onRstStream(this.#streamId, readUint32(bytes, at))
        break
      case FrameType.PING:
        sink.onPing(flags, bytes.subarray(at, end))
        break
      case FrameType.SETTINGS:
        sink.onSettings(flags, bytes.subarray(at, end))
        break
      case FrameType.PRIORITY:
        sink.onPriority(this.#streamId, readUint31(bytes, at))
        break
      case FrameType.GOAWAY:
        sink.onGoaway(readUint31(bytes, at), readUint32(bytes, at + 4), bytes.subarray(at + 8, end))
        break
      default:
        invariant(false, 'a frame type that is delivered has a case')
    }
  }

  #deliverHeaders(bytes: Buffer, at: number, end: number): void {
    const flags = this.#flags
    const fragmentAt = at + prefixBytes(flags)
    const padLength = (flags & FrameFlag.PADDED) === 0 ? 0 : bytes[at]!
    // RFC 9113 §6.2: padding beyond what is left for the fragment is a connection error.
    if (padLength > end - fragmentAt) {
      this.#fail('pad_exceeds_payload')
      return
    }
    const dependsOn = (flags & FrameFlag.PRIORITY) === 0 ? -1 : readUint31(bytes, fragmentAt - 5)
    if ((flags & FrameFlag.END_HEADERS) === 0) this.#blockStreamId = this.#streamId
    this.#sink.onHeaders(this.#streamId, flags, bytes.subarray(fragmentAt, end - padLength), dependsOn)
  }

  #skip(from: number, end: number): number {
    const skippedBytes = Math.min(this.#leftBytes, end - from)
    this.#leftBytes -= skippedBytes
    if (this.#leftBytes === 0) this.#state = IN_HEAD
    return from + skippedBytes
  }

  #carryOn(chunk: Buffer, from: number, to: number): void {
    const neededBytes = this.#carriedBytes + to - from
    if (neededBytes > this.#carry.length) this.#growCarry(neededBytes)
    chunk.copy(this.#carry, this.#carriedBytes, from, to)
    this.#carriedBytes = neededBytes
  }

  #growCarry(neededBytes: number): void {
    const wantedBytes = Math.min(
      this.#lengthBytes,
      Math.max(neededBytes, this.#carry.length * 2, MIN_CARRY_BYTES),
    )
    const grown = Buffer.allocUnsafeSlow(Math.max(neededBytes, wantedBytes))
    this.#carry.copy(grown, 0, 0, this.#carriedBytes)
    this.#carry = grown
  }

  #fail(token: FaultToken): void {
    this.halt()
    this.#sink.onConnectionFault(token)
  }
}

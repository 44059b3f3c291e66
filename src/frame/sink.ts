/**
 * What a FrameReader tells: one call for each frame, none that allocates.
 * Floor 1; knows nothing of streams' states or windows: the sink judges those.
 * @see RFC 9113 §6
 */
import type { FaultToken } from '../base/index.ts'

/**
 * Receives what a FrameReader finds. Called synchronously and in wire order. Pieces of DATA may be kept: the reader never
 * writes into their memory again. Every other Buffer is borrowed until the call returns, so what is kept is copied.
 * `flags` are as the peer sent them, undefined bits included.
 */
export interface FrameSink {
  /** A DATA frame begins. `lengthBytes` is its whole payload, padding included: what flow control counts. @see RFC 9113 §6.9.1 */
  onDataHead(streamId: number, flags: number, lengthBytes: number): void
  /** Octets of the DATA frame begun last, without padding. At least one call a frame (empty for an empty one); the last has `isEnd`. */
  onDataPiece(payload: Buffer, isEnd: boolean): void
  /** HEADERS without padding. `dependsOn` is −1 without the PRIORITY flag. @see RFC 9113 §6.2 */
  onHeaders(streamId: number, flags: number, fragment: Buffer, dependsOn: number): void
  /** CONTINUATION of the header block that is open on `streamId`. @see RFC 9113 §6.10 */
  onContinuation(streamId: number, flags: number, fragment: Buffer): void
  /** PRIORITY; a stream that depends on itself is reported as it is. @see RFC 9113 §6.3 */
  onPriority(streamId: number, dependsOn: number): void
  /** RST_STREAM; `code` is any 32-bit number. @see RFC 9113 §6.4 */
  onRstStream(streamId: number, code: number): void
  /** SETTINGS: whole entries of six octets each, none when it is an ACK. Values are not judged. @see RFC 9113 §6.5 */
  onSettings(flags: number, payload: Buffer): void
  /** PING; `payload` is eight octets. @see RFC 9113 §6.7 */
  onPing(flags: number, payload: Buffer): void
  /** GOAWAY; `code` is any 32-bit number, `debug` is untrusted text or octets. @see RFC 9113 §6.8 */
  onGoaway(lastStreamId: number, code: number, debug: Buffer): void
  /** WINDOW_UPDATE; an increment of 0 included, which the sink judges. @see RFC 9113 §6.9 */
  onWindowUpdate(streamId: number, increment: number): void
  /** The head of a frame of a type not known here; its payload is skipped. @see RFC 9113 §5.5 */
  onUnknownFrame(type: number, streamId: number, lengthBytes: number): void
  /** The peer broke a rule of framing. The reader is halted before this call; there is no other after it. */
  onConnectionFault(token: FaultToken): void
}

import type { FaultToken } from '../../src/base/index.ts'
import type { FrameSink } from '../../src/frame/index.ts'

/**
 * A FrameSink that writes down each call as a line, such as `HEADERS 1 flags=05 82 86`. DATA gives a line for the head
 * and, with `joinsPieces`, one for the whole content; else one for each piece. Copies what it is lent.
 */
export class RecordingSink implements FrameSink {
  readonly log: string[] = []
  /** Lengths of the DATA pieces, in order. */
  readonly pieceBytes: number[] = []
  /** The pieces as they were lent, to see whether they are views or copies. */
  readonly lent: Buffer[] = []
  /** Called after each line; for tests that halt the reader. */
  onLine: (line: string) => void = () => {}
  readonly #joinsPieces: boolean
  #content: Buffer[] = []

  constructor(joinsPieces = true) {
    this.#joinsPieces = joinsPieces
  }

  onDataHead(streamId: number, flags: number, lengthBytes: number): void {
    this.#write(`DATA ${streamId} flags=${octet(flags)} length=${lengthBytes}`)
  }
  onDataPiece(payload: Buffer, isEnd: boolean): void {
    this.pieceBytes.push(payload.length)
    this.lent.push(payload)
    this.#content.push(Buffer.from(payload))
    if (!this.#joinsPieces) this.#write(`  piece ${shown(payload)}${isEnd ? ' end' : ''}`)
    else if (isEnd) this.#write(`  content ${shown(Buffer.concat(this.#content))}`)
    if (isEnd) this.#content = []
  }
  onHeaders(streamId: number, flags: number, fragment: Buffer, dependsOn: number): void {
    this.lent.push(fragment)
    const priority = dependsOn < 0 ? '' : ` dependsOn=${dependsOn}`
    this.#write(`HEADERS ${streamId} flags=${octet(flags)}${priority} ${shown(fragment)}`)
  }
  onContinuation(streamId: number, flags: number, fragment: Buffer): void {
    this.#write(`CONTINUATION ${streamId} flags=${octet(flags)} ${shown(fragment)}`)
  }
  onPriority(streamId: number, dependsOn: number): void {
    this.#write(`PRIORITY ${streamId} dependsOn=${dependsOn}`)
  }
  onRstStream(streamId: number, code: number): void {
    this.#write(`RST_STREAM ${streamId} code=${code}`)
  }
  onSettings(flags: number, payload: Buffer): void {
    this.#write(`SETTINGS flags=${octet(flags)} ${shown(payload)}`)
  }
  onPing(flags: number, payload: Buffer): void {
    this.#write(`PING flags=${octet(flags)} ${shown(payload)}`)
  }
  onGoaway(lastStreamId: number, code: number, debug: Buffer): void {
    this.#write(`GOAWAY last=${lastStreamId} code=${code} ${JSON.stringify(debug.toString('latin1'))}`)
  }
  onWindowUpdate(streamId: number, increment: number): void {
    this.#write(`WINDOW_UPDATE ${streamId} +${increment}`)
  }
  onUnknownFrame(type: number, streamId: number, lengthBytes: number): void {
    this.#write(`UNKNOWN type=${octet(type)} ${streamId} length=${lengthBytes}`)
  }
  onConnectionFault(token: FaultToken): void {
    this.#write(`FAULT ${token}`)
  }

  #write(line: string): void {
    this.log.push(line)
    this.onLine(line)
  }
}

const octet = (value: number): string => value.toString(16).padStart(2, '0')

/** Short octets in hex; long ones as their count and a checksum that sees order. */
function shown(bytes: Buffer): string {
  if (bytes.length <= 16) return bytes.length === 0 ? '-' : bytes.toString('hex')
  let sum = 0
  for (const value of bytes) sum = (Math.imul(sum, 31) + value) >>> 0
  return `${bytes.length} octets #${sum.toString(16)}`
}

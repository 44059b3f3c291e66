/**
 * A whole connection: a peer that sends anything, an owner that does anything at any time, and time that passes. After
 * every step each octet is accounted for and what is held or queued is within its limits; any end is a fault with a token.
 */
import { equal, ok } from 'node:assert/strict'
import { FAULTS, type FaultToken } from '../../../src/base/index.ts'
import { FrameReader, FrameType, H2Code, type H2CodeName } from '../../../src/frame/index.ts'
import type { H2Stream } from '../../../src/h2/index.ts'
import { pattern } from '../../support/frame-factory.ts'
import { listOf, PREFACE, RawPeer, REQUEST, RESPONSE, TRAILERS } from '../../support/h2-pair.ts'
import { RecordingSink } from '../../support/recording-sink.ts'
import { Cursor } from './cursor.ts'
import { PEER_STEPS, peerOctets } from './programs.ts'

const OWNER_STEPS = 10
const REQUEST_LIST = listOf(REQUEST)
const RESPONSE_LIST = listOf(RESPONSE)
const TRAILERS_LIST = listOf(TRAILERS)

/** One program. */
class Program {
  readonly #peer: RawPeer
  readonly #cursor: Cursor
  /** Whether a chunk is cut in two. */
  readonly #cuts: boolean
  /** Octets of each stream that its owner was given and has not credited. */
  readonly #owned = new Map<H2Stream, number>()
  /** Reads the same, to know whether a frame is under way: octets of it are held that no owner knows of yet. */
  readonly #shadow: FrameReader

  constructor(input: Buffer, isServer: boolean) {
    this.#cursor = new Cursor(input)
    const mode = this.#cursor.octet()
    this.#cuts = (mode & 2) !== 0
    this.#peer = new RawPeer({ isServer, limits: { maxConcurrentStreams: 8 } })
    this.#peer.handler.credits = (mode & 4) === 0
    this.#peer.handler.admits = (mode & 8) === 0
    this.#peer.handler.on = (event, stream) => this.#onEvent(event, stream)
    const saysPreface = (mode & 1) === 0 || (isServer && (mode & 16) === 0)
    this.#shadow = new FrameReader(new RecordingSink(), {
      maxFrameBytes: 16_384,
      expectsPreface: isServer && !saysPreface,
    })
    if ((mode & 1) === 0) this.#peer.open()
    else if (saysPreface && isServer) this.#peer.send(PREFACE)
  }

  run(): void {
    while (!this.#cursor.isAtEnd) {
      const step = this.#cursor.octet() % (PEER_STEPS + OWNER_STEPS)
      if (step < PEER_STEPS) this.#send(peerOctets(step, this.#cursor))
      else this.#own(step - PEER_STEPS)
      this.#check()
    }
    this.#finish()
  }

  #onEvent(event: string, stream: H2Stream | null): void {
    const { handler } = this.#peer
    if (stream === null || event !== 'data') return
    const bytes = handler.credits ? 0 : handler.received.get(stream.id)!.at(-1)!.length
    this.#owned.set(stream, (this.#owned.get(stream) ?? 0) + bytes)
  }

  #send(octets: Buffer): void {
    const { connection, end } = this.#peer
    // As the pump: who does not read our answers is not read from.
    if (!connection.wantsRead) this.#peer.flush()
    this.#shadow.push(Buffer.from(octets))
    if (!this.#cuts || octets.length < 2) return end.receive(octets)
    const at = this.#cursor.octet() % octets.length
    end.receive(Buffer.from(octets.subarray(0, at)))
    end.receive(Buffer.from(octets.subarray(at)))
  }

  /** The owner, the clock or the pump does something. */
  #own(step: number): void {
    const { connection, handler } = this.#peer
    const choice = this.#cursor.octet()
    if (step === 0) return void this.#peer.flush(choice < 128 ? Infinity : choice * 64)
    if (step === 1) return void this.#peer.advance(choice * 40)
    if (step === 2) return choice < 128 ? connection.drainStreams() : connection.glitch(choice)
    if (step === 3) return void (handler.credits = !handler.credits)
    if (step === 4) {
      if (connection.isServer || !connection.canOpenStream) return
      const stream = connection.openStream(REQUEST_LIST, null, (choice & 1) === 1, {})
      handler.streams.set(stream.id, stream)
      return
    }
    const streams = [...handler.streams.values()]
    const stream = streams[choice % Math.max(1, streams.length)]
    if (stream !== undefined) this.#ownStream(step, stream)
  }

  #ownStream(step: number, stream: H2Stream): void {
    const choice = this.#cursor.octet()
    if (step === 5) {
      stream.credit(choice * 300)
      this.#owned.set(stream, Math.max(0, (this.#owned.get(stream) ?? 0) - choice * 300))
    }
    if (step === 6) stream.reset(choice & 0x0f)
    else if (step === 7) stream.sendData(pattern((choice >> 1) * 200), (choice & 1) === 1)
    else if (step === 8) {
      if (this.#peer.connection.isServer) stream.sendHeaders(RESPONSE_LIST, (choice & 1) === 1)
    } else if (stream.hasResponseHead && this.#peer.connection.isServer) stream.sendTrailers(TRAILERS_LIST)
  }

  #check(): void {
    const { connection, end } = this.#peer
    const { limits } = connection
    connection.checkCredits()
    ok(
      connection.outbound.queuedControlCount <= limits.maxQueuedControlFrames + 1,
      'control answers are bounded',
    )
    ok(end.held.usedBytes <= 2 * limits.connectionWindowBytes, 'held octets are bounded')
    // Those that we open ourselves are bounded by what the peer allows.
    if (connection.isServer) ok(connection.streams.liveCount <= 100, 'streams are bounded')
    equal(end.stats.streamsOpen, connection.streams.liveCount)
    if (connection.isFaulted) this.#checkFault()
    else if (!connection.isFinished && !this.#shadow.isMidFrame) this.#checkOwned()
  }

  /** Between frames a stream holds what its owner has not credited: padding and the rest is back with the peer. */
  #checkOwned(): void {
    for (const stream of this.#peer.connection.streams.live())
      equal(stream.recvWindow.heldBytes, this.#owned.get(stream) ?? 0)
    for (const [stream, bytes] of this.#owned)
      if (stream.isOver && stream.recvWindow.heldBytes > 0) equal(stream.recvWindow.heldBytes, bytes)
  }

  /** A fault says GOAWAY with its token and the code of that token. */
  #checkFault(): void {
    const { end, frames } = this.#peer
    this.#peer.flush()
    const last = frames.findLast((wire) => wire.type === FrameType.GOAWAY)
    ok(last !== undefined, 'a fault is told')
    const token = last.payload.subarray(8).toString('latin1') as FaultToken
    ok(token in FAULTS, token)
    equal(last.payload.readUInt32BE(4), H2Code[FAULTS[token].code as H2CodeName])
    equal(end.stats.faults[token], 1)
  }

  /** The socket goes and the owner lets go: nothing is left. */
  #finish(): void {
    const { connection, end, handler } = this.#peer
    connection.onSocketClosed(null)
    for (const stream of handler.streams.values()) stream.release()
    connection.checkCredits()
    equal(end.held.usedBytes, 0)
    equal(end.stats.streamsOpen, 0)
    equal(end.stats.connectionsOpen, 0)
  }
}

/** One input against a connection that we accepted. */
export function fuzzServer(input: Buffer): void {
  new Program(input, true).run()
}

/** One input against a connection that we dialled. */
export function fuzzClient(input: Buffer): void {
  new Program(input, false).run()
}

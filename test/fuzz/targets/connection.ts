/**
 * A whole connection: a peer that sends anything, an owner that does anything at any time, and time that passes. After
 * every step each octet is accounted for and what is held or queued is within its limits; any end is a fault with a token.
 */
import { equal, ok } from 'node:assert/strict'
import { FAULTS, type FaultToken } from '../../../src/base/index.ts'
import { FrameType, H2Code, type H2CodeName } from '../../../src/frame/index.ts'
import type { H2Stream } from '../../../src/h2/index.ts'
import { pattern } from '../../support/frame-factory.ts'
import { listOf, PREFACE, RawPeer, REQUEST, RESPONSE, TRAILERS } from '../../support/h2-pair.ts'
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

  constructor(input: Buffer, isServer: boolean) {
    this.#cursor = new Cursor(input)
    const mode = this.#cursor.octet()
    this.#cuts = (mode & 2) !== 0
    this.#peer = new RawPeer({ isServer, limits: { maxConcurrentStreams: 8 } })
    this.#peer.handler.credits = (mode & 4) === 0
    this.#peer.handler.admits = (mode & 8) === 0
    if ((mode & 1) === 0) this.#peer.open()
    else if (isServer && (mode & 16) === 0) this.#peer.send(PREFACE)
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

  #send(octets: Buffer): void {
    const { connection, end } = this.#peer
    // As the pump: who does not read our answers is not read from.
    if (!connection.wantsRead) this.#peer.flush()
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
    if (step === 5) stream.credit(choice * 300)
    else if (step === 6) stream.reset(choice & 0x0f)
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
    ok(connection.streams.liveCount <= 100, 'streams are bounded')
    equal(end.stats.streamsOpen, connection.streams.liveCount)
    if (connection.isFaulted) this.#checkFault()
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

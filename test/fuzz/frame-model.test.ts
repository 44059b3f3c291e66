/**
 * Random programs of legal frames against a model of the wire: a raw peer on either end of a connection sends heads, padded
 * DATA, trailers, resets, SETTINGS and WINDOW_UPDATEs; the owner sends, credits and resets. What the peer may send and what it
 * lets us send is counted from the frames alone, and must be what the connection says, after every flush and on every stream.
 */
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { FrameType, H2Code, SettingId } from '../../src/frame/index.ts'
import type { H2Stream } from '../../src/h2/index.ts'
import { listOf, RawPeer, REQUEST, RESPONSE, TRAILERS, type WireFrame } from '../support/h2-pair.ts'
import { addFigures, STEPS } from './steps.ts'

const INITIAL_WINDOW_BYTES = 20_000
const MAX_STREAMS = 10
const REQUEST_LIST = listOf(REQUEST)
const RESPONSE_LIST = listOf(RESPONSE)
const TRAILERS_LIST = listOf(TRAILERS)

/** Octets of a way of a stream: each says where it stands. */
function octets(id: number, from: number, count: number): Buffer {
  const bytes = Buffer.alloc(count)
  for (let i = 0; i < count; i++) bytes[i] = ((from + i) * 31 + id) & 0xff
  return bytes
}

/** A stream as the frames tell it. */
interface ModelStream {
  readonly id: number
  handle: H2Stream
  /** What the peer may send, and what we may. */
  peerWindow: number
  ourWindow: number
  /** Octets without padding that the peer has sent, and octets that the owner has not credited. */
  sentToUs: number
  held: number
  /** Octets given to the owner's end, and seen by the peer. */
  given: number
  seen: number
  /** Whether a head of the peer's, and of ours, has gone. */
  hasPeerHead: boolean
  hasOurHead: boolean
  isPeerEnded: boolean
  isOurEndGiven: boolean
  isOurEndSeen: boolean
  /** Gone by a reset: by the peer's or by ours. */
  isGone: boolean
}

const KINDS = [
  'open',
  'open',
  'data',
  'data',
  'data',
  'end',
  'head',
  'rst',
  'window',
  'window',
  'connection window',
  'settings',
  'ping',
  'late',
  'send',
  'send',
  'send',
  'finish',
  'credit',
  'credit',
  'reset',
  'flush',
  'flush',
] as const
type Kind = (typeof KINDS)[number]
const step = fc.tuple(fc.constantFrom(...KINDS), fc.nat(MAX_STREAMS - 1), fc.nat(20_000))

const ran = { steps: 0, programs: 0, frames: 0 }

class Program {
  readonly #peer: RawPeer
  readonly #streams: ModelStream[] = []
  #peerConnection = 65_535
  #ourConnection = 65_535
  #ourInitial = 65_535
  #pings = 0
  #settings = 0
  #nextId = 1

  constructor(isServer: boolean) {
    const much = { smallDataBudget: 1e9, windowUpdatesPerWork: 1e9, earlyResets: 1e9, settingsFrames: 1e9 }
    const windows = { initialStreamWindowBytes: INITIAL_WINDOW_BYTES, streamWindowBytes: 40_000 }
    const limits = { ...much, ...windows, connectionWindowBytes: 100_000, pausingControlFrames: 1e6 }
    this.#peer = new RawPeer({ isServer, limits })
    this.#peer.handler.credits = false
    this.#peer.handler.on = (event, handle) => this.#onEvent(event, handle)
    // RawPeer.open() drops what was said on the way: the connection's window was widened there.
    this.#peer.open()
    this.#peerConnection = 100_000
  }

  #onEvent(event: string, handle: H2Stream | null): void {
    const stream = this.#streams.find(({ id }) => id === handle?.id)
    if (stream === undefined || handle === null) return
    stream.handle = handle
    if (event === 'data') stream.held += this.#peer.handler.received.get(stream.id)!.at(-1)!.length
  }

  run([kind, at, count]: readonly [Kind, number, number]): void {
    if (kind === 'open') return this.#open(at)
    if (kind === 'flush') return this.#did(() => this.#flush(count % 2 === 0 ? Infinity : count))
    if (kind === 'ping') return this.#did(() => void (this.#peer.ping(), this.#pings++))
    if (kind === 'settings') return this.#did(() => this.#changeInitial(count))
    if (kind === 'connection window') {
      return this.#did(() => {
        this.#peer.windowUpdate(0, count + 1)
        this.#ourConnection += count + 1
      })
    }
    const stream = this.#streams[at]
    if (stream === undefined) return
    if (kind === 'send' || kind === 'finish' || kind === 'credit' || kind === 'reset')
      this.#own(kind, stream, count)
    else this.#hear(kind, stream, count)
  }

  /** A step that has an effect. */
  #did(act: () => void): void {
    ran.steps++
    act()
    this.#peer.connection.checkCredits()
  }

  #open(at: number): void {
    const { connection, handler } = this.#peer
    if (this.#streams.length === MAX_STREAMS) return
    this.#did(() => {
      const id = this.#nextId
      this.#nextId += 2
      const isEnd = at === 0
      const stream: ModelStream = {
        id,
        handle: null as unknown as H2Stream,
        peerWindow: INITIAL_WINDOW_BYTES,
        ourWindow: this.#ourInitial,
        sentToUs: 0,
        held: 0,
        given: 0,
        seen: 0,
        hasPeerHead: connection.isServer,
        hasOurHead: !connection.isServer,
        isPeerEnded: connection.isServer && isEnd,
        isOurEndGiven: !connection.isServer && isEnd,
        isOurEndSeen: false,
        isGone: false,
      }
      this.#streams.push(stream)
      if (connection.isServer) this.#peer.headers(id, REQUEST, isEnd)
      else stream.handle = connection.openStream(REQUEST_LIST, null, isEnd, {})
      if (!connection.isServer) handler.streams.set(id, stream.handle)
    })
  }

  /** The peer sends a frame on a stream, where that is legal. */
  #hear(kind: Kind, stream: ModelStream, count: number): void {
    const { id } = stream
    if (kind === 'late') return this.#hearLate(stream, count)
    if (stream.isGone || (stream.isPeerEnded && stream.isOurEndSeen)) return
    if (kind === 'window') {
      return this.#did(() => {
        this.#peer.windowUpdate(id, count + 1)
        stream.ourWindow += count + 1
      })
    }
    if (kind === 'rst') {
      return this.#did(() => {
        // Both have ended it, ours unseen: it is closed already, and what it holds is the owner's to credit.
        const isClosed = stream.isPeerEnded && stream.handle.isOver
        this.#peer.rst(id, H2Code.CANCEL)
        if (!isClosed) this.#lose(stream)
      })
    }
    if (stream.isPeerEnded) return
    if (kind === 'head') {
      if (stream.hasPeerHead) return
      return this.#did(() => {
        stream.hasPeerHead = true
        this.#peer.headers(id, RESPONSE)
      })
    }
    if (!stream.hasPeerHead) return
    if (kind === 'end') {
      return this.#did(() => {
        stream.isPeerEnded = true
        this.#peer.headers(id, TRAILERS, true)
      })
    }
    this.#hearData(stream, count)
  }

  /** DATA with or without padding, as much as both windows let the peer send. */
  #hearData(stream: ModelStream, count: number): void {
    const room = Math.min(stream.peerWindow, this.#peerConnection, 16_384)
    const pad = count % 3 === 0 ? count % 200 : undefined
    const overhead = pad === undefined ? 0 : pad + 1
    const bytes = Math.min(count, room - overhead)
    if (bytes < 0) return
    this.#did(() => {
      const payload = octets(stream.id, stream.sentToUs, bytes)
      const isEnd = count % 50 === 7
      // A server that has said all wants no more of the request, also before the peer can have heard of it.
      const isWanted = !(stream.isOurEndGiven && stream.handle.isOver)
      if (isWanted) stream.sentToUs += bytes
      stream.peerWindow -= bytes + overhead
      this.#peerConnection -= bytes + overhead
      stream.isPeerEnded = isEnd
      this.#peer.data(stream.id, payload, isEnd, pad)
      const got = this.#peer.handler.bytes(stream.id)
      expect(got.length).toBe(stream.sentToUs)
      if (isWanted) expect(got.subarray(got.length - bytes).equals(payload)).toBe(true)
    })
  }

  /** DATA that was under way when we reset the stream. */
  #hearLate(stream: ModelStream, count: number): void {
    if (!stream.isGone || stream.isPeerEnded || count > Math.min(this.#peerConnection, 16_384)) return
    if (!stream.hasPeerHead) return
    this.#did(() => {
      this.#peerConnection -= count
      this.#peer.data(stream.id, Buffer.alloc(count))
    })
  }

  /** The owner does something. */
  #own(kind: Kind, stream: ModelStream, count: number): void {
    const { handle } = stream
    if (kind === 'credit') {
      const bytes = Math.min(stream.held, count)
      if (bytes > 0) this.#did(() => (handle.credit(bytes), void (stream.held -= bytes)))
      return
    }
    if (stream.isGone || handle.isOver) return
    if (kind === 'reset') return this.#did(() => (handle.reset(H2Code.CANCEL), this.#lose(stream, false)))
    if (stream.isOurEndGiven) return
    this.#did(() => {
      if (!stream.hasOurHead) handle.sendHeaders(RESPONSE_LIST, false)
      stream.hasOurHead = true
      stream.isOurEndGiven = kind === 'finish'
      handle.sendData(octets(stream.id, stream.given, count), kind === 'finish' && count % 2 === 0)
      stream.given += count
      if (kind === 'finish' && count % 2 === 1) handle.sendTrailers(TRAILERS_LIST)
    })
  }

  /** A reset has ended the stream: what it held is back. After the peer's own no more comes of it. */
  #lose(stream: ModelStream, isByPeer = true): void {
    stream.isGone = true
    stream.held = 0
    if (isByPeer) stream.isPeerEnded = true
  }

  #changeInitial(bytes: number): void {
    this.#peer.settings([SettingId.INITIAL_WINDOW_SIZE, bytes])
    this.#settings++
    for (const stream of this.#streams) stream.ourWindow += bytes - this.#ourInitial
    this.#ourInitial = bytes
  }

  #flush(maxBytes: number): void {
    this.#peer.frames.length = 0
    this.#peer.flush(maxBytes)
    ran.frames += this.#peer.frames.length
    for (const wire of this.#peer.frames) this.#see(wire)
    if (maxBytes === Infinity) this.#compare()
  }

  /** One frame of ours. */
  #see(wire: WireFrame): void {
    const stream = this.#streams.find(({ id }) => id === wire.stream)
    const { type, flags, payload } = wire
    if (type === FrameType.WINDOW_UPDATE) {
      const bytes = payload.readUInt32BE(0)
      if (stream === undefined) this.#peerConnection += bytes
      else stream.peerWindow += bytes
    } else if (type === FrameType.PING) this.#pings--
    else if (type === FrameType.SETTINGS) this.#settings--
    else if (type === FrameType.DATA) this.#seeData(stream!, payload, (flags & 1) === 1)
    else if (type === FrameType.HEADERS) stream!.isOurEndSeen ||= (flags & 1) === 1
    else {
      expect(type).toBe(FrameType.RST_STREAM)
      const code = payload.readUInt32BE(0)
      // A server that has said all wants no more of the request.
      expect(code === H2Code.CANCEL ? stream!.isGone : stream!.isOurEndSeen && code === H2Code.NO_ERROR).toBe(
        true,
      )
      this.#lose(stream!, false)
    }
  }

  #seeData(stream: ModelStream, payload: Buffer, isEnd: boolean): void {
    expect(payload.equals(octets(stream.id, stream.seen, payload.length))).toBe(true)
    stream.seen += payload.length
    stream.ourWindow -= payload.length
    this.#ourConnection -= payload.length
    stream.isOurEndSeen ||= isEnd
    if (payload.length === 0) return
    expect(Math.min(stream.ourWindow, this.#ourConnection)).toBeGreaterThanOrEqual(0)
  }

  /** Everything that was to be said is said: both sides' books are the same. */
  #compare(): void {
    const { connection } = this.#peer
    expect({ isFinished: connection.isFinished, pings: this.#pings, settings: this.#settings }).toEqual({
      isFinished: false,
      pings: 0,
      settings: 0,
    })
    expect(connection.credits.window.remainingBytes).toBe(this.#peerConnection)
    expect(connection.sendQueue.windowBytes).toBe(this.#ourConnection)
    expect(connection.credits.window.heldBytes).toBe(this.#streams.reduce((sum, { held }) => sum + held, 0))
    for (const stream of this.#streams) this.#compareStream(stream)
  }

  #compareStream(stream: ModelStream): void {
    const live = this.#peer.connection.streams.find(stream.id)
    const isOver = stream.isGone || (stream.isPeerEnded && stream.isOurEndSeen)
    expect(live === undefined).toBe(isOver)
    if (live === undefined) return
    expect(live.sendWindowBytes).toBe(stream.ourWindow)
    expect(live.recvWindow.heldBytes).toBe(stream.held)
    if (!stream.isPeerEnded) expect(live.recvWindow.remainingBytes).toBe(stream.peerWindow)
    expect(live.queue.bytes).toBe(stream.given - stream.seen)
    // A closed window is the only reason why something waits.
    if (live.queue.bytes > 0) expect(Math.min(stream.ourWindow, this.#ourConnection)).toBeLessThanOrEqual(0)
  }

  finish(): void {
    this.#flush(Infinity)
    for (const { handle } of this.#streams) handle.release()
    expect(this.#peer.connection.credits.window.heldBytes).toBe(0)
    expect(this.#peer.end.held.usedBytes).toBe(0)
  }
}

/** Programs between two looks at how many steps were run. */
const PROGRAMS_AT_ONCE = 100

/** Plays a program that was found once. */
function play(isServer: boolean, steps: readonly (readonly [Kind, number, number])[]): void {
  const program = new Program(isServer)
  for (const one of steps) program.run(one)
  program.finish()
}

test('DATA that comes after an answer that was complete at once is dropped, and credited', () => {
  const steps = [
    ['open', 1, 0],
    ['finish', 0, 0],
    ['data', 0, 1],
    ['flush', 0, 0],
  ] as const
  expect(() => play(true, steps)).not.toThrow()
})

test('a reset that comes after both ends takes nothing back from the owner', () => {
  // DATA of 57 octets ends the answer (its count leaves 7 of 50), before the peer has seen the end of the request.
  const steps = [
    ['open', 0, 0],
    ['head', 0, 0],
    ['data', 0, 57],
    ['rst', 0, 0],
    ['flush', 0, 0],
    ['credit', 0, 57],
  ] as const
  expect(() => play(false, steps)).not.toThrow()
})

test(
  `${STEPS} steps of a raw peer and an owner against a model of the wire`,
  { timeout: 60_000 + STEPS },
  () => {
    const fromMs = performance.now()
    const property = fc.property(
      fc.boolean(),
      fc.array(step, { minLength: 50, maxLength: 200, size: 'max' }),
      (isServer, steps) => {
        const program = new Program(isServer)
        ran.programs++
        for (const one of steps) program.run(one)
        program.finish()
      },
    )
    while (ran.steps < STEPS) fc.assert(property, { numRuns: PROGRAMS_AT_ONCE })
    addFigures({ model: 'frames', ...ran, seconds: Math.round((performance.now() - fromMs) / 1000) })
    // Programs that say nothing prove nothing.
    expect(ran.frames).toBeGreaterThan(STEPS / 3)
  },
)

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FAULTS, type FaultToken } from '../../src/base/index.ts'
import { FrameType, H2Code, SettingId, type H2CodeName } from '../../src/frame/index.ts'
import { RESET_BY_PEER, type H2Stream } from '../../src/h2/index.ts'
import {
  cutAt,
  frame,
  frames,
  pattern,
  settingsPayload,
  uint32,
  type FrameSpec,
} from '../support/frame-factory.ts'
import {
  cutFrames,
  H2Pair,
  listOf,
  literals,
  PREFACE,
  RawPeer,
  REQUEST,
  RESPONSE,
  TRAILERS,
  type Bench,
  type End,
} from '../support/h2-pair.ts'

/** Steps of the model-based run; FUZZ_STEPS=1000000 for a long one. */
const STEPS = Number(process.env['FUZZ_STEPS'] ?? 60_000)
const STEPS_PER_RUN = 100

/** A session with most of what a client can say, in one piece. */
const SESSION = Buffer.concat([
  PREFACE,
  frames(
    { type: 'SETTINGS', payload: settingsPayload([[SettingId.INITIAL_WINDOW_SIZE, 20_000]]) },
    { type: 'SETTINGS', flags: ['ACK'] },
    { type: 'WINDOW_UPDATE', payload: uint32(1_000_000) },
    { type: 'HEADERS', stream: 1, flags: ['END_HEADERS'], payload: literals(REQUEST) },
    { type: 'DATA', stream: 1, payload: pattern(9_000), pad: 30 },
    { type: 'PRIORITY', stream: 7, dependsOn: 1 },
    { type: 'HEADERS', stream: 3, flags: ['END_STREAM'], payload: literals(REQUEST.slice(0, 3)), pad: 3 },
    { type: 'CONTINUATION', stream: 3, payload: literals(REQUEST.slice(3)) },
    { type: 'CONTINUATION', stream: 3, flags: ['END_HEADERS'], payload: literals([['x', 'v'.repeat(300)]]) },
    { type: 'PING', payload: pattern(8) },
    { type: 0xbe, stream: 1, payload: pattern(100) },
    { type: 'DATA', stream: 1, payload: pattern(16_384, 7) },
    { type: 'DATA', stream: 1, payload: pattern(3, 9), pad: 0 },
    { type: 'HEADERS', stream: 5, flags: ['END_HEADERS'], payload: literals(REQUEST), dependsOn: 3 },
    { type: 'RST_STREAM', stream: 5, payload: uint32(H2Code.CANCEL) },
    { type: 'HEADERS', stream: 1, flags: ['END_HEADERS', 'END_STREAM'], payload: literals([['t', 'x']]) },
    { type: 'HEADERS', stream: 9, flags: ['END_HEADERS'], payload: literals(REQUEST.slice(1)) },
    { type: 'GOAWAY', payload: Buffer.concat([uint32(0), uint32(0)]) },
    { type: 'WINDOW_UPDATE', stream: 3, payload: uint32(0) },
  ),
])

/** What a session gives: events without how DATA was cut, the octets of each stream, and what we sent. */
function play(chunks: readonly Buffer[]): { events: string[]; bytes: string[]; sent: string } {
  const peer = new RawPeer()
  peer.handler.on = (event, stream) => {
    if (event !== 'request' || stream!.id !== 3) return
    stream!.sendHeaders(listOf(RESPONSE), false)
    stream!.sendData(pattern(500), false)
    stream!.sendTrailers(listOf(TRAILERS))
  }
  for (const chunk of chunks) peer.end.receive(chunk)
  const sent = peer.end.drain().toString('hex')
  const events = peer.handler.log.filter((line) => !line.startsWith('data'))
  const ends = peer.handler.log.filter((line) => line.startsWith('data') && line.endsWith('end'))
  return {
    events: [...events, ...ends.map((line) => line.split(' ')[1]!)],
    bytes: [1, 3, 5].map((id) => peer.handler.bytes(id).toString('hex')),
    sent,
  }
}

describe('how the octets are cut changes nothing', () => {
  const whole = play([Buffer.from(SESSION)])
  test('the session runs to the fault at its end', () => {
    expect(whole.events.at(-1)).toBe('over closed_by_peer')
    expect(whole.events).toContain('trailers 1 t=x')
    expect(whole.events).toContain('reset 5 CANCEL peer')
    expect(whole.bytes[0]).toHaveLength(2 * (9_000 + 16_384 + 3))
  })
  test('octet by octet', () => {
    expect(play(Array.from(SESSION, (octet) => Buffer.of(octet)))).toEqual(whole)
  })
  test('any split', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(SESSION.length), { maxLength: 40 }), (offsets) => {
        expect(play(cutAt(SESSION, offsets))).toEqual(whole)
      }),
      { numRuns: 150 },
    )
  })
})

/** Frames that are mostly right, on few streams, so that programs get far. */
const anyFrame: fc.Arbitrary<Buffer> = fc
  .record({
    type: fc.oneof(
      { weight: 9, arbitrary: fc.integer({ min: 0, max: 9 }) },
      { weight: 1, arbitrary: fc.nat(255) },
    ),
    flags: fc.oneof(fc.constantFrom(0, 1, 4, 5), fc.nat(255)),
    stream: fc.oneof(fc.constantFrom(0, 1, 3, 5, 7, 9), fc.nat(2 ** 31 - 1)),
    payload: fc.oneof(
      fc.constantFrom(
        literals(REQUEST),
        literals(TRAILERS),
        uint32(8),
        uint32(2 ** 31 - 1),
        pattern(5),
        pattern(8),
        Buffer.alloc(0),
      ),
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    ),
  })
  .map((spec) => frame(spec as FrameSpec))

function feed(peer: RawPeer, chunks: readonly Buffer[]): void {
  for (const chunk of chunks) {
    peer.end.receive(Buffer.from(chunk))
    if (chunk.length % 3 === 0) peer.flush()
    if (peer.connection.isFinished) break
  }
}

function isTypedEnd(peer: RawPeer): boolean {
  peer.flush()
  if (!peer.connection.isFinished) return true
  const last = peer.frames.findLast((wire) => wire.type === FrameType.GOAWAY)
  if (peer.connection.isFaulted) {
    const token = last!.payload.subarray(8).toString('latin1') as FaultToken
    expect(last!.payload.readUInt32BE(4)).toBe(H2Code[FAULTS[token].code as H2CodeName])
    expect(peer.end.stats.faults[token]).toBe(1)
  }
  expect(peer.end.held.usedBytes).toBe(0)
  return peer.end.stats.streamsOpen === 0
}

describe('whatever a peer sends', () => {
  test('random octets after the preface never throw, and end in a fault with a token', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }),
        fc.boolean(),
        (chunks, isServer) => {
          const peer = new RawPeer({ isServer })
          if (isServer) peer.send(PREFACE)
          feed(
            peer,
            chunks.map((chunk) => Buffer.from(chunk)),
          )
          expect(isTypedEnd(peer)).toBe(true)
        },
      ),
      { numRuns: 1_000 },
    )
  })
  test('random frames after the settings never throw, and any end is a fault with a token', () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 60 }), fc.boolean(), (chunks, isServer) => {
        const peer = new RawPeer({ isServer }).open()
        if (!isServer) {
          for (let i = 0; i < 3; i++) peer.connection.openStream(listOf(REQUEST), null, i === 1, {})
        }
        feed(peer, chunks)
        expect(isTypedEnd(peer)).toBe(true)
      }),
      { numRuns: 1_500 },
    )
  })
})

/** What the model knows of one direction of a stream. */
interface Way {
  /** Octets given to sendData. */
  given: number
  /** Octets that the far owner has seen. */
  seen: number
  isEnded: boolean
}
interface ModelStream {
  readonly near: H2Stream
  readonly up: Way
  readonly down: Way
  hasHead: boolean
  isReset: boolean
  /** Octets held by the server's owner and by the client's. */
  heldByServer: number
  heldByClient: number
}
/** The reference: sums of octets and the ends of streams, and nothing of how they got there. */
interface Model {
  readonly streams: Map<number, ModelStream>
}

class World {
  readonly pair: H2Pair
  constructor(streamWindowBytes: number, connectionWindowBytes: number) {
    const limits = {
      initialStreamWindowBytes: streamWindowBytes,
      streamWindowBytes: streamWindowBytes * 2,
      maxStreamWindowBytes: streamWindowBytes * 4,
      connectionWindowBytes,
      smallDataBudget: 1e9,
      windowUpdatesPerWork: 1e9,
      earlyResets: 1e9,
      settingsFrames: 1e9,
    }
    this.pair = new H2Pair({ server: { limits }, client: { limits } })
    this.pair.server.handler.credits = false
    this.pair.client.handler.credits = false
  }
  get bench(): Bench {
    return this.pair.bench
  }
  /** Octets of a stream that lie in a sender's queue. */
  queued(end: End, id: number): number {
    return end.connection.streams.find(id)?.queue.bytes ?? 0
  }
  count(end: End, id: number): number {
    return end.handler.bytes(id).length
  }

  /** Brings everything under way to its receiver, and compares with the model. */
  check(model: Model): void {
    this.pair.settle()
    this.pair.bench.turn.flushAll()
    const { server, client } = this.pair
    for (const [id, stream] of model.streams) {
      if (stream.isReset) {
        expect(client.connection.streams.find(id)).toBeUndefined()
        expect(server.connection.streams.find(id)).toBeUndefined()
        continue
      }
      const toServer = this.count(server, id)
      const toClient = this.count(client, id)
      expect(toServer + this.queued(client, id)).toBe(stream.up.given)
      expect(toClient + this.queued(server, id)).toBe(stream.down.given)
      stream.heldByServer += toServer - stream.up.seen
      stream.heldByClient += toClient - stream.down.seen
      stream.up.seen = toServer
      stream.down.seen = toClient
      const isOver =
        stream.up.isEnded &&
        stream.down.isEnded &&
        toServer === stream.up.given &&
        toClient === stream.down.given
      expect(client.connection.streams.find(id) === undefined).toBe(isOver)
      // A closed window is the only reason why something waits.
      if (this.queued(client, id) > 0) {
        const live = client.connection.streams.find(id)!
        expect(Math.min(live.sendWindowBytes, client.connection.sendQueue.windowBytes)).toBeLessThanOrEqual(0)
      }
    }
    this.#checkWindows(client, server)
    this.#checkWindows(server, client)
  }

  /** At rest what one end may send is what the other lets it. */
  #checkWindows(from: End, to: End): void {
    expect(from.connection.isFinished).toBe(false)
    expect(from.connection.sendQueue.windowBytes).toBe(to.connection.credits.window.remainingBytes)
    for (const stream of from.connection.streams.live()) {
      const peer = to.connection.streams.find(stream.id)
      if (peer !== undefined && !peer.isOver)
        expect(stream.sendWindowBytes).toBe(peer.recvWindow.remainingBytes)
    }
  }
}

let stepsRun = 0
type Step = fc.Command<Model, World>
const step = (
  name: string,
  check: (model: Model) => boolean,
  run: (model: Model, world: World) => void,
): Step => ({
  check,
  run: (model, world) => {
    stepsRun++
    run(model, world)
    world.check(model)
  },
  toString: () => name,
})
const idOf = (index: number): number => 1 + 2 * index
const live = (model: Model, id: number): ModelStream | undefined => {
  const stream = model.streams.get(id)
  return stream === undefined || stream.isReset ? undefined : stream
}
const newWay = (): Way => ({ given: 0, seen: 0, isEnded: false })
const index = fc.nat(11)
const size = fc.oneof(fc.nat(40), fc.nat(3_000), fc.nat(60_000))

const openStep = fc.boolean().map((isEnd) =>
  step(
    `open${isEnd ? ' end' : ''}`,
    (model) => model.streams.size < 12,
    (model, world) => {
      const near = world.pair.call(REQUEST, isEnd)
      const up = newWay()
      up.isEnded = isEnd
      model.streams.set(near.id, {
        near,
        up,
        down: newWay(),
        hasHead: false,
        isReset: false,
        heldByServer: 0,
        heldByClient: 0,
      })
    },
  ),
)
const sendUp = fc.tuple(index, size, fc.boolean()).map(([at, bytes, isEnd]) =>
  step(
    `up ${idOf(at)} ${bytes}${isEnd ? ' end' : ''}`,
    (model) => live(model, idOf(at))?.up.isEnded === false,
    (model) => {
      const stream = live(model, idOf(at))!
      stream.near.sendData(pattern(bytes), isEnd)
      stream.up.given += bytes
      stream.up.isEnded = isEnd
    },
  ),
)
/** The server answers; an end before the request's own end resets what is left of that. */
const sendDown = fc.tuple(index, size, fc.constantFrom('more', 'end', 'trailers')).map(([at, bytes, how]) =>
  step(
    `down ${idOf(at)} ${bytes} ${how}`,
    (model) => {
      const stream = live(model, idOf(at))
      if (stream === undefined || stream.down.isEnded) return false
      return how === 'more' || (stream.up.isEnded && stream.up.seen === stream.up.given)
    },
    (model, world) => {
      const stream = live(model, idOf(at))!
      const far = world.pair.server.handler.stream(idOf(at))
      if (!stream.hasHead) far.sendHeaders(listOf(RESPONSE), false)
      stream.hasHead = true
      far.sendData(pattern(bytes), how === 'end')
      if (how === 'trailers') far.sendTrailers(listOf(TRAILERS))
      stream.down.given += bytes
      stream.down.isEnded = how !== 'more'
    },
  ),
)
const credit = fc.tuple(index, fc.boolean(), fc.nat(100)).map(([at, isServer, percent]) =>
  step(
    `credit ${idOf(at)} ${isServer ? 'server' : 'client'} ${percent}%`,
    (model) => live(model, idOf(at)) !== undefined,
    (model, world) => {
      const stream = live(model, idOf(at))!
      const held = isServer ? stream.heldByServer : stream.heldByClient
      const bytes = Math.ceil((held * percent) / 100)
      const end = isServer ? world.pair.server : world.pair.client
      end.handler.streams.get(idOf(at))?.credit(bytes)
      if (isServer) stream.heldByServer -= bytes
      else stream.heldByClient -= bytes
    },
  ),
)
const reset = fc.tuple(index, fc.boolean()).map(([at, isServer]) =>
  step(
    `reset ${idOf(at)} by ${isServer ? 'server' : 'client'}`,
    (model) => live(model, idOf(at)) !== undefined,
    (model, world) => {
      const stream = live(model, idOf(at))!
      const end = isServer ? world.pair.server : world.pair.client
      const handle = end.handler.stream(idOf(at))
      if (handle.isOver) return
      handle.reset(H2Code.CANCEL)
      stream.isReset = true
      expect(RESET_BY_PEER).toBe(0)
    },
  ),
)
const pass = fc.integer({ min: 1, max: 2_000 }).map((ms) =>
  step(
    `wait ${ms} ms`,
    () => true,
    (_model, world) => {
      world.bench.advance(ms, 500)
    },
  ),
)

describe('random programs of a client and a server', () => {
  test(`${STEPS} steps against a model of octets and ends, every octet accounted for after every frame`, () => {
    stepsRun = 0
    const steps = fc.commands(
      [openStep, sendUp, sendUp, sendDown, sendDown, credit, credit, credit, reset, pass],
      {
        maxCommands: STEPS_PER_RUN,
        size: 'max',
      },
    )
    fc.assert(
      fc.property(
        steps,
        fc.constantFrom(100, 1_000, 65_535),
        fc.constantFrom(65_535, 200_000),
        (program, streamWindowBytes, connectionWindowBytes) => {
          fc.modelRun(
            () => ({
              model: { streams: new Map() },
              real: new World(streamWindowBytes, connectionWindowBytes),
            }),
            program,
          )
        },
      ),
      { numRuns: Math.ceil(STEPS / (STEPS_PER_RUN / 2)) },
    )
    expect(stepsRun).toBeGreaterThan(STEPS / 4)
  })
})

test('a session cut into frames and joined again is itself', () => {
  expect(Buffer.concat(cutFrames(SESSION))).toEqual(SESSION)
})

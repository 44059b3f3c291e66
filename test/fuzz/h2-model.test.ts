/**
 * Random programs of a client and a server against a model of octets and ends. The client's end is what the egress leg is, the
 * server's end the ingress leg: after every frame the credits of both are checked, after every step also the model.
 */
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { H2Code } from '../../src/frame/index.ts'
import { RESET_BY_PEER, type H2Stream } from '../../src/h2/index.ts'
import { pattern } from '../support/frame-factory.ts'
import { H2Pair, listOf, REQUEST, RESPONSE, TRAILERS, type Bench, type End } from '../support/h2-pair.ts'
import { addFigures, STEPS } from './steps.ts'

const STEPS_PER_PROGRAM = 100
/** Programs between two looks at how many steps were run. */
const PROGRAMS_AT_ONCE = 200

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
    ran.frames += this.pair.settle()
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

/** What was run; each frame was followed by a check of the credits at both ends. */
const ran = { steps: 0, programs: 0, frames: 0 }
type Step = fc.Command<Model, World>
const step = (
  name: string,
  check: (model: Model) => boolean,
  run: (model: Model, world: World) => void,
): Step => ({
  check,
  run: (model, world) => {
    ran.steps++
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

test(
  `${STEPS} steps of a client and a server against a model, every octet accounted for after every frame`,
  { timeout: 60_000 + STEPS },
  () => {
    const fromMs = performance.now()
    const program = fc.commands(
      [openStep, sendUp, sendUp, sendDown, sendDown, credit, credit, credit, reset, pass],
      { maxCommands: STEPS_PER_PROGRAM, size: 'max' },
    )
    const property = fc.property(
      program,
      fc.constantFrom(100, 1_000, 65_535),
      fc.constantFrom(65_535, 200_000),
      (steps, streamWindowBytes, connectionWindowBytes) => {
        ran.programs++
        fc.modelRun(
          () => ({
            model: { streams: new Map() },
            real: new World(streamWindowBytes, connectionWindowBytes),
          }),
          steps,
        )
      },
    )
    // A program's steps are those whose condition held, so how many there will be is not known before.
    while (ran.steps < STEPS) fc.assert(property, { numRuns: PROGRAMS_AT_ONCE })
    const seconds = Math.round((performance.now() - fromMs) / 1000)
    addFigures({ model: 'connection', ...ran, seconds })
    // Programs that say nothing prove nothing.
    expect(ran.frames).toBeGreaterThan(STEPS / 3)
  },
)

/**
 * The credit invariant on both legs of a relay: credits outstanding and octets held are the advertised windows, after every
 * frame. Each case is one in which some proxy has leaked credit; here a raw client and a raw server bring it about.
 */
import { describe, expect, test } from 'vitest'
import { FrameType, H2Code, SettingId } from '../../src/frame/index.ts'
import type { H2Connection } from '../../src/h2/index.ts'
import { frame, goawayPayload, settingsPayload, uint32, type FrameSpec } from '../support/frame-factory.ts'
import { cutFrames, literals, REQUEST, RESPONSE, TRAILERS, type Fields } from '../support/h2-pair.ts'
import { messageOf, NOTHING_LEFT, RelayPair, type PairOptions } from '../support/relay-pair.ts'

/** A frame that a leg has sent. */
interface Sent {
  readonly type: number
  readonly stream: number
  readonly isEnd: boolean
  readonly payload: Buffer
}

const headers = (stream: number, fields: Fields, isEnd = false): FrameSpec => ({
  type: 'HEADERS',
  stream,
  flags: isEnd ? 5 : 4,
  payload: literals(fields),
})
const data = (stream: number, payload: Buffer, rest: Partial<FrameSpec> = {}): FrameSpec => ({
  type: 'DATA',
  stream,
  payload,
  ...rest,
})
const rst = (stream: number, code: number): FrameSpec => ({
  type: 'RST_STREAM',
  stream,
  payload: uint32(code),
})
const windowUpdate = (stream: number, bytes: number): FrameSpec => ({
  type: 'WINDOW_UPDATE',
  stream,
  payload: uint32(bytes),
})
const settings = (...entries: (readonly [number, number])[]): FrameSpec => ({
  type: 'SETTINGS',
  payload: settingsPayload(entries),
})
/** A whole message in DATA frames of at most 16 KiB. */
function upload(stream: number, bytes: number): FrameSpec[] {
  const message = messageOf(bytes - 5)
  return Array.from({ length: Math.ceil(bytes / 16_384) }, (_, index) =>
    data(stream, message.subarray(index * 16_384, (index + 1) * 16_384)),
  )
}

/** A relay with one connection on each side, both in the test's hands. */
class Legs {
  readonly pair: RelayPair
  readonly ingress: H2Connection
  readonly egress: H2Connection

  constructor(options: PairOptions = {}, ...serverSettings: (readonly [number, number])[]) {
    this.pair = new RelayPair({ dials: 'wait', maxEgressConnections: 1, ...options })
    this.pair.relay.pool.warmUp()
    const client = this.pair.connect()
    const server = this.pair.nextDial().connect()
    this.pair.unplug(client.connection)
    this.pair.unplug(server.connection)
    this.ingress = client.ingress
    this.egress = server.egress
    this.say(this.egress, settings(...serverSettings), { type: 'SETTINGS', flags: ['ACK'] })
    this.settle()
  }

  /** The peer of `leg` sends frames; after each every octet is accounted for. */
  say(leg: H2Connection, ...specs: FrameSpec[]): this {
    for (const spec of specs) {
      this.pair.turn.begin()
      leg.receive(frame(spec))
      this.pair.turn.flushAll()
      this.check()
    }
    return this
  }
  check(): void {
    this.ingress.checkCredits()
    this.egress.checkCredits()
    expect(this.pair.held.usedBytes).toBe(this.held(this.ingress) + this.held(this.egress))
  }
  held(leg: H2Connection): number {
    return leg.credits.window.heldBytes
  }
  /** What a leg has to say now. */
  take(leg: H2Connection): Sent[] {
    const out: Buffer[] = []
    this.pair.turn.flushAll()
    leg.drain(out, Infinity)
    const sent = cutFrames(Buffer.concat(out)).map((bytes) => ({
      type: bytes[3]!,
      stream: bytes.readUInt32BE(5),
      isEnd: (bytes[4]! & 1) === 1,
      payload: bytes.subarray(9),
    }))
    leg.recycle()
    this.check()
    return sent
  }
  /** What both legs have to say, until they are at rest. */
  settle(): { toClient: Sent[]; toServer: Sent[] } {
    const toClient: Sent[] = []
    const toServer: Sent[] = []
    for (let count = -1; count < toClient.length + toServer.length;) {
      count = toClient.length + toServer.length
      toServer.push(...this.take(this.egress))
      toClient.push(...this.take(this.ingress))
    }
    return { toClient, toServer }
  }
  /** All credit is back with the peers, and when they go nothing is left. */
  expectAllBack(): void {
    for (const leg of [this.ingress, this.egress]) {
      const { window } = leg.credits
      expect(window.remainingBytes + window.pendingBytes).toBe(window.targetBytes)
      expect(window.heldBytes).toBe(0)
    }
    this.ingress.onSocketClosed(null)
    this.egress.onSocketClosed(null)
    expect(this.pair.leftovers).toEqual(NOTHING_LEFT)
  }
}

const dataBytes = (sent: readonly Sent[], stream: number): number =>
  sent
    .filter((one) => one.type === FrameType.DATA && one.stream === stream)
    .reduce((sum, { payload }) => sum + payload.length, 0)
const resetsOf = (sent: readonly Sent[]): number[] =>
  sent.filter(({ type }) => type === FrameType.RST_STREAM).map(({ payload }) => payload.readUInt32BE(0))

describe('credits outstanding + octets held = advertised windows', () => {
  test('padded DATA returns its full length', () => {
    const legs = new Legs()
    legs.say(legs.ingress, headers(1, REQUEST), data(1, messageOf(5_000), { pad: 200 }))
    expect(dataBytes(legs.settle().toServer, 1)).toBe(5_005)
    legs.say(legs.egress, headers(1, RESPONSE), data(1, messageOf(3_000), { pad: 255 }))
    expect(dataBytes(legs.settle().toClient, 1)).toBe(3_005)
    legs.expectAllBack()
  })
  test('RST with held data returns credit', () => {
    const legs = new Legs({}, [SettingId.INITIAL_WINDOW_SIZE, 0])
    legs.say(legs.ingress, settings([SettingId.INITIAL_WINDOW_SIZE, 0]))
    legs.say(legs.ingress, headers(1, REQUEST), ...upload(1, 20_000), headers(3, REQUEST))
    legs.say(legs.egress, headers(3, RESPONSE), ...upload(3, 30_000))
    legs.settle()
    expect([legs.held(legs.ingress), legs.held(legs.egress)]).toEqual([20_000, 30_000])
    legs.say(legs.ingress, rst(1, H2Code.CANCEL))
    legs.say(legs.egress, rst(3, H2Code.INTERNAL_ERROR))
    expect(resetsOf(legs.settle().toServer)).toEqual([H2Code.CANCEL])
    legs.say(legs.ingress, rst(3, H2Code.CANCEL))
    legs.settle()
    legs.expectAllBack()
  })
  test('DATA on a forgotten stream returns credit', () => {
    const legs = new Legs()
    legs.say(legs.ingress, headers(1, REQUEST), headers(3, REQUEST))
    legs.settle()
    legs.say(legs.egress, headers(1, [...RESPONSE, ...TRAILERS], true))
    legs.say(legs.ingress, rst(3, H2Code.CANCEL))
    legs.settle()
    legs.say(legs.ingress, ...upload(1, 40_000))
    legs.say(legs.egress, headers(3, RESPONSE), ...upload(3, 40_000))
    expect(legs.settle().toClient.map(({ type }) => type)).not.toContain(FrameType.GOAWAY)
    legs.expectAllBack()
  })
  test('DATA after our GOAWAY returns credit', () => {
    const legs = new Legs()
    legs.say(legs.ingress, headers(1, REQUEST))
    legs.settle()
    legs.ingress.drainStreams()
    const [ping] = legs.settle().toClient.filter(({ type }) => type === FrameType.PING)
    legs.say(legs.ingress, { type: 'PING', flags: ['ACK'], payload: ping!.payload })
    legs.settle()
    legs.say(legs.ingress, headers(3, REQUEST), ...upload(3, 40_000), ...upload(1, 10_000))
    expect(dataBytes(legs.settle().toServer, 1)).toBe(10_000)
    legs.expectAllBack()
  })
  test('SETTINGS window up and down mid-stream, negative window', () => {
    const legs = new Legs({}, [SettingId.INITIAL_WINDOW_SIZE, 30_000])
    legs.say(legs.ingress, headers(1, REQUEST), ...upload(1, 40_000))
    expect(dataBytes(legs.settle().toServer, 1)).toBe(30_000)
    legs.say(legs.egress, settings([SettingId.INITIAL_WINDOW_SIZE, 10_000]), windowUpdate(1, 20_000))
    expect(dataBytes(legs.settle().toServer, 1)).toBe(0)
    expect(legs.held(legs.ingress)).toBe(10_000)
    legs.say(legs.egress, windowUpdate(1, 4_000))
    expect(dataBytes(legs.settle().toServer, 1)).toBe(4_000)
    legs.say(legs.egress, settings([SettingId.INITIAL_WINDOW_SIZE, 50_000]))
    expect(dataBytes(legs.settle().toServer, 1)).toBe(6_000)
    legs.expectAllBack()
  })
  test('WINDOW_UPDATE racing SETTINGS', () => {
    const lowered = settings([SettingId.INITIAL_WINDOW_SIZE, 12_000])
    for (const race of [
      [windowUpdate(1, 5_000), lowered],
      [lowered, windowUpdate(1, 5_000)],
    ]) {
      const legs = new Legs({}, [SettingId.INITIAL_WINDOW_SIZE, 10_000])
      legs.say(legs.ingress, headers(1, REQUEST), ...upload(1, 30_000))
      legs.settle()
      legs.say(legs.egress, ...race)
      expect(dataBytes(legs.settle().toServer, 1)).toBe(7_000)
      legs.say(legs.egress, windowUpdate(1, 20_000))
      legs.settle()
      legs.expectAllBack()
    }
  })
  test('cancel while waiting for capacity', () => {
    const legs = new Legs()
    legs.say(legs.ingress, headers(1, REQUEST), ...upload(1, 65_535))
    legs.settle()
    legs.say(legs.ingress, headers(3, REQUEST), ...upload(3, 20_000))
    legs.settle()
    expect(legs.held(legs.ingress)).toBe(20_000)
    legs.say(legs.ingress, rst(3, H2Code.CANCEL))
    legs.settle()
    expect(legs.held(legs.ingress)).toBe(0)
    legs.say(legs.egress, windowUpdate(0, 10_000), windowUpdate(1, 10_000))
    legs.say(legs.ingress, ...upload(1, 8_000))
    expect(dataBytes(legs.settle().toServer, 1)).toBe(8_000)
    legs.expectAllBack()
  })
  test('the stream limit does not starve capacity', () => {
    const legs = new Legs({ limits: { connectionWindowBytes: 131_072 } }, [
      SettingId.MAX_CONCURRENT_STREAMS,
      1,
    ])
    legs.say(legs.ingress, headers(1, REQUEST))
    legs.settle()
    // A call that waits for a stream holds all that its window lets it: the one that has a stream goes on.
    legs.say(legs.ingress, headers(3, REQUEST), ...upload(3, 65_000))
    for (let i = 0; i < 20; i++) {
      legs.say(legs.ingress, ...upload(1, 30_000))
      expect(dataBytes(legs.settle().toServer, 1)).toBe(30_000)
      legs.say(legs.egress, windowUpdate(0, 30_000), windowUpdate(1, 30_000))
    }
    legs.say(legs.egress, headers(1, [...RESPONSE, ...TRAILERS], true))
    expect(dataBytes(legs.settle().toServer, 3)).toBe(65_000)
    legs.expectAllBack()
  })
  test('END_STREAM survives a later RST(NO_ERROR)', () => {
    const legs = new Legs()
    legs.say(legs.ingress, settings([SettingId.INITIAL_WINDOW_SIZE, 0]), headers(1, REQUEST))
    legs.settle()
    const answer = [headers(1, RESPONSE), ...upload(1, 9_000), headers(1, TRAILERS, true)]
    legs.say(legs.egress, ...answer, rst(1, H2Code.NO_ERROR))
    legs.settle()
    legs.say(legs.ingress, windowUpdate(1, 9_000))
    const { toClient } = legs.settle()
    expect(dataBytes(toClient, 1)).toBe(9_000)
    expect(toClient.find(({ type, isEnd }) => type === FrameType.HEADERS && isEnd)).toBeDefined()
    legs.expectAllBack()
  })
  test('trailers after a zero window', () => {
    const legs = new Legs()
    legs.say(legs.ingress, settings([SettingId.INITIAL_WINDOW_SIZE, 0]), headers(1, REQUEST))
    legs.settle()
    legs.say(legs.egress, headers(1, RESPONSE), headers(1, TRAILERS, true))
    expect(
      legs.settle().toClient.filter(({ isEnd, type }) => isEnd && type === FrameType.HEADERS),
    ).toHaveLength(1)
    legs.expectAllBack()
  })
  test('egress write blocked while the ingress RST arrives', () => {
    const legs = new Legs()
    legs.say(legs.ingress, headers(1, REQUEST), ...upload(1, 50_000))
    // Nobody has drained the egress leg: its socket takes nothing.
    expect(legs.held(legs.ingress)).toBe(50_000)
    legs.say(legs.ingress, rst(1, H2Code.CANCEL))
    expect(legs.held(legs.ingress)).toBe(0)
    const { toServer } = legs.settle()
    expect(dataBytes(toServer, 1)).toBe(0)
    expect(resetsOf(toServer)).toEqual([H2Code.CANCEL])
    legs.expectAllBack()
  })
  test('GOAWAY with a higher last id, then a lower one', () => {
    const legs = new Legs({}, [SettingId.INITIAL_WINDOW_SIZE, 1_000])
    for (const id of [1, 3, 5]) legs.say(legs.ingress, headers(id, REQUEST), ...upload(id, 6_000))
    legs.settle()
    expect(legs.held(legs.ingress)).toBe(15_000)
    for (const last of [3, 1]) {
      legs.say(legs.egress, { type: 'GOAWAY', payload: goawayPayload(last, H2Code.NO_ERROR) })
      legs.settle()
    }
    legs.say(legs.egress, windowUpdate(1, 10_000))
    expect(dataBytes(legs.settle().toServer, 1)).toBe(5_000)
    for (const id of [3, 5]) legs.say(legs.ingress, rst(id, H2Code.CANCEL))
    legs.say(legs.egress, headers(1, [...RESPONSE, ...TRAILERS], true))
    legs.settle()
    expect(legs.held(legs.ingress)).toBe(0)
    expect(legs.held(legs.egress)).toBe(0)
  })
})

import { describe, expect, test } from 'vitest'
import { SettingId } from '../../../src/frame/index.ts'
import {
  listOf,
  PREFACE,
  literals,
  RawPeer,
  REQUEST,
  RESPONSE,
  type EndOptions,
} from '../../support/h2-pair.ts'
import { frame, pattern } from '../../support/frame-factory.ts'

const HOUR_MS = 3_600_000
const served = (options: EndOptions = {}): RawPeer => new RawPeer(options).open()
const dialled = (options: EndOptions = {}): RawPeer => new RawPeer({ ...options, isServer: false }).open()
const call = (peer: RawPeer): number => {
  const stream = peer.connection.openStream(listOf(REQUEST), null, false, {})
  peer.handler.streams.set(stream.id, stream)
  peer.take()
  return stream.id
}
const isAlive = (peer: RawPeer): boolean => !peer.connection.isFinished

describe('times that judge the peer', () => {
  test('the preface and first SETTINGS have 10 s', () => {
    const peer = new RawPeer().advance(9_900)
    expect(isAlive(peer)).toBe(true)
    peer.send(PREFACE).advance(200)
    expect(peer.take().at(-1)).toBe('GOAWAY last=0 PROTOCOL_ERROR preface_late')
  })
  test('the acknowledgement of our SETTINGS has 10 s, and once it is there no time runs', () => {
    const late = new RawPeer().send(PREFACE).settings().advance(10_100)
    expect(late.take().at(-1)).toBe('GOAWAY last=0 SETTINGS_TIMEOUT settings_ack_late')
    const prompt = new RawPeer().send(PREFACE).settings().advance(9_900).settingsAck().advance(60_000)
    expect(isAlive(prompt)).toBe(true)
  })
  test('a header block has 10 s from its HEADERS frame, however often a CONTINUATION comes', () => {
    const peer = served()
    peer.send({ type: 'HEADERS', stream: 1, payload: literals(REQUEST) })
    for (let i = 0; i < 3; i++) {
      peer.advance(3_000).send({ type: 'CONTINUATION', stream: 1, payload: literals([['a', `${i}`]]) })
      expect(isAlive(peer)).toBe(true)
    }
    peer.advance(1_100)
    expect(peer.take().at(-1)).toBe('GOAWAY last=0 PROTOCOL_ERROR header_block_late')
  })
  test('each header block has its own time', () => {
    const peer = served()
    for (let id = 1; id < 20; id += 2) {
      peer.send({ type: 'HEADERS', stream: id, flags: ['END_STREAM'], payload: literals(REQUEST) })
      peer.advance(6_000).send({ type: 'CONTINUATION', stream: id, flags: ['END_HEADERS'] })
    }
    expect(isAlive(peer)).toBe(true)
  })
  test('a frame has 10 s; a chunk that ends one and begins the next starts a new time', () => {
    const peer = served()
    const data = frame({ type: 'DATA', stream: 1, payload: pattern(4_000) })
    peer.headers(1, REQUEST)
    peer.end.receive(Buffer.from(data.subarray(0, 3_000)))
    for (let i = 0; i < 5; i++) {
      peer.advance(9_000)
      // The rest of one frame, and not even the whole head of the next.
      peer.end.receive(Buffer.concat([data.subarray(3_000), data.subarray(0, 4)]))
      peer.advance(900)
      peer.end.receive(Buffer.from(data.subarray(4, 3_000)))
    }
    expect(isAlive(peer)).toBe(true)
    peer.advance(10_100)
    expect(peer.take().at(-1)).toBe('GOAWAY last=1 PROTOCOL_ERROR frame_late')
  })
  test('so does each frame of a stream that was reset meanwhile', () => {
    const peer = served()
    const data = frame({ type: 'DATA', stream: 1, payload: pattern(4_000) })
    peer.headers(1, REQUEST)
    peer.end.receive(Buffer.from(data.subarray(0, 3_000)))
    peer.handler.stream(1).reset(8)
    peer.advance(9_000)
    peer.end.receive(Buffer.concat([data.subarray(3_000), data.subarray(0, 4)]))
    peer.advance(9_000)
    expect(isAlive(peer)).toBe(true)
    peer.advance(1_100)
    expect(peer.take().at(-1)).toBe('GOAWAY last=1 PROTOCOL_ERROR frame_late')
  })
  test('an event loop that stood still blames nobody', () => {
    const peer = served()
    peer.headers(1, REQUEST)
    peer.end.receive(frame({ type: 'PING', payload: Buffer.alloc(8) }).subarray(0, 12))
    peer.advance(30_000, 30_000)
    expect(isAlive(peer)).toBe(true)
    peer.advance(10_100)
    expect(peer.take().at(-1)).toContain('frame_late')
  })
  test('time in which we do not read because our answers are not taken is given back', () => {
    const peer = served({ limits: { pausingControlFrames: 3 } })
    peer.end.receive(frame({ type: 'PING', payload: Buffer.alloc(8) }).subarray(0, 12))
    peer.advance(5_000)
    peer.end.receive(frame({ type: 'PING', payload: Buffer.alloc(8) }).subarray(12))
    peer.ping().ping()
    peer.end.receive(frame({ type: 'PING', payload: Buffer.alloc(8) }).subarray(0, 12))
    expect(peer.connection.wantsRead).toBe(false)
    peer.advance(20_000)
    expect(isAlive(peer)).toBe(true)
    peer.flush()
    expect(peer.connection.wantsRead).toBe(true)
    peer.advance(9_900)
    expect(isAlive(peer)).toBe(true)
    peer.advance(300)
    expect(peer.take().at(-1)).toContain('frame_late')
  })
  test('a peer that takes none of our answers is given up after 30 s', () => {
    const peer = served({ limits: { pausingControlFrames: 3 } })
    peer.ping().ping().ping().advance(29_900)
    expect(isAlive(peer)).toBe(true)
    peer.advance(200)
    expect(peer.take().at(-1)).toBe('GOAWAY last=0 ENHANCE_YOUR_CALM control_queue_flood')
  })
})

describe('a stream that stalls', () => {
  const answering = (bytes: number): RawPeer => {
    const peer = served()
    peer.settings([SettingId.INITIAL_WINDOW_SIZE, 0]).headers(1, REQUEST, true)
    peer.handler.stream(1).sendHeaders(listOf(RESPONSE), false)
    peer.handler.stream(1).sendData(pattern(bytes), true)
    peer.take()
    return peer
  }
  test('is cancelled when its data waits for 30 s and less than 16 KiB move', () => {
    const peer = answering(100_000)
    for (let i = 0; i < 59; i++) peer.windowUpdate(1, 1).flush().advance(1_000)
    expect(peer.handler.log.some((line) => line.startsWith('reset'))).toBe(false)
    peer.frames.length = 0
    peer.advance(1_100)
    expect(peer.take()).toEqual(['RST_STREAM 1 CANCEL'])
    expect(peer.handler.log.at(-1)).toBe('reset 1 CANCEL stalled')
    expect(isAlive(peer)).toBe(true)
  })
  test('is not, when 16 KiB move in each 30 s', () => {
    const peer = answering(200_000)
    for (let i = 0; i < 10; i++) peer.windowUpdate(1, 16_384).windowUpdate(0, 16_384).flush().advance(30_000)
    expect(peer.connection.openStreamCount).toBe(1)
  })
  test('is not, when all that waited has left', () => {
    const peer = answering(10)
    const stream = peer.handler.stream(1)
    expect(stream.isEndQueued).toBe(true)
    peer.headers(3, REQUEST)
    for (let i = 0; i < 6; i++) {
      peer.advance(29_000).windowUpdate(1, 2).flush()
    }
    expect(peer.handler.log.filter((line) => line.startsWith('reset'))).toHaveLength(1)
    const other = peer.handler.stream(3)
    other.sendHeaders(listOf(RESPONSE), false)
    for (let i = 0; i < 9; i++) {
      other.sendData(pattern(5), false)
      peer.advance(20_000).windowUpdate(3, 5).flush().advance(15_000)
    }
    expect(other.isOver).toBe(false)
  })
})

describe('our own times', () => {
  test('a connection without streams is drained after 15 minutes', () => {
    const peer = served().advance(15 * 60_000 - 1_000, 1_000)
    expect(peer.take()).toEqual([])
    peer.advance(2_000)
    expect(peer.take()[0]).toBe('GOAWAY last=2147483647 NO_ERROR')
  })
  test('an open stream keeps it; its end starts the time anew', () => {
    const peer = served({ limits: { stallTimeoutMs: Infinity, maxAgeMs: Infinity } })
    peer.headers(1, REQUEST).advance(HOUR_MS, 60_000)
    expect(peer.take()).toEqual([])
    peer.rst(1).advance(15 * 60_000 - 1_000, 1_000)
    expect(peer.take()).toEqual([])
    peer.advance(2_000)
    expect(peer.take()[0]).toBe('GOAWAY last=2147483647 NO_ERROR')
  })
  test.each([
    [0, 27],
    [0.5, 30],
    [0.999, 33],
  ])(
    'with jitter %d an ingress connection is drained after %d minutes, streams or not',
    (jitter, minutes) => {
      const peer = served({ jitter })
      peer.headers(1, REQUEST).advance(minutes * 60_000 - 3_000, 1_000)
      expect(peer.take()).toEqual([])
      peer.advance(4_000)
      expect(peer.take().filter((line) => line.startsWith('GOAWAY'))).toEqual([
        'GOAWAY last=2147483647 NO_ERROR',
        'GOAWAY last=1 NO_ERROR',
      ])
      peer.headers(3, REQUEST)
      expect(peer.handler.take()).toEqual(['request 1 /pkg.Service/Method'])
      peer.advance(60_000)
      expect(peer.handler.take()).toEqual(['reset 1 CANCEL close', 'over local_close'])
    },
  )
  test('a connection that rests keeps no output buffer, and has one again with the next frame', () => {
    const peer = served()
    expect(peer.connection.writer.slab.length).toBeGreaterThan(0)
    peer.advance(2_100).flush()
    expect(peer.connection.writer.slab).toHaveLength(0)
    peer.ping('0102030405060708').flush()
    expect(peer.take()).toEqual(['PING ack 0102030405060708'])
    expect(peer.connection.writer.slab.length).toBeGreaterThan(0)
  })

  test('an egress connection has no age', () => {
    const peer = dialled()
    call(peer)
    peer.advance(2 * HOUR_MS, 60_000)
    expect(isAlive(peer)).toBe(true)
  })
  test('when everything is over no deadline is left', () => {
    const peer = served()
    peer.connection.drainStreams()
    peer.advance(1_100).flush()
    expect(isAlive(peer)).toBe(false)
    expect(peer.bench.wheel.size).toBe(0)
  })
})

describe('keepalive of an egress connection', () => {
  const options = { keepaliveMs: 30_000, keepaliveTimeoutMs: 10_000 }
  const KEEPALIVE = `PING ${Buffer.from('authgwka').toString('hex')}`

  test('is silent by default', () => {
    const peer = dialled()
    call(peer)
    peer.advance(10 * 60_000, 1_000)
    expect(peer.take()).toEqual([])
  })
  test('PINGs after 30 s without an octet while calls are open, and is content with an answer', () => {
    const peer = dialled(options)
    call(peer)
    peer.advance(30_100)
    expect(peer.take()).toEqual([KEEPALIVE])
    peer.ping(Buffer.from('authgwka').toString('hex'), true).advance(25_000)
    expect(peer.take()).toEqual([])
    expect(isAlive(peer)).toBe(true)
  })
  test('PINGs nobody without open calls', () => {
    const peer = dialled(options).advance(5 * 60_000, 1_000)
    expect(peer.take()).toEqual([])
  })
  test('does not PING while octets come', () => {
    const peer = dialled(options)
    const id = call(peer)
    peer.headers(id, RESPONSE)
    for (let i = 0; i < 10; i++) peer.advance(20_000).data(id, 300)
    expect(peer.take().filter((line) => line.startsWith('PING'))).toEqual([])
  })
  test('ends the connection when the PING is not answered in 10 s', () => {
    const peer = dialled(options)
    call(peer)
    peer.advance(40_200)
    expect(peer.handler.take()).toEqual(['reset 1 CANCEL close', 'over no_response'])
  })
  test('takes any octet that came after the PING as a sign of life', () => {
    const peer = dialled(options)
    const id = call(peer)
    peer.advance(31_000).headers(id, RESPONSE).advance(15_000)
    expect(isAlive(peer)).toBe(true)
  })
  test('the first call after 30 s of quiet takes a PING along, which has 5 s', () => {
    const peer = dialled(options).advance(60_000)
    peer.connection.openStream(listOf(REQUEST), null, true, {})
    expect(peer.take().map((line) => line.split(' ')[0])).toEqual(['PING', 'HEADERS'])
    peer.advance(4_800)
    expect(isAlive(peer)).toBe(true)
    peer.advance(400)
    expect(peer.handler.take().at(-1)).toBe('over no_response')
  })
})

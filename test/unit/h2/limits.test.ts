import { describe, expect, test } from 'vitest'
import { FrameType, H2Code, SettingId } from '../../../src/frame/index.ts'
import { ByteBudget, DEFAULT_H2_LIMITS, LIMITS, TokenBucket, type H2Limits } from '../../../src/h2/index.ts'
import {
  H2Pair,
  listOf,
  literals,
  RawPeer,
  REQUEST,
  RESPONSE,
  TRAILERS,
  type Fields,
} from '../../support/h2-pair.ts'
import { frame, pattern, settingsPayload } from '../../support/frame-factory.ts'

const served = (limits: Partial<H2Limits> = {}): RawPeer => new RawPeer({ limits }).open()
const dialled = (limits: Partial<H2Limits> = {}): RawPeer => new RawPeer({ isServer: false, limits }).open()
const isAlive = (peer: RawPeer): boolean => !peer.connection.isFinished
const repeat = (count: number, act: (index: number) => void): void => {
  for (let i = 0; i < count; i++) act(i)
}
const answer = (peer: RawPeer, id: number): void => {
  peer.handler.stream(id).sendHeaders(listOf([...RESPONSE, ...TRAILERS]), true)
}

test('every limit has a key, a unit and a sentence, and no two share a key', () => {
  const entries = Object.values(LIMITS)
  expect(new Set(entries.map((entry) => entry.key)).size).toBe(entries.length)
  for (const { text, default: value } of entries) {
    expect(text.length).toBeGreaterThan(4)
    expect(value).toBeGreaterThan(0)
  }
  expect(DEFAULT_H2_LIMITS.maxConcurrentStreams).toBe(250)
})

describe('at the limit a peer is served, one past it is not', () => {
  test('250 streams at once', () => {
    const peer = served()
    repeat(250, (index) => peer.headers(1 + 2 * index, REQUEST))
    expect(peer.take()).toEqual([])
    peer.headers(501, REQUEST)
    expect(peer.take()).toEqual(['RST_STREAM 501 REFUSED_STREAM'])
    answer(peer, 1)
    peer.headers(503, REQUEST)
    expect(peer.handler.log.at(-1)).toBe('request 503 /pkg.Service/Method')
  })
  test('streams past the limit are a glitch once our SETTINGS are acknowledged, not before', () => {
    const early = new RawPeer({ limits: { maxConcurrentStreams: 1 } })
    early.send(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')).settings()
    repeat(500, (index) => early.headers(1 + 2 * index, REQUEST).flush())
    expect(isAlive(early)).toBe(true)
    const late = served({ maxConcurrentStreams: 1 })
    repeat(202, (index) => late.headers(1 + 2 * index, REQUEST).flush())
    expect(late.connection.isFaulted).toBe(true)
  })
  test('twice as many calls under way as streams, those that outlive theirs counted', () => {
    const peer = served({ maxConcurrentStreams: 10 })
    peer.handler.on = (event, stream) => {
      if (event === 'request') stream!.occupy()
    }
    repeat(20, (index) => peer.headers(1 + 2 * index, REQUEST).rst(1 + 2 * index))
    expect(peer.connection.life.unfinishedCount).toBe(20)
    peer.handler.stream(1).vacate()
    peer.handler.stream(1).vacate()
    expect(peer.connection.life.unfinishedCount).toBe(19)
    peer.headers(41, REQUEST)
    expect(isAlive(peer)).toBe(true)
    peer.headers(43, REQUEST)
    expect(peer.take().at(-1)).toBe('GOAWAY last=41 ENHANCE_YOUR_CALM unfinished_streams')
  })
  test('an owner that is done before its stream leaves nothing behind', () => {
    const peer = served()
    peer.headers(1, REQUEST)
    peer.handler.stream(1).occupy()
    peer.handler.stream(1).vacate()
    peer.rst(1)
    expect(peer.connection.life.unfinishedCount).toBe(0)
  })
  test('1000 early resets at once, then 33 a second', () => {
    const peer = served()
    let id = 1
    const reset = (count: number): void => {
      repeat(count, () => {
        peer.headers(id, REQUEST).rst(id)
        id += 2
      })
    }
    reset(1000)
    peer.advance(1_000)
    reset(33)
    expect(isAlive(peer)).toBe(true)
    reset(1)
    expect(peer.take().at(-1)).toContain('rapid_reset')
  })
  test('a reset after a second counts as early only without a verdict', () => {
    const peer = served({ earlyResets: 1 })
    peer.headers(1, REQUEST)
    peer.handler.admits = false
    peer.headers(3, REQUEST).headers(5, REQUEST).advance(1_000)
    peer.rst(1).rst(3)
    expect(isAlive(peer)).toBe(true)
    peer.rst(5)
    expect(peer.take().at(-1)).toContain('rapid_reset')
  })
  test('8 CONTINUATION frames', () => {
    const peer = served()
    const block = (id: number, count: number): void => {
      peer.send({ type: 'HEADERS', stream: id, flags: ['END_STREAM'], payload: literals(REQUEST) })
      repeat(count - 1, (i) =>
        peer.send({ type: 'CONTINUATION', stream: id, payload: literals([['a', `${i}`]]) }),
      )
      peer.send({ type: 'CONTINUATION', stream: id, flags: ['END_HEADERS'], payload: literals([['b', '']]) })
    }
    block(1, 8)
    expect(isAlive(peer)).toBe(true)
    block(3, 9)
    expect(peer.take().at(-1)).toContain('continuation_flood')
  })
  test('an open header block of twice the list limit', () => {
    const peer = served({ maxHeaderListBytes: 1_000 })
    peer.send({ type: 'HEADERS', stream: 1, payload: Buffer.alloc(1_000) })
    peer.send({ type: 'CONTINUATION', stream: 1, payload: Buffer.alloc(1_000) })
    expect(isAlive(peer)).toBe(true)
    peer.send({ type: 'CONTINUATION', stream: 1, payload: Buffer.alloc(1) })
    expect(peer.take().at(-1)).toContain('continuation_flood')
  })
  test('empty CONTINUATION frames are glitches', () => {
    const peer = served({ glitches: 2, glitchesPerSecond: 0 })
    peer.send({ type: 'HEADERS', stream: 1, payload: literals(REQUEST) })
    repeat(2, () => peer.send({ type: 'CONTINUATION', stream: 1 }))
    expect(isAlive(peer)).toBe(true)
    peer.send({ type: 'CONTINUATION', stream: 1 })
    expect(peer.take().at(-1)).toContain('glitch_flood')
  })
  test('100 SETTINGS frames a minute, 32 entries each', () => {
    const peer = served()
    repeat(99, () => peer.settings().flush())
    expect(isAlive(peer)).toBe(true)
    peer.advance(700).settings()
    expect(isAlive(peer)).toBe(true)
    peer.settings()
    expect(peer.take().at(-1)).toContain('settings_flood')
  })
  test('100 control answers unsent stop our reading, 1000 are served, one more ends the connection', () => {
    const peer = served({ idlePingsPerSecond: 10_000 })
    repeat(99, () => peer.ping())
    expect(peer.connection.wantsRead).toBe(true)
    peer.ping()
    expect(peer.connection.wantsRead).toBe(false)
    repeat(900, () => peer.ping())
    expect(isAlive(peer)).toBe(true)
    peer.ping()
    expect(peer.take().at(-1)).toContain('control_queue_flood')
  })
  test('10 PINGs a second without work, the rest are glitches', () => {
    const peer = served({ glitches: 3, glitchesPerSecond: 0 })
    repeat(13, () => peer.ping().flush())
    expect(isAlive(peer)).toBe(true)
    peer.advance(1_000)
    repeat(10, () => peer.ping().flush())
    expect(isAlive(peer)).toBe(true)
    peer.ping()
    expect(peer.take().at(-1)).toContain('ping_flood')
  })
  test('5 WINDOW_UPDATEs, 2 more for each stream and 20 for each DATA frame sent', () => {
    const peer = served()
    peer.headers(1, REQUEST)
    peer.handler.stream(1).sendHeaders(listOf(RESPONSE), false)
    peer.handler.stream(1).sendData(pattern(10), false)
    peer.flush()
    repeat(27, () => peer.windowUpdate(1, 1))
    expect(isAlive(peer)).toBe(true)
    peer.windowUpdate(0, 1)
    expect(peer.take().at(-1)).toContain('window_update_flood')
  })
  test('100 PRIORITY frames, and 100 more for each stream', () => {
    const peer = served()
    peer.headers(1, REQUEST)
    repeat(200, () => peer.send({ type: 'PRIORITY', stream: 1, dependsOn: 0 }))
    expect(isAlive(peer)).toBe(true)
    peer.send({ type: 'PRIORITY', stream: 1, dependsOn: 0 })
    expect(peer.take().at(-1)).toContain('priority_flood')
  })
  test('100 empty DATA frames, then one a second, on a stream or after its reset', () => {
    for (const isReset of [false, true]) {
      const peer = served()
      peer.headers(1, REQUEST)
      if (isReset) peer.handler.stream(1).reset(H2Code.CANCEL)
      repeat(100, () => peer.data(1, 0))
      peer.advance(1_000).data(1, 0)
      expect(isAlive(peer)).toBe(true)
      peer.data(1, 0)
      expect(peer.take().at(-1)).toContain('empty_data_flood')
    }
  })
  test('small DATA on a stream that we reset: what may be under way, and then an eighth of it a second', () => {
    const peer = served({ smallDataBudget: 2560 })
    peer.headers(1, REQUEST)
    peer.handler.stream(1).reset(H2Code.CANCEL)
    const small = (count: number): void => repeat(count, () => peer.data(1, 56))
    small(12)
    expect(isAlive(peer)).toBe(true)
    peer.advance(1000)
    small(1)
    expect(isAlive(peer)).toBe(true)
    peer.data(1, 4000)
    expect(isAlive(peer)).toBe(true)
    small(2)
    expect(peer.take().at(-1)).toContain('small_data_flood')
  })
  test('small DATA counts while it waits, and no more once it is forwarded, reset or ended', () => {
    const peer = served({ smallDataBudget: 10 * 255 })
    peer.handler.credits = false
    const judged = (): boolean => isAlive(peer.flush().data(1, 300).flush().data(1, 300))
    peer.headers(1, REQUEST).headers(3, REQUEST)
    repeat(11, () => peer.data(1, 1))
    expect(judged()).toBe(true)
    peer.handler.stream(1).credit(11 + 600)
    repeat(10, () => peer.data(3, 1))
    expect(judged()).toBe(true)
    peer.rst(3).headers(5, REQUEST)
    repeat(12, () => peer.data(5, 1))
    expect(judged()).toBe(false)
    expect(peer.connection.isFaulted).toBe(true)
  })
  test('2000 frames or 4 MiB of answers unsent stop our reading', () => {
    const peer = served({ maxQueuedFrames: 5 })
    repeat(5, (index) => {
      expect(peer.connection.wantsRead).toBe(true)
      peer.headers(1 + 2 * index, REQUEST, true)
      answer(peer, 1 + 2 * index)
    })
    expect(peer.connection.wantsRead).toBe(false)
    peer.flush()
    expect(peer.connection.wantsRead).toBe(true)
    const heavy = served({ maxQueuedBytes: 10_000 })
    heavy.headers(1, REQUEST, true)
    heavy.handler.stream(1).sendHeaders(listOf([...RESPONSE, ['x', 'v'.repeat(10_000)]]), true)
    expect(heavy.connection.wantsRead).toBe(false)
  })
  test('a client opens no more while 4 MiB of its frames wait unsent, and tells when they have left', () => {
    const peer = dialled({ maxQueuedBytes: 10_000 })
    let told = 0
    peer.handler.on = (event) => void (event === 'capacity' && told++)
    peer.connection.openStream(listOf([...REQUEST, ['x', 'v'.repeat(10_000)]]), null, true, {})
    expect([peer.connection.canOpenStream, peer.connection.isRetired]).toEqual([false, false])
    peer.flush()
    expect([peer.connection.canOpenStream, told]).toEqual([true, 1])
    peer.ping().flush()
    expect(told).toBe(1)
  })
  test('200 glitches; the connection is asked to leave at three quarters', () => {
    const peer = served()
    repeat(150, () => {
      peer.connection.glitch(1)
    })
    expect(peer.take()).toEqual([])
    peer.connection.glitch(1)
    expect(peer.take()[0]).toBe('GOAWAY last=2147483647 NO_ERROR')
    peer.connection.glitch(49)
    expect(isAlive(peer)).toBe(true)
    peer.connection.glitch(1)
    expect(peer.take().at(-1)).toContain('glitch_flood')
  })
  test('5 glitches a second are forgotten', () => {
    const peer = served()
    repeat(120, () => {
      peer.connection.glitch(5)
      peer.advance(1_000, 1_000)
    })
    expect(peer.take()).toEqual([])
  })
})

describe('what makes us send resets or do nothing at all is bounded', () => {
  test.each<[string, (peer: RawPeer, id: number) => void]>([
    ['malformed requests', (peer, id) => peer.headers(id, [['a', 'b']])],
    [
      'content-length that lies',
      (peer, id) => peer.headers(id, [...REQUEST, ['content-length', '9']]).data(id, 1, true),
    ],
    ['trailers without END_STREAM', (peer, id) => peer.headers(id, REQUEST).headers(id, [['a', 'b']])],
    ['frames of unknown types', (peer) => peer.send({ type: 0xbb })],
    ['answers to PINGs that were never sent', (peer) => peer.ping('00 00 00 00 00 00 00 00', true)],
    ['one GOAWAY after the other', (peer) => peer.goaway(0)],
    ['RST_STREAM on a stream that is closed', (peer) => peer.rst(1)],
    ['header blocks on a stream that we reset', (peer) => peer.headers(3, [['a', 'b']])],
  ])('%s', (_what, act) => {
    const peer = served({ earlyResets: 1e9 })
    peer.headers(1, REQUEST).rst(1).headers(3, REQUEST)
    peer.handler.stream(3).reset(H2Code.CANCEL)
    let count = 0
    while (isAlive(peer) && count < 1_000) {
      act(peer, 5 + 2 * count++)
      peer.flush()
    }
    expect(count).toBeGreaterThan(150)
    expect(count).toBeLessThan(300)
    expect(peer.take().join()).not.toContain('undefined')
    expect(peer.end.stats.faults.glitch_flood).toBe(1)
  })
  test('a stream that is over leaves the round robin, even when the connection window stays closed', () => {
    const peer = served({ earlyResets: 1e9 })
    peer.headers(1, REQUEST, true)
    peer.handler.stream(1).sendHeaders(listOf(RESPONSE), false)
    peer.handler.stream(1).sendData(pattern(70_000), false)
    peer.flush()
    repeat(2_000, (index) => {
      const id = 3 + 2 * index
      peer.headers(id, REQUEST, true)
      peer.handler.stream(id).sendHeaders(listOf(RESPONSE), false)
      peer.handler.stream(id).sendData(pattern(10), false)
      peer.flush().rst(id)
    })
    expect(peer.connection.sendQueue.readyCount).toBeLessThan(200)
    peer.take()
    peer.windowUpdate(0, 100_000).windowUpdate(1, 100_000)
    expect(peer.take()).toEqual(['DATA 1 4465'])
  })
})

describe('SETTINGS of the peer', () => {
  test('are acknowledged one by one, in order', () => {
    const peer = served()
    peer.settings().settings([SettingId.MAX_CONCURRENT_STREAMS, 1]).ping()
    expect(peer.take()).toEqual(['SETTINGS ack', 'SETTINGS ack', 'PING ack 0001020304050607'])
  })
  test('a lowered HEADER_TABLE_SIZE is told to the decoder at the start of the next block', () => {
    const peer = served()
    peer.settings([SettingId.HEADER_TABLE_SIZE, 0]).headers(1, REQUEST, true)
    answer(peer, 1)
    peer.flush()
    expect(peer.frames.find((wire) => wire.type === FrameType.HEADERS)!.payload[0]).toBe(0x20)
  })
  test('a table that goes down and up in one frame is told down and up', () => {
    const peer = served()
    const entries = [SettingId.HEADER_TABLE_SIZE, SettingId.HEADER_TABLE_SIZE]
    peer.send({
      type: 'SETTINGS',
      payload: settingsPayload([
        [entries[0]!, 0],
        [entries[1]!, 4096],
      ]),
    })
    peer.headers(1, REQUEST, true)
    answer(peer, 1)
    peer.flush()
    const block = peer.frames.find((wire) => wire.type === FrameType.HEADERS)!.payload
    expect(block.subarray(0, 4).toString('hex')).toBe('203fe11f')
  })
  test('a hostile HEADER_TABLE_SIZE of 2^32-1 buys no more than our own limit', () => {
    const peer = served()
    peer.settings([SettingId.HEADER_TABLE_SIZE, 2 ** 32 - 1])
    repeat(300, (index) => {
      peer.headers(1 + 2 * index, REQUEST, true)
      peer.handler
        .stream(1 + 2 * index)
        .sendHeaders(listOf([...RESPONSE, [`x-${index % 150}`, 'v'.repeat(100)]]), true)
      peer.flush()
    })
    expect(peer.connection.encoder.tableBytes).toBeLessThanOrEqual(4096)
  })
  test('our smaller HEADER_TABLE_SIZE is in force from the acknowledgement, not before', () => {
    const indexed: Fields = REQUEST
    expect(indexed).toHaveLength(6)
    const peer = new RawPeer({ limits: { headerTableBytes: 256 } })
    const block = '82 86 84 40 01 61 01 62'
    peer.send(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')).settings()
    peer.send({ type: 'HEADERS', stream: 1, flags: ['END_HEADERS'], payload: block })
    // Sent before the peer saw our SETTINGS: the table of 4096 octets still holds.
    peer.send({ type: 'HEADERS', stream: 3, flags: ['END_HEADERS'], payload: `3f e1 1f ${block}` })
    expect(isAlive(peer)).toBe(true)
    peer.settingsAck()
    peer.send({ type: 'HEADERS', stream: 5, flags: ['END_HEADERS'], payload: block })
    expect(peer.take().at(-1)).toContain('COMPRESSION_ERROR hpack_table_size_missing')
  })
  test('ours say only what differs from the defaults', () => {
    const shown = (isServer: boolean, limits: Partial<H2Limits>): string => {
      const peer = new RawPeer({ isServer, limits }).flush()
      return peer.frames[0]!.payload.toString('hex')
    }
    const common = '00040000ffff000600010000'
    expect(shown(true, {})).toBe(`${common}0003000000fa`)
    expect(shown(false, {})).toBe(`${common}000200000000`)
    expect(shown(false, { headerTableBytes: 8192 })).toBe(`${common}000100002000000200000000`)
  })
})

describe('honest clients are never cut', () => {
  test('a thousand tiny messages both ways on one stream, in a few chunks', () => {
    const pair = new H2Pair()
    const stream = pair.call()
    pair.settle()
    const server = pair.server.handler.stream(1)
    server.sendHeaders(listOf(RESPONSE), false)
    pair.server.handler.credits = false
    for (let i = 0; i < 1000; i++) stream.sendData(pattern(7, i), false)
    pair.server.receive(pair.client.drain())
    for (let i = 0; i < 1000; i++) server.sendData(pattern(7, i), false)
    pair.client.receive(pair.server.drain())
    // One credit for all that was forwarded, as a relay gives it.
    server.credit(7_000)
    pair.bench.turn.flushAll()
    for (let i = 0; i < 1000; i++) stream.sendData(pattern(7, i), i === 999)
    pair.server.receive(pair.client.drain())
    pair.bench.turn.flushAll()
    server.credit(7_000)
    server.sendTrailers(listOf(TRAILERS))
    pair.settle()
    expect(pair.client.handler.log.at(-1)).toBe('closed 1')
    expect(pair.server.connection.isFinished).toBe(false)
  })
  test('ten thousand tiny messages that wait for a slow egress leg', () => {
    const peer = served()
    peer.handler.credits = false
    peer.headers(1, REQUEST)
    repeat(40, () => {
      repeat(250, () =>
        peer.end.connection.receive(frame({ type: 'DATA', stream: 1, payload: '00 00 00 00 00' })),
      )
      peer.flush()
    })
    expect(isAlive(peer)).toBe(true)
  })
  test('bandwidth probing: a PING for each DATA frame that we send, thousands a second', () => {
    const peer = served()
    peer.headers(1, REQUEST, true)
    const stream = peer.handler.stream(1)
    stream.sendHeaders(listOf(RESPONSE), false)
    repeat(5_000, () => {
      stream.sendData(pattern(16_384), false)
      peer.flush().ping().windowUpdate(1, 16_384).windowUpdate(0, 16_384).flush()
      peer.frames.length = 0
    })
    expect(isAlive(peer)).toBe(true)
  })
  test('keepalive of stock clients: a PING every 10 s for a day', () => {
    const peer = served({ maxAgeMs: Infinity, idleTimeoutMs: Infinity })
    repeat(8_640, () => peer.ping().flush().advance(10_000, 10_000))
    expect(isAlive(peer)).toBe(true)
  })
  test('a thousand calls in flight that all time out after 5 s, for ten minutes', () => {
    const peer = served({ maxConcurrentStreams: 1000 })
    const head = literals(REQUEST)
    let id = 1
    repeat(120, () => {
      const ids = Array.from({ length: 1000 }, (_, index) => id + 2 * index)
      const flags = ['END_HEADERS', 'END_STREAM'] as const
      peer.send(Buffer.concat(ids.map((stream) => frame({ type: 'HEADERS', stream, flags, payload: head }))))
      peer.flush().advance(5_000, 1_000)
      peer.send(
        Buffer.concat(ids.map((stream) => frame({ type: 'RST_STREAM', stream, payload: '00 00 00 08' }))),
      )
      id += 2000
    })
    expect(isAlive(peer)).toBe(true)
    expect(peer.end.stats.resetsIn).toBe(120_000)
  })
  test('a thousand calls that time out here and there at the same moment: the resets cross', () => {
    const peer = served({ maxConcurrentStreams: 1000 })
    let id = 1
    repeat(20, () => {
      repeat(1000, (index) => peer.headers(id + 2 * index, REQUEST, true))
      repeat(1000, (index) => {
        answer(peer, id + 2 * index)
      })
      repeat(1000, (index) => peer.rst(id + 2 * index))
      peer.flush()
      id += 2000
    })
    expect(isAlive(peer)).toBe(true)
  }, 30_000)
  test('the shape of node:http2: its own window on the connection, padding, and never-indexed credentials', () => {
    const peer = new RawPeer()
    peer.send(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'))
    peer.settings([SettingId.ENABLE_PUSH, 0], [SettingId.INITIAL_WINDOW_SIZE, 4 * 1024 * 1024])
    peer.windowUpdate(0, 4 * 1024 * 1024 - 65_535).settingsAck()
    const never = Buffer.concat([
      Buffer.from('100d', 'hex'),
      Buffer.from('authorization'),
      Buffer.from([3]),
      Buffer.from('B x'),
    ])
    peer.send({
      type: 'HEADERS',
      stream: 1,
      flags: ['END_HEADERS'],
      dependsOn: 0,
      payload: Buffer.concat([literals(REQUEST), never]),
    })
    peer.data(1, 600, false, 8).data(1, 0, true)
    answer(peer, 1)
    expect(peer.handler.heads.get(1)!.fields.at(-1)).toMatchObject({ name: 'authorization', indexing: 2 })
    expect(peer.handler.log.at(-1)).toBe('closed 1')
  })
  test('the shape of grpc-go: SETTINGS again while it measures, WINDOW_UPDATEs after each, 100 concurrent streams', () => {
    const peer = new RawPeer()
    peer.send(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')).settings().settingsAck()
    repeat(16, (round) => {
      peer.settings([SettingId.INITIAL_WINDOW_SIZE, 65_535 * (round + 1)]).windowUpdate(0, 65_535)
      repeat(100, (index) => {
        const id = 1 + 2 * (round * 100 + index)
        peer.headers(id, REQUEST).data(id, 500).data(id, 0, true).flush()
        answer(peer, id)
        peer.ping().windowUpdate(id, 200).flush()
      })
    })
    expect(isAlive(peer)).toBe(true)
    expect(peer.handler.log.filter((line) => line.startsWith('closed'))).toHaveLength(1600)
  })
  test('the shape of grpc-java: a PING with its flow-control probe, RST_STREAM(CANCEL) after a deadline', () => {
    const peer = new RawPeer()
    peer.send(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'))
    peer.settings(
      [SettingId.ENABLE_PUSH, 0],
      [SettingId.MAX_CONCURRENT_STREAMS, 0],
      [SettingId.INITIAL_WINDOW_SIZE, 1_048_576],
    )
    peer.windowUpdate(0, 983_041).settingsAck()
    repeat(500, (index) => {
      const id = 1 + 2 * index
      peer.headers(id, REQUEST).data(id, 300, true).ping('00 00 00 00 00 00 04 d2').flush()
      if (index % 3 === 0) peer.advance(1_000, 1_000).rst(id)
      else answer(peer, id)
    })
    expect(isAlive(peer)).toBe(true)
  })
})

describe('fairness of sending', () => {
  test('streams take turns of 16 KiB', () => {
    const peer = served()
    peer.settings([SettingId.INITIAL_WINDOW_SIZE, 1_000_000]).windowUpdate(0, 10_000_000)
    for (const id of [1, 3, 5]) {
      peer.headers(id, REQUEST, true)
      peer.handler.stream(id).sendHeaders(listOf(RESPONSE), false)
      peer.handler.stream(id).sendData(pattern(40_000), false)
    }
    const order = peer.take().filter((line) => line.startsWith('DATA'))
    expect(order.map((line) => line.split(' ')[1])).toEqual(['1', '3', '5', '1', '3', '5', '1', '3', '5'])
  })
  test('100 uploads of 4 MiB do not keep a small call waiting: it leaves within one round', () => {
    const peer = dialled()
    peer.settings([SettingId.INITIAL_WINDOW_SIZE, 2 ** 30]).windowUpdate(0, 2 ** 30)
    const open = (bytes: number): void => {
      peer.connection.openStream(listOf(REQUEST), null, false, {}).sendData(Buffer.alloc(bytes), true)
    }
    repeat(100, () => {
      open(4 * 1024 * 1024)
    })
    peer.flush(1_000_000)
    peer.frames.length = 0
    open(1_024)
    peer.flush(100 * 16_400)
    const small = peer.frames.findIndex((wire) => wire.type === FrameType.DATA && wire.stream === 201)
    expect(small).toBeGreaterThan(0)
    expect(small).toBeLessThan(105)
    expect(peer.frames[0]!.type).toBe(FrameType.HEADERS)
  })
  test('many small pieces of one stream fill one turn, no more', () => {
    const peer = served()
    for (const id of [1, 3]) {
      peer.headers(id, REQUEST, true)
      peer.handler.stream(id).sendHeaders(listOf(RESPONSE), false)
      repeat(20, () => {
        peer.handler.stream(id).sendData(pattern(1_000), false)
      })
    }
    const turns = peer
      .take()
      .filter((line) => line.startsWith('DATA'))
      .map((line) => line.split(' ')[1])
    expect(turns.slice(0, 17)).toEqual(Array.from({ length: 17 }, () => '1'))
    expect(turns.slice(17, 34)).toEqual(Array.from({ length: 17 }, () => '3'))
  })
  test('eight streams that stall do not slow a ninth', () => {
    const peer = served()
    peer.settings([SettingId.INITIAL_WINDOW_SIZE, 1_000])
    repeat(8, (index) => {
      peer.headers(1 + 2 * index, REQUEST, true)
      peer.handler.stream(1 + 2 * index).sendHeaders(listOf(RESPONSE), false)
      peer.handler.stream(1 + 2 * index).sendData(pattern(50_000), false)
    })
    peer.flush().headers(17, REQUEST, true).windowUpdate(17, 100_000)
    peer.frames.length = 0
    peer.handler.stream(17).sendHeaders(listOf(RESPONSE), false)
    peer.handler.stream(17).sendData(pattern(30_000), false)
    expect(peer.take().filter((line) => line.startsWith('DATA'))).toEqual(['DATA 17 16384', 'DATA 17 13616'])
  })
})

describe('budgets', () => {
  test('a bucket starts full, refills with time up to its capacity, and is empty after a refusal', () => {
    const bucket = new TokenBucket(10, 2, 0)
    expect(bucket.take(10, 0)).toBe(true)
    expect(bucket.take(3, 1_000)).toBe(false)
    expect(bucket.level).toBe(0)
    expect(bucket.take(4, 3_000)).toBe(true)
    expect(bucket.take(1, 2_000)).toBe(false)
    bucket.refund(50)
    expect(bucket.level).toBe(10)
  })
  test('the budget of the process is spent when it is full', () => {
    const held = new ByteBudget(10)
    held.usedBytes = 9
    expect(held.isSpent).toBe(false)
    held.usedBytes = 10
    expect(held.isSpent).toBe(true)
  })
})

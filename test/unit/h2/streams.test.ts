import { describe, expect, test } from 'vitest'
import { H2Code, SettingId } from '../../../src/frame/index.ts'
import {
  CLOSED,
  HALF_CLOSED_LOCAL,
  HALF_CLOSED_REMOTE,
  IDLE,
  ILLEGAL,
  isLocalOpen,
  isPeerOpen,
  OPEN,
  OPENED,
  RECV_END,
  RESET,
  SEND_END,
  TRANSITIONS,
  type StreamState,
} from '../../../src/h2/stream-state.ts'
import { H2Pair, listOf, RawPeer, REQUEST, RESPONSE, TRAILERS, type Fields } from '../../support/h2-pair.ts'
import { pattern } from '../../support/frame-factory.ts'

const request = (...extra: Fields): Fields => [...REQUEST, ...extra]
const served = (options = {}): RawPeer => new RawPeer(options).open()
const dialled = (options = {}): RawPeer => new RawPeer({ ...options, isServer: false }).open()
const call = (peer: RawPeer, fields: Fields = REQUEST, isEnd = false): number => {
  const stream = peer.connection.openStream(listOf(fields), null, isEnd, {})
  peer.handler.streams.set(stream.id, stream)
  peer.flush()
  peer.frames.length = 0
  return stream.id
}

describe('the table of stream states', () => {
  const names = { IDLE, OPEN, HALF_CLOSED_LOCAL, HALF_CLOSED_REMOTE, CLOSED }
  const events = { OPENED, SEND_END, RECV_END, RESET }
  const expected: Record<string, Record<string, number>> = {
    IDLE: { OPENED: OPEN, SEND_END: ILLEGAL, RECV_END: ILLEGAL, RESET: ILLEGAL },
    OPEN: { OPENED: ILLEGAL, SEND_END: HALF_CLOSED_LOCAL, RECV_END: HALF_CLOSED_REMOTE, RESET: CLOSED },
    HALF_CLOSED_LOCAL: { OPENED: ILLEGAL, SEND_END: ILLEGAL, RECV_END: CLOSED, RESET: CLOSED },
    HALF_CLOSED_REMOTE: { OPENED: ILLEGAL, SEND_END: CLOSED, RECV_END: ILLEGAL, RESET: CLOSED },
    CLOSED: { OPENED: ILLEGAL, SEND_END: ILLEGAL, RECV_END: ILLEGAL, RESET: CLOSED },
  }
  for (const [stateName, state] of Object.entries(names) as [string, StreamState][]) {
    for (const [eventName, event] of Object.entries(events)) {
      test(`${stateName} on ${eventName}`, () => {
        expect(TRANSITIONS[state]![event]).toBe(expected[stateName]![eventName])
      })
    }
    test(`${stateName}: who may still send`, () => {
      expect(isPeerOpen(state)).toBe(state === OPEN || state === HALF_CLOSED_LOCAL)
      expect(isLocalOpen(state)).toBe(state === OPEN || state === HALF_CLOSED_REMOTE)
    })
  }
})

describe('a call from end to end', () => {
  test('request, DATA both ways and trailers arrive in order, and both ends forget the stream', () => {
    const pair = new H2Pair()
    const client = pair.call()
    client.sendData(pattern(10), false)
    client.sendData(Buffer.alloc(0), true)
    pair.settle()
    const server = pair.server.handler.stream(1)
    server.sendHeaders(listOf(RESPONSE), false)
    server.sendData(pattern(20), false)
    server.sendTrailers(listOf(TRAILERS))
    pair.settle()
    expect(pair.server.handler.take()).toEqual([
      'request 1 /pkg.Service/Method',
      'data 1 10 end',
      'sent 1 20',
      'closed 1',
    ])
    expect(pair.client.handler.take()).toEqual([
      'sent 1 10',
      'response 1 200',
      'data 1 20',
      'trailers 1 grpc-status=0',
      'closed 1',
    ])
    expect([pair.client.connection.openStreamCount, pair.server.connection.openStreamCount]).toEqual([0, 0])
    expect([pair.client.stats.streamsOpen, pair.server.stats.streamsOpen]).toEqual([0, 0])
  })
  test('a trailers-only answer is one HEADERS frame with END_STREAM', () => {
    const peer = served()
    peer.headers(1, REQUEST, true)
    peer.handler.stream(1).sendHeaders(listOf([...RESPONSE, ...TRAILERS]), true)
    expect(peer.take()).toEqual(['HEADERS 1 end :status=200,content-type=application/grpc,grpc-status=0'])
    expect(peer.handler.take()).toEqual(['request 1 /pkg.Service/Method end', 'closed 1'])
  })
  test('an empty DATA frame with END_STREAM is delivered', () => {
    const peer = served()
    peer.headers(1, REQUEST).data(1, 0, true)
    expect(peer.handler.take()).toEqual(['request 1 /pkg.Service/Method', 'data 1 0 end'])
  })
  test('a field that varies goes out after the head, once a call', () => {
    const peer = dialled()
    const head = listOf(REQUEST)
    const token = listOf([['authorization', 'Bearer abc']]).fields[0]!
    peer.connection.openStream(head, token, true, {})
    expect(peer.take()[0]).toMatch(/^HEADERS 1 end .*te=trailers,authorization=Bearer abc$/)
  })
  test('a header block above 16,384 octets is cut into HEADERS and CONTINUATION', () => {
    const peer = served()
    peer.headers(1, REQUEST, true)
    peer.handler.stream(1).sendHeaders(listOf([...RESPONSE, ['x', 'v'.repeat(20_000)]]), true)
    const lines = peer.take()
    expect(lines[0]).toBe('HEADERS 1 part')
    expect(lines[1]).toContain('HEADERS 1 end :status=200')
  })
  test('a block cut into HEADERS and eight CONTINUATIONs, one empty, is one request', () => {
    const peer = served()
    const pair = new H2Pair()
    expect(pair.server.connection.departure.phase).toBe(0)
    peer.send({ type: 'HEADERS', stream: 1, flags: ['END_STREAM'], payload: '82 86' })
    expect(peer.connection.inbound.isInBlock).toBe(true)
    peer.send({ type: 'CONTINUATION', stream: 1 })
    for (const octets of ['41', '01', '61', '44', '02', '2f'])
      peer.send({ type: 'CONTINUATION', stream: 1, payload: octets })
    peer.send({ type: 'CONTINUATION', stream: 1, flags: ['END_HEADERS'], payload: '62' })
    expect(peer.handler.take()).toEqual(['request 1 /b end'])
    expect(peer.connection.inbound.isInBlock).toBe(false)
  })
  test('an empty header block is a malformed request, not a crash', () => {
    const peer = served()
    peer.send({ type: 'HEADERS', stream: 1 }, { type: 'CONTINUATION', stream: 1, flags: ['END_HEADERS'] })
    expect(peer.take()).toEqual(['RST_STREAM 1 PROTOCOL_ERROR'])
  })
})

describe('an early answer', () => {
  test('is followed by RST_STREAM(NO_ERROR), and the rest of the request is ignored and credited', () => {
    const peer = served()
    peer.headers(1, REQUEST).data(1, 100)
    peer.handler.stream(1).sendHeaders(listOf([...RESPONSE, ...TRAILERS]), true)
    expect(peer.take().map((line) => line.split(' :')[0])).toEqual(['HEADERS 1 end', 'RST_STREAM 1 NO_ERROR'])
    peer.data(1, 16_384).headers(1, [['a', 'b']], true)
    expect(peer.handler.take()).toEqual(['request 1 /pkg.Service/Method', 'data 1 100', 'closed 1'])
    expect(peer.end.held.usedBytes).toBe(0)
    expect(peer.connection.isFinished).toBe(false)
  })
  test('that has DATA before its trailers waits for them before the reset', () => {
    const peer = served()
    peer.settings([SettingId.INITIAL_WINDOW_SIZE, 4]).headers(1, REQUEST)
    const stream = peer.handler.stream(1)
    stream.sendHeaders(listOf(RESPONSE), false)
    stream.sendData(pattern(8), false)
    stream.sendTrailers(listOf(TRAILERS))
    expect(peer.take().at(-1)).toBe('DATA 1 4')
    peer.windowUpdate(1, 4)
    expect(peer.take()).toEqual(['DATA 1 4', 'HEADERS 1 end grpc-status=0', 'RST_STREAM 1 NO_ERROR'])
  })
  test('END_STREAM from the server survives its later RST_STREAM(NO_ERROR)', () => {
    const peer = dialled()
    const id = call(peer)
    peer.headers(id, RESPONSE).headers(id, TRAILERS, true).rst(id, H2Code.NO_ERROR)
    expect(peer.handler.take()).toEqual([
      'response 1 200',
      'trailers 1 grpc-status=0',
      'reset 1 NO_ERROR peer',
    ])
  })
  test('nothing is sent on a stream after its end was queued', () => {
    const peer = served()
    peer.settings([SettingId.INITIAL_WINDOW_SIZE, 0]).headers(1, REQUEST)
    const stream = peer.handler.stream(1)
    stream.sendHeaders(listOf(RESPONSE), false)
    stream.sendData(pattern(4), false)
    stream.sendTrailers(listOf(TRAILERS))
    stream.sendTrailers(listOf([['grpc-status', '13']]))
    stream.sendData(pattern(4), true)
    stream.sendHeaders(listOf(RESPONSE), true)
    peer.take()
    peer.windowUpdate(1, 100)
    expect(peer.take()).toEqual(['DATA 1 4', 'HEADERS 1 end grpc-status=0', 'RST_STREAM 1 NO_ERROR'])
    stream.sendHeaders(listOf(RESPONSE), true)
    stream.sendData(pattern(4), true)
    stream.reset(H2Code.CANCEL)
    stream.admit()
    expect(peer.take()).toEqual([])
  })
})

describe('content-length', () => {
  test('that is the sum of the DATA octets passes, padding not counted', () => {
    const peer = served()
    peer
      .headers(1, request(['content-length', '5']))
      .data(1, 2, false, 9)
      .data(1, 3, true, 1)
    expect(peer.handler.take().at(-1)).toBe('data 1 3 end')
  })
  test.each([
    ['too little before END_STREAM on DATA', (peer: RawPeer) => peer.data(1, 4, true)],
    ['too much before END_STREAM on DATA', (peer: RawPeer) => peer.data(1, 6, true)],
    ['too little before trailers', (peer: RawPeer) => peer.data(1, 4).headers(1, [['a', 'b']], true)],
  ])('that lies resets the stream: %s', (_how, act) => {
    const peer = served()
    peer.headers(1, request(['content-length', '5']))
    act(peer)
    expect(peer.handler.take().at(-1)).toBe('reset 1 PROTOCOL_ERROR content_length_mismatch')
    expect(peer.take()).toContain('RST_STREAM 1 PROTOCOL_ERROR')
  })
  test('above zero on a request without a body: the owner never hears of it', () => {
    const peer = served()
    peer.headers(1, request(['content-length', '5']), true)
    expect(peer.handler.take()).toEqual([])
    expect(peer.take()).toEqual(['RST_STREAM 1 PROTOCOL_ERROR'])
  })
  test('zero without a body passes', () => {
    const peer = served()
    peer.headers(1, request(['content-length', '0']), true)
    expect(peer.handler.take()).toEqual(['request 1 /pkg.Service/Method end'])
  })
  test('twice alike passes, twice different or not a number does not', () => {
    const peer = served()
    peer.headers(1, request(['content-length', '1'], ['content-length', '1']))
    peer.headers(3, request(['content-length', '1'], ['content-length', '2']))
    peer.headers(5, request(['content-length', '+1']))
    expect(peer.handler.take()).toEqual(['request 1 /pkg.Service/Method'])
    expect(peer.take()).toEqual(['RST_STREAM 3 PROTOCOL_ERROR', 'RST_STREAM 5 PROTOCOL_ERROR'])
  })
  test('of a response with END_STREAM on its HEADERS must be zero', () => {
    const peer = dialled()
    const id = call(peer)
    peer.headers(id, [...RESPONSE, ['content-length', '5']], true)
    expect(peer.handler.take()).toEqual(['reset 1 PROTOCOL_ERROR content_length_mismatch'])
  })
  test.each(['204', '304'])('of a %s response says nothing about its own body', (status) => {
    const peer = dialled()
    const id = call(peer)
    peer.headers(
      id,
      [
        [':status', status],
        ['content-length', '5'],
      ],
      true,
    )
    expect(peer.handler.take()).toEqual([`response 1 ${status} end`])
  })
  test('of a response to HEAD says nothing about its own body', () => {
    const peer = dialled()
    const id = call(peer, [[':method', 'HEAD'], ...REQUEST.slice(1)], true)
    peer.headers(id, [...RESPONSE, ['content-length', '5']], true)
    expect(peer.handler.take()).toEqual(['response 1 200 end', 'closed 1'])
  })
})

describe('responses', () => {
  test('1xx are consumed; the final head is the first that the owner sees', () => {
    const peer = dialled()
    const id = call(peer)
    peer
      .headers(id, [[':status', '100']])
      .headers(id, [
        [':status', '103'],
        ['link', 'x'],
      ])
      .headers(id, RESPONSE)
    expect(peer.handler.take()).toEqual(['response 1 200'])
  })
  test('1xx with END_STREAM is malformed', () => {
    const peer = dialled()
    peer.headers(call(peer), [[':status', '100']], true)
    expect(peer.handler.take()).toEqual(['reset 1 PROTOCOL_ERROR response_malformed'])
  })
  test.each(['', '99', '1000', 'ok', '2x0'])('a status of "%s" is malformed', (status) => {
    const peer = dialled()
    peer.headers(call(peer), [[':status', status]])
    expect(peer.handler.take()).toEqual(['reset 1 PROTOCOL_ERROR response_malformed'])
  })
  test('a response without :status is malformed', () => {
    const peer = dialled()
    peer.headers(call(peer), [['a', 'b']])
    expect(peer.handler.take()).toEqual(['reset 1 PROTOCOL_ERROR response_malformed'])
  })
  test('a response may end before the request: the client goes on sending', () => {
    const peer = dialled()
    const id = call(peer)
    peer.headers(id, [...RESPONSE, ...TRAILERS], true)
    peer.handler.stream(id).sendData(pattern(3), true)
    expect(peer.take()).toEqual(['DATA 1 3 end'])
    expect(peer.handler.take()).toEqual(['response 1 200 end', 'sent 1 3', 'closed 1'])
  })
  test('PUSH_PROMISE ends the connection', () => {
    const peer = dialled()
    peer.send({ type: 'PUSH_PROMISE', stream: call(peer), flags: ['END_HEADERS'], payload: '00 00 00 02 82' })
    expect(peer.take()).toEqual(['GOAWAY last=0 PROTOCOL_ERROR push_promise_received'])
    expect(peer.handler.take()).toEqual(['reset 1 CANCEL close', 'over closed_by_peer'])
  })
})

describe('header lists over the limits', () => {
  test('a request head with too many fields comes truncated, to be refused by the owner', () => {
    const peer = served()
    peer.headers(1, request(...Array.from({ length: 123 }, (_, i) => [`x-${i}`, ''] as const)), true)
    expect(peer.handler.heads.get(1)!.isTruncated).toBe(true)
    peer.headers(3, request(...Array.from({ length: 122 }, (_, i) => [`x-${i}`, ''] as const)), true)
    expect(peer.handler.heads.get(3)!.isTruncated).toBe(false)
  })
  test('a head above the limit keeps the compression state; above twice the limit it ends the connection', () => {
    const peer = served({ limits: { maxHeaderListBytes: 1000 } })
    const base = REQUEST.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0)
    const filler = (total: number): Fields => request(['x', 'v'.repeat(total - base - 33)])
    peer.headers(1, filler(1000), true)
    expect(peer.handler.heads.get(1)!.isTruncated).toBe(false)
    peer.headers(3, filler(1001), true).headers(5, filler(2000), true)
    expect(peer.handler.heads.get(3)!.isTruncated).toBe(true)
    expect(peer.handler.heads.get(5)!.isTruncated).toBe(true)
    peer.headers(7, filler(2001), true)
    expect(peer.take()).toEqual(['GOAWAY last=5 ENHANCE_YOUR_CALM header_list_flood'])
  })
  test('a truncated response is given to the owner as it is', () => {
    const peer = dialled({ limits: { maxFieldCount: 1 } })
    peer.headers(call(peer), [...RESPONSE, ['content-length', '9']])
    expect(peer.handler.take()).toEqual(['response 1 200'])
  })
})

describe('what is remembered of streams that are gone', () => {
  test('frames that cross our reset are ignored, until the peer has ended its side', () => {
    const peer = served()
    peer.headers(1, REQUEST)
    peer.handler.stream(1).reset(H2Code.CANCEL)
    peer
      .data(1, 10)
      .windowUpdate(1, 5)
      .headers(1, [['a', 'b']], true)
    expect(peer.connection.isFinished).toBe(false)
    peer.data(1, 1)
    expect(peer.connection.isFaulted).toBe(true)
  })
  test('the crossing frames of thousands of calls cancelled at once are no fault', () => {
    const peer = dialled()
    const ids = Array.from({ length: 1500 }, () => call(peer))
    for (const id of ids) peer.handler.stream(id).reset(H2Code.CANCEL)
    peer.flush()
    for (const id of ids) peer.headers(id, RESPONSE).data(id, 3).headers(id, TRAILERS, true)
    expect(peer.connection.isFinished).toBe(false)
    expect(peer.end.held.usedBytes).toBe(0)
  })
  test('a thousand streams refused, reset and skipped leave little behind', () => {
    const peer = served({ limits: { maxConcurrentStreams: 1, glitches: 1e9 } })
    peer.headers(1, REQUEST)
    for (let id = 5; id < 40_000; id += 4) peer.headers(id, REQUEST, true).flush()
    expect(peer.connection.streams.rememberedCount).toBeLessThanOrEqual(1024 + 16)
  })
  test('owners may reset, send, close and open from inside every callback', () => {
    for (const word of [
      'request',
      'data',
      'trailers',
      'sent',
      'reset',
      'closed',
      'goaway',
      'over',
      'capacity',
      'response',
    ]) {
      for (const act of ['reset', 'close', 'send', 'drain', 'fail'] as const) {
        const pair = new H2Pair()
        for (const end of [pair.server, pair.client]) {
          end.handler.on = (event, stream) => {
            if (event !== word) return
            if (act === 'reset') stream?.reset(H2Code.CANCEL)
            else if (act === 'close') end.connection.close(H2Code.NO_ERROR, null)
            else if (act === 'drain') end.connection.drainStreams()
            else if (act === 'fail') end.connection.glitch(1000)
            else if (
              !end.connection.isServer &&
              end.connection.canOpenStream &&
              end.connection.openStreamCount < 9
            )
              pair.call(REQUEST, true)
            else stream?.sendHeaders(listOf(RESPONSE), true)
          }
        }
        const calls = [1, 3, 5].map(() => (pair.client.connection.canOpenStream ? pair.call() : null))
        for (const stream of calls) {
          stream?.sendData(pattern(100), false)
          pair.settle()
          stream?.sendData(pattern(30), true)
        }
        for (const id of [1, 3]) {
          const stream = pair.server.handler.streams.get(id)
          stream?.sendHeaders(listOf(RESPONSE), false)
          stream?.sendData(pattern(50), false)
          stream?.sendTrailers(listOf(TRAILERS))
        }
        calls[2]?.reset(H2Code.CANCEL)
        pair.settle()
        pair.server.connection.drainStreams()
        pair.settle()
        pair.server.connection.close(H2Code.NO_ERROR, null)
        pair.settle()
        pair.server.connection.onSocketClosed(null)
        pair.client.connection.onSocketClosed(null)
        expect(pair.server.connection.isFinished).toBe(true)
        expect(pair.client.connection.openStreamCount).toBe(0)
        expect([pair.server.held.usedBytes, pair.client.held.usedBytes]).toEqual([0, 0])
      }
    }
  })
})

describe('opening streams as a client', () => {
  test('waits for the first SETTINGS', () => {
    const peer = new RawPeer({ isServer: false })
    expect(peer.connection.canOpenStream).toBe(false)
    expect(() => call(peer)).toThrow('a stream is opened only where there is room for one')
    peer.settings()
    expect(peer.connection.canOpenStream).toBe(true)
  })
  test('keeps to the limit of the peer, and tells of room as it comes', () => {
    const peer = dialled()
    peer.settings([SettingId.MAX_CONCURRENT_STREAMS, 2])
    const first = call(peer)
    call(peer)
    expect(peer.connection.canOpenStream).toBe(false)
    let told = 0
    peer.handler.on = (event) => void (event === 'capacity' && told++)
    peer.rst(first)
    expect([peer.connection.canOpenStream, told]).toEqual([true, 1])
    peer.settings([SettingId.MAX_CONCURRENT_STREAMS, 0])
    expect(peer.connection.canOpenStream).toBe(false)
  })
  test('a connection at its last identifier is retired', () => {
    const peer = dialled({ limits: { maxStreamId: 5 } })
    call(peer)
    expect(peer.connection.isRetired).toBe(false)
    call(peer)
    expect([peer.connection.canOpenStream, peer.connection.isRetired]).toEqual([false, true])
  })
})

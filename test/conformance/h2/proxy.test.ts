/** What RFC 9113 and gRPC ask of whoever stands between two peers, beyond what framing.test.ts and streams.test.ts show. */
import { expect } from 'vitest'
import { FrameType, H2Code, SettingId } from '../../../src/frame/index.ts'
import { frame, pattern } from '../../support/frame-factory.ts'
import {
  cutFrames,
  listOf,
  PREFACE,
  RawPeer,
  REQUEST,
  RESPONSE,
  TRAILERS,
  type Fields,
} from '../../support/h2-pair.ts'
import { answerTo, must } from '../../support/must.ts'
import { RelayPair, type ClientCall, type ServerCall } from '../../support/relay-pair.ts'

/** A client that has one request under way. */
function called(head: Fields = REQUEST): RawPeer {
  const peer = new RawPeer({ isServer: false }).open()
  const stream = peer.connection.openStream(listOf(head), null, true, {})
  peer.handler.streams.set(stream.id, stream)
  peer.take()
  return peer
}

/** A call through a relay, and what the server behind it sees. */
function relayed(): { call: ClientCall; served: ServerCall; settle: () => void } {
  const pair = new RelayPair()
  const call = pair.open().unary()
  pair.settle()
  return { call, served: pair.server.last, settle: () => void pair.settle() }
}

/** Every flag that RFC 9113 §6 gives a meaning, by type. */
const DEFINED_FLAGS: Readonly<Record<number, number>> = {
  [FrameType.DATA]: 0x1,
  [FrameType.HEADERS]: 0x5,
  [FrameType.SETTINGS]: 0x1,
  [FrameType.PING]: 0x1,
  [FrameType.CONTINUATION]: 0x4,
}

must('§4.1 and §6.1 we leave the reserved bit and all undefined flags unset, and send no padding', () => {
  const peer = new RawPeer()
  peer.send(PREFACE).settings().ping().headers(1, REQUEST).data(1, 16_000).data(1, 16_000, true)
  peer.handler.stream(1).sendHeaders(listOf([...RESPONSE, ['x', 'v'.repeat(20_000)]]), false)
  peer.handler.stream(1).sendData(pattern(100), false)
  peer.handler.stream(1).sendTrailers(listOf(TRAILERS))
  peer.headers(3, [['a', 'b']])
  peer.connection.drainStreams()
  const sent = cutFrames(peer.end.drain())
  expect(new Set(sent.map((bytes) => bytes[3])).size).toBeGreaterThan(7)
  for (const bytes of sent) {
    expect(bytes[5]! & 0x80).toBe(0)
    expect(bytes[4]! & ~(DEFINED_FLAGS[bytes[3]!] ?? 0)).toBe(0)
  }
})
must('§4.2 a frame that is too small for what it must hold is a connection error FRAME_SIZE_ERROR', () => {
  const answers = [
    frame({ type: 'HEADERS', stream: 1, flags: 0x0c }),
    frame({ type: 'HEADERS', stream: 1, flags: 0x24, payload: pattern(4) }),
    frame({ type: 'DATA', stream: 1, flags: 0x08 }),
    frame({ type: 'GOAWAY', payload: pattern(7) }),
  ].map((bytes) => answerTo((peer) => peer.headers(1, REQUEST).send(bytes)))
  expect(answers.filter((answer) => !answer.startsWith('GOAWAY last=1 FRAME_SIZE_ERROR '))).toEqual([])
})
must('§5.1 nothing is sent on a stream that is closed', () => {
  const peer = new RawPeer().open().headers(1, REQUEST)
  peer.handler.credits = false
  for (let i = 0; i < 3; i++) peer.data(1, 16_000)
  peer.data(1, 10, true)
  const stream = peer.handler.stream(1)
  stream.sendHeaders(listOf(RESPONSE), true)
  peer.take()
  stream.credit(48_010)
  stream.sendData(pattern(5), true)
  stream.sendTrailers(listOf(TRAILERS))
  stream.reset(H2Code.CANCEL)
  peer.headers(3, REQUEST).rst(3)
  peer.handler.stream(3).sendHeaders(listOf(RESPONSE), true)
  expect(peer.take()).toEqual([])
})
must('§5.2.2 frames are read at once, also while streams wait for the other side', () => {
  const peer = new RawPeer({ limits: { initialStreamWindowBytes: 65_535, streamWindowBytes: 65_535 } })
  peer.open([SettingId.INITIAL_WINDOW_SIZE, 0])
  peer.handler.credits = false
  for (let id = 1; id < 17; id += 2) {
    peer.headers(id, REQUEST).data(id, 16_000).data(id, 16_000).data(id, 16_000).data(id, 16_000)
    peer.handler.stream(id).sendHeaders(listOf(RESPONSE), false)
    peer.handler.stream(id).sendData(pattern(30_000), false)
  }
  peer.take()
  expect(peer.connection.wantsRead).toBe(true)
  peer.windowUpdate(5, 100).ping()
  expect(peer.take()).toEqual(['PING ack 0001020304050607', 'DATA 5 100'])
})
must('§6.9 DATA counts against the connection window, also where its stream is in error', () => {
  const peer = new RawPeer().open()
  const { window } = peer.connection.credits
  const before = window.remainingBytes
  peer.headers(1, [...REQUEST, ['content-length', '1']]).data(1, 5_000)
  expect(window.remainingBytes).toBe(before - 5_000)
  peer.data(1, 5).data(1, 700, true)
  expect(window.remainingBytes).toBe(before - 5_705)
  expect(window.heldBytes).toBe(0)
  expect(peer.take()).toEqual(['RST_STREAM 1 PROTOCOL_ERROR'])
})
must('§6.9.2 a client opens no stream before the SETTINGS that say which window it has', () => {
  const peer = new RawPeer({ isServer: false })
  expect(peer.connection.canOpenStream).toBe(false)
  peer.settings([SettingId.INITIAL_WINDOW_SIZE, 10])
  const stream = peer.connection.openStream(listOf(REQUEST), null, false, {})
  stream.sendData(pattern(50), true)
  expect(peer.take().at(-1)).toBe('DATA 1 10')
})
must('§8.1 a response has one final head: a second one without END_STREAM is malformed', () => {
  const peer = called().headers(1, RESPONSE).headers(1, RESPONSE)
  expect(peer.take()).toEqual(['RST_STREAM 1 PROTOCOL_ERROR'])
})
must(
  '§8.1.1 what goes beyond content-length reaches no owner, on either leg, before the end of the message',
  () => {
    const length = ['content-length', '7'] as const
    const peers = [
      new RawPeer().open().headers(1, [...REQUEST, length]),
      called().headers(1, [...RESPONSE, length]),
    ]
    for (const peer of peers) {
      peer.data(1, 5).data(1, 3)
      expect(peer.handler.bytes(1)).toHaveLength(5)
      expect(peer.take()).toEqual(['RST_STREAM 1 PROTOCOL_ERROR'])
    }
  },
)
must('§8.1.1 a client takes no malformed response', () => {
  const malformed: Fields[] = [
    [['a', 'b']],
    [...RESPONSE, ['connection', 'close']],
    [...RESPONSE, ['x', 'a\nb']],
  ]
  for (const head of malformed) {
    const peer = called().headers(1, head)
    expect(peer.handler.take().filter((line) => line.startsWith('response'))).toEqual([])
    expect(peer.take()).toEqual(['RST_STREAM 1 PROTOCOL_ERROR'])
  }
})
must('§8.1.1 content-length of a response is the sum of its DATA, unless it is defined to have none', () => {
  const head = (status: string): Fields => [
    [':status', status],
    ['content-length', '7'],
  ]
  expect(called().headers(1, head('200')).data(1, 8, true).take()).toEqual(['RST_STREAM 1 PROTOCOL_ERROR'])
  expect(called().headers(1, head('200')).data(1, 7, true).take()).toEqual([])
  for (const status of ['204', '304']) expect(called().headers(1, head(status), true).take()).toEqual([])
  const toHead = called([[':method', 'HEAD'], ...REQUEST.slice(1)])
  expect(toHead.headers(1, head('200'), true).take()).toEqual([])
})
must('§8.2.1 trailers are held to the same rules as heads', () => {
  const trailers: Fields = [
    ['X', 'v'],
    ['a b', 'v'],
    ['x', 'a\u0000'],
    ['x', ' a'],
    ['connection', 'close'],
  ]
  for (const field of trailers) {
    const answer = answerTo((peer) => peer.headers(1, REQUEST).headers(1, [field], true))
    expect(answer).toBe('RST_STREAM 1 PROTOCOL_ERROR')
  }
})
must('§8.3.1 host and :authority are compared after scheme-based normalization', () => {
  const faultOf = (scheme: string, authority: string, host: string): string =>
    answerTo((peer) =>
      peer.headers(
        1,
        [
          [':method', 'POST'],
          [':scheme', scheme],
          [':path', '/a/b'],
          [':authority', authority],
          ['host', host],
        ],
        true,
      ),
    )
  expect(faultOf('http', 'Example.com:80', 'example.com')).toBe('nothing')
  expect(faultOf('https', 'example.com', 'EXAMPLE.com:443')).toBe('nothing')
  expect(faultOf('http', 'example.com:', 'example.com')).toBe('nothing')
  expect(faultOf('http', '[2001:db8::80]', '[2001:DB8::80]:80')).toBe('nothing')
  for (const [scheme, authority, host] of [
    ['http', 'example.com:443', 'example.com'],
    ['https', 'example.com', 'example.com:80'],
    ['other', 'example.com:80', 'example.com'],
    ['http', 'example.com:8080', 'example.com'],
  ] as const)
    expect(faultOf(scheme, authority, host)).toBe('RST_STREAM 1 PROTOCOL_ERROR')
})
must('gRPC: a status is made for an answer that has none', () => {
  const without: Fields[] = [
    [[':status', '503']],
    [
      [':status', '200'],
      ['content-type', 'text/html'],
    ],
    [
      [':status', '200'],
      ['content-type', 'application/grpc'],
    ],
  ]
  for (const fields of without) {
    const { call, served, settle } = relayed()
    served.raw(fields)
    settle()
    expect(call.endCount).toBe(1)
    expect(call.last['grpc-status']).toMatch(/^[1-9]\d?$/)
  }
})
must('gRPC: a grpc-message that does not decode is passed on as it came', () => {
  const { call, served, settle } = relayed()
  served.trailersOnly(3, ['grpc-message', 'bad %zz and \u00ff%'])
  settle()
  expect(call.status).toBe(3)
  expect(call.message).toBe('bad %zz and \u00ff%')
})

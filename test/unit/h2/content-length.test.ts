import { describe, expect, test } from 'vitest'
import {
  listOf,
  RawPeer,
  REQUEST,
  RESPONSE,
  TRAILERS,
  type EndOptions,
  type Fields,
} from '../../support/h2-pair.ts'
import { frame, pattern, type FrameSpec } from '../../support/frame-factory.ts'

const LENGTH = 10_000
const withLength = (fields: Fields): Fields => [...fields, ['content-length', String(LENGTH)]]

/** A server that has had a request head, and a client that has had a response head: both promise `LENGTH` octets. */
const LEGS: readonly [leg: string, open: (options?: EndOptions) => RawPeer][] = [
  [
    'ingress',
    (options = {}) => {
      const peer = new RawPeer(options).open().headers(1, withLength(REQUEST))
      return emptied(peer)
    },
  ],
  [
    'egress',
    (options = {}) => {
      const peer = new RawPeer({ ...options, isServer: false }).open()
      const stream = peer.connection.openStream(listOf(REQUEST), null, false, {})
      peer.handler.streams.set(1, stream)
      return emptied(peer.headers(1, withLength(RESPONSE)))
    },
  ],
]

function emptied(peer: RawPeer): RawPeer {
  peer.take()
  peer.handler.take()
  return peer
}

/** What the peer is told, credit apart. */
const answers = (peer: RawPeer): string[] => peer.take().filter((line) => !line.startsWith('WINDOW_UPDATE'))

/** A DATA frame on stream 1, cut into chunks after these octets of its payload, pad length and padding included. */
function sendInPieces(peer: RawPeer, spec: Omit<FrameSpec, 'type'>, ...cuts: number[]): void {
  const bytes = frame({ type: 'DATA', stream: 1, ...spec })
  const ends = [...cuts.map((cut) => 9 + cut), bytes.length]
  ends.forEach((end, i) => peer.send(bytes.subarray(i === 0 ? 0 : ends[i - 1], end)))
}

/** The stream was reset for its length, once; the connection goes on, and every octet is credited. */
function expectCut(peer: RawPeer): void {
  expect(peer.handler.take()).toEqual(['reset 1 PROTOCOL_ERROR content_length_mismatch'])
  expect(answers(peer)).toEqual(['RST_STREAM 1 PROTOCOL_ERROR'])
  expect(peer.end.stats.faults.content_length_mismatch).toBe(1)
  expect(peer.end.held.usedBytes).toBe(0)
  expect(peer.connection.credits.window.heldBytes).toBe(0)
  expect(peer.connection.isFinished).toBe(false)
}

describe.each(LEGS)('Octets beyond content-length, on the %s leg,', (_leg, open) => {
  test('in one frame: none of it is handed on, though the stream goes on', () => {
    const peer = open()
    peer.data(1, LENGTH + 1)
    expectCut(peer)
    expect(peer.handler.bytes(1)).toHaveLength(0)
  })

  test('in one frame that also ends the stream: the same', () => {
    const peer = open()
    peer.data(1, LENGTH + 1, true)
    expectCut(peer)
    expect(peer.handler.bytes(1)).toHaveLength(0)
  })

  test('across frames: the one that goes beyond is not handed on, though it be one octet', () => {
    const peer = open()
    peer.data(1, 6_000).data(1, 4_000)
    expect(peer.handler.take()).toEqual(['data 1 6000', 'data 1 4000'])
    expect(answers(peer)).toEqual([])
    peer.data(1, 1)
    expectCut(peer)
    expect(peer.handler.bytes(1)).toHaveLength(LENGTH)
  })

  test('in a frame of several pieces: those within are handed on, the others are read and dropped', () => {
    const peer = open()
    const payload = pattern(16_000)
    sendInPieces(peer, { payload }, 3_000, LENGTH, LENGTH + 3_000)
    expect(peer.handler.take()).toEqual([
      'data 1 3000',
      'data 1 7000',
      'reset 1 PROTOCOL_ERROR content_length_mismatch',
    ])
    expect(peer.handler.bytes(1)).toEqual(payload.subarray(0, LENGTH))
    // The next frame is read as one: the reader has not lost its place.
    peer.ping()
    expect(answers(peer)).toEqual(['RST_STREAM 1 PROTOCOL_ERROR', 'PING ack 0001020304050607'])
    expect(peer.end.held.usedBytes).toBe(0)
  })

  test('end the stream as soon as their piece is here: the rest of the frame is not waited for', () => {
    const peer = open()
    const bytes = frame({ type: 'DATA', stream: 1, payload: pattern(16_000) })
    peer.send(bytes.subarray(0, 9 + LENGTH))
    expect(peer.handler.take()).toEqual([`data 1 ${LENGTH}`])
    peer.send(bytes.subarray(9 + LENGTH, 9 + LENGTH + 2_048))
    expectCut(peer)
    peer.send(bytes.subarray(9 + LENGTH + 2_048))
    expect(peer.handler.take()).toEqual([])
    expect(answers(peer)).toEqual([])
  })

  test('are not counted from padding, whether it comes whole or in pieces', () => {
    const peer = open()
    peer.data(1, 4_000, false, 200)
    sendInPieces(peer, { payload: pattern(6_000), pad: 255 }, 1, 3_001, 6_001, 6_100)
    expect(peer.handler.take()).toEqual(['data 1 4000', 'data 1 3000', 'data 1 3000'])
    peer.data(1, 0, false, 10)
    expect(answers(peer)).toEqual([])
    peer.data(1, 1, false, 3)
    expectCut(peer)
    expect(peer.handler.bytes(1)).toHaveLength(LENGTH)
  })

  test('in a padded frame: the padding still to come is read and credited', () => {
    const peer = open()
    const bytes = frame({ type: 'DATA', stream: 1, payload: pattern(LENGTH + 1), pad: 50 })
    peer.send(bytes.subarray(0, 10 + LENGTH + 1))
    expectCut(peer)
    peer.send(bytes.subarray(10 + LENGTH + 1)).ping()
    expect(answers(peer)).toEqual(['PING ack 0001020304050607'])
    expect(peer.handler.bytes(1)).toHaveLength(0)
  })

  test('have none of them: exactly as many pass, and END_STREAM may come by itself', () => {
    const peer = open()
    peer
      .data(1, LENGTH - 1)
      .data(1, 1)
      .data(1, 0, true, 7)
    expect(peer.handler.take()).toEqual([`data 1 ${LENGTH - 1}`, 'data 1 1', 'data 1 0 end'])
    expect(answers(peer)).toEqual([])
    expect(peer.end.stats.faults.content_length_mismatch).toBe(0)
  })

  test('have none of them: trailers may end a stream that has had exactly as many', () => {
    const peer = open()
    peer.data(1, LENGTH).headers(1, TRAILERS, true)
    expect(peer.handler.take()).toEqual([`data 1 ${LENGTH}`, 'trailers 1 grpc-status=0'])
    expect(answers(peer)).toEqual([])
  })

  test('credit what the owner still held with the rest, and DATA that follows is credited as it comes', () => {
    const peer = open()
    peer.handler.credits = false
    peer.data(1, 8_000, false, 9)
    expect(peer.end.held.usedBytes).toBe(8_000)
    emptied(peer)
    peer.data(1, 2_001, false, 30)
    expectCut(peer)
    peer.data(1, 5_000).data(1, 300, false, 20)
    expect(peer.end.held.usedBytes).toBe(0)
    expect(peer.connection.credits.window.heldBytes).toBe(0)
    expect(peer.handler.take()).toEqual([])
    expect(peer.connection.isFinished).toBe(false)
  })

  test('are no other stream’s concern', () => {
    const peer = open()
    if (peer.connection.isServer) peer.headers(3, REQUEST)
    else {
      peer.connection.openStream(listOf(REQUEST), null, false, {})
      peer.headers(3, RESPONSE)
    }
    emptied(peer)
    peer.data(1, LENGTH + 1)
    expectCut(peer)
    peer.data(3, LENGTH + 1)
    expect(peer.handler.take()).toEqual([`data 3 ${LENGTH + 1}`])
  })
})

test('A content-length of zero lets empty frames pass, padded or not, and no octet', () => {
  const peer = new RawPeer().open().headers(1, [...REQUEST, ['content-length', '0']])
  peer.data(1, 0).data(1, 0, false, 20)
  expect(answers(peer)).toEqual([])
  peer.data(1, 1)
  expect(answers(peer)).toEqual(['RST_STREAM 1 PROTOCOL_ERROR'])
  expect(peer.handler.take()).toEqual([
    'request 1 /pkg.Service/Method',
    'reset 1 PROTOCOL_ERROR content_length_mismatch',
  ])
})

test('Without content-length, and in answers to HEAD, any number of octets passes', () => {
  const server = new RawPeer().open().headers(1, REQUEST).data(1, 16_000).data(1, 16_000)
  expect(server.handler.bytes(1)).toHaveLength(32_000)
  const client = new RawPeer({ isServer: false }).open()
  const head = [[':method', 'HEAD'] as const, ...REQUEST.slice(1)]
  client.connection.openStream(listOf(head), null, false, {})
  client.headers(1, withLength(RESPONSE), true)
  expect(client.handler.take()).toEqual(['response 1 200 end'])
})

import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FAULTS, type FaultToken } from '../../src/base/index.ts'
import { FrameType, H2Code, SettingId, type H2CodeName } from '../../src/frame/index.ts'
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
  listOf,
  literals,
  PREFACE,
  RawPeer,
  REQUEST,
  RESPONSE,
  TRAILERS,
} from '../support/h2-pair.ts'

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

test('a session cut into frames and joined again is itself', () => {
  expect(Buffer.concat(cutFrames(SESSION))).toEqual(SESSION)
})

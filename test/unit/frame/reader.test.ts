import { describe, expect, test } from 'vitest'
import { FrameReader, MIN_PIECE_BYTES, PREFACE } from '../../../src/frame/index.ts'
import {
  cutAt,
  cutEvery,
  frame,
  frames,
  goawayPayload,
  hex,
  pattern,
  settingsPayload,
} from '../../support/frame-factory.ts'
import { RecordingSink } from '../../support/recording-sink.ts'

const START = { maxFrameBytes: 16_384, expectsPreface: false }

function read(chunks: Buffer | readonly Buffer[], options: Partial<typeof START> = {}, joinsPieces = true) {
  const sink = new RecordingSink(joinsPieces)
  const reader = new FrameReader(sink, { ...START, ...options })
  for (const chunk of Buffer.isBuffer(chunks) ? [chunks] : chunks) reader.push(chunk)
  return { sink, reader, log: sink.log }
}

describe('each frame type arrives as one call', () => {
  test('DATA with END_STREAM, from its bytes in the RFC', () => {
    const { log, reader } = read(hex('00 00 05 00 01 00 00 00 01 68 65 6c 6c 6f'))
    expect(log).toEqual(['DATA 1 flags=01 length=5', '  content 68656c6c6f'])
    expect(reader.isMidFrame).toBe(false)
  })

  test('an empty DATA frame still gives one piece, the last', () => {
    const { log } = read(frame({ type: 'DATA', stream: 3, flags: ['END_STREAM'] }), {}, false)
    expect(log).toEqual(['DATA 3 flags=01 length=0', '  piece - end'])
  })

  test('padded DATA says its whole length for flow control and delivers its content alone', () => {
    const { log } = read(
      frames(
        { type: 'DATA', stream: 1, payload: '61 62', pad: 200 },
        { type: 'DATA', stream: 1, payload: '63' },
      ),
    )
    expect(log).toEqual([
      'DATA 1 flags=08 length=203',
      '  content 6162',
      'DATA 1 flags=00 length=1',
      '  content 63',
    ])
  })

  test('DATA that is all padding gives one empty piece', () => {
    const { log } = read(frame({ type: 'DATA', stream: 1, pad: 255 }))
    expect(log).toEqual(['DATA 1 flags=08 length=256', '  content -'])
  })

  test('HEADERS with padding and priority deliver the fragment alone', () => {
    const plain = frame({ type: 'HEADERS', stream: 1, flags: ['END_HEADERS'], payload: '82 86' })
    const full = frame({
      type: 'HEADERS',
      stream: 3,
      flags: ['END_HEADERS', 'END_STREAM'],
      payload: '82',
      pad: 7,
      dependsOn: 1,
      isExclusive: true,
    })
    expect(read(Buffer.concat([plain, full])).log).toEqual([
      'HEADERS 1 flags=04 8286',
      'HEADERS 3 flags=2d dependsOn=1 82',
    ])
  })

  test('HEADERS without a fragment, and with padding that fills them', () => {
    expect(
      read(
        frames(
          { type: 'HEADERS', stream: 1, flags: ['END_HEADERS'] },
          { type: 'HEADERS', stream: 3, flags: ['END_HEADERS'], pad: 4, dependsOn: 0 },
        ),
      ).log,
    ).toEqual(['HEADERS 1 flags=04 -', 'HEADERS 3 flags=2c dependsOn=0 -'])
  })

  test('a header block of three frames', () => {
    expect(
      read(
        frames(
          { type: 'HEADERS', stream: 5, payload: '82' },
          { type: 'CONTINUATION', stream: 5 },
          { type: 'CONTINUATION', stream: 5, flags: ['END_HEADERS'], payload: '86' },
          { type: 'PING', payload: '0102030405060708' },
        ),
      ).log,
    ).toEqual([
      'HEADERS 5 flags=00 82',
      'CONTINUATION 5 flags=00 -',
      'CONTINUATION 5 flags=04 86',
      'PING flags=00 0102030405060708',
    ])
  })

  test('PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY and WINDOW_UPDATE', () => {
    const { log } = read(
      frames(
        { type: 'PRIORITY', stream: 7, dependsOn: 7, isExclusive: true },
        { type: 'RST_STREAM', stream: 7, payload: 'ff ff ff ff' },
        { type: 'SETTINGS', payload: settingsPayload([[4, 0xffffffff]]) },
        { type: 'SETTINGS', flags: ['ACK'] },
        { type: 'PING', flags: ['ACK'], payload: '0102030405060708' },
        { type: 'GOAWAY', payload: goawayPayload(0x80000005, 11, 'too_many_pings') },
        { type: 'GOAWAY', payload: goawayPayload(0, 0) },
        { type: 'WINDOW_UPDATE', payload: '80 00 00 00' },
        { type: 'WINDOW_UPDATE', stream: 7, payload: '7f ff ff ff' },
      ),
    )
    expect(log).toEqual([
      'PRIORITY 7 dependsOn=7',
      'RST_STREAM 7 code=4294967295',
      'SETTINGS flags=00 0004ffffffff',
      'SETTINGS flags=01 -',
      'PING flags=01 0102030405060708',
      'GOAWAY last=5 code=11 "too_many_pings"',
      'GOAWAY last=0 code=0 ""',
      'WINDOW_UPDATE 0 +0',
      'WINDOW_UPDATE 7 +2147483647',
    ])
  })

  test('the reserved bit of the stream identifier is ignored (§4.1)', () => {
    const bytes = frame({ type: 'DATA', stream: 0x7fffffff, reservedBit: true, payload: '61' })
    for (const chunks of [[bytes], cutEvery(bytes, 1)])
      expect(read(chunks).log[0]).toBe('DATA 2147483647 flags=00 length=1')
  })

  test('frames of unknown types are skipped, across chunks too (§5.5)', () => {
    const bytes = frames(
      { type: 0x10, payload: pattern(3_000), stream: 0 },
      { type: 0xff, stream: 9 },
      { type: 'PING', payload: '0102030405060708' },
    )
    for (const chunks of [[bytes], cutEvery(bytes, 7)])
      expect(read(chunks).log).toEqual([
        'UNKNOWN type=10 0 length=3000',
        'UNKNOWN type=ff 9 length=0',
        'PING flags=00 0102030405060708',
      ])
  })

  test('undefined flags change nothing (§4.1)', () => {
    expect(read(frame({ type: 'RST_STREAM', stream: 1, flags: 0xff, payload: '00000008' })).log).toEqual([
      'RST_STREAM 1 code=8',
    ])
    expect(read(frame({ type: 'SETTINGS', flags: 0xfe, payload: settingsPayload([[3, 1]]) })).log).toEqual([
      'SETTINGS flags=fe 000300000001',
    ])
  })
})

describe('each fault of framing has its token, and ends the reading', () => {
  const HEAD_OPEN = { type: 'HEADERS', stream: 1, payload: '82' } as const
  const cases: [title: string, token: string, bytes: Buffer][] = [
    [
      'a frame above the size limit',
      'frame_too_large',
      frame({ type: 'DATA', stream: 1, claimedLength: 16_385 }),
    ],
    ['an unknown frame above it', 'frame_too_large', frame({ type: 0x20, claimedLength: 0xffffff })],
    ['DATA on stream 0', 'data_on_stream_0', frame({ type: 'DATA', payload: '61' })],
    ['padded DATA of no octets', 'data_too_short', frame({ type: 'DATA', stream: 1, flags: ['PADDED'] })],
    [
      'DATA with padding as long as its payload',
      'pad_exceeds_payload',
      frame({ type: 'DATA', stream: 1, flags: ['PADDED'], payload: '03 61 62' }),
    ],
    ['HEADERS on stream 0', 'headers_on_stream_0', frame({ type: 'HEADERS', payload: '82' })],
    [
      'padded HEADERS of no octets',
      'headers_too_short',
      frame({ type: 'HEADERS', stream: 1, flags: ['PADDED', 'END_HEADERS'] }),
    ],
    [
      'HEADERS with half a priority',
      'headers_too_short',
      frame({ type: 'HEADERS', stream: 1, flags: ['PRIORITY', 'END_HEADERS'], payload: '00000000' }),
    ],
    [
      'padded HEADERS with half a priority',
      'headers_too_short',
      frame({
        type: 'HEADERS',
        stream: 1,
        flags: ['PADDED', 'PRIORITY', 'END_HEADERS'],
        payload: '0000000000',
      }),
    ],
    [
      'HEADERS with padding into the priority',
      'pad_exceeds_payload',
      frame({ type: 'HEADERS', stream: 1, flags: ['PADDED', 'PRIORITY'], payload: '02 00000000 0f 82' }),
    ],
    ['PRIORITY on stream 0', 'priority_on_stream_0', frame({ type: 'PRIORITY', dependsOn: 1 })],
    [
      'PRIORITY of 4 octets',
      'priority_bad_length',
      frame({ type: 'PRIORITY', stream: 1, payload: '00000000' }),
    ],
    ['RST_STREAM on stream 0', 'rst_on_stream_0', frame({ type: 'RST_STREAM', payload: '00000000' })],
    [
      'RST_STREAM of 5 octets',
      'rst_bad_length',
      frame({ type: 'RST_STREAM', stream: 1, payload: '0000000000' }),
    ],
    ['SETTINGS on a stream', 'settings_on_stream', frame({ type: 'SETTINGS', stream: 1 })],
    ['SETTINGS of 5 octets', 'settings_bad_length', frame({ type: 'SETTINGS', payload: '0000000000' })],
    [
      'a SETTINGS ACK with entries',
      'settings_bad_length',
      frame({ type: 'SETTINGS', flags: ['ACK'], payload: '000300000001' }),
    ],
    [
      'PUSH_PROMISE',
      'push_promise_received',
      frame({ type: 'PUSH_PROMISE', stream: 1, flags: ['END_HEADERS'], payload: '00000002' }),
    ],
    ['PING on a stream', 'ping_on_stream', frame({ type: 'PING', stream: 1, payload: '0102030405060708' })],
    ['PING of 7 octets', 'ping_bad_length', frame({ type: 'PING', payload: '01020304050607' })],
    [
      'GOAWAY on a stream',
      'goaway_on_stream',
      frame({ type: 'GOAWAY', stream: 1, payload: goawayPayload(0, 0) }),
    ],
    ['GOAWAY of 7 octets', 'goaway_bad_length', frame({ type: 'GOAWAY', payload: '01020304050607' })],
    [
      'WINDOW_UPDATE of 3 octets',
      'window_update_bad_length',
      frame({ type: 'WINDOW_UPDATE', payload: '000001' }),
    ],
    ['CONTINUATION on stream 0', 'continuation_on_stream_0', frame({ type: 'CONTINUATION' })],
    ['CONTINUATION out of the blue', 'continuation_unexpected', frame({ type: 'CONTINUATION', stream: 1 })],
    [
      'CONTINUATION after the end of its block',
      'continuation_unexpected',
      frames({ ...HEAD_OPEN, flags: ['END_HEADERS'] }, { type: 'CONTINUATION', stream: 1 }),
    ],
    [
      'CONTINUATION of another stream',
      'continuation_expected',
      frames(HEAD_OPEN, { type: 'CONTINUATION', stream: 3 }),
    ],
    [
      'DATA in the middle of a header block',
      'continuation_expected',
      frames(HEAD_OPEN, { type: 'DATA', stream: 1, payload: '61' }),
    ],
    [
      'an unknown frame in the middle of a header block',
      'continuation_expected',
      frames(HEAD_OPEN, { type: 0x10, payload: '61' }),
    ],
    [
      'an illegal PING in the middle of a header block',
      'continuation_expected',
      frames(HEAD_OPEN, { type: 'PING', payload: '61' }),
    ],
    [
      'CONTINUATION on stream 0 in the middle of a header block',
      'continuation_on_stream_0',
      frames(HEAD_OPEN, { type: 'CONTINUATION' }),
    ],
  ]

  test.each(cases)('%s is %s', (_title, token, bytes) => {
    const after = frame({ type: 'PING', payload: '0102030405060708' })
    for (const chunks of [[Buffer.concat([bytes, after])], cutEvery(Buffer.concat([bytes, after]), 1)]) {
      const { log, reader } = read(chunks)
      expect(log.at(-1)).toBe(`FAULT ${token}`)
      expect(log.filter((line) => line.startsWith('FAULT'))).toHaveLength(1)
      expect(reader.isMidFrame).toBe(false)
      reader.push(after)
      expect(log.at(-1)).toBe(`FAULT ${token}`)
    }
  })

  test('a frame is refused by its head alone, before any of its payload has come', () => {
    const head = frame({ type: 'HEADERS', stream: 1, claimedLength: 20_000 })
    expect(read(head.subarray(0, 8)).log).toEqual([])
    expect(read(head).log).toEqual(['FAULT frame_too_large'])
  })

  test('a frame of exactly the limit passes, the limit being what we advertised', () => {
    const bytes = frame({ type: 'DATA', stream: 1, payload: pattern(20_000) })
    expect(read(bytes, { maxFrameBytes: 20_000 }).log[0]).toBe('DATA 1 flags=00 length=20000')
    expect(read(bytes, { maxFrameBytes: 19_999 }).log).toEqual(['FAULT frame_too_large'])
  })
})

describe('the preface', () => {
  test('is read first, in any pieces, and is then known', () => {
    const bytes = Buffer.concat([PREFACE, frame({ type: 'SETTINGS' })])
    for (let at = 0; at <= bytes.length; at++) {
      const { log, reader } = read(cutAt(bytes, [at]), { expectsPreface: true })
      expect(log).toEqual(['SETTINGS flags=00 -'])
      expect(reader.hasPreface).toBe(true)
    }
  })

  test('that differs is a fault at the first octet that differs', () => {
    for (let at = 0; at < PREFACE.length; at++) {
      const wrong = Buffer.from(PREFACE.subarray(0, at + 1))
      wrong[at]! ^= 1
      expect(read(PREFACE.subarray(0, at), { expectsPreface: true }).log).toEqual([])
      expect(read(wrong, { expectsPreface: true }).log).toEqual(['FAULT bad_preface'])
    }
    expect(read(Buffer.from('GET / HTTP/1.1\r\n'), { expectsPreface: true }).log).toEqual([
      'FAULT bad_preface',
    ])
  })

  test('that is half there is an incomplete frame to the time-out', () => {
    const { reader } = read(PREFACE.subarray(0, 23), { expectsPreface: true })
    expect([reader.hasPreface, reader.isMidFrame]).toEqual([false, true])
    reader.push(PREFACE.subarray(23))
    expect([reader.hasPreface, reader.isMidFrame]).toEqual([true, false])
  })

  test('of a server is not expected', () => {
    expect(read([]).reader.hasPreface).toBe(true)
  })
})

describe('a frame in pieces', () => {
  test('is mid-frame from its first octet to its last, padding included', () => {
    const bytes = frame({ type: 'DATA', stream: 1, payload: '61 62 63', pad: 2 })
    const { reader } = read([])
    expect(reader.isMidFrame).toBe(false)
    for (const [index, octet] of [...bytes].entries()) {
      reader.push(Buffer.from([octet]))
      expect(reader.isMidFrame).toBe(index < bytes.length - 1)
    }
  })

  test('gives a view of the chunk when it is whole in it, a copy of its own when not', () => {
    const bytes = frames(
      { type: 'HEADERS', stream: 1, flags: ['END_HEADERS'], payload: pattern(100) },
      { type: 'DATA', stream: 1, payload: pattern(100) },
    )
    const whole = read(bytes).sink
    expect(whole.lent.map((view) => view.buffer === bytes.buffer)).toEqual([true, true])
    const cut = read(cutAt(bytes, [50, 150])).sink
    expect(cut.log).toEqual(whole.log)
  })

  test('DATA of a whole chunk is delivered by reference, to the chunk itself', () => {
    const payload = pattern(16_384)
    const bytes = frame({ type: 'DATA', stream: 1, payload })
    const rest = Buffer.from(bytes.subarray(9))
    const { sink } = read([bytes.subarray(0, 9), rest])
    expect(sink.lent).toHaveLength(1)
    expect(sink.lent[0]).toBe(rest)
  })

  test('DATA with much at hand is passed on at once, by reference', () => {
    const bytes = frame({ type: 'DATA', stream: 1, payload: pattern(16_384) })
    const { sink } = read(cutAt(bytes, [9 + MIN_PIECE_BYTES, 10_000]))
    expect(sink.pieceBytes).toEqual([2_048, 7_943, 6_393])
    expect(sink.log).toEqual(read(bytes).log)
  })

  test('DATA with little at hand waits, and is joined by copy when the frame is small', () => {
    const bytes = frame({ type: 'DATA', stream: 1, payload: pattern(4_096) })
    const { sink } = read(cutAt(bytes, [9 + 2_047]))
    expect(sink.pieceBytes).toEqual([4_096])
    expect(sink.log).toEqual(read(bytes).log)
  })

  test('DATA with little at hand leaves as two pieces when the rest is large', () => {
    const bytes = frame({ type: 'DATA', stream: 1, payload: pattern(16_384) })
    const { sink } = read(cutAt(bytes, [9 + 100]))
    expect(sink.pieceBytes).toEqual([100, 16_284])
    expect(sink.log).toEqual(read(bytes).log)
  })

  test('a peer that trickles octets causes pieces of 2 KiB, not of one octet', () => {
    const bytes = frames(
      { type: 'DATA', stream: 1, payload: pattern(16_384) },
      { type: 'DATA', stream: 3, payload: pattern(10, 5), pad: 100 },
      { type: 'HEADERS', stream: 5, flags: ['END_HEADERS'], payload: pattern(300) },
    )
    const { sink, reader } = read(cutEvery(bytes, 1))
    expect(sink.pieceBytes).toEqual([...Array.from({ length: 8 }, () => 2_048), 10])
    expect(sink.log).toEqual(read(bytes).log)
    expect(reader.isMidFrame).toBe(false)
  })

  test('a head that claims much and brings nothing is not paid for with memory', () => {
    const before = process.memoryUsage().arrayBuffers
    const readers = Array.from({ length: 50 }, () =>
      read([frame({ type: 'HEADERS', stream: 1, claimedLength: 1_000_000 }), hex('82')], {
        maxFrameBytes: 1_000_000,
      }),
    )
    expect(readers.every(({ reader }) => reader.isMidFrame)).toBe(true)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2_000_000)
  })
})

describe('halt', () => {
  test('in any call of the sink stops the reading of that very chunk', () => {
    const bytes = frames(
      { type: 0x30, payload: '61' },
      { type: 'DATA', stream: 1, payload: pattern(40) },
      { type: 'DATA', stream: 1, flags: ['END_STREAM'] },
      { type: 'SETTINGS' },
      { type: 'HEADERS', stream: 1, payload: '82' },
      { type: 'CONTINUATION', stream: 1, flags: ['END_HEADERS'] },
      { type: 'RST_STREAM', stream: 1, payload: '00000000' },
      { type: 'WINDOW_UPDATE', stream: 1, payload: '00000001' },
      { type: 'GOAWAY', payload: goawayPayload(0, 0) },
    )
    const all = read(bytes, {}, false).log
    for (let count = 1; count <= all.length; count++) {
      const sink = new RecordingSink(false)
      const reader = new FrameReader(sink, START)
      sink.onLine = () => {
        if (sink.log.length === count) reader.halt()
      }
      reader.push(bytes)
      reader.push(bytes)
      expect(sink.log).toEqual(all.slice(0, count))
      expect(reader.isMidFrame).toBe(false)
    }
  })

  test('between two pieces of one frame keeps the second back', () => {
    const bytes = frame({ type: 'DATA', stream: 1, payload: pattern(16_384) })
    const sink = new RecordingSink(false)
    const reader = new FrameReader(sink, START)
    sink.onLine = (line) => {
      if (line.startsWith('  piece')) reader.halt()
    }
    for (const chunk of cutAt(bytes, [100])) reader.push(chunk)
    expect(sink.pieceBytes).toEqual([91])
  })
})

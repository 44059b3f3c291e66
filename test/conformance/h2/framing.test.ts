import { expect } from 'vitest'
import { H2Code, SettingId } from '../../../src/frame/index.ts'
import { listOf, literals, PREFACE, RawPeer, REQUEST, RESPONSE } from '../../support/h2-pair.ts'
import { frame, goawayPayload, pattern, uint32 } from '../../support/frame-factory.ts'
import { answerTo, must } from '../../support/must.ts'

const client = { isServer: false }

must('§3.4 the server sends SETTINGS first', () => {
  expect(new RawPeer().take()[0]).toMatch(/^SETTINGS \d$/)
})
must('§3.4 the client sends the preface and then SETTINGS', () => {
  const bytes = new RawPeer(client).end.drain()
  expect(bytes.subarray(0, 24)).toEqual(PREFACE)
  expect(bytes[24 + 3]).toBe(4)
})
must('§3.4 an invalid preface is a connection error PROTOCOL_ERROR', () => {
  const peer = new RawPeer().send(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
  expect(peer.take().at(-1)).toBe('GOAWAY last=0 PROTOCOL_ERROR bad_preface')
})
must('§3.4 a first frame that is not SETTINGS is a connection error PROTOCOL_ERROR', () => {
  expect(new RawPeer().send(PREFACE).headers(1, REQUEST).take().at(-1)).toContain('PROTOCOL_ERROR')
  expect(new RawPeer(client).ping().take().at(-1)).toContain('PROTOCOL_ERROR')
})
must('§3.4 a client may send requests before it has seen our SETTINGS', () => {
  const peer = new RawPeer().send(PREFACE).settings().headers(1, REQUEST, true)
  expect(peer.handler.take()).toEqual(['request 1 /pkg.Service/Method end'])
})
must('§4.1 the reserved bit and undefined flags are ignored', () => {
  const peer = new RawPeer().open()
  peer.send({
    type: 'HEADERS',
    stream: 1,
    flags: 0xd5 & ~0x28,
    payload: literals(REQUEST),
    reservedBit: true,
  })
  peer.send({ type: 'PING', flags: 0xfe, payload: pattern(8), reservedBit: true })
  expect(peer.handler.take()).toEqual(['request 1 /pkg.Service/Method end'])
  expect(peer.take()).toHaveLength(1)
})
must('§4.1 and §5.5 frames of unknown types are ignored, of any length and on any stream', () => {
  const peer = new RawPeer().open()
  peer.send({ type: 0x16, stream: 99, payload: pattern(16_384) }, { type: 0xff })
  expect(peer.take()).toEqual([])
})
must('§4.2 frames of 16,384 octets are taken, one octet more is FRAME_SIZE_ERROR', () => {
  const peer = new RawPeer().open()
  peer.headers(1, REQUEST).data(1, 16_384)
  expect(peer.handler.bytes(1)).toHaveLength(16_384)
  peer.data(1, 16_385)
  expect(peer.take().at(-1)).toBe('GOAWAY last=1 FRAME_SIZE_ERROR frame_too_large')
})
must('§4.2 we send no frame above the peer’s SETTINGS_MAX_FRAME_SIZE', () => {
  const peer = new RawPeer().open()
  peer.headers(1, REQUEST, true)
  peer.handler.stream(1).sendHeaders(listOf([...RESPONSE, ['x', 'v'.repeat(60_000)]]), false)
  peer.handler.stream(1).sendData(pattern(60_000), true)
  peer.flush()
  expect(Math.max(...peer.frames.map((wire) => wire.payload.length))).toBe(16_384)
})
must('§4.3 a header block that does not decode is a connection error COMPRESSION_ERROR', () => {
  const act = (peer: RawPeer): RawPeer =>
    peer.send({ type: 'HEADERS', stream: 1, flags: ['END_HEADERS'], payload: 'c0' })
  expect(answerTo(act)).toBe('GOAWAY last=0 COMPRESSION_ERROR hpack_bad_index')
})
must('§4.3 header blocks of streams that are refused or reset still change the compression state', () => {
  const peer = new RawPeer({ limits: { maxConcurrentStreams: 1 } }).open()
  peer.headers(1, REQUEST)
  const insert = '82 86 84 40 01 61 01 62'
  peer.send({ type: 'HEADERS', stream: 3, flags: ['END_HEADERS'], payload: insert })
  peer.send({ type: 'HEADERS', stream: 1, flags: ['END_HEADERS', 'END_STREAM'], payload: 'be' })
  expect(peer.handler.take().at(-1)).toBe('trailers 1 a=b')
})
must('§4.3 and §5.5 nothing may stand between the frames of a header block', () => {
  for (const other of [
    frame({ type: 'PING', payload: pattern(8) }),
    frame({ type: 0x99 }),
    frame({ type: 'DATA', stream: 1 }),
    frame({ type: 'CONTINUATION', stream: 3, flags: ['END_HEADERS'] }),
  ]) {
    const act = (peer: RawPeer): RawPeer =>
      peer.send({ type: 'HEADERS', stream: 1, payload: literals(REQUEST) }, other)
    expect(answerTo(act)).toContain('PROTOCOL_ERROR continuation_expected')
  }
})
must('§6.1 DATA on stream 0 is PROTOCOL_ERROR', () => {
  expect(answerTo((peer) => peer.data(0, 1))).toContain('PROTOCOL_ERROR data_on_stream_0')
})
must('§6.1 DATA on a stream that is neither open nor half-closed (local) is STREAM_CLOSED', () => {
  expect(answerTo((peer) => peer.headers(1, REQUEST, true).data(1, 1))).toContain('STREAM_CLOSED')
})
must('§6.1 padding as long as the payload or longer is PROTOCOL_ERROR, in DATA and HEADERS', () => {
  const padded = (type: 'DATA' | 'HEADERS') => (peer: RawPeer) =>
    peer.headers(1, REQUEST).send({ type, stream: 1, flags: 0xd, payload: '05 00 00' })
  expect(answerTo(padded('DATA'))).toContain('PROTOCOL_ERROR pad_exceeds_payload')
  expect(answerTo(padded('HEADERS'))).toContain('PROTOCOL_ERROR pad_exceeds_payload')
})
must('§6.2 HEADERS on stream 0 is PROTOCOL_ERROR', () => {
  expect(answerTo((peer) => peer.headers(0, REQUEST))).toContain('PROTOCOL_ERROR headers_on_stream_0')
})
must('§6.3 PRIORITY on stream 0 is PROTOCOL_ERROR; of another length than 5 it is FRAME_SIZE_ERROR', () => {
  expect(answerTo((peer) => peer.send({ type: 'PRIORITY', dependsOn: 3 }))).toContain('PROTOCOL_ERROR')
  expect(answerTo((peer) => peer.send({ type: 'PRIORITY', stream: 1, payload: '00 00' }))).toContain(
    'FRAME_SIZE_ERROR',
  )
})
must(
  '§6.4 RST_STREAM on stream 0 or on an idle stream is PROTOCOL_ERROR; of another length than 4 FRAME_SIZE_ERROR',
  () => {
    expect(answerTo((peer) => peer.rst(0))).toContain('PROTOCOL_ERROR rst_on_stream_0')
    expect(answerTo((peer) => peer.rst(1))).toContain('PROTOCOL_ERROR frame_on_idle_stream')
    const short = (peer: RawPeer): RawPeer =>
      peer.headers(1, REQUEST).send({ type: 'RST_STREAM', stream: 1, payload: '00' })
    expect(answerTo(short)).toContain('FRAME_SIZE_ERROR')
  },
)
must('§6.4 after RST_STREAM nothing more is sent on the stream', () => {
  const peer = new RawPeer().open()
  peer.headers(1, REQUEST).data(1, 16_384)
  const stream = peer.handler.stream(1)
  stream.sendHeaders(listOf(RESPONSE), false)
  stream.sendData(pattern(100), false)
  peer.rst(1)
  stream.sendData(pattern(100), true)
  stream.reset(H2Code.CANCEL)
  stream.credit(16_384)
  expect(peer.take().filter((line) => !line.startsWith('HEADERS'))).toEqual([])
})
must(
  '§6.5 SETTINGS on a stream is PROTOCOL_ERROR; an ACK with a payload or a broken length FRAME_SIZE_ERROR',
  () => {
    expect(answerTo((peer) => peer.send({ type: 'SETTINGS', stream: 1 }))).toContain('PROTOCOL_ERROR')
    expect(answerTo((peer) => peer.send({ type: 'SETTINGS', flags: ['ACK'], payload: '00' }))).toContain(
      'FRAME_SIZE_ERROR',
    )
    expect(answerTo((peer) => peer.send({ type: 'SETTINGS', payload: '00 01 00' }))).toContain(
      'FRAME_SIZE_ERROR',
    )
  },
)
must('§6.5 and §6.5.3 SETTINGS are applied in order and acknowledged at once', () => {
  const peer = new RawPeer().open()
  peer
    .settings([SettingId.INITIAL_WINDOW_SIZE, 5], [SettingId.INITIAL_WINDOW_SIZE, 9])
    .headers(1, REQUEST, true)
  peer.handler.stream(1).sendData(pattern(50), false)
  expect(peer.take()).toEqual(['SETTINGS ack', 'DATA 1 9'])
})
must('§6.5.2 values out of range are connection errors', () => {
  const code = (id: number, value: number): string => answerTo((peer) => peer.settings([id, value]))
  expect(code(SettingId.ENABLE_PUSH, 2)).toContain('PROTOCOL_ERROR')
  expect(code(SettingId.INITIAL_WINDOW_SIZE, 2 ** 31)).toContain('FLOW_CONTROL_ERROR')
  expect(code(SettingId.MAX_FRAME_SIZE, 16_383)).toContain('PROTOCOL_ERROR')
  expect(code(SettingId.MAX_FRAME_SIZE, 2 ** 24)).toContain('PROTOCOL_ERROR')
  expect(code(SettingId.MAX_FRAME_SIZE, 2 ** 24 - 1)).toBe('SETTINGS ack')
})
must('§6.5.2 unknown settings are ignored', () => {
  expect(answerTo((peer) => peer.settings([0xfe, 1], [0, 2 ** 32 - 1]))).toBe('SETTINGS ack')
})
must('§6.5.2 a client says ENABLE_PUSH 0, and a server that says 1 is refused', () => {
  const peer = new RawPeer(client).flush()
  expect(peer.frames[0]!.payload.toString('hex')).toContain('000200000000')
  expect(answerTo((other) => other.settings([SettingId.ENABLE_PUSH, 1]), client)).toContain('PROTOCOL_ERROR')
})
must('§6.6 and §8.4 PUSH_PROMISE is PROTOCOL_ERROR, from a client and from a server', () => {
  const push = (peer: RawPeer): RawPeer =>
    peer.send({ type: 'PUSH_PROMISE', stream: 1, flags: ['END_HEADERS'], payload: '00 00 00 02' })
  expect(answerTo(push)).toContain('PROTOCOL_ERROR push_promise_received')
  expect(answerTo(push, client)).toContain('PROTOCOL_ERROR push_promise_received')
})
must('§6.7 PING is answered with its own octets, and an answer is not answered', () => {
  const peer = new RawPeer().open().ping('de ad be ef 00 11 22 33')
  expect(peer.take()).toEqual(['PING ack deadbeef00112233'])
  peer.ping('de ad be ef 00 11 22 33', true)
  expect(peer.take()).toEqual([])
})
must('§6.7 PING on a stream is PROTOCOL_ERROR; of another length than 8 FRAME_SIZE_ERROR', () => {
  expect(answerTo((peer) => peer.send({ type: 'PING', stream: 1, payload: pattern(8) }))).toContain(
    'PROTOCOL_ERROR',
  )
  expect(answerTo((peer) => peer.send({ type: 'PING', payload: pattern(7) }))).toContain('FRAME_SIZE_ERROR')
})
must('§6.8 GOAWAY on a stream is PROTOCOL_ERROR', () => {
  const payload = goawayPayload(0, 0)
  expect(answerTo((peer) => peer.send({ type: 'GOAWAY', stream: 1, payload }))).toContain(
    'PROTOCOL_ERROR goaway_on_stream',
  )
})
must(
  '§6.8 after GOAWAY a client opens no streams there; those above the last identifier were not begun',
  () => {
    const peer = new RawPeer(client).open()
    for (let i = 0; i < 2; i++) peer.connection.openStream(listOf(REQUEST), null, true, {})
    peer.goaway(1)
    expect(peer.connection.canOpenStream).toBe(false)
    expect(peer.handler.take()).toEqual(['reset 3 REFUSED_STREAM goaway', 'goaway last=1 NO_ERROR'])
  },
)
must(
  '§6.8 the last identifier that we say never grows, and streams above it are ignored but for the shared state',
  () => {
    const peer = new RawPeer().open().headers(1, REQUEST)
    peer.connection.drainStreams()
    peer.ping(Buffer.from('authgwgo').toString('hex'), true)
    peer.headers(3, REQUEST).data(3, 16_384)
    expect(peer.connection.credits.window.heldBytes).toBe(0)
    peer.connection.close(H2Code.NO_ERROR, null)
    const said = peer.take().filter((line) => line.startsWith('GOAWAY'))
    expect(said.map((line) => line.split(' ')[1])).toEqual(['last=2147483647', 'last=1', 'last=1'])
  },
)
must('§6.9 WINDOW_UPDATE of 0 is PROTOCOL_ERROR; of another length than 4 FRAME_SIZE_ERROR', () => {
  expect(answerTo((peer) => peer.windowUpdate(0, 0))).toContain('PROTOCOL_ERROR')
  expect(answerTo((peer) => peer.headers(1, REQUEST).windowUpdate(1, 0))).toContain('PROTOCOL_ERROR')
  expect(answerTo((peer) => peer.send({ type: 'WINDOW_UPDATE', payload: '00 00 01' }))).toContain(
    'FRAME_SIZE_ERROR',
  )
})
must('§6.9 WINDOW_UPDATE on a closed stream is no error', () => {
  expect(answerTo((peer) => peer.headers(1, REQUEST).rst(1).windowUpdate(1, 5))).toBe('nothing')
})
must('§6.9.1 we send no more DATA than both windows allow', () => {
  const peer = new RawPeer().open().headers(1, REQUEST, true)
  peer.handler.stream(1).sendData(pattern(70_000), true)
  const sent = (): number =>
    peer
      .flush()
      .frames.splice(0)
      .reduce((sum, wire) => sum + wire.payload.length, 0)
  expect(sent()).toBe(65_535)
  peer.windowUpdate(1, 100_000)
  expect(sent()).toBe(0)
  peer.windowUpdate(0, 100_000)
  expect(sent()).toBe(70_000 - 65_535)
})
must('§6.9.1 DATA beyond a window of ours is FLOW_CONTROL_ERROR', () => {
  const flood = (peer: RawPeer): void => {
    peer.handler.credits = false
    peer.headers(1, REQUEST)
    for (let i = 0; i < 5; i++) peer.data(1, 16_384)
  }
  expect(answerTo(flood)).toContain('FLOW_CONTROL_ERROR')
})
must('§6.9.1 a window above 2^31-1 is FLOW_CONTROL_ERROR', () => {
  expect(answerTo((peer) => peer.windowUpdate(0, 2 ** 31 - 1))).toContain('FLOW_CONTROL_ERROR')
  expect(answerTo((peer) => peer.headers(1, REQUEST).windowUpdate(1, 2 ** 31 - 1))).toContain(
    'FLOW_CONTROL_ERROR',
  )
})
must(
  '§6.9.2 INITIAL_WINDOW_SIZE moves the windows of streams, below zero too, and not the connection’s',
  () => {
    const peer = new RawPeer().open().headers(1, REQUEST, true)
    const stream = peer.handler.stream(1)
    stream.sendData(pattern(1_000), false)
    peer.flush().settings([SettingId.INITIAL_WINDOW_SIZE, 100])
    expect(stream.sendWindowBytes).toBe(-900)
    expect(peer.connection.sendQueue.windowBytes).toBe(64_535)
    stream.sendData(pattern(10), false)
    peer.windowUpdate(1, 900)
    expect(peer.take().filter((line) => line.startsWith('DATA'))).toEqual(['DATA 1 1000'])
    peer.windowUpdate(1, 1)
    expect(peer.take()).toEqual(['DATA 1 1'])
  },
)
must('§6.9.2 INITIAL_WINDOW_SIZE that lifts a window above 2^31-1 is FLOW_CONTROL_ERROR', () => {
  const act = (peer: RawPeer): RawPeer =>
    peer
      .headers(1, REQUEST)
      .windowUpdate(1, 2 ** 30)
      .settings([SettingId.INITIAL_WINDOW_SIZE, 2 ** 31 - 1])
  expect(answerTo(act)).toContain('FLOW_CONTROL_ERROR initial_window_overflow')
})
must('§6.10 CONTINUATION on stream 0 or without an open header block is PROTOCOL_ERROR', () => {
  expect(answerTo((peer) => peer.send({ type: 'CONTINUATION' }))).toContain('PROTOCOL_ERROR')
  expect(answerTo((peer) => peer.send({ type: 'CONTINUATION', stream: 1 }))).toContain('PROTOCOL_ERROR')
})
must('§7 unknown error codes are no more than other codes', () => {
  const peer = new RawPeer().open().headers(1, REQUEST)
  peer.send({ type: 'RST_STREAM', stream: 1, payload: uint32(0xfeedbeef) }).goaway(0, 0xfeedbeef)
  expect(peer.handler.take().slice(1)).toEqual(['reset 1 UNKNOWN peer', 'goaway last=0 UNKNOWN'])
  expect(peer.connection.isFinished).toBe(false)
})

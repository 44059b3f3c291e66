import { expect } from 'vitest'
import { H2Code, SettingId } from '../../../src/frame/index.ts'
import { listOf, RawPeer, REQUEST, RESPONSE, TRAILERS, type Fields } from '../../support/h2-pair.ts'
import { pattern } from '../../support/frame-factory.ts'
import { answerTo, must } from '../../support/must.ts'

const client = { isServer: false }
const malformed = (fields: Fields): boolean =>
  answerTo((peer) => peer.headers(1, fields, true)) === 'RST_STREAM 1 PROTOCOL_ERROR'
const called = (fields: Fields = REQUEST): RawPeer => {
  const peer = new RawPeer(client).open()
  const stream = peer.connection.openStream(listOf(fields), null, true, {})
  peer.handler.streams.set(stream.id, stream)
  peer.take()
  return peer
}
const badResponse = (...blocks: Fields[]): boolean => {
  const peer = called()
  for (const block of blocks) peer.headers(1, block)
  return peer.take().at(-1) === 'RST_STREAM 1 PROTOCOL_ERROR'
}
const without = (name: string): Fields => REQUEST.filter((field) => field[0] !== name)

must('§5.1 on an idle stream only HEADERS and PRIORITY are taken', () => {
  expect(answerTo((peer) => peer.data(1, 1))).toContain('PROTOCOL_ERROR')
  expect(answerTo((peer) => peer.windowUpdate(1, 1))).toContain('PROTOCOL_ERROR')
  expect(answerTo((peer) => peer.rst(1))).toContain('PROTOCOL_ERROR')
  expect(answerTo((peer) => peer.send({ type: 'PRIORITY', stream: 1, dependsOn: 0 }))).toBe('nothing')
})
must('§5.1 after END_STREAM only WINDOW_UPDATE, PRIORITY and RST_STREAM are taken', () => {
  expect(answerTo((peer) => peer.headers(1, REQUEST, true).data(1, 1))).toContain('STREAM_CLOSED')
  expect(answerTo((peer) => peer.headers(1, REQUEST, true).headers(1, TRAILERS, true))).toContain(
    'STREAM_CLOSED',
  )
  const fine = (peer: RawPeer): RawPeer =>
    peer
      .headers(1, REQUEST, true)
      .windowUpdate(1, 9)
      .send({ type: 'PRIORITY', stream: 1, dependsOn: 0 })
      .rst(1)
  expect(answerTo(fine)).toBe('nothing')
})
must('§5.1 HEADERS or DATA on a closed stream is STREAM_CLOSED', () => {
  expect(answerTo((peer) => peer.headers(1, REQUEST).rst(1).headers(1, REQUEST))).toContain('STREAM_CLOSED')
  expect(answerTo((peer) => peer.headers(1, REQUEST).rst(1).data(1, 1))).toContain('STREAM_CLOSED')
})
must('§5.1 and §5.4.2 frames that cross our RST_STREAM are ignored, and never answered by another', () => {
  const act = (peer: RawPeer): void => {
    peer.headers(1, REQUEST)
    peer.handler.stream(1).reset(H2Code.CANCEL)
    peer.take()
    peer.data(1, 10).windowUpdate(1, 5).headers(1, TRAILERS, true).rst(1)
  }
  expect(answerTo(act)).toBe('nothing')
})
must('§5.1 a side that has sent END_STREAM sends no more HEADERS or DATA', () => {
  const peer = called()
  const stream = peer.handler.stream(1)
  stream.sendData(pattern(5), true)
  stream.sendTrailers(listOf(TRAILERS))
  expect(peer.take()).toEqual([])
})
must('§5.1.1 a client opens odd identifiers, each above the last; a server opens none', () => {
  const peer = new RawPeer(client).open()
  const ids = [1, 2, 3].map(() => peer.connection.openStream(listOf(REQUEST), null, true, {}).id)
  expect(ids).toEqual([1, 3, 5])
})
must(
  '§5.1.1 an even identifier from a client, or one at or below an earlier one, is a connection error',
  () => {
    expect(answerTo((peer) => peer.headers(2, REQUEST))).toContain('PROTOCOL_ERROR stream_id_even')
    expect(answerTo((peer) => peer.headers(5, REQUEST).headers(3, REQUEST))).toContain('PROTOCOL_ERROR')
    expect(answerTo((peer) => peer.headers(5, REQUEST, true).headers(5, REQUEST, true))).toContain(
      'STREAM_CLOSED',
    )
  },
)
must('§5.1.2 streams past our limit are refused with REFUSED_STREAM', () => {
  const act = (peer: RawPeer): RawPeer => peer.headers(1, REQUEST).headers(3, REQUEST)
  expect(answerTo(act, { limits: { maxConcurrentStreams: 1 } })).toBe('RST_STREAM 3 REFUSED_STREAM')
})
must('§5.1.2 we open no more streams than the peer allows', () => {
  const peer = new RawPeer(client).open([SettingId.MAX_CONCURRENT_STREAMS, 1])
  peer.connection.openStream(listOf(REQUEST), null, true, {})
  expect(peer.connection.canOpenStream).toBe(false)
})
must('§5.2.1 and §6.9 only DATA is flow-controlled', () => {
  const peer = new RawPeer().open([SettingId.INITIAL_WINDOW_SIZE, 0]).headers(1, REQUEST, true)
  peer.handler.stream(1).sendHeaders(listOf(RESPONSE), false)
  peer.handler.stream(1).sendTrailers(listOf(TRAILERS))
  expect(peer.take().filter((line) => line.startsWith('HEADERS'))).toHaveLength(2)
})
must(
  '§5.4.1 after a connection error GOAWAY goes out with the last stream and the code, and nothing more is read',
  () => {
    const peer = new RawPeer().open().headers(7, REQUEST).data(0, 1).ping()
    expect(peer.take()).toEqual(['GOAWAY last=7 PROTOCOL_ERROR data_on_stream_0'])
    expect([peer.connection.isFinished, peer.connection.isFaulted]).toEqual([true, true])
  },
)
must('§8.1 a request is one HEADERS, DATA, and at most one trailer block that ends it', () => {
  const peer = new RawPeer().open().headers(1, REQUEST).data(1, 5).headers(1, TRAILERS, true)
  expect(peer.handler.take().slice(1)).toEqual(['data 1 5', 'trailers 1 grpc-status=0'])
  expect(answerTo((other) => other.headers(1, REQUEST).headers(1, TRAILERS))).toBe(
    'RST_STREAM 1 PROTOCOL_ERROR',
  )
})
must('§8.1 interim responses come before the final one and never end a stream', () => {
  const peer = called()
  peer.headers(1, [[':status', '103']]).headers(1, RESPONSE)
  expect(peer.handler.take()).toEqual(['response 1 200'])
  const bad = called()
  bad.headers(1, [[':status', '100']], true)
  expect(bad.take()).toEqual(['RST_STREAM 1 PROTOCOL_ERROR'])
})
must('§8.1 a server that has answered before the end of the request says RST_STREAM(NO_ERROR)', () => {
  const peer = new RawPeer().open().headers(1, REQUEST)
  peer.handler.stream(1).sendHeaders(listOf(RESPONSE), true)
  expect(peer.take().at(-1)).toBe('RST_STREAM 1 NO_ERROR')
})
must('§8.1 a client does not lose a complete response to RST_STREAM(NO_ERROR)', () => {
  const peer = called()
  peer.headers(1, RESPONSE).data(1, 5).headers(1, TRAILERS, true).rst(1, H2Code.NO_ERROR)
  expect(peer.handler.take()).toEqual(['response 1 200', 'data 1 5', 'trailers 1 grpc-status=0', 'closed 1'])
})
must('§8.1.1 malformed messages are stream errors PROTOCOL_ERROR and reach no owner', () => {
  const peer = new RawPeer().open().headers(1, [['a', 'b']])
  expect(peer.handler.take()).toEqual([])
  expect(peer.take()).toEqual(['RST_STREAM 1 PROTOCOL_ERROR'])
})
must('§8.1.1 content-length must be the sum of the DATA octets', () => {
  const head: Fields = [...REQUEST, ['content-length', '7']]
  expect(answerTo((peer) => peer.headers(1, head).data(1, 8, true))).toBe('RST_STREAM 1 PROTOCOL_ERROR')
  expect(answerTo((peer) => peer.headers(1, head).data(1, 7, true))).toBe('nothing')
})
must('§8.2 field names have no upper case', () => {
  expect(malformed([...REQUEST, ['X-Up', 'v']])).toBe(true)
  expect(badResponse([...RESPONSE, ['X-Up', 'v']])).toBe(true)
})
must('§8.2.1 field names have no control, space, colon inside or octet above 0x7e, and are not empty', () => {
  expect(
    ['', 'a b', 'a\u0000', 'a\u007f', 'a\u00e9', 'a:b', '\u001f'].filter(
      (name) => !malformed([...REQUEST, [name, 'v']]),
    ),
  ).toEqual([])
})
must('§8.2.1 field values have no NUL, CR or LF, and no space or tab at either end', () => {
  expect(
    ['a\u0000', 'a\rb', 'a\nb', ' a', 'a ', '\ta', 'a\t'].filter(
      (value) => !malformed([...REQUEST, ['x', value]]),
    ),
  ).toEqual([])
  expect(malformed([...REQUEST, ['x', ''], ['y', 'a \u00e9\u00ff b']])).toBe(false)
})
must('§8.2.2 connection-specific fields are malformed, and te other than trailers', () => {
  expect(
    ['connection', 'proxy-connection', 'keep-alive', 'transfer-encoding', 'upgrade'].filter(
      (name) => !malformed([...REQUEST, [name, 'x']]),
    ),
  ).toEqual([])
  expect(malformed([...without('te'), ['te', 'gzip']])).toBe(true)
  expect(malformed(REQUEST)).toBe(false)
})
must('§8.2.3 cookie crumbs are taken as they come', () => {
  expect(malformed([...REQUEST, ['cookie', 'a=1'], ['cookie', 'b=2']])).toBe(false)
})
must('§8.3 pseudo-header fields are known, come once, come first, and never in trailers', () => {
  expect(malformed([[':unknown', 'x'], ...REQUEST])).toBe(true)
  expect(malformed([[':status', '200'], ...REQUEST])).toBe(true)
  expect(malformed([[':path', '/x'], ...REQUEST])).toBe(true)
  expect(malformed([...without(':scheme'), [':scheme', 'http']])).toBe(true)
  const trailers = (peer: RawPeer): RawPeer => peer.headers(1, REQUEST).headers(1, [[':path', '/']], true)
  expect(answerTo(trailers)).toBe('RST_STREAM 1 PROTOCOL_ERROR')
  expect(badResponse([[':path', '/'], ...RESPONSE])).toBe(true)
})
must('§8.3.1 a request has one :method, :scheme and :path, and the path is not empty', () => {
  expect([':method', ':scheme', ':path'].filter((name) => !malformed(without(name)))).toEqual([])
  expect(malformed([[':path', ''], ...without(':path')])).toBe(true)
})
must('§8.3.1 :authority has no user information, and host says nothing else', () => {
  expect(malformed([[':authority', 'me@collector'], ...without(':authority')])).toBe(true)
  expect(malformed([...REQUEST, ['host', 'other']])).toBe(true)
  expect(malformed([...REQUEST, ['host', 'COLLECTOR:4317']])).toBe(false)
})
must('§8.3.2 a response has one :status of three digits', () => {
  expect(badResponse([['a', 'b']])).toBe(true)
  expect(badResponse([[':status', '20']])).toBe(true)
  expect(
    badResponse([
      [':status', '200'],
      [':status', '200'],
    ]),
  ).toBe(true)
  expect(badResponse(RESPONSE)).toBe(false)
})
must('§8.5 CONNECT has :authority and neither :scheme nor :path', () => {
  expect(
    malformed([
      [':method', 'CONNECT'],
      [':authority', 'a:1'],
    ]),
  ).toBe(false)
  expect(malformed([[':method', 'CONNECT'], ...REQUEST.slice(1)])).toBe(true)
  expect(malformed([[':method', 'CONNECT']])).toBe(true)
})
must('§8.7 a refused stream tells the client that nothing was begun', () => {
  const peer = called()
  peer.rst(1, H2Code.REFUSED_STREAM)
  expect(peer.handler.take()).toEqual(['reset 1 REFUSED_STREAM peer'])
})
must('§10.5.1 a header list above our limit is told to its owner, and the compression state is kept', () => {
  const peer = new RawPeer({ limits: { maxHeaderListBytes: 500 } }).open()
  peer.headers(1, [...REQUEST, ['x', 'v'.repeat(300)]], true)
  expect(peer.handler.heads.get(1)!.isTruncated).toBe(true)
  expect(peer.connection.isFinished).toBe(false)
})
must('gRPC: an empty DATA frame with END_STREAM ends a request', () => {
  const peer = new RawPeer().open().headers(1, REQUEST).data(1, 0, true)
  expect(peer.handler.take().at(-1)).toBe('data 1 0 end')
})
must('gRPC: Trailers-Only is one HEADERS frame with END_STREAM', () => {
  const peer = new RawPeer().open().headers(1, REQUEST, true)
  peer.handler.stream(1).sendHeaders(listOf([...RESPONSE, ['grpc-status', '7']]), true)
  expect(peer.take()).toEqual(['HEADERS 1 end :status=200,content-type=application/grpc,grpc-status=7'])
})
must('gRPC: Response-Trailers carry END_STREAM and come last', () => {
  const peer = new RawPeer().open().headers(1, REQUEST, true)
  const stream = peer.handler.stream(1)
  stream.sendHeaders(listOf(RESPONSE), false)
  stream.sendData(pattern(9), false)
  stream.sendTrailers(listOf(TRAILERS))
  expect(peer.take().slice(1)).toEqual(['DATA 1 9', 'HEADERS 1 end grpc-status=0'])
})
must('gRPC: metadata keeps its order, its duplicates and its octets', () => {
  const fields: Fields = [...REQUEST, ['k-bin', 'AAEC/w=='], ['k', 'b'], ['k', 'a'], ['z', '\u00ff\u0080']]
  const peer = new RawPeer().open().headers(1, fields, true)
  expect(peer.handler.heads.get(1)!.fields.map((field) => [field.name, field.value])).toEqual(fields)
})
must('gRPC: a server sends GOAWAY before it closes', () => {
  const peer = new RawPeer().open()
  peer.connection.drainStreams()
  expect(peer.take()[0]).toBe('GOAWAY last=2147483647 NO_ERROR')
})
must('gRPC: a PING is answered without delay, whatever the streams wait for', () => {
  const peer = new RawPeer().open([SettingId.INITIAL_WINDOW_SIZE, 0]).headers(1, REQUEST, true)
  peer.handler.stream(1).sendData(pattern(100), true)
  peer.ping()
  expect(peer.take()).toEqual(['PING ack 0001020304050607'])
})

import { describe, expect, test } from 'vitest'
import { TransportError } from '../../../src/base/index.ts'
import { H2Code } from '../../../src/frame/index.ts'
import { H2Pair, listOf, RawPeer, REQUEST, RESPONSE, TRAILERS } from '../../support/h2-pair.ts'

const DRAIN_PING = Buffer.from('authgwgo').toString('hex')
const served = (): RawPeer => new RawPeer().open()
const dialled = (): RawPeer => new RawPeer({ isServer: false }).open()

describe('a server that goes away', () => {
  test('announces GOAWAY(2^31-1) with a PING, and the last identifier when that is answered', () => {
    const peer = served()
    peer.headers(1, REQUEST)
    peer.connection.drainStreams()
    expect(peer.take()).toEqual(['GOAWAY last=2147483647 NO_ERROR', `PING ${DRAIN_PING}`])
    peer.headers(3, REQUEST).ping(DRAIN_PING, true)
    expect(peer.take()).toEqual(['GOAWAY last=3 NO_ERROR'])
    peer.headers(5, REQUEST)
    expect(peer.handler.take()).toEqual(['request 1 /pkg.Service/Method', 'request 3 /pkg.Service/Method'])
    for (const id of [1, 3]) peer.handler.stream(id).sendHeaders(listOf([...RESPONSE, ...TRAILERS]), true)
    expect(peer.take().map((line) => line.slice(0, 12))).toEqual([
      'HEADERS 1 en',
      'RST_STREAM 1',
      'HEADERS 3 en',
      'RST_STREAM 3',
    ])
    expect(peer.handler.take()).toEqual(['closed 1', 'closed 3', 'over in order'])
    expect(peer.connection.isFinished).toBe(true)
    expect(peer.connection.isFaulted).toBe(false)
  })
  test('sends the second GOAWAY after a second when the PING is not answered', () => {
    const peer = served()
    peer.headers(1, REQUEST)
    peer.connection.drainStreams()
    peer.flush().advance(900)
    peer.frames.length = 0
    expect(peer.take()).toEqual([])
    peer.advance(200)
    expect(peer.take()).toEqual(['GOAWAY last=1 NO_ERROR'])
  })
  test('is over at once when there is no stream and the PING is answered', () => {
    const peer = served()
    peer.connection.drainStreams()
    peer.connection.drainStreams()
    peer.ping(DRAIN_PING, true)
    expect(peer.take()).toEqual([
      'GOAWAY last=2147483647 NO_ERROR',
      `PING ${DRAIN_PING}`,
      'GOAWAY last=0 NO_ERROR',
    ])
    expect(peer.handler.take()).toEqual(['over in order'])
    peer.connection.onSocketClosed(null)
    expect(peer.handler.take()).toEqual([])
  })
  test('closes what is still open when the grace is over', () => {
    const peer = served()
    peer.headers(1, REQUEST)
    peer.connection.drainStreams()
    peer.advance(60_100)
    expect(peer.handler.take().slice(1)).toEqual(['reset 1 CANCEL close', 'over local_close'])
    expect(peer.take().at(-1)).toBe('GOAWAY last=1 NO_ERROR')
  })
  test('serves what was opened before the second GOAWAY, DATA included', () => {
    const peer = served()
    peer.connection.drainStreams()
    peer.headers(1, REQUEST).data(1, 10, true)
    expect(peer.handler.take()).toEqual(['request 1 /pkg.Service/Method', 'data 1 10 end'])
  })
  test('takes DATA on an idle stream as a fault until the second GOAWAY', () => {
    const peer = served()
    peer.connection.drainStreams()
    peer.data(1, 1)
    expect(peer.take().at(-1)).toContain('frame_on_idle_stream')
  })
  test('is not made to go away by an answer to a PING that it never sent', () => {
    const peer = served()
    peer.ping(DRAIN_PING, true).ping('00 00 00 00 00 00 00 00', true)
    expect(peer.take()).toEqual([])
    peer.headers(1, REQUEST)
    expect(peer.handler.take()).toEqual(['request 1 /pkg.Service/Method'])
  })
  test('never raises the last identifier that it has said', () => {
    const peer = served()
    peer.headers(1, REQUEST)
    peer.connection.drainStreams()
    peer.ping(DRAIN_PING, true).headers(3, REQUEST)
    peer.connection.close(H2Code.NO_ERROR, null)
    expect(peer.take().filter((line) => line.startsWith('GOAWAY'))).toEqual([
      'GOAWAY last=2147483647 NO_ERROR',
      'GOAWAY last=1 NO_ERROR',
      'GOAWAY last=1 NO_ERROR',
    ])
  })
  test('goes on serving a client that says GOAWAY', () => {
    const peer = served()
    peer.headers(1, REQUEST).goaway(0)
    expect(peer.handler.take()).toEqual(['request 1 /pkg.Service/Method', 'goaway last=0 NO_ERROR'])
    peer.headers(3, REQUEST)
    expect(peer.handler.take()).toEqual(['request 3 /pkg.Service/Method'])
  })
})

describe('a client whose server goes away', () => {
  const open = (peer: RawPeer): number => {
    const stream = peer.connection.openStream(listOf(REQUEST), null, false, {})
    peer.handler.streams.set(stream.id, stream)
    return stream.id
  }
  test('learns which streams may be tried elsewhere, by a higher last identifier and then a lower one', () => {
    const peer = dialled()
    for (let i = 0; i < 3; i++) open(peer)
    peer.goaway(2 ** 31 - 1)
    expect(peer.handler.take()).toEqual(['goaway last=2147483647 NO_ERROR'])
    expect([peer.connection.canOpenStream, peer.connection.isRetired]).toEqual([false, true])
    peer.goaway(3)
    expect(peer.handler.take()).toEqual(['reset 5 REFUSED_STREAM goaway', 'goaway last=3 NO_ERROR'])
    peer.goaway(1)
    expect(peer.handler.take()).toEqual(['reset 3 REFUSED_STREAM goaway', 'goaway last=1 NO_ERROR'])
    peer.headers(1, RESPONSE).headers(1, TRAILERS, true)
    peer.handler.stream(1).sendData(Buffer.alloc(0), true)
    expect(peer.take().at(-1)).toBe('DATA 1 0 end')
    expect(peer.handler.take()).toEqual([
      'response 1 200',
      'trailers 1 grpc-status=0',
      'closed 1',
      'over in order',
    ])
  })
  test('a higher identifier after a lower one revives nothing', () => {
    const peer = dialled()
    for (let i = 0; i < 2; i++) open(peer)
    peer.goaway(1).goaway(2 ** 31 - 1)
    expect(peer.connection.departure.peerLastId).toBe(1)
    expect(peer.connection.openStreamCount).toBe(1)
  })
  test('says GOAWAY and is over at once when nothing is open', () => {
    const peer = dialled()
    peer.goaway(0)
    expect(peer.take()).toEqual(['GOAWAY last=0 NO_ERROR'])
    expect(peer.handler.take()).toEqual(['goaway last=0 NO_ERROR', 'over in order'])
  })
  test('may leave by itself: it opens nothing more and ends when its calls have ended', () => {
    const peer = dialled()
    const id = open(peer)
    peer.connection.drainStreams()
    expect(peer.connection.canOpenStream).toBe(false)
    expect(peer.take().at(-1)).toBe('GOAWAY last=0 NO_ERROR')
    expect(peer.connection.isFinished).toBe(false)
    peer.rst(id, H2Code.INTERNAL_ERROR)
    peer.flush()
    expect(peer.handler.take()).toEqual(['reset 1 INTERNAL_ERROR peer', 'over in order'])
  })
})

describe('asking for a turn', () => {
  test('happens once, until the output was taken', () => {
    const peer = served()
    const before = peer.end.flushRequests
    peer.connection.markDirty()
    peer.bench.turn.flushAll()
    peer.ping().ping()
    expect(peer.end.flushRequests).toBe(before + 1)
    peer.flush().ping().bench.turn.flushAll()
    expect(peer.end.flushRequests).toBe(before + 2)
  })
  test('happens when the last stream of a connection that drains ends without output', () => {
    const peer = served()
    peer.headers(1, REQUEST)
    peer.connection.drainStreams()
    peer.ping(DRAIN_PING, true).flush()
    const before = peer.end.flushRequests
    peer.rst(1).bench.turn.flushAll()
    expect(peer.end.flushRequests).toBe(before + 1)
    peer.flush()
    expect(peer.connection.isFinished).toBe(true)
  })
})

describe('the end', () => {
  test('close says GOAWAY with the code, and resets the streams to the owner', () => {
    const peer = served()
    peer.headers(1, REQUEST).data(1, 100)
    peer.connection.close(H2Code.INTERNAL_ERROR, new TransportError('local_close', 'a bug'))
    peer.connection.close(H2Code.NO_ERROR, null)
    expect(peer.take()).toEqual(['GOAWAY last=1 INTERNAL_ERROR'])
    expect(peer.handler.take().slice(2)).toEqual(['reset 1 CANCEL close', 'over local_close'])
    expect(peer.end.stats.connectionsOpen).toBe(0)
  })
  test('a socket that ends underneath ends streams and connection once', () => {
    const peer = served()
    peer.headers(1, REQUEST)
    peer.connection.onSocketClosed(null)
    peer.connection.onSocketClosed(new TransportError('local_close', 'again'))
    expect(peer.handler.take().slice(1)).toEqual(['reset 1 CANCEL close', 'over closed_by_peer'])
    expect(peer.take()).toEqual([])
    expect(peer.bench.wheel.size).toBe(0)
  })
  test('nothing but GOAWAY is sent when the owner answers the end by resets', () => {
    const peer = served()
    peer.headers(1, REQUEST).headers(3, REQUEST)
    peer.handler.on = (event) => {
      if (event === 'reset') for (const stream of peer.handler.streams.values()) stream.reset(H2Code.CANCEL)
    }
    peer.connection.close(H2Code.NO_ERROR, null)
    expect(peer.take()).toEqual(['GOAWAY last=3 NO_ERROR'])
    expect(peer.handler.log.filter((line) => line.startsWith('reset'))).toHaveLength(1)
  })
  test('an end in the middle of a header block leaves no deadline behind', () => {
    const peer = served()
    peer.send({ type: 'HEADERS', stream: 1, payload: '82' })
    for (let i = 0; i < 9; i++) peer.send({ type: 'CONTINUATION', stream: 1, payload: '82' })
    expect(peer.connection.isFaulted).toBe(true)
    expect(peer.bench.wheel.size).toBe(0)
  })
  test('two ends that drain with calls under way finish them all', () => {
    const pair = new H2Pair()
    const calls = [pair.call(), pair.call()]
    pair.settle()
    pair.server.connection.drainStreams()
    pair.settle()
    for (const stream of calls) stream.sendData(Buffer.from('x'), true)
    pair.settle()
    for (const id of [1, 3])
      pair.server.handler.stream(id).sendHeaders(listOf([...RESPONSE, ...TRAILERS]), true)
    pair.settle()
    expect(pair.client.handler.log.filter((line) => line.startsWith('closed'))).toHaveLength(2)
    expect([pair.client.handler.log.at(-1), pair.server.handler.log.at(-1)]).toEqual([
      'over in order',
      'over in order',
    ])
  })
})

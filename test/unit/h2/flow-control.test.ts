import { describe, expect, test } from 'vitest'
import { H2Code, SettingId } from '../../../src/frame/index.ts'
import { H2Pair, listOf, RawPeer, REQUEST, RESPONSE, TRAILERS } from '../../support/h2-pair.ts'
import { frame, pattern } from '../../support/frame-factory.ts'
import { RecvWindow } from '../../../src/h2/recv-window.ts'
import { widened } from '../../../src/h2/send-window.ts'

const MIB = 1024 * 1024

/** Octets of the connection window that the peer may use now, and those held. */
const books = (peer: RawPeer): { remaining: number; held: number; pending: number } => {
  const window = peer.connection.credits.window
  return { remaining: window.remainingBytes, held: window.heldBytes, pending: window.pendingBytes }
}
const allCredited = (peer: RawPeer): true => {
  const { remaining, held, pending } = books(peer)
  expect({ sum: remaining + pending, held, process: peer.end.held.usedBytes }).toEqual({
    sum: 4 * MIB,
    held: 0,
    process: 0,
  })
  return true
}
const holding = (): RawPeer => {
  const peer = new RawPeer().open()
  peer.handler.credits = false
  return peer.headers(1, REQUEST)
}

describe('credit is never lost', () => {
  test('padded DATA returns its full length', () => {
    const peer = holding()
    peer.data(1, 100, false, 50)
    expect(books(peer).held).toBe(100)
    peer.handler.stream(1).credit(100)
    allCredited(peer)
    expect(peer.handler.stream(1).recvWindow.heldBytes).toBe(0)
  })
  test('DATA that is all padding holds nothing and is not delivered', () => {
    const peer = holding()
    peer.data(1, 0, false, 255)
    allCredited(peer)
    expect(peer.handler.take()).toEqual(['request 1 /pkg.Service/Method'])
  })
  test('padded DATA cut after the padding length delivers the content and credits the rest', () => {
    const peer = holding()
    const bytes = frame({ type: 'DATA', stream: 1, payload: pattern(5000), pad: 200 })
    for (let at = 0; at < bytes.length; at += 700) peer.end.receive(Buffer.from(bytes.subarray(at, at + 700)))
    expect(peer.handler.bytes(1)).toEqual(pattern(5000))
    expect(books(peer).held).toBe(5000)
  })
  test('RST_STREAM from the peer with held octets returns credit', () => {
    const peer = holding()
    peer.data(1, 1000).rst(1)
    allCredited(peer)
    peer.handler.stream(1).credit(1000)
    peer.handler.stream(1).release()
    expect(allCredited(peer)).toBe(true)
  })
  test('RST_STREAM of ours with held octets returns credit, also in the middle of a frame', () => {
    const peer = holding()
    peer.data(1, 1000)
    const bytes = frame({ type: 'DATA', stream: 1, payload: pattern(8000) })
    peer.end.receive(Buffer.from(bytes.subarray(0, 4000)))
    peer.handler.stream(1).reset(H2Code.CANCEL)
    peer.connection.checkCredits()
    peer.handler.take()
    peer.end.receive(Buffer.from(bytes.subarray(4000)))
    allCredited(peer)
    expect(peer.handler.take()).toEqual([])
    expect(peer.take()).toEqual(['RST_STREAM 1 CANCEL'])
  })
  test('a reset from inside onData returns credit for the frame under way', () => {
    const peer = holding()
    peer.handler.on = (event, stream) => {
      if (event === 'data') stream!.reset(H2Code.CANCEL)
    }
    peer.data(1, 1000, true, 9)
    expect(allCredited(peer)).toBe(true)
  })
  test('DATA on a stream that we reset returns credit', () => {
    const peer = holding()
    peer.handler.stream(1).reset(H2Code.CANCEL)
    peer.data(1, 3000).data(1, 3000, true)
    allCredited(peer)
    expect(peer.connection.isFinished).toBe(false)
  })
  test('DATA on a stream that was refused returns credit', () => {
    const peer = new RawPeer({ limits: { maxConcurrentStreams: 0 } }).open()
    peer.headers(1, REQUEST).data(1, 3000).data(1, 3000, true)
    allCredited(peer)
    expect(peer.take()).toEqual(['RST_STREAM 1 REFUSED_STREAM'])
  })
  test('DATA on a stream above our GOAWAY returns credit, and its HEADERS are still decoded', () => {
    const peer = holding()
    peer.connection.drainStreams()
    peer.ping(Buffer.from('authgwgo').toString('hex'), true)
    peer.send({ type: 'HEADERS', stream: 3, flags: ['END_HEADERS'], payload: '82 86 84 40 01 61 01 62' })
    peer.data(3, 500).data(3, 0, true).windowUpdate(3, 5).rst(3)
    allCredited(peer)
    // The table holds `a: b` from the ignored block: index 62 must mean it.
    peer.send({ type: 'HEADERS', stream: 1, flags: ['END_HEADERS', 'END_STREAM'], payload: 'be' })
    expect(peer.handler.take()).toContain('trailers 1 a=b')
  })
  test.each(['stream window exceeded', 'connection window exceeded', 'DATA after END_STREAM'])(
    'every window is settled when the connection ends by a fault: %s',
    (how) => {
      const limits = how.startsWith('connection') ? { connectionWindowBytes: 65_535 } : {}
      const peer = new RawPeer({ limits }).open()
      peer.handler.credits = false
      peer.headers(1, REQUEST).headers(3, REQUEST)
      if (how.startsWith('DATA')) peer.data(1, 5, true).data(1, 5)
      else for (let i = 0; i < 5; i++) peer.data(how.startsWith('connection') ? 1 + 2 * (i % 2) : 1, 16_384)
      expect(peer.connection.isFaulted).toBe(true)
      expect(peer.end.held.usedBytes).toBe(0)
    },
  )
  test('octets of a stream that ended in order stay held until its owner credits them', () => {
    const peer = holding()
    peer.data(1, 1000, true)
    const stream = peer.handler.stream(1)
    stream.sendHeaders(listOf(RESPONSE), true)
    expect(peer.handler.take().at(-1)).toBe('closed 1')
    expect(books(peer).held).toBe(1000)
    stream.credit(400)
    peer.connection.checkCredits()
    stream.release()
    allCredited(peer)
    peer.connection.checkCredits()
  })
  test('credit for more than is held counts as all that is held', () => {
    const peer = holding()
    peer.data(1, 1000)
    peer.handler.stream(1).credit(5000)
    expect(allCredited(peer)).toBe(true)
    peer.connection.checkCredits()
  })
  test('a broken book is noticed', () => {
    const peer = holding()
    peer.connection.credits.window.heldBytes++
    expect(() => {
      peer.connection.checkCredits()
    }).toThrow('credits outstanding + octets held = connection window')
  })
})

describe('what we may send', () => {
  const answering = (...entries: (readonly [number, number])[]): RawPeer => {
    const peer = new RawPeer().open(...entries)
    peer.headers(1, REQUEST, true)
    peer.handler.stream(1).sendHeaders(listOf(RESPONSE), false)
    peer.take()
    peer.handler.take()
    return peer
  }
  const dataBytes = (lines: string[]): number =>
    lines.filter((line) => line.startsWith('DATA')).reduce((sum, line) => sum + Number(line.split(' ')[2]), 0)

  test('DATA stops at the stream window and goes on by WINDOW_UPDATE', () => {
    const peer = answering([SettingId.INITIAL_WINDOW_SIZE, 10])
    peer.handler.stream(1).sendData(pattern(25), true)
    expect(peer.take()).toEqual(['DATA 1 10'])
    peer.windowUpdate(1, 10)
    expect(peer.take()).toEqual(['DATA 1 10'])
    peer.windowUpdate(1, 100)
    expect(peer.take()).toEqual(['DATA 1 5 end'])
    expect(peer.handler.take()).toEqual(['sent 1 10', 'sent 1 10', 'sent 1 5', 'closed 1'])
  })
  test('DATA stops at the connection window and goes on by WINDOW_UPDATE on stream 0', () => {
    const peer = answering([SettingId.INITIAL_WINDOW_SIZE, MIB])
    peer.handler.stream(1).sendData(pattern(70_000), true)
    expect(dataBytes(peer.take())).toBe(65_535)
    expect(peer.connection.hasOutput).toBe(false)
    peer.windowUpdate(0, 1)
    expect(dataBytes(peer.take())).toBe(1)
    peer.windowUpdate(0, 1 * MIB)
    expect(peer.take()).toEqual([`DATA 1 ${70_000 - 65_536} end`])
  })
  test('SETTINGS lift and lower the window of a stream under way; it may become negative', () => {
    const peer = answering([SettingId.INITIAL_WINDOW_SIZE, 100])
    const stream = peer.handler.stream(1)
    stream.sendData(pattern(300), true)
    expect(dataBytes(peer.take())).toBe(100)
    peer.settings([SettingId.INITIAL_WINDOW_SIZE, 40])
    expect(stream.sendWindowBytes).toBe(-60)
    expect(peer.take()).toEqual(['SETTINGS ack'])
    peer.windowUpdate(1, 60)
    expect(stream.sendWindowBytes).toBe(0)
    expect(peer.take()).toEqual([])
    peer.settings([SettingId.INITIAL_WINDOW_SIZE, 90])
    expect(peer.take()).toEqual(['SETTINGS ack', 'DATA 1 50'])
    peer.settings([SettingId.INITIAL_WINDOW_SIZE, 2 ** 31 - 1])
    expect(peer.take()).toEqual(['SETTINGS ack', 'DATA 1 150 end'])
  })
  test('WINDOW_UPDATE that races with lowered SETTINGS adds up the same in either order', () => {
    const windows = [true, false].map((isUpdateFirst) => {
      const peer = answering([SettingId.INITIAL_WINDOW_SIZE, 100])
      peer.handler.stream(1).sendData(pattern(80), false)
      peer.flush()
      if (isUpdateFirst) peer.windowUpdate(1, 30).settings([SettingId.INITIAL_WINDOW_SIZE, 10])
      else peer.settings([SettingId.INITIAL_WINDOW_SIZE, 10]).windowUpdate(1, 30)
      return peer.handler.stream(1).sendWindowBytes
    })
    expect(windows).toEqual([-40, -40])
  })
  test('a window may be lifted to exactly 2^31-1', () => {
    const peer = answering()
    peer.windowUpdate(1, 2 ** 31 - 1 - 65_535).windowUpdate(0, 2 ** 31 - 1 - 65_535)
    expect(peer.handler.stream(1).sendWindowBytes).toBe(2 ** 31 - 1)
    expect(peer.connection.sendQueue.windowBytes).toBe(2 ** 31 - 1)
    expect(peer.connection.isFinished).toBe(false)
  })
  test('a stream cancelled while it waits for capacity frees it for the others', () => {
    const peer = answering()
    peer.headers(3, REQUEST, true)
    const [first, second] = [peer.handler.stream(1), peer.handler.stream(3)]
    second.sendHeaders(listOf(RESPONSE), false)
    first.sendData(pattern(100_000), true)
    peer.take()
    second.sendData(pattern(50), true)
    expect(peer.take()).toEqual([])
    peer.rst(1)
    peer.windowUpdate(0, 100)
    expect(peer.take()).toEqual(['DATA 3 50 end'])
    expect(peer.connection.sendQueue.queuedBytes).toBe(0)
  })
  test('trailers leave though the windows are closed, when no DATA waits before them', () => {
    const peer = answering([SettingId.INITIAL_WINDOW_SIZE, 0])
    peer.handler.stream(1).sendTrailers(listOf(TRAILERS))
    expect(peer.take()).toEqual(['HEADERS 1 end grpc-status=0'])
  })
  test('trailers follow the DATA that waits for a window', () => {
    const peer = answering([SettingId.INITIAL_WINDOW_SIZE, 0])
    const stream = peer.handler.stream(1)
    stream.sendData(pattern(5), false)
    stream.sendTrailers(listOf(TRAILERS))
    expect(peer.take()).toEqual([])
    peer.windowUpdate(1, 5)
    expect(peer.take()).toEqual(['DATA 1 5', 'HEADERS 1 end grpc-status=0'])
    expect(peer.handler.take()).toEqual(['sent 1 5', 'closed 1'])
  })
  test('END_STREAM goes out on an empty DATA frame, whatever the windows are', () => {
    const peer = answering([SettingId.INITIAL_WINDOW_SIZE, 0])
    peer.handler.stream(1).sendData(Buffer.alloc(0), true)
    expect(peer.take()).toEqual(['DATA 1 0 end'])
  })
  test('an end that comes after its DATA rides on the last DATA frame', () => {
    const peer = answering()
    const stream = peer.handler.stream(1)
    stream.sendData(pattern(20_000), false)
    stream.sendData(Buffer.alloc(0), true)
    expect(peer.take()).toEqual(['DATA 1 16384', 'DATA 1 3616 end'])
  })
  test('DATA never exceeds 16,384 octets a frame, even when the peer takes more', () => {
    const peer = answering([SettingId.MAX_FRAME_SIZE, 2 ** 24 - 1])
    peer.handler.stream(1).sendData(pattern(40_000), true)
    expect(peer.take()).toEqual(['DATA 1 16384', 'DATA 1 16384', 'DATA 1 7232 end'])
  })
  test('an owner that ends a stream from inside onDataSent ends it once', () => {
    const pair = new H2Pair()
    const stream = pair.call()
    pair.client.handler.on = (event, sender) => {
      if (event === 'sent') sender!.sendData(Buffer.alloc(0), true)
    }
    stream.sendData(pattern(10), false)
    pair.settle()
    expect(pair.server.handler.take()).toEqual(['request 1 /pkg.Service/Method', 'data 1 10', 'data 1 0 end'])
  })
  test('an owner that resets a stream from inside onDataSent leaves the rest unsent', () => {
    const peer = answering()
    peer.handler.on = (event, sender) => {
      if (event === 'sent') sender!.reset(H2Code.CANCEL)
    }
    peer.handler.stream(1).sendData(pattern(40_000), true)
    expect(peer.take()).toEqual(['DATA 1 16384', 'RST_STREAM 1 CANCEL'])
    expect(peer.connection.sendQueue.queuedBytes).toBe(0)
  })
  test('drain moves DATA only until enough octets are pending', () => {
    const peer = answering()
    peer.handler.stream(1).sendData(pattern(60_000), true)
    peer.flush(20_000)
    expect(peer.connection.hasOutput).toBe(true)
    expect(dataBytes(peer.frames.map((wire) => `DATA 1 ${wire.payload.length}`))).toBe(32_768)
  })
})

describe('windows that we offer', () => {
  test('a stream has 64 KiB until it is admitted, then 256 KiB, and up to 1 MiB while it drains', () => {
    const peer = new RawPeer().open()
    peer.handler.admits = false
    peer.handler.credits = false
    peer.headers(1, REQUEST)
    const stream = peer.handler.stream(1)
    expect(stream.recvWindow.targetBytes).toBe(65_535)
    for (let i = 0; i < 3; i++) peer.data(1, 16_384)
    stream.admit()
    stream.release()
    expect(peer.take()).toEqual(['WINDOW_UPDATE 1 +245761'])
    expect(stream.recvWindow.targetBytes).toBe(MIB / 4)
    const drain = (frameCount: number): number => {
      for (let i = 0; i < frameCount; i++) peer.data(1, 16_384)
      stream.release()
      peer.take()
      return stream.recvWindow.targetBytes
    }
    // A window grows once a whole one has been taken, not before: streams that stall must not fill the connection's.
    expect(drain(12)).toBe(MIB / 4)
    expect(drain(12)).toBe(MIB / 2)
    expect(drain(31)).toBe(MIB / 2)
    expect(drain(31)).toBe(MIB)
    expect(drain(63)).toBe(MIB)
  })
  test('an unadmitted stream keeps 64 KiB however often it is credited', () => {
    const peer = new RawPeer().open()
    peer.handler.admits = false
    peer.headers(1, REQUEST)
    for (let i = 0; i < 30; i++) peer.data(1, 16_384).flush()
    expect(peer.handler.stream(1).recvWindow.targetBytes).toBe(65_535)
  })
  test('a credit is announced once a turn, when half a window is used', () => {
    const peer = new RawPeer().open()
    peer.headers(1, REQUEST)
    for (let i = 0; i < 3; i++) peer.data(1, 8_000)
    expect(peer.take()).toEqual(['WINDOW_UPDATE 1 +220609'])
    peer.data(1, 8_000)
    expect(peer.take()).toEqual([])
  })
  test('no WINDOW_UPDATE goes out for a stream whose peer is at its end', () => {
    const peer = holding()
    for (let i = 0; i < 3; i++) peer.data(1, 16_384, i === 2)
    peer.handler.stream(1).release()
    expect(peer.take()).toEqual([])
  })
  test('when the process holds too much, windows shrink back as they are credited', () => {
    const peer = new RawPeer({ maxHeldBytes: 300_000 }).open()
    peer.handler.credits = false
    peer.headers(1, REQUEST).headers(3, REQUEST)
    const [first, second] = [peer.handler.stream(1), peer.handler.stream(3)]
    for (let i = 0; i < 3; i++) peer.data(1, 16_384).data(3, 16_384)
    first.release()
    second.release()
    peer.take()
    for (let i = 0; i < 14; i++) peer.data(1, 16_384)
    for (let i = 0; i < 6; i++) peer.data(3, 16_384)
    expect(peer.end.held.isSpent).toBe(true)
    const before = second.recvWindow.targetBytes
    second.credit(6 * 16_384)
    peer.end.held.usedBytes += 400_000
    peer.take()
    first.credit(200_000)
    peer.take()
    expect(first.recvWindow.targetBytes).toBeLessThan(before)
    peer.end.held.usedBytes -= 400_000
    peer.connection.checkCredits()
  })
  test('a connection offers 4 MiB at once, by WINDOW_UPDATE', () => {
    const peer = new RawPeer()
    expect(peer.take()).toEqual(['SETTINGS 3', `WINDOW_UPDATE 0 +${4 * MIB - 65_535}`])
  })
  test('a connection window of 64 KiB or less needs no WINDOW_UPDATE', () => {
    expect(new RawPeer({ limits: { connectionWindowBytes: 10_000 } }).take()).toEqual(['SETTINGS 3'])
  })
  test('a window whose update waits behind a full socket counts as output', () => {
    const peer = new RawPeer().open()
    peer.headers(1, REQUEST).data(1, 16_384).data(1, 16_384).data(1, 16_384)
    expect(peer.connection.hasOutput).toBe(true)
    peer.flush()
    expect(peer.connection.hasOutput).toBe(false)
  })
  test('100 MiB in either direction, with windows going round, loses no octet', () => {
    const pair = new H2Pair()
    const stream = pair.call()
    pair.settle()
    const server = pair.server.handler.stream(1)
    server.sendHeaders(listOf(RESPONSE), false)
    for (let i = 0; i < 100; i++) {
      stream.sendData(pattern(100_003, i), i === 99)
      server.sendData(pattern(50_021, i), false)
      pair.settle(64 * 1024)
    }
    server.sendTrailers(listOf(TRAILERS))
    pair.settle()
    expect(pair.server.handler.bytes(1).length).toBe(100 * 100_003)
    expect(pair.client.handler.bytes(1).length).toBe(100 * 50_021)
    expect(pair.client.handler.log.at(-1)).toBe('closed 1')
  })
})

describe('the two halves of a window', () => {
  test('RecvWindow refuses one octet too many', () => {
    const window = new RecvWindow(10)
    expect(window.receive(11)).toBe(false)
    expect(window.receive(10)).toBe(true)
    expect(window.receive(0)).toBe(true)
    expect(window.receive(1)).toBe(false)
  })
  test('RecvWindow shrinks by what is credited and not yet announced, no further', () => {
    const window = new RecvWindow(100)
    window.receive(60)
    window.credit(50)
    window.shrink(70)
    expect([window.targetBytes, window.pendingBytes]).toEqual([70, 20])
    window.shrink(10)
    expect([window.targetBytes, window.pendingBytes, window.remainingBytes]).toEqual([50, 0, 40])
  })
  test('a send window takes 2^31-1 and no octet more, from below zero too', () => {
    expect(widened(0, 2 ** 31 - 1)).toBe(2 ** 31 - 1)
    expect(widened(1, 2 ** 31 - 1)).toBeNull()
    expect(widened(-5, 10)).toBe(5)
  })
})

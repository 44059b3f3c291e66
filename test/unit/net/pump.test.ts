import { Duplex } from 'node:stream'
import type { Socket } from 'node:net'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { TransportError, Turn } from '../../../src/base/index.ts'
import { MAX_WAITING_BYTES, NetStats, Pump } from '../../../src/net/index.ts'
import { FINISH_MS, LINGER_MS, MAX_WAITING_IN_ALL_BYTES, MIN_WAITING_BYTES } from '../../../src/net/pump.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'
import { PlainConnection } from '../../support/pumped.ts'

/** A socket whose writes are seen, and that takes them when told to. */
class FakeSocket extends Duplex {
  /** Each write or writev as one array of buffers. */
  readonly writes: Buffer[][] = []
  isStuck = false
  #stuck: (() => void)[] = []
  constructor() {
    super({ allowHalfOpen: true, highWaterMark: 65_536 })
  }
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#take([chunk], done)
  }
  override _writev(chunks: { chunk: unknown }[], done: () => void): void {
    this.#take(
      chunks.map(({ chunk }) => chunk as Buffer),
      done,
    )
  }
  get text(): string {
    return Buffer.concat(this.writes.flat()).toString()
  }
  unstick(): void {
    this.isStuck = false
    for (const done of this.#stuck.splice(0)) done()
  }
  #take(buffers: Buffer[], done: () => void): void {
    this.writes.push(buffers)
    if (this.isStuck) this.#stuck.push(done)
    else done()
  }
}

let clock: FakeClock
let turn: Turn
let stats: NetStats
let socket: FakeSocket
let connection: PlainConnection
let closed: Pump[]
let bugs: unknown[]

beforeEach(() => {
  clock = new FakeClock()
  turn = new Turn(clock, () => {
    setImmediate(() => {
      turn.flushAll()
    })
  })
  stats = new NetStats()
  socket = new FakeSocket()
  connection = new PlainConnection(turn)
  closed = []
  bugs = []
})

function makePump(isIngress = true): Pump {
  return new Pump({
    socket: socket as unknown as Socket,
    connection,
    turn,
    clock,
    stats,
    isIngress,
    peerName: 'peer 192.0.2.1',
    onClosed: (pump) => closed.push(pump),
    onBug: (bug) => bugs.push(bug),
  })
}

describe('reading', () => {
  test('gives each chunk to the connection, in a turn of its own reading of the time', async () => {
    makePump()
    await clock.advance(500)
    const begin = vi.spyOn(turn, 'begin')
    socket.push('abc')
    await settle()
    expect(connection.text).toBe('abc')
    expect(begin).toHaveBeenCalledTimes(1)
    expect(turn.nowMs).toBe(1_500)
    expect(stats).toMatchObject({ ingressBytesIn: 3, egressBytesIn: 0 })
  })

  test('stops while the connection does not want to, and goes on when it does', async () => {
    makePump(false)
    connection.wantsRead = false
    socket.push('a')
    await settle()
    socket.push('b')
    await settle()
    expect(connection.text).toBe('a')
    expect(stats.readPauses).toBe(1)
    connection.wantsRead = true
    connection.send('answer')
    await settle()
    expect(connection.text).toBe('ab')
    expect(stats.egressBytesIn).toBe(2)
  })
})

describe('writing', () => {
  test('gathers what a turn has produced into one writev', async () => {
    makePump()
    connection.send('one ')
    connection.send('two ', 'three')
    await settle()
    expect(socket.writes.map((buffers) => Buffer.concat(buffers).toString())).toEqual(['one two three'])
    expect(stats.ingressBytesOut).toBe(13)
  })

  test('writes a single buffer as it is, without copying it', async () => {
    makePump()
    const buffer = Buffer.from('one')
    connection.send(buffer)
    await settle()
    expect(socket.writes[0]![0]).toBe(buffer)
  })

  test('sends what the connection had before it had a socket', async () => {
    connection.send('preface')
    makePump()
    await settle()
    expect(socket.text).toBe('preface')
  })

  test('says recycle only when all that was drained has left', async () => {
    makePump()
    socket.isStuck = true
    connection.send('a')
    await settle()
    expect(connection.recycleCount).toBe(1)
    connection.send('b')
    await settle()
    expect(connection.recycleCount).toBe(1)
    socket.unstick()
    await settle()
    connection.send('c')
    await settle()
    expect(connection.recycleCount).toBe(2)
    expect(socket.text).toBe('abc')
  })

  test('drains no more than the cap into a socket that does not take it, and goes on at drain', async () => {
    makePump()
    socket.isStuck = true
    const piece = Buffer.alloc(65_536)
    connection.send(...Array.from({ length: 40 }, () => piece))
    await settle()
    expect(socket.writableLength).toBe(MAX_WAITING_BYTES)
    expect(connection.drainCalls).toEqual([MAX_WAITING_BYTES])
    connection.send(piece)
    await settle()
    expect(connection.drainCalls).toHaveLength(1)
    socket.unstick()
    await settle()
    expect(connection.queuedBytes).toBe(0)
    expect(socket.writes.flat()).toHaveLength(41)
  })

  test('holds little of each, when much waits in others: peers that do not read come by the thousand', async () => {
    stats.socketBytesWaiting = MAX_WAITING_IN_ALL_BYTES
    const pump = makePump()
    socket.isStuck = true
    const piece = Buffer.alloc(MIN_WAITING_BYTES / 2)
    connection.send(...Array.from({ length: 40 }, () => piece))
    await settle()
    expect(connection.drainCalls).toEqual([MIN_WAITING_BYTES])
    expect(stats.socketBytesWaiting).toBe(MAX_WAITING_IN_ALL_BYTES + MIN_WAITING_BYTES)
    // The others have drained: now it may hold as much as any.
    stats.socketBytesWaiting -= MAX_WAITING_IN_ALL_BYTES
    socket.unstick()
    await settle()
    expect(connection.queuedBytes).toBe(0)
    expect(stats.socketBytesWaiting).toBe(0)
    socket.isStuck = true
    connection.send(...Array.from({ length: 40 }, () => piece))
    await settle()
    expect(socket.writableLength).toBe(MAX_WAITING_BYTES)
    expect(stats.socketBytesWaiting).toBe(MAX_WAITING_BYTES)
    pump.destroy(new TransportError('local_close', 'the test is over'))
    expect(stats.socketBytesWaiting).toBe(0)
  })

  test('gives the connection only the room that is left', async () => {
    makePump()
    socket.isStuck = true
    connection.send(Buffer.alloc(1_000))
    await settle()
    connection.send('x')
    await settle()
    expect(connection.drainCalls).toEqual([MAX_WAITING_BYTES, MAX_WAITING_BYTES - 1_000])
  })

  test('keeps its buffers for no longer than the write', async () => {
    makePump()
    connection.send('a', 'b')
    await settle()
    socket.isStuck = true
    connection.send('c')
    await settle()
    expect(socket.writes.at(-1)).toHaveLength(1)
  })
})

describe('the end', () => {
  test('of a finished connection: last words, FIN, then the peer has 250 ms to go', async () => {
    makePump()
    connection.finish('GOAWAY')
    await settle()
    expect(socket.text).toBe('GOAWAY')
    expect(socket.writableFinished).toBe(true)
    expect(socket.destroyed).toBe(false)
    socket.push('still talking')
    await settle()
    expect(connection.text).toBe('')
    await clock.advance(LINGER_MS - 1)
    expect(socket.destroyed).toBe(false)
    await clock.advance(1)
    expect(socket.destroyed).toBe(true)
    expect(connection.closings).toEqual([null])
    expect(closed).toHaveLength(1)
  })

  test('of a finished connection comes at once when the peer ends too', async () => {
    makePump()
    connection.finish('bye')
    await settle()
    socket.push(null)
    await settle()
    expect(connection.closings).toEqual([null])
    expect(clock.timerCount).toBe(0)
  })

  test('of an orderly kind waits for a slow reader, but not for ever', async () => {
    makePump()
    socket.isStuck = true
    connection.send('the last answer')
    connection.finish('GOAWAY')
    await settle()
    await clock.advance(FINISH_MS - 1)
    expect(socket.destroyed).toBe(false)
    await clock.advance(1)
    expect(socket.destroyed).toBe(true)
  })

  test('after a fault does not wait for a peer that does not read', async () => {
    makePump()
    socket.isStuck = true
    connection.send(Buffer.alloc(2 * MAX_WAITING_BYTES))
    await settle()
    connection.isFaulted = true
    connection.finish('GOAWAY')
    await settle()
    await clock.advance(LINGER_MS)
    expect(socket.destroyed).toBe(true)
    expect(connection.closings).toHaveLength(1)
  })

  test('by the peer is closed_by_peer, after what still waited was written', async () => {
    makePump()
    connection.send('answer')
    socket.push(null)
    await settle()
    expect(socket.text).toBe('answer')
    expect(connection.closings).toHaveLength(1)
    expect(connection.closings[0]).toMatchObject({
      code: 'closed_by_peer',
      message: 'peer 192.0.2.1: the peer closed the connection',
    })
    expect(socket.destroyed).toBe(true)
  })

  test('by a reset is reset_by_peer with the cause', async () => {
    makePump()
    socket.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }))
    await settle()
    expect(connection.closings).toHaveLength(1)
    expect(connection.closings[0]).toMatchObject({
      code: 'reset_by_peer',
      message: 'peer 192.0.2.1: the peer reset the connection (ECONNRESET)',
    })
  })

  test('by a TLS alert names it', async () => {
    makePump()
    socket.destroy(Object.assign(new Error('ssl'), { code: 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED' }))
    await settle()
    expect(connection.closings[0]).toMatchObject({ code: 'tls_handshake' })
    expect(connection.closings[0]!.message).toContain('certificate required')
  })

  test('on demand says GOAWAY and cuts within 250 ms', async () => {
    const pump = makePump()
    const error = new TransportError('local_close', 'no longer trusted')
    pump.close(error)
    await settle()
    expect(socket.text).toBe('GOAWAY')
    await clock.advance(LINGER_MS)
    expect(socket.destroyed).toBe(true)
    pump.close(error)
    pump.destroy(error)
    expect(connection.closings).toHaveLength(1)
  })

  test('by destroy tells the connection at once and once', async () => {
    const pump = makePump()
    const error = new TransportError('local_close', 'stopping')
    pump.destroy(error)
    expect(connection.closings).toEqual([error])
    expect(closed).toEqual([pump])
    connection.send('too late')
    await settle()
    expect(socket.writes).toEqual([])
    expect(connection.closings).toHaveLength(1)
  })

  test('that came before the pump is told too', async () => {
    socket.destroy()
    const pump = makePump()
    await settle()
    expect(connection.closings).toHaveLength(1)
    expect(closed).toEqual([pump])
  })
})

describe('a bug of ours', () => {
  test('while receiving closes that connection and reaches nobody else', async () => {
    makePump()
    const bug = new Error('bug')
    connection.receive = () => {
      throw bug
    }
    socket.push('x')
    await settle()
    expect(bugs).toEqual([bug])
    expect(connection.closings[0]).toMatchObject({ code: 'local_close' })
    expect(socket.destroyed).toBe(true)
  })

  test('while draining closes that connection, and the turn goes on', async () => {
    makePump()
    connection.drain = () => {
      throw new Error('bug')
    }
    connection.send('x')
    const flush = vi.fn<() => void>()
    turn.add({ flush })
    await settle()
    expect(bugs).toHaveLength(1)
    expect(flush).toHaveBeenCalledTimes(1)
    expect(socket.destroyed).toBe(true)
  })

  test('in the news of the end is caught', async () => {
    const pump = makePump()
    connection.onSocketClosed = () => {
      throw new Error('bug')
    }
    pump.destroy(new TransportError('local_close', 'x'))
    expect(bugs).toHaveLength(1)
    expect(closed).toEqual([pump])
  })
})

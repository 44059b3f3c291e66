import { describe, expect, test } from 'vitest'
import { Chunk, ChunkQueue } from '../../../src/base/index.ts'
import { H2Code } from '../../../src/h2/index.ts'
import { ReplayBudget, ReplayHold } from '../../../src/relay/replay.ts'
import { messageOf, NOTHING_LEFT, RelayPair } from '../../support/relay-pair.ts'

const heldOf = (pair: RelayPair): number => pair.clients[0]!.ingress.credits.window.heldBytes

/** A view and the chunk of its own that it pins. */
const own = (bytes: number, fill = 1): [Buffer, Chunk] => [
  Buffer.from(new ArrayBuffer(bytes)).fill(fill),
  new Chunk(bytes),
]

describe('The copy of a request', () => {
  test('has a budget a call', () => {
    const budget = new ReplayBudget(1_000_000, 10_000)
    const hold = new ReplayHold(budget)
    expect(hold.keep(...own(6000))).toBe(true)
    expect(hold.keep(...own(4000))).toBe(true)
    expect(budget.usedBytes).toBe(10_000)
    expect(hold.keep(...own(1))).toBe(false)
    expect(hold.isActive).toBe(false)
    expect(budget.usedBytes).toBe(0)
  })

  test('has a budget a process', () => {
    const budget = new ReplayBudget(10_000, 10_000)
    const [first, second] = [new ReplayHold(budget), new ReplayHold(budget)]
    expect(first.keep(...own(6000))).toBe(true)
    expect(second.keep(...own(6000))).toBe(false)
    expect(first.isActive).toBe(true)
    expect(budget.usedBytes).toBe(6000)
    first.giveUp()
    first.giveUp()
    expect(budget.usedBytes).toBe(0)
  })

  test('is given back in order, again and again', () => {
    const hold = new ReplayHold(new ReplayBudget())
    hold.keep(...own(5000, 1))
    hold.keep(...own(10, 2))
    for (let i = 0; i < 2; i++) {
      const queue = new ChunkQueue()
      expect(hold.replayInto(queue)).toBe(5010)
      expect(queue.take(Infinity)).toEqual(Buffer.alloc(5000, 1))
      expect(queue.take(Infinity)).toEqual(Buffer.alloc(10, 2))
      expect(queue.take(Infinity)).toBeNull()
    }
  })

  test('keeps views by reference and counts a pinned chunk whole, and once, whoever pins it', () => {
    const budget = new ReplayBudget()
    const [first, second] = [new ReplayHold(budget), new ReplayHold(budget)]
    const [bytes, chunk] = own(65_536)
    first.keep(bytes.subarray(0, 100), chunk)
    first.keep(bytes.subarray(100, 200), chunk)
    second.keep(bytes.subarray(200, 300), chunk)
    expect(budget.usedBytes).toBe(65_536)
    first.giveUp()
    expect(budget.usedBytes).toBe(65_536)
    second.giveUp()
    expect(budget.usedBytes).toBe(0)
  })

  test('of nothing gives nothing', () => {
    expect(new ReplayHold(new ReplayBudget()).replayInto(new ChunkQueue())).toBe(0)
  })
})

describe('A call that is sent again', () => {
  test('with the request still under way: octets, order and end are right, and no credit is given twice', () => {
    const pair = new RelayPair()
    const call = pair.open().call().send(1000)
    pair.settle()
    call.send(2000)
    pair.settle()
    pair.server.last.rst(H2Code.REFUSED_STREAM)
    pair.settle()
    call.send(3000, true)
    pair.settle()
    expect(pair.server.calls).toHaveLength(2)
    expect(pair.server.last.body).toEqual(Buffer.concat([messageOf(1000), messageOf(2000), messageOf(3000)]))
    expect(pair.server.last.isEnded).toBe(true)
    expect(heldOf(pair)).toBe(0)
    pair.server.last.ok()
    pair.settle()
    expect(call.outcome).toBe('0')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('after the end of a request without a body', () => {
    const pair = new RelayPair()
    const call = pair.open().call('/s/M', true)
    pair.settle()
    pair.server.last.rst(H2Code.REFUSED_STREAM)
    pair.settle()
    expect(pair.server.calls).toHaveLength(2)
    expect(pair.server.last.isEnded).toBe(true)
    pair.server.last.ok()
    pair.settle()
    expect(call.outcome).toBe('0')
  })

  test('while part of the request waits for a window: what was taken is not credited again', () => {
    const pair = new RelayPair({ serverLimits: { initialStreamWindowBytes: 1000, streamWindowBytes: 1000 } })
    pair.onServerEvent = (seen) => (seen.credits = false)
    const call = pair.open().call().send(20_000, true)
    pair.settle()
    const ingress = pair.clients[0]!.ingress
    for (let i = 0; i < 3; i++) {
      expect(heldOf(pair)).toBe(20_005 - 1000)
      expect(pair.server.egress.sendQueue.queuedBytes).toBe(20_005 - 1000)
      pair.server.last.rst(H2Code.REFUSED_STREAM)
      pair.settle()
    }
    expect(pair.server.calls).toHaveLength(4)
    expect(heldOf(pair)).toBe(20_005 - 1000)
    pair.onServerEvent = () => {}
    pair.server.last.credit()
    pair.settle()
    expect(pair.server.last.body).toEqual(messageOf(20_000))
    expect(heldOf(pair)).toBe(0)
    expect(ingress.credits.window.remainingBytes + ingress.credits.window.pendingBytes).toBe(
      ingress.credits.window.targetBytes,
    )
    pair.server.last.ok()
    pair.settle()
    expect(call.outcome).toBe('0')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('DATA that comes while the call waits for another connection is behind what came before', () => {
    const pair = new RelayPair()
    const call = pair.open().call().send(1000)
    pair.settle()
    const first = pair.server
    pair.dials = 'wait'
    first.connection.streams.lastOpenedId = 0
    first.connection.departure.announceEnd()
    pair.settle()
    expect(pair.relay.stats.callsWaiting).toBe(1)
    call.send(2000).send(500, true)
    pair.settle()
    expect(heldOf(pair)).toBe(2505 + 5)
    pair.dials = 'connect'
    pair.settle()
    expect(pair.server).not.toBe(first)
    expect(pair.server.last.body).toEqual(Buffer.concat([messageOf(1000), messageOf(2000), messageOf(500)]))
    expect(heldOf(pair)).toBe(0)
    pair.server.last.ok()
    pair.settle()
    expect(call.outcome).toBe('0')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('goes to another address first', () => {
    const pair = new RelayPair()
    pair.dialer.addresses = ['10.0.0.1:1', '10.0.0.2:1']
    pair.dialer.onChange()
    const client = pair.open()
    const call = client.unary()
    pair.settle()
    const refusing = pair.servers.find((server) => server.calls.length > 0)!
    refusing.last.rst(H2Code.REFUSED_STREAM)
    pair.settle()
    expect(refusing.calls).toHaveLength(1)
    const other = pair.servers.find((server) => server !== refusing)!
    expect(other.last.body).toEqual(messageOf(10))
    other.last.ok()
    pair.settle()
    expect(call.outcome).toBe('0')
  })

  test('beyond the budget of a call it goes unheld and is never refused for it', () => {
    const pair = new RelayPair({ replayBudget: new ReplayBudget(1_000_000, 1000) })
    const call = pair.open().unary('/s/M', 5000)
    pair.settle()
    expect(pair.relay.stats.unheldCalls).toBe(1)
    expect(pair.replayBudget.usedBytes).toBe(0)
    expect(pair.server.last.body).toEqual(messageOf(5000))
    pair.server.last.ok()
    pair.settle()
    expect(call.outcome).toBe('0')
  })

  test('beyond the budget of the process likewise; the budget comes back with the first head', () => {
    const pair = new RelayPair({ replayBudget: new ReplayBudget(3000, 3000) })
    const client = pair.open()
    const [held, unheld] = [client.unary('/s/A', 2000), client.unary('/s/B', 2000)]
    pair.settle()
    expect(pair.relay.stats.unheldCalls).toBe(1)
    expect(pair.replayBudget.usedBytes).toBeGreaterThanOrEqual(2005)
    for (const seen of pair.server.calls) seen.sendHead()
    pair.settle()
    expect(pair.replayBudget.usedBytes).toBe(0)
    for (const seen of pair.server.calls) seen.sendTrailers()
    pair.settle()
    expect([held.outcome, unheld.outcome]).toEqual(['0', '0'])
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test.each([
    ['ends', (pair: RelayPair) => void pair.server.last.trailersOnly(0)],
    ['is cancelled', (pair: RelayPair) => void pair.clients[0]!.recorder.calls[0]!.cancel()],
    ['fails', (pair: RelayPair) => void pair.server.last.rst(H2Code.INTERNAL_ERROR)],
    ['loses its client', (pair: RelayPair) => pair.cutClient(pair.clients[0]!)],
    ['loses its upstream', (pair: RelayPair) => pair.cut(pair.server)],
  ])('gives its copy back when it %s', (_how, act) => {
    const pair = new RelayPair()
    pair.open().unary('/s/M', 5000)
    pair.settle()
    expect(pair.replayBudget.usedBytes).toBeGreaterThan(5000)
    act(pair)
    pair.settle()
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
})

import { describe, expect, test } from 'vitest'
import { H2Code } from '../../../src/h2/index.ts'
import { RecordingLog } from '../../support/token-endpoint.ts'
import { NOTHING_LEFT, RelayPair, type PairOptions } from '../../support/relay-pair.ts'

function pairWith(addresses: string[], options: PairOptions = {}): RelayPair {
  const pair = new RelayPair(options)
  pair.dialer.addresses = addresses
  pair.dialer.onChange()
  return pair
}
/** Calls seen by address. */
const callsByAddress = (pair: RelayPair): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const server of pair.servers)
    counts[server.address] = (counts[server.address] ?? 0) + server.calls.length
  return counts
}

describe('Addresses', () => {
  test('take turns', () => {
    const pair = pairWith(['a', 'b', 'c'])
    const client = pair.open()
    for (let i = 0; i < 9; i++) client.unary()
    pair.settle()
    expect(callsByAddress(pair)).toEqual({ a: 3, b: 3, c: 3 })
  })

  test('the first call dials all of them and takes the first that answers', () => {
    const pair = pairWith(['a', 'b', 'c'], { dials: 'wait' })
    const call = pair.connect().unary()
    pair.settle()
    expect(pair.dialer.dialled).toEqual(['a', 'b', 'c'])
    pair.nextDial().fail()
    pair.nextDial().connect().recorder.onEvent = (seen) => void (seen.isEnded && seen.ok())
    pair.settle()
    expect(call.outcome).toBe('0')
  })

  test('one that does not answer is passed over', () => {
    const pair = pairWith(['a', 'b'], { dials: 'wait' })
    const client = pair.connect()
    client.unary()
    pair.settle()
    pair.nextDial().fail()
    pair.nextDial().connect()
    pair.settle()
    for (let i = 0; i < 3; i++) client.unary()
    pair.settle()
    expect(callsByAddress(pair)).toEqual({ b: 4 })
  })

  test('one that does not answer is logged once, and once more when it does', async () => {
    const log = new RecordingLog()
    const pair = pairWith(['a'], { dials: 'fail', log })
    const client = pair.connect()
    for (let i = 0; i < 5; i++) {
      client.unary()
      pair.settle()
      await pair.advance(5_000)
    }
    pair.dials = 'connect'
    client.unary()
    pair.settle()
    const said = log.lines.filter((line) => !line.startsWith('debug'))
    expect(said).toEqual([
      expect.stringContaining('warn egress dial failed'),
      expect.stringContaining('info egress connection open again'),
    ])
    expect(log.lines.filter((line) => line.includes('egress dial still fails')).length).toBeGreaterThan(2)
  })

  test('one that is gone takes no new calls, and ends those it has', () => {
    const pair = pairWith(['a', 'b'])
    const client = pair.open()
    const calls = [client.unary(), client.unary()]
    pair.settle()
    const [a, b] = pair.servers
    pair.dialer.addresses = ['b', 'c']
    pair.dialer.onChange()
    for (let i = 0; i < 4; i++) {
      calls.push(client.unary())
      pair.settle()
    }
    expect(callsByAddress(pair)).toEqual({ a: 1, b: 4, c: 1 })
    expect(a!.recorder.goaways).toHaveLength(1)
    expect(b!.recorder.goaways).toHaveLength(0)
    for (const server of pair.servers) for (const seen of server.calls) seen.ok()
    pair.settle()
    expect(calls.map((call) => call.outcome)).toEqual(Array.from({ length: 6 }, () => '0'))
    expect(a!.recorder.closedBy).not.toBeUndefined()
    expect(pair.relay.pool.connectionCount).toBe(2)
  })

  test('one that is gone before its dial succeeds is not used', () => {
    const pair = pairWith(['a'], { dials: 'wait' })
    const call = pair.connect().unary()
    pair.settle()
    const dial = pair.nextDial()
    pair.dialer.addresses = ['b']
    pair.dialer.onChange()
    const server = dial.connect()
    pair.settle()
    expect(server.calls).toHaveLength(0)
    pair.nextDial().connect()
    pair.settle()
    expect(pair.server.address).toBe('b')
    expect(pair.server.calls).toHaveLength(1)
    expect(call.outcome).toBe('open')
    expect(pair.relay.pool.connectionCount).toBe(1)
  })
})

describe('The generation of the TLS material', () => {
  test('grows: connections of the older one take no new calls, and end when theirs have', () => {
    const pair = pairWith(['a'])
    const client = pair.open()
    const old = client.unary()
    pair.settle()
    const first = pair.server
    pair.dialer.generation = 2
    pair.dialer.onChange()
    const fresh = client.unary()
    pair.settle()
    expect(pair.servers).toHaveLength(2)
    expect(first.calls).toHaveLength(1)
    expect(pair.server.calls).toHaveLength(1)
    first.last.ok()
    pair.server.last.ok()
    pair.settle()
    expect([old.outcome, fresh.outcome]).toEqual(['0', '0'])
    expect(first.recorder.closedBy).not.toBeUndefined()
  })

  test('grows while a dial is under way: that connection is of the older one', () => {
    const pair = pairWith(['a'], { dials: 'wait' })
    const call = pair.connect().unary()
    pair.settle()
    const dial = pair.nextDial()
    pair.dialer.generation = 2
    pair.dialer.onChange()
    const older = dial.connect()
    pair.settle()
    expect(older.calls).toHaveLength(0)
    pair.nextDial().connect()
    pair.settle()
    pair.server.last.ok()
    pair.settle()
    expect(call.outcome).toBe('0')
  })
})

describe('The stream limit of the upstream', () => {
  test('is kept: another connection opens, up to the most there may be', () => {
    const pair = pairWith(['a'], { serverLimits: { maxConcurrentStreams: 2 } })
    const client = pair.open()
    const calls = Array.from({ length: 20 }, () => client.unary())
    pair.settle()
    expect(pair.servers).toHaveLength(8)
    expect(pair.servers.map((server) => server.calls.length)).toEqual([2, 2, 2, 2, 2, 2, 2, 2])
    expect(pair.relay.stats.callsWaiting).toBe(4)
    // A slot that comes free goes to the one that waits longest.
    pair.servers[0]!.calls[0]!.ok()
    pair.settle()
    expect(pair.relay.stats.callsWaiting).toBe(3)
    expect(pair.servers[0]!.calls).toHaveLength(3)
    for (let i = 0; i < 5; i++) {
      for (const server of pair.servers) for (const seen of server.calls) if (!seen.stream.isOver) seen.ok()
      pair.settle()
    }
    expect(calls.every((call) => call.outcome === '0')).toBe(true)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('is raised: those who wait go ahead', () => {
    const pair = pairWith(['a'], { serverLimits: { maxConcurrentStreams: 1 }, maxEgressConnections: 1 })
    const client = pair.open()
    client.unary()
    client.unary()
    pair.settle()
    expect(pair.relay.stats.callsWaiting).toBe(1)
    const { egress } = pair.server
    egress.settings.peer.maxConcurrentStreams = 5
    egress.handler.onCapacity(egress)
    expect(pair.relay.stats.callsWaiting).toBe(0)
  })

  test('identifiers run out: another connection takes over, this one ends when its calls have', () => {
    const pair = pairWith(['a'], { limits: { maxStreamId: 6 } })
    const client = pair.open()
    for (let i = 0; i < 5; i++) {
      const call = client.unary()
      pair.settle()
      pair.server.last.ok()
      pair.settle()
      expect(call.outcome).toBe('0')
    }
    expect(pair.servers.map((server) => server.calls.length)).toEqual([3, 2])
    expect(pair.servers[0]!.recorder.closedBy).not.toBeUndefined()
    expect(pair.relay.pool.connectionCount).toBe(1)
  })
})

describe('Those who wait', () => {
  test('hear at once when nobody is dialling and nothing is open', () => {
    const pair = pairWith(['a', 'b'], { dials: 'wait' })
    const call = pair.connect().unary()
    pair.settle()
    pair.nextDial().fail('connect_refused')
    pair.settle()
    expect(call.outcome).toBe('open')
    pair.nextDial().fail('connect_timeout')
    pair.settle()
    expect(call.outcome).toBe('14 RI 1 egress_unreachable')
  })

  test('hear at once while every address rests after a failure', async () => {
    const pair = pairWith(['a'], { dials: 'fail' })
    const client = pair.connect()
    const outcomes: string[] = []
    for (let i = 0; i < 5; i++) {
      const call = client.unary()
      pair.settle()
      outcomes.push(call.outcome)
    }
    expect(new Set(outcomes)).toEqual(new Set(['14 RI 1 egress_unreachable']))
    expect(pair.dialer.dialled).toHaveLength(1)
    expect(pair.dialer.resolveCount).toBe(1)
    pair.dials = 'connect'
    await pair.advance(200)
    const call = client.unary()
    pair.settle()
    pair.server.last.ok()
    pair.settle()
    expect(call.outcome).toBe('0')
  })

  test('back-off doubles from 100 ms to 1 s, so that an upstream that is back is found within 2 s', async () => {
    const pair = pairWith(['a'], { dials: 'fail' })
    const client = pair.connect()
    const atMs: number[] = []
    for (let i = 0; i < 600; i++) {
      const before = pair.dialer.dialled.length
      client.unary()
      pair.settle()
      if (pair.dialer.dialled.length > before) atMs.push(pair.clock.nowMs())
      await pair.advance(10, 10)
    }
    const gaps = atMs.slice(1).map((at, i) => at - atMs[i]!)
    // Equal jitter with 0.5: three quarters of each step, rounded up to the calls' 10 ms.
    expect(gaps.slice(0, 6)).toEqual([80, 150, 300, 600, 750, 750])
  })

  test('an upstream that takes connections and ends them before SETTINGS backs off too', async () => {
    const pair = pairWith(['a'], { dials: 'wait' })
    const client = pair.connect()
    let dials = 0
    for (let i = 0; i < 300; i++) {
      client.unary()
      pair.settle()
      if (pair.dialer.pending.length > 0) {
        dials++
        pair.cut(pair.nextDial().connect())
        pair.settle()
      }
      await pair.advance(10, 10)
    }
    expect(dials).toBeLessThan(10)
    expect(pair.relay.stats.dialFailures).toBe(dials)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('a connection that worked and was lost is dialled again at once', () => {
    const pair = pairWith(['a'])
    const client = pair.open()
    client.unary()
    pair.settle()
    pair.cut(pair.server)
    const call = client.unary()
    pair.settle()
    expect(pair.servers).toHaveLength(2)
    pair.server.last.ok()
    pair.settle()
    expect(call.outcome).toBe('0')
  })

  test('no second dial while one is under way, nor while SETTINGS are awaited', () => {
    const pair = pairWith(['a'], { dials: 'wait' })
    const client = pair.connect()
    for (let i = 0; i < 10; i++) client.unary()
    pair.settle()
    expect(pair.dialer.dialled).toHaveLength(1)
    const server = pair.nextDial().connect()
    expect(server.egress.hasPeerSettings).toBe(false)
    client.unary()
    pair.settle()
    expect(pair.dialer.dialled).toHaveLength(1)
    expect(server.calls).toHaveLength(11)
  })
})

describe('GOAWAY of the upstream', () => {
  test('new calls go elsewhere at once, calls below it end in order', () => {
    const pair = pairWith(['a'])
    const client = pair.open()
    const call = client.unary()
    pair.settle()
    const first = pair.server
    first.connection.drainStreams()
    first.connection.departure.announceEnd()
    pair.settle()
    const next = client.unary()
    pair.settle()
    expect(pair.servers).toHaveLength(2)
    expect(pair.server.calls).toHaveLength(1)
    first.last.ok()
    pair.server.last.ok()
    pair.settle()
    expect([call.outcome, next.outcome]).toEqual(['0', '0'])
    expect(pair.relay.pool.connectionCount).toBe(1)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('those who wait for a slot on it get another connection', () => {
    const pair = pairWith(['a'], { serverLimits: { maxConcurrentStreams: 1 }, maxEgressConnections: 1 })
    const client = pair.open()
    client.unary()
    const waiting = client.unary()
    pair.settle()
    expect(pair.relay.stats.callsWaiting).toBe(1)
    const first = pair.server
    first.connection.drainStreams()
    first.connection.departure.announceEnd()
    pair.settle()
    expect(pair.servers).toHaveLength(2)
    pair.server.last.ok()
    pair.settle()
    expect(waiting.outcome).toBe('0')
  })

  test('too_many_pings: the connections to come PING half as often', async () => {
    const log = new RecordingLog()
    const pair = pairWith(['a'], { keepaliveMs: 30_000, log })
    const client = pair.open()
    const complain = (debug: string): void => {
      pair.server.connection.writer.goaway(1, H2Code.ENHANCE_YOUR_CALM, debug)
      pair.settle()
    }
    const pingsWithin = async (ms: number): Promise<number> => {
      const { stats } = pair.server.connection
      const before = stats.pingsIn
      await pair.advance(ms, 500)
      return stats.pingsIn - before
    }
    client.unary()
    pair.settle()
    expect(await pingsWithin(31_000)).toBe(1)
    complain('too_many_pings')
    client.unary()
    pair.settle()
    expect(pair.servers).toHaveLength(2)
    expect(await pingsWithin(59_000)).toBe(0)
    expect(await pingsWithin(2_000)).toBe(1)
    // Calm for another reason is not about PINGs.
    complain('small_data_flood')
    client.unary()
    pair.settle()
    expect(pair.servers).toHaveLength(3)
    expect(await pingsWithin(61_000)).toBe(1)
    expect(log.lines.filter((line) => line.includes('keepalive too fast'))).toHaveLength(1)
  })

  test('with a fault of ours: the calls end UNAVAILABLE, never with the code', () => {
    const pair = pairWith(['a'])
    const call = pair.open().unary()
    pair.settle()
    pair.server.connection.close(H2Code.PROTOCOL_ERROR, null)
    pair.settle()
    expect(call.outcome).toBe('14 RI 1 egress_closed')
  })
})

describe('The end', () => {
  test('close ends all connections and those who wait', () => {
    const pair = pairWith(['a', 'b'], { dials: 'wait' })
    const client = pair.connect()
    client.unary()
    pair.settle()
    expect(pair.relay.stats.callsWaiting).toBe(1)
    pair.relay.pool.close()
    expect(pair.relay.stats.callsWaiting).toBe(0)
    // A dial that succeeds now is of no use.
    pair.nextDial().connect()
    pair.settle()
    expect(pair.server.calls).toHaveLength(0)
    expect(pair.relay.pool.connectionCount).toBe(0)
  })

  test('an idle connection ends by itself and is forgotten', async () => {
    const pair = pairWith(['a'], {
      limits: { idleTimeoutMs: 5000 },
      clientLimits: { idleTimeoutMs: Infinity },
    })
    pair.relay.pool.warmUp()
    pair.settle()
    expect(pair.relay.pool.isReady).toBe(true)
    expect(pair.relay.pool.isConnected).toBe(true)
    await pair.advance(5200)
    expect(pair.relay.pool.connectionCount).toBe(0)
    expect(pair.relay.pool.isReady).toBe(false)
    expect(pair.relay.pool.isConnected).toBe(false)
  })
})

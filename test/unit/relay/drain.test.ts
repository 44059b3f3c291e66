import { describe, expect, test } from 'vitest'
import { NOTHING_LEFT, RelayPair } from '../../support/relay-pair.ts'

/** Whether a promise has settled. */
function watch(promise: Promise<void>): { isDone: boolean } {
  const state = { isDone: false }
  void promise.then(() => (state.isDone = true))
  return state
}

describe('Row 24: draining', () => {
  test('in two steps: GOAWAY(2^31-1), a PING, then the last identifier; calls end in order', async () => {
    const pair = new RelayPair()
    const client = pair.open()
    const call = client.unary()
    pair.settle()
    const drained = watch(pair.relay.drain(20_000))
    await pair.pause()
    expect(client.recorder.goaways).toEqual(['NO_ERROR 2147483647', 'NO_ERROR 1'])
    expect(drained.isDone).toBe(false)
    expect(call.outcome).toBe('open')
    pair.server.last.ok()
    await pair.pause()
    expect(call.outcome).toBe('0')
    expect(drained.isDone).toBe(true)
    expect(client.recorder.closedBy).not.toBeUndefined()
    await pair.pause()
    expect(pair.server.recorder.goaways).toHaveLength(1)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('what a client opens between the two steps is served', async () => {
    const pair = new RelayPair()
    const client = pair.open()
    const first = client.unary()
    pair.settle()
    const drained = watch(pair.relay.drain(20_000))
    const crossing = client.unary()
    await pair.pause()
    for (const seen of pair.server.calls) seen.ok()
    await pair.pause()
    expect([first.outcome, crossing.outcome]).toEqual(['0', '0'])
    expect(drained.isDone).toBe(true)
  })

  test('calls that are left at its end are answered UNAVAILABLE', async () => {
    const pair = new RelayPair()
    const client = pair.open()
    const [unary, stream] = [client.unary(), client.call('/s/Stream').send(10)]
    pair.settle()
    pair.server.last.sendHead().sendData(10)
    const drained = watch(pair.relay.drain(5000))
    await pair.advance(4900)
    expect([unary.outcome, stream.outcome]).toEqual(['open', 'open'])
    await pair.advance(200)
    expect([unary.outcome, stream.outcome]).toEqual(['14 RI 1 draining', '14 RI 1 draining'])
    expect(unary.message).toBe('authgw: shutting down')
    expect(drained.isDone).toBe(true)
    await pair.pause()
    expect(pair.server.calls.map((seen) => seen.reset)).toEqual(['CANCEL', 'CANCEL'])
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('an idle relay is done at once, and takes no connection any more', async () => {
    const pair = new RelayPair()
    pair.relay.pool.warmUp()
    pair.settle()
    const drained = watch(pair.relay.drain(5000))
    await pair.pause()
    expect(drained.isDone).toBe(true)
    expect(pair.tryConnect()).toBeNull()
    expect(pair.clock.timerCount).toBe(0)
    expect(pair.relay.pool.connectionCount).toBe(0)
  })

  test('no new connection while others still end', async () => {
    const pair = new RelayPair()
    const client = pair.open()
    client.unary()
    pair.settle()
    const drained = watch(pair.relay.drain(5000))
    await pair.pause()
    expect(pair.tryConnect()).toBeNull()
    expect(drained.isDone).toBe(false)
  })

  test('a call that waits for a connection is served during the drain', async () => {
    const pair = new RelayPair({ dials: 'wait' })
    const call = pair.connect().unary()
    pair.settle()
    const drained = watch(pair.relay.drain(5000))
    await pair.pause()
    pair.dials = 'connect'
    await pair.pause()
    pair.server.last.ok()
    await pair.pause()
    expect(call.outcome).toBe('0')
    expect(drained.isDone).toBe(true)
  })

  test('asked for twice, both hear of its end', async () => {
    const pair = new RelayPair()
    const call = pair.open().unary()
    pair.settle()
    const [first, second] = [watch(pair.relay.drain(5000)), watch(pair.relay.drain(9000))]
    await pair.pause()
    pair.server.last.ok()
    await pair.pause()
    expect(call.outcome).toBe('0')
    expect([first.isDone, second.isDone]).toEqual([true, true])
    expect(pair.clock.timerCount).toBe(0)
  })
})

describe('The end of a relay', () => {
  test('close ends every connection and every call now', () => {
    const pair = new RelayPair()
    const client = pair.open()
    const call = client.unary()
    pair.settle()
    pair.relay.close()
    pair.settle()
    expect(call.reset).toMatch(/close|goaway/)
    expect(pair.server.last.reset).not.toBeNull()
    expect(pair.relay.ingressConnections.size).toBe(0)
    expect(pair.relay.pool.connectionCount).toBe(0)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
})

describe('Counters', () => {
  test('durations by method and status; methods that are not known share a series', async () => {
    const pair = new RelayPair({ knownMethods: ['s/Known'] })
    const client = pair.open()
    client.unary('/s/Known')
    client.unary('/s/Unknown')
    pair.settle()
    await pair.advance(300)
    pair.server.calls[0]!.ok()
    pair.server.calls[1]!.trailersOnly(99)
    pair.settle()
    const series = Object.fromEntries(pair.relay.stats.series().map((one) => [one.method, one]))
    expect(Object.keys(series)).toEqual(['s/Known', '_OTHER'])
    expect(series['s/Known']!.byStatus[0]!.count).toBe(1)
    expect(series['s/Known']!.byStatus[0]!.sum).toBeCloseTo(0.3)
    // A status without a name counts as UNKNOWN: a peer must not choose our label values.
    expect(series['_OTHER']!.byStatus[2]!.count).toBe(1)
    expect(pair.relay.stats.callsStarted).toBe(2)
    expect(pair.relay.stats.callsOpen).toBe(0)
  })

  test('a call that its client gave up counts as CANCELLED', () => {
    const pair = new RelayPair({ knownMethods: ['s/M'] })
    const call = pair.open().unary('/s/M')
    pair.settle()
    call.cancel()
    pair.settle()
    expect(pair.relay.stats.seriesOf('s/M').byStatus[1]!.count).toBe(1)
  })
})

import { describe, expect, test } from 'vitest'
import type { Call } from '../../../src/relay/call.ts'
import { ReplayBudget } from '../../../src/relay/index.ts'
import { H2Code } from '../../../src/h2/index.ts'
import { listOf } from '../../support/h2-pair.ts'
import { gateOf, NOTHING_LEFT, RelayPair, type ClientCall } from '../../support/relay-pair.ts'
import { permitOf } from '../../support/relay-rig.ts'
import { NO_LOG, type Log } from '../../../src/base/index.ts'

const bug = (): never => {
  throw new Error('a bug')
}

/** A streaming call and a neighbour on the same connections. */
function pairOfCalls() {
  const lines: string[] = []
  const log: Log = {
    ...NO_LOG,
    error: (_fields, text) => void lines.push(text),
  }
  const pair = new RelayPair({ log })
  const client = pair.open()
  const call = client.call('/s/M').send(1000)
  const neighbour = client.unary('/s/N')
  pair.settle()
  return { pair, client, call, neighbour, lines, broken: relayedOf(pair, call) }
}
/** The relay's side of a client's call. */
function relayedOf(pair: RelayPair, call: ClientCall): Record<string, unknown> {
  const stream = pair.clients[0]!.ingress.streams.find(call.stream.id)!
  return stream.attachment as unknown as Record<string, unknown>
}

describe('Row 28: an exception while an event is handled ends that call only', () => {
  type Act = (pair: RelayPair, call: ClientCall) => void
  const events: [keyof Call, Act][] = [
    ['onIngressData', (_pair, call) => void call.send(10)],
    ['onIngressTrailers', (_pair, call) => call.stream.sendTrailers(listOf([['x-a', 'b']]))],
    ['onEgressResponse', (pair) => void pair.server.calls[0]!.sendHead()],
    ['onEgressData', (pair) => void pair.server.calls[0]!.sendHead().sendData(10)],
    ['onEgressTrailers', (pair) => void pair.server.calls[0]!.sendHead().sendTrailers()],
    ['onEgressReset', (pair) => void pair.server.calls[0]!.rst(H2Code.INTERNAL_ERROR)],
  ]
  test.each(events)('%s', (event, act) => {
    const { pair, client, call, neighbour, lines, broken } = pairOfCalls()
    broken[event] = bug
    act(pair, call)
    pair.settle()
    expect(call.outcome).toBe('14 RI 1 bug')
    expect(call.message).toBe('authgw: internal error')
    expect(lines).toEqual(['bug: a call was ended by an internal error; please report this'])
    pair.server.calls[1]!.ok()
    pair.settle()
    expect(neighbour.outcome).toBe('0')
    expect(client.recorder.closedBy).toBeUndefined()
    expect(pair.leftovers).toEqual({ ...NOTHING_LEFT, bugs: 1 })
  })

  test('onIngressReset: the upstream is told all the same', () => {
    const { pair, call, neighbour, broken } = pairOfCalls()
    broken['onIngressReset'] = bug
    call.cancel()
    pair.settle()
    expect(pair.server.calls[0]!.reset).toBe('CANCEL')
    pair.server.calls[1]!.ok()
    pair.settle()
    expect(neighbour.outcome).toBe('0')
    expect(pair.leftovers).toEqual({ ...NOTHING_LEFT, bugs: 1 })
  })

  test('onIngressClosed', () => {
    const { pair, call, neighbour, broken } = pairOfCalls()
    broken['onIngressClosed'] = bug
    pair.server.calls[0]!.ok()
    pair.server.calls[1]!.ok()
    pair.settle()
    expect([call.outcome, neighbour.outcome]).toEqual(['0', '0'])
    expect(pair.leftovers).toEqual({ ...NOTHING_LEFT, bugs: 1 })
  })

  test('in a deadline', async () => {
    const pair = new RelayPair()
    const call = pair.open().call('/s/M', false, ['grpc-timeout', '100m']).send(10)
    pair.settle()
    relayedOf(pair, call)['onTime'] = bug
    await pair.advance(200)
    expect(call.outcome).toBe('14 RI 1 bug')
    expect(pair.leftovers).toEqual({ ...NOTHING_LEFT, bugs: 1 })
  })

  test('when even the answer fails: CANCEL, which callers try again after', () => {
    const { pair, call, neighbour, broken } = pairOfCalls()
    broken['onIngressData'] = bug
    broken['fail'] = bug
    call.send(10)
    pair.settle()
    expect(call.outcome).toBe('reset CANCEL')
    expect(pair.server.calls[0]!.reset).toBe('CANCEL')
    pair.server.calls[1]!.ok()
    pair.settle()
    expect(neighbour.outcome).toBe('0')
    expect(pair.leftovers).toEqual({ ...NOTHING_LEFT, bugs: 2 })
  })

  test('with trailers on their way to a slow client: they arrive', () => {
    const pair = new RelayPair({ clientLimits: { initialStreamWindowBytes: 10, streamWindowBytes: 10 } })
    const call = pair.open().call('/s/M').send(10)
    call.credits = false
    pair.settle()
    const broken = relayedOf(pair, call)
    pair.server.last.ok(1000)
    pair.settle()
    broken['onIngressData'] = bug
    call.send(10)
    pair.settle()
    expect(pair.relay.stats.bugs).toBe(1)
    call.credit()
    pair.settle()
    expect(call.outcome).toBe('0')
    expect(pair.leftovers).toEqual({ ...NOTHING_LEFT, bugs: 1 })
  })

  test('in what calls share', () => {
    class Broken extends ReplayBudget {
      isBroken = true
      override pin(...args: Parameters<ReplayBudget['pin']>): boolean {
        if (this.isBroken) bug()
        return super.pin(...args)
      }
    }
    const budget = new Broken()
    const pair = new RelayPair({ replayBudget: budget })
    const client = pair.open()
    const call = client.unary()
    pair.settle()
    expect(call.outcome).toBe('14 RI 1 bug')
    budget.isBroken = false
    const next = client.unary()
    pair.settle()
    pair.server.last.ok()
    pair.settle()
    expect(next.outcome).toBe('0')
    expect(pair.leftovers).toEqual({ ...NOTHING_LEFT, bugs: 1 })
  })

  test('while it waits for a connection: those who wait with it go on', () => {
    const pair = new RelayPair({ dials: 'wait' })
    const client = pair.connect()
    const [call, neighbour] = [client.unary('/s/Broken'), client.unary('/s/N')]
    pair.settle()
    const egressHead = pair.relay.egressHead.bind(pair.relay)
    pair.relay.egressHead = (plan, permit) => (plan.path === '/s/Broken' ? bug() : egressHead(plan, permit))
    pair.nextDial().connect()
    pair.settle()
    expect(call.outcome).toBe('14 RI 1 bug')
    pair.server.last.ok()
    pair.settle()
    expect(neighbour.outcome).toBe('0')
    expect(pair.leftovers).toEqual({ ...NOTHING_LEFT, bugs: 1 })
  })

  test('when it is told that there is no connection', () => {
    const pair = new RelayPair({ dials: 'wait' })
    const client = pair.connect()
    const [call, neighbour] = [client.unary('/s/M'), client.unary('/s/N')]
    pair.settle()
    let isFirst = true
    const broken = relayedOf(pair, call) as unknown as Call
    const fail = broken.fail.bind(broken)
    broken.fail = (reason, detail) => {
      if (isFirst) {
        isFirst = false
        bug()
      }
      fail(reason, detail)
    }
    pair.nextDial().fail()
    pair.settle()
    expect([call.outcome, neighbour.outcome]).toEqual(['14 RI 1 bug', '14 RI 1 egress_unreachable'])
    expect(pair.leftovers).toEqual({ ...NOTHING_LEFT, bugs: 1 })
  })

  test('when the verdict comes later', async () => {
    const decision = Promise.withResolvers<ReturnType<typeof permitOf>>()
    const pair = new RelayPair({ gate: gateOf(() => decision.promise) })
    const call = pair.open().unary()
    pair.settle()
    pair.relay.egressHead = bug
    decision.resolve(permitOf())
    await pair.pause()
    expect(call.outcome).toBe('14 RI 1 bug')
    expect(pair.leftovers).toEqual({ ...NOTHING_LEFT, bugs: 1 })
  })

  test('before there is a call', () => {
    const pair = new RelayPair()
    const client = pair.open()
    const { stats } = pair.relay
    const seriesOf = stats.seriesOf.bind(stats)
    stats.seriesOf = bug
    const call = client.unary()
    pair.settle()
    expect(call.outcome).toBe('14 RI 1 bug')
    stats.seriesOf = seriesOf
    const next = client.unary()
    pair.settle()
    pair.server.last.ok()
    pair.settle()
    expect(next.outcome).toBe('0')
    expect(pair.leftovers).toEqual({ ...NOTHING_LEFT, bugs: 1 })
  })
})

describe('What comes for a call that was refused', () => {
  test('is credited: octets that crossed our answer belong to nobody', () => {
    const pair = new RelayPair({ limits: { maxHeaderListBytes: 2000 } })
    const client = pair.open()
    const call = client.call('/s/M', false, ['x-a', 'v'.repeat(1900)]).send(30_000, true)
    pair.settle()
    expect(call.outcome).toBe('8 header_too_large')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
})

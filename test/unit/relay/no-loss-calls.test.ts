import { describe, expect, test } from 'vitest'
import type { Fields } from '../../support/h2-pair.ts'
import {
  messageOf,
  NOTHING_LEFT,
  RelayPair,
  requestOf,
  STRANGER,
  TRACES,
  gateOf,
} from '../../support/relay-pair.ts'
import { permitOf } from '../../support/relay-rig.ts'

const GRPC: Fields = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
]

/** A call that has reached the server. */
function begun(options: ConstructorParameters<typeof RelayPair>[0] = {}, bodyBytes = 10) {
  const pair = new RelayPair(options)
  const client = pair.open()
  const call = client.unary('/pkg.Service/Method', bodyBytes)
  pair.settle()
  return { pair, client, call, server: pair.server }
}

describe('Row 19: the deadline has passed', () => {
  test('DEADLINE_EXCEEDED to the client, RST_STREAM(CANCEL) to the upstream', async () => {
    const pair = new RelayPair()
    const call = pair.open().unary('/s/M', 10, ['grpc-timeout', '5S'])
    pair.settle()
    await pair.advance(4900)
    expect(call.outcome).toBe('open')
    await pair.advance(200)
    expect(call.outcome).toBe('4 deadline')
    expect(call.message).toBe('authgw: deadline exceeded')
    expect(pair.server.last.reset).toBe('CANCEL')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
    expect(pair.wheel.nextDeadlineMs()).toBeGreaterThan(pair.turn.nowMs)
  })

  test('behind what was already received', async () => {
    const pair = new RelayPair()
    const call = pair.open().unary('/s/M', 10, ['grpc-timeout', '100m'])
    pair.settle()
    pair.server.last.sendHead().sendData(10)
    pair.settle()
    await pair.advance(200)
    expect(call.body).toEqual(messageOf(10))
    expect(call.outcome).toBe('4 deadline')
  })

  test('while the gate decides', async () => {
    const gate = gateOf(() => new Promise(() => {}))
    const pair = new RelayPair({ gate })
    const call = pair.open().unary('/s/M', 10, ['grpc-timeout', '500m'])
    await pair.advance(600)
    expect(call.outcome).toBe('4 deadline')
    expect(pair.server.calls).toHaveLength(0)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
})

describe('Row 20: the client goes', () => {
  test('RST_STREAM of the client: CANCEL to the upstream at once', () => {
    const { pair, call, server } = begun()
    call.cancel()
    pair.settle()
    expect(server.last.reset).toBe('CANCEL')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
  test('a lost connection: CANCEL for each of its calls', () => {
    const { pair, client, server } = begun()
    client.unary()
    client.call('/s/Stream').send(10)
    pair.settle()
    pair.cutClient(client)
    pair.settle()
    expect(server.calls.map((seen) => seen.reset)).toEqual(['CANCEL', 'CANCEL', 'CANCEL'])
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
  test('while the call waits for a decision or a connection, nothing reaches the upstream', async () => {
    const decision = Promise.withResolvers<ReturnType<typeof permitOf>>()
    const pair = new RelayPair({ gate: gateOf(() => decision.promise) })
    const call = pair.open().unary()
    pair.settle()
    call.cancel()
    pair.settle()
    decision.resolve(permitOf())
    await pair.pause()
    expect(pair.server.calls).toHaveLength(0)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
})

describe('Row 21: overload', () => {
  test('memory: UNAVAILABLE before the body is read', () => {
    const gate = gateOf(() => permitOf())
    const pair = new RelayPair({ gate, maxHeldBytes: 100 })
    const client = pair.open()
    pair.held.usedBytes += 100
    const call = client.call().send(10)
    pair.settle()
    expect(call.outcome).toBe('14 RI 3 overload')
    expect(call.message).toBe('authgw: overloaded')
    expect(gate.admitCount).toBe(0)
    pair.held.usedBytes -= 100
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('all streams of all connections taken: UNAVAILABLE after 2 s', async () => {
    const pair = new RelayPair({ serverLimits: { maxConcurrentStreams: 1 }, maxEgressConnections: 1 })
    const client = pair.open()
    client.unary()
    const second = client.unary()
    pair.settle()
    expect(pair.relay.stats.callsWaiting).toBe(1)
    await pair.advance(2100)
    expect(second.outcome).toBe('14 RI 3 overload')
    expect(pair.relay.stats.callsWaiting).toBe(0)
  })

  test('connections: the one too many is not taken', () => {
    const pair = new RelayPair({ maxConnections: 2 })
    const first = pair.connect()
    pair.connect()
    expect(pair.tryConnect()).toBeNull()
    pair.cutClient(first)
    expect(pair.tryConnect()).not.toBeNull()
  })
})

test('Row 22: the stream limit is answered by REFUSED_STREAM', () => {
  const pair = new RelayPair({ limits: { maxConcurrentStreams: 2 } })
  pair.relay.pool.warmUp()
  const client = pair.connect()
  client.connection.settings.peer.maxConcurrentStreams = 10
  client.unary()
  client.unary()
  const third = client.unary()
  pair.settle()
  expect(third.outcome).toBe('reset REFUSED_STREAM')
})

describe('Row 23: a message above max_recv_msg_size_mib', () => {
  test('RESOURCE_EXHAUSTED without RetryInfo, at its prefix', () => {
    const pair = new RelayPair({ maxMessageBytes: 1000 })
    const call = pair.open().call().send(messageOf(1001).subarray(0, 5))
    pair.settle()
    expect(call.outcome).toBe('8 message_too_large')
    expect(call.message).toBe('authgw: message larger than max_recv_msg_size_mib')
    expect(pair.server.last.reset).toBe('CANCEL')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
  test('as many octets as are allowed pass', () => {
    const { pair, call, server } = begun({ maxMessageBytes: 1000 }, 1000)
    server.last.ok()
    pair.settle()
    expect(call.outcome).toBe('0')
  })
})

describe('Row 25: a header list that is too large', () => {
  const big = 'v'.repeat(1500)
  test('for us: RESOURCE_EXHAUSTED without RetryInfo', () => {
    const pair = new RelayPair({ limits: { maxHeaderListBytes: 2000 } })
    const call = pair.open().unary('/s/M', 10, ['x-a', big], ['x-b', big])
    pair.settle()
    expect(call.outcome).toBe('8 header_too_large')
    expect(call.message).toBe('authgw: header list too large')
    expect(pair.relay.stats.answers.header_too_large).toBe(1)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
  test('for the upstream: its SETTINGS are believed', () => {
    const pair = new RelayPair({ serverLimits: { maxHeaderListBytes: 1800 } })
    const call = pair.open().unary('/s/M', 10, ['x-a', big])
    pair.settle()
    expect(call.outcome).toBe('8 header_too_large')
    expect(pair.server.calls).toHaveLength(0)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
  test('what is stripped on the way does not count', () => {
    const pair = new RelayPair({ serverLimits: { maxHeaderListBytes: 1800 } })
    const call = pair.open().unary('/s/M', 10, ['authorization', `Bearer ${big}`])
    pair.settle()
    pair.server.last.ok()
    pair.settle()
    expect(call.outcome).toBe('0')
  })
  test('grpc-timeout counts', () => {
    const pair = new RelayPair()
    const client = pair.open()
    client.unary('/s/M', 1)
    pair.settle()
    const [egress] = [pair.server.egress]
    const headBytes = pair.server.last.head!.sizeBytes
    egress.settings.peer.maxHeaderListBytes = headBytes
    const fits = client.unary('/s/M', 1)
    const tooLarge = client.unary('/s/M', 1, ['grpc-timeout', '10S'])
    pair.settle()
    expect(fits.outcome).toBe('open')
    expect(tooLarge.outcome).toBe('8 header_too_large')
  })
  test.each(['head', 'trailers only', 'trailers'])('in the answer: %s', (what) => {
    const { pair, call, server } = begun({ limits: { maxHeaderListBytes: 2000 } })
    const large: Fields = [
      ['x-a', big],
      ['x-b', big],
    ]
    if (what === 'head') server.last.sendHead([...GRPC, ...large])
    else if (what === 'trailers only') server.last.trailersOnly(0, ...large)
    else server.last.sendHead().sendTrailers(0, ...large)
    pair.settle()
    expect(call.outcome).toBe('8 header_too_large')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
})

describe('Row 26: what is not gRPC', () => {
  const without = (name: string): Fields => requestOf('/s/M').filter(([field]) => field !== name)
  test.each<[string, Fields]>([
    [
      'a GET',
      [...without(':method'), [':method', 'GET']].sort(([a]) => (a.startsWith(':') ? -1 : 1)) as Fields,
    ],
    ['no content-type', without('content-type')],
    ['JSON', [...without('content-type'), ['content-type', 'application/json']]],
    ['gRPC-Web', [...without('content-type'), ['content-type', 'application/grpc-web']]],
  ])('%s: HTTP 415', (_name, fields) => {
    const pair = new RelayPair()
    const call = pair.open().call(fields, true)
    pair.settle()
    expect(call.headFields[':status']).toBe('415')
    expect(call.headFields['grpc-status']).toBe('3')
    expect(pair.server.calls).toHaveLength(0)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
  test.each(['s/M', '/s', '/s//M', '/s/../M', '/s/M?x=1', '/s/%4d', '/s/M#a', '/s\\M', '/s/'])(
    'the path %s: UNIMPLEMENTED',
    (path) => {
      const gate = gateOf(() => permitOf())
      const pair = new RelayPair({ gate })
      const call = pair.open().unary(path)
      pair.settle()
      expect(call.outcome).toBe('12 bad_path')
      expect(call.message).toBe('authgw: malformed method path')
      expect(gate.admitCount).toBe(0)
    },
  )
  test.each(['', '5', 'S', '123456789S', '5X', '-1S'])('grpc-timeout "%s": INVALID_ARGUMENT', (timeout) => {
    const pair = new RelayPair()
    const call = pair.open().unary('/s/M', 10, ['grpc-timeout', timeout])
    pair.settle()
    expect(call.outcome).toBe('3 bad_timeout')
    expect(call.message).toBe('authgw: malformed grpc-timeout')
  })

  test('the order of checks: 415, limits, path', () => {
    const pair = new RelayPair({ maxHeldBytes: 100, limits: { maxHeaderListBytes: 2000 } })
    const client = pair.open()
    pair.held.usedBytes += 100
    const json: Fields = [...without('content-type'), ['content-type', 'application/json']]
    const large: Fields = [
      ['x-a', 'v'.repeat(1200)],
      ['x-b', 'v'.repeat(1200)],
    ]
    const calls = [
      client.call([...json, ...large], true),
      client.call(json, true),
      client.call(requestOf('bad', ...large), true),
      client.call(requestOf('bad'), true),
    ]
    pair.settle()
    expect(calls.map((call) => `${call.headFields[':status']} ${call.outcome}`)).toEqual([
      '415 3',
      '415 3',
      '200 8 header_too_large',
      '200 14 RI 3 overload',
    ])
    pair.held.usedBytes -= 100
  })

  test('an unsafe option lets everything pass, both ways', () => {
    const pair = new RelayPair({ isGrpcOnly: false, maxMessageBytes: 10 })
    const client = pair.open()
    const get = client.call(
      [
        [':method', 'GET'],
        [':scheme', 'http'],
        [':path', '/a?b'],
      ] as Fields,
      true,
    )
    pair.settle()
    pair.server.last.sendHead([[':status', '404']]).sendData(Buffer.from('no such page'), true)
    const post = client.call([
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', '/a'],
    ] as Fields)
    post.send(Buffer.from('\0\xff\xff\xff\xff no message', 'latin1'), true)
    pair.settle()
    expect(get.headFields).toEqual({ ':status': '404' })
    expect(get.body.toString()).toBe('no such page')
    pair.server.last.sendHead([[':status', '200']]).raw([['x-sum', '1']])
    pair.settle()
    expect(post.trailers!.first('x-sum')).toBe('1')
    const bare = client.call(
      [
        [':method', 'GET'],
        [':scheme', 'http'],
        [':path', '/b'],
      ] as Fields,
      true,
    )
    pair.settle()
    pair.server.last.raw([[':status', '204']])
    pair.settle()
    expect(bare.headFields).toEqual({ ':status': '204' })
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
})

describe('Row 28: a bug of ours', () => {
  test.each(['admit', 'isCurrent', 'a rejected promise'])(
    'in the gate (%s) ends that call only',
    async (where) => {
      let isBroken = false
      const broken = (): never => {
        throw new Error('a bug')
      }
      const gate = gateOf(
        () => {
          if (!isBroken) return permitOf()
          if (where === 'admit') broken()
          return where === 'isCurrent' ? permitOf() : Promise.reject(new Error('a bug'))
        },
        { isCurrent: () => (where === 'isCurrent' && isBroken ? broken() : true) },
      )
      const pair = new RelayPair({ gate })
      const client = pair.open()
      const other = client.call('/s/Other')
      // A later call with the same head finds the permit of an earlier one and asks isCurrent.
      if (where === 'isCurrent') for (let i = 0; i < 3; i++) client.call('/s/M', true)
      pair.settle()
      isBroken = true
      const call = client.call('/s/M', true)
      await pair.pause()
      expect(pair.relay.stats.bugs).toBe(1)
      expect(call.outcome).toBe('14 RI 1 bug')
      expect(call.message).toBe('authgw: internal error')
      isBroken = false
      const next = client.call('/s/Next', true)
      await pair.pause()
      expect(next.outcome).toBe('open')
      expect(client.recorder.closedBy).toBeUndefined()
      expect(other.reset).toBeNull()
    },
  )

  test('in the answer of a call: it ends, its neighbours do not', () => {
    const { pair, client, call, server } = begun({
      renews: true,
      gate: gateOf(() => permitOf(), {
        renew: () => {
          throw new Error('a bug')
        },
      }),
    })
    const neighbour = client.unary()
    pair.settle()
    server.calls[0]!.trailersOnly(16, ['authgw-reason', 'token_expired'])
    pair.settle()
    expect(call.outcome).toBe('14 RI 1 bug')
    server.calls[1]!.ok()
    pair.settle()
    expect(neighbour.outcome).toBe('0')
    expect(pair.leftovers).toEqual({ ...NOTHING_LEFT, bugs: 1 })
  })
})

describe('Row 29: a stream outlives its token', () => {
  const short = (pair: { clock: { wallMs(): number } }) =>
    permitOf({ endsAtMs: pair.clock.wallMs() + 5000, validUntilMs: pair.clock.wallMs() + 5000 })

  test('the control plane ends it with UNAUTHENTICATED', async () => {
    const gate = gateOf(() => short(pair))
    const pair = new RelayPair({ gate })
    const call = pair.open().call('/s/Stream').send(10)
    pair.settle()
    pair.server.last.sendHead().sendData(10)
    await pair.advance(4900)
    expect(call.outcome).toBe('open')
    await pair.advance(200)
    expect(call.outcome).toBe('16 stream_expired')
    expect(call.message).toBe('authgw: the token of this stream has expired')
    expect(pair.server.last.reset).toBe('CANCEL')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('a stranger reads only that it is unauthenticated', async () => {
    const gate = gateOf(() => short(pair))
    const pair = new RelayPair({ gate })
    pair.relay.pool.warmUp()
    const call = pair.connect(STRANGER).call('/s/Stream').send(10)
    pair.settle()
    await pair.advance(5100)
    expect(call.outcome).toBe('16 stream_expired')
    expect(call.message).toBe('unauthenticated')
  })

  test('the workload makes it UNAVAILABLE, so that the stream is opened again', () => {
    const { pair, call, server } = begun({ renews: true })
    server.last.sendHead().sendData(10)
    pair.settle()
    server.last.sendTrailers(16, ['authgw-reason', 'stream_expired'])
    pair.settle()
    expect(call.outcome).toBe('14 RI 1 stream_renewed')
    expect(pair.relay.stats.egressReasons).toEqual({ stream_expired: 1 })
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('max_stream_duration ends a stream UNAVAILABLE', async () => {
    const { pair, call } = begun({ maxStreamDurationMs: 3000 })
    await pair.advance(2900)
    expect(call.outcome).toBe('open')
    await pair.advance(200)
    expect(call.outcome).toBe('14 RI 1 stream_too_long')
    expect(call.message).toBe('authgw: the stream has reached max_stream_duration')
  })
})

test('Reasons of the upstream that we do not know count as other, whatever they are called', () => {
  const { pair, client, server } = begun({ renews: true })
  for (const reason of ['whatever', 'constructor', '__proto__', 'policy_denied', 'overload']) {
    server.last.trailersOnly(7, ['authgw-reason', reason])
    client.unary(TRACES)
    pair.settle()
  }
  expect(pair.relay.stats.egressReasons).toEqual({ other: 3, policy_denied: 1, overload: 1 })
})

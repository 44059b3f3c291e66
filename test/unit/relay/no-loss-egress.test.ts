import { describe, expect, test } from 'vitest'
import { H2Code } from '../../../src/h2/index.ts'
import type { Fields } from '../../support/h2-pair.ts'
import { messageOf, NOTHING_LEFT, RelayPair, STRANGER } from '../../support/relay-pair.ts'

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

describe('Row 6: the control plane answers PERMISSION_DENIED', () => {
  test('it is passed through', () => {
    const { pair, call, server } = begun()
    server.last.trailersOnly(7, ['grpc-message', 'no'])
    pair.settle()
    expect(call.outcome).toBe('7')
    expect(call.message).toBe('no')
  })

  test('on_denied: hold makes it UNAVAILABLE with RetryInfo of 10 s', () => {
    const { pair, call, server } = begun({ holdsDenied: true })
    server.last.trailersOnly(7)
    pair.settle()
    expect(call.outcome).toBe('14 RI 10 denied_held')
    expect(call.message).toBe('authgw: permission denied by the control plane, held')
  })

  test('on_denied: hold also holds for an answer that has begun', () => {
    const { pair, call, server } = begun({ holdsDenied: true })
    server.last.sendHead().sendTrailers(7)
    pair.settle()
    expect(call.headFields[':status']).toBe('200')
    expect(call.outcome).toBe('14 RI 10 denied_held')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
})

describe('Row 13: the upstream cannot be reached', () => {
  test('UNAVAILABLE with RetryInfo of 1 s; the class of the error for peers that may see it', () => {
    const pair = new RelayPair({ dials: 'fail' })
    const call = pair.connect().unary()
    pair.settle()
    expect(call.outcome).toBe('14 RI 1 egress_unreachable')
    expect(call.message).toBe('authgw: no connection to the upstream: connect_refused')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('a stranger does not learn the class of the error', () => {
    const pair = new RelayPair({ dials: 'fail' })
    const call = pair.connect(STRANGER).unary()
    pair.settle()
    expect(call.outcome).toBe('14 RI 1 egress_unreachable')
    expect(call.message).toBe('authgw: no connection to the upstream')
  })

  test('a dial that hangs ends the wait after 2 s as unreachable, not as overload', async () => {
    const pair = new RelayPair({ dials: 'wait' })
    const call = pair.connect().unary()
    pair.settle()
    await pair.advance(1900)
    expect(call.outcome).toBe('open')
    await pair.advance(200)
    expect(call.outcome).toBe('14 RI 1 egress_unreachable')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('a call with a deadline waits 60 % of it', async () => {
    const pair = new RelayPair({ dials: 'wait' })
    const call = pair.connect().unary('/s/M', 10, ['grpc-timeout', '1S'])
    pair.settle()
    await pair.advance(580, 20)
    expect(call.outcome).toBe('open')
    await pair.advance(60, 20)
    expect(call.outcome).toBe('14 RI 1 egress_unreachable')
  })

  test('a name that resolves to nothing ends the call at once', () => {
    const pair = new RelayPair({ dials: 'wait' })
    pair.dialer.addresses = []
    pair.dialer.onChange()
    const call = pair.connect().unary()
    pair.settle()
    expect(call.outcome).toBe('14 RI 1 egress_unreachable')
  })
})

describe('Row 14: the upstream has not begun the call', () => {
  test('REFUSED_STREAM: it is sent again, body and end included', () => {
    const { pair, call, server } = begun({}, 3000)
    server.last.rst(H2Code.REFUSED_STREAM)
    pair.settle()
    expect(server.calls).toHaveLength(2)
    expect(server.last.body).toEqual(messageOf(3000))
    expect(server.last.isEnded).toBe(true)
    server.last.ok()
    pair.settle()
    expect(call.outcome).toBe('0')
    expect(pair.relay.stats.replays).toBe(1)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('GOAWAY below the stream: it is sent again on a new connection', () => {
    const { pair, call, server } = begun()
    server.connection.drainStreams()
    server.connection.streams.lastOpenedId = 0
    server.connection.departure.announceEnd()
    pair.settle()
    expect(server.recorder.calls).toHaveLength(1)
    expect(pair.servers).toHaveLength(2)
    pair.server.last.ok()
    pair.settle()
    expect(call.outcome).toBe('0')
  })

  test('a call without a copy is answered UNAVAILABLE', () => {
    const { pair, call, server } = begun({}, 2 * 1024 * 1024)
    expect(pair.relay.stats.unheldCalls).toBe(1)
    server.last.rst(H2Code.REFUSED_STREAM)
    pair.settle()
    expect(call.outcome).toBe('14 RI 1 egress_closed')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('at most three times', () => {
    const { pair, call, server } = begun()
    for (let i = 0; i < 4; i++) {
      expect(call.outcome).toBe('open')
      server.last.rst(H2Code.REFUSED_STREAM)
      pair.settle()
    }
    expect(server.calls).toHaveLength(4)
    expect(call.outcome).toBe('14 RI 1 egress_closed')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('as often as max_replays says, and not once more', () => {
    for (const maxReplays of [0, 1]) {
      const { pair, call, server } = begun({ maxReplays })
      for (let i = 0; i <= maxReplays; i++) {
        expect(call.outcome).toBe('open')
        server.last.rst(H2Code.REFUSED_STREAM)
        pair.settle()
      }
      expect(server.calls).toHaveLength(maxReplays + 1)
      expect(call.outcome).toBe('14 RI 1 egress_closed')
      expect(pair.leftovers).toEqual(NOTHING_LEFT)
    }
  })

  test('never once a part of the answer was passed', () => {
    const { pair, call, server } = begun()
    server.last.sendHead()
    pair.settle()
    server.last.rst(H2Code.REFUSED_STREAM)
    pair.settle()
    expect(server.calls).toHaveLength(1)
    expect(call.outcome).toBe('14 RI 1 egress_closed')
  })
})

describe('Row 15: the upstream ends out of order', () => {
  test.each(['NO_ERROR', 'PROTOCOL_ERROR', 'INTERNAL_ERROR', 'CANCEL', 'ENHANCE_YOUR_CALM'] as const)(
    'RST_STREAM(%s) before the head: UNAVAILABLE, trailers only',
    (name) => {
      const { pair, call, server } = begun()
      server.last.rst(H2Code[name])
      pair.settle()
      expect(call.outcome).toBe('14 RI 1 egress_closed')
      expect(call.trailers).toBeNull()
      expect(call.headFields['content-type']).toBe('application/grpc')
      expect(pair.leftovers).toEqual(NOTHING_LEFT)
    },
  )

  test.each(['NO_ERROR', 'INTERNAL_ERROR'] as const)(
    'RST_STREAM(%s) after the head: UNAVAILABLE, behind what was received',
    (name) => {
      const { pair, call, server } = begun()
      server.last.sendHead().sendData(100)
      pair.settle()
      server.last.rst(H2Code[name])
      pair.settle()
      expect(call.body).toEqual(messageOf(100))
      expect(call.outcome).toBe('14 RI 1 egress_closed')
      expect(call.trailers).not.toBeNull()
      expect(pair.leftovers).toEqual(NOTHING_LEFT)
    },
  )

  test('a connection that is lost', () => {
    const { pair, call, server } = begun()
    pair.cut(server)
    pair.settle()
    expect(call.outcome).toBe('14 RI 1 egress_closed')
    expect(call.message).toBe('authgw: the upstream ended the call')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('a connection that answers no keepalive PING', async () => {
    const { pair, call, server } = begun({ keepaliveMs: 30_000, keepaliveTimeoutMs: 10_000 })
    pair.unplug(server.connection)
    await pair.advance(39_000, 500)
    expect(call.outcome).toBe('open')
    await pair.advance(3_000, 500)
    expect(call.outcome).toBe('14 RI 1 egress_closed')
  })

  test('END_STREAM survives a later RST_STREAM(NO_ERROR)', () => {
    const pair = new RelayPair()
    const call = pair.open().call().send(10)
    pair.settle()
    // The request is still open, so the server ends its side and says that it wants no more.
    pair.server.last.ok(20)
    pair.settle()
    expect(call.body).toEqual(messageOf(20))
    expect(call.outcome).toBe('0')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
})

describe('Row 16: the upstream ends without a status, or with one that is none', () => {
  const answers: [string, (fields: Fields) => Fields][] = [
    ['no grpc-status', (fields) => fields],
    ['a status that is no number', (fields) => [...fields, ['grpc-status', 'ok']]],
    ['a status with a leading zero', (fields) => [...fields, ['grpc-status', '00']]],
    ['an empty status', (fields) => [...fields, ['grpc-status', '']]],
    ['two that differ', (fields) => [...fields, ['grpc-status', '0'], ['grpc-status', '14']]],
  ]
  test.each(answers)('trailers only with %s', (_name, make) => {
    const { pair, call, server } = begun()
    server.last.raw(make(GRPC))
    pair.settle()
    expect(call.outcome).toBe('14 RI 1 egress_malformed')
    expect(call.message).toBe('authgw: the upstream gave no valid gRPC status')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
  test.each(answers)('trailers with %s', (_name, make) => {
    const { pair, call, server } = begun()
    server.last.sendHead().sendData(10)
    server.last.raw(make([['x-other', '1']]))
    pair.settle()
    expect(call.outcome).toBe('14 RI 1 egress_malformed')
    expect(call.trailers).not.toBeNull()
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
  test('DATA with END_STREAM', () => {
    const { pair, call, server } = begun()
    server.last.sendHead().sendData(30, true)
    pair.settle()
    expect(call.outcome).toBe('14 RI 1 egress_malformed')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
  test('an empty DATA frame with END_STREAM', () => {
    const { pair, call, server } = begun()
    server.last.sendHead().sendData(30).sendData(Buffer.alloc(0), true)
    pair.settle()
    expect(call.outcome).toBe('14 RI 1 egress_malformed')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
  test('a head of 200 that is not gRPC: a page of some proxy is not passed on', () => {
    const { pair, call, server } = begun()
    server.last.sendHead([
      [':status', '200'],
      ['content-type', 'text/html'],
    ])
    pair.settle()
    expect(call.outcome).toBe('14 RI 1 egress_malformed')
    expect(call.trailers).toBeNull()
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
})

describe('A head of 200 without a content-type', () => {
  test('is given that of gRPC, so that a client does not take a good answer for a permanent error', () => {
    const { pair, call, server } = begun()
    server.last
      .sendHead([[':status', '200']])
      .sendData(30)
      .sendTrailers()
    pair.settle()
    expect(call.headFields).toEqual({ ':status': '200', 'content-type': 'application/grpc' })
    expect(call.outcome).toBe('0')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
  test('and no grpc-status at its end is still UNAVAILABLE', () => {
    const { pair, call, server } = begun()
    server.last.sendHead([[':status', '200']]).sendData(30, true)
    pair.settle()
    expect(call.outcome).toBe('14 RI 1 egress_malformed')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
})

describe('Row 17: an HTTP error without a gRPC status', () => {
  test.each([
    ['500', '14 RI 1 egress_http_error'],
    ['502', '14 RI 1 egress_http_error'],
    ['503', '14 RI 1 egress_http_error'],
    ['504', '14 RI 1 egress_http_error'],
    ['408', '14 RI 1 egress_http_error'],
    ['429', '14 RI 1 egress_http_error'],
    ['302', '14 RI 1 egress_http_error'],
    ['401', '14 RI 10 egress_misroute'],
    ['403', '14 RI 10 egress_misroute'],
    ['404', '14 RI 10 egress_misroute'],
    ['415', '14 RI 10 egress_misroute'],
    ['413', '8 egress_too_large'],
  ])('HTTP %s becomes %s', (status, outcome) => {
    for (const isBare of [true, false]) {
      const { pair, call, server } = begun()
      const head: Fields = [
        [':status', status],
        ['content-type', 'text/plain'],
      ]
      if (isBare) server.last.raw(head)
      else server.last.sendHead(head).sendData(Buffer.from('an error page'), true)
      pair.settle()
      expect(call.outcome).toBe(outcome)
      expect(call.headFields[':status']).toBe('200')
      expect(pair.relay.stats.answers[outcome.split(' ').at(-1) as 'egress_misroute']).toBe(1)
      expect(pair.leftovers).toEqual(NOTHING_LEFT)
    }
  })

  test('with a gRPC status it is the gRPC status that counts; the HTTP status stays here', () => {
    const { pair, call, server } = begun()
    server.last.raw([
      [':status', '503'],
      ['content-type', 'application/grpc'],
      ['grpc-status', '8'],
      ['x-more', 'y'],
    ])
    pair.settle()
    expect(call.last).toEqual({
      ':status': '200',
      'content-type': 'application/grpc',
      'grpc-status': '8',
      'x-more': 'y',
    })
  })
})

describe('Row 18: a status of the upstream', () => {
  const details = 'CAgSBWFnYWluGi0KKHR5cGUuZ29vZ2xlYXBpcy5jb20vZ29vZ2xlLnJwYy5SZXRyeUluZm8SAQo'
  test.each(['0', '1', '2', '3', '8', '13', '14', '16', '17', '2147483647'])(
    'grpc-status %s is passed on as it is, details included',
    (status) => {
      const trailers: Fields = [
        ['grpc-status', status],
        ['grpc-message', 'caf%C3%A9 100%25'],
        ['grpc-status-details-bin', details],
        ['x-many', 'a'],
        ['x-many', 'b'],
        ['raw-bin', 'AP8'],
      ]
      for (const isBare of [true, false]) {
        const { pair, call, server } = begun()
        if (isBare) server.last.raw([...GRPC, ...trailers])
        else server.last.sendHead().sendData(10).raw(trailers)
        pair.settle()
        const list = isBare ? call.head! : call.trailers!
        const passed = list.fields.map((field) => [field.name, field.value])
        expect(passed).toEqual(isBare ? [...GRPC, ...trailers] : trailers)
        expect(pair.leftovers).toEqual(NOTHING_LEFT)
      }
    },
  )
})

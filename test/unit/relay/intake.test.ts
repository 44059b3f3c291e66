import { describe, expect, test } from 'vitest'
import type { Permit } from '../../../src/auth/index.ts'
import { HeaderField } from '../../../src/hpack/index.ts'
import { listOf } from '../../support/h2-pair.ts'
import { gateOf, messageOf, NOTHING_LEFT, RelayPair, requestOf } from '../../support/relay-pair.ts'
import { permitOf } from '../../support/relay-rig.ts'

/** A relay behind a gate whose permits hold until they are told not to. */
function gated() {
  let isCurrent = true
  const permits: Permit[] = []
  const gate = gateOf(
    () => {
      const permit = permitOf({ fields: [['x-nth', String(permits.length + 1)]] }) as Permit
      permits.push(permit)
      return permit
    },
    { isCurrent: (permit, wallMs) => isCurrent && wallMs < permit.validUntilMs },
  )
  const pair = new RelayPair({ gate })
  return { pair, gate, client: pair.open(), permits, setCurrent: (is: boolean) => (isCurrent = is) }
}

/** Calls that are answered, one after the other: the encoder of a real client settles on one block. */
function answered(pair: RelayPair, count: number, make: () => unknown): void {
  for (let i = 0; i < count; i++) {
    make()
    pair.settle()
    pair.server.last.ok()
    pair.settle()
  }
}

describe('Heads that come again', () => {
  test('the same head call after call asks the gate once and isCurrent each time', () => {
    const { pair, gate, client } = gated()
    answered(pair, 20, () => client.unary('/s/M', 10, ['authorization', 'Bearer a.b.c']))
    expect(gate.admitCount).toBeLessThan(5)
    expect(pair.relay.stats.memoHits).toBeGreaterThan(15)
    expect(pair.server.last.field('x-nth')).toBe(String(gate.admitCount))
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('a permit that is current no more is asked for again, between two equal blocks', () => {
    const { pair, gate, client, setCurrent } = gated()
    answered(pair, 10, () => client.unary('/s/M'))
    const asked = gate.admitCount
    answered(pair, 3, () => client.unary('/s/M'))
    expect(gate.admitCount).toBe(asked)
    setCurrent(false)
    answered(pair, 1, () => client.unary('/s/M'))
    expect(gate.admitCount).toBe(asked + 1)
    // The head carries what the new permit says, not what was made with the old one.
    expect(pair.server.last.field('x-nth')).toBe(String(asked + 1))
  })

  test('a permit that expires between two equal blocks is asked for again', async () => {
    const gate = gateOf(() => permitOf({ validUntilMs: pair.clock.wallMs() + 1000 }), {
      isCurrent: (permit, wallMs) => wallMs < permit.validUntilMs,
    })
    const pair = new RelayPair({ gate })
    const client = pair.open()
    answered(pair, 10, () => client.unary('/s/M'))
    const asked = gate.admitCount
    await pair.advance(999)
    answered(pair, 1, () => client.unary('/s/M'))
    expect(gate.admitCount).toBe(asked)
    await pair.advance(2)
    answered(pair, 1, () => client.unary('/s/M'))
    expect(gate.admitCount).toBe(asked + 1)
  })

  test('a refusal is never kept by the relay: the next call asks again', () => {
    const gate = gateOf(() => ({
      kind: 'refusal',
      reason: 'token_expired',
      status: 16,
      retryDelaySeconds: null,
      text: 'invalid token: expired',
      glitches: 0,
      validUntilMs: Infinity,
    }))
    const pair = new RelayPair({ gate })
    const client = pair.open()
    for (let i = 0; i < 10; i++) {
      const call = client.unary('/s/M')
      pair.settle()
      expect(call.outcome).toBe('16 token_expired')
    }
    expect(gate.admitCount).toBe(10)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('two methods on a connection are two decisions, whatever else is equal', () => {
    const paths: string[] = []
    const gate = gateOf((facts) => {
      paths.push(facts.path)
      return facts.path === '/s/Denied' ? { ...DENIED } : permitOf()
    })
    const pair = new RelayPair({ gate })
    const client = pair.open()
    for (let i = 0; i < 6; i++) {
      const allowed = client.unary('/s/Allowed')
      const denied = client.unary('/s/Denied')
      pair.settle()
      expect(denied.outcome).toBe('7 policy_denied')
      pair.server.last.ok()
      pair.settle()
      expect(allowed.outcome).toBe('0')
    }
    expect(paths.filter((path) => path === '/s/Denied')).toHaveLength(6)
  })

  test('another token on the same connection is another decision', () => {
    const seen: (string | null)[] = []
    const gate = gateOf((facts) => {
      seen.push(facts.authorization)
      return permitOf()
    })
    const pair = new RelayPair({ gate })
    const client = pair.open()
    for (const token of ['a', 'a', 'a', 'a', 'b', 'a'])
      answered(pair, 1, () => client.unary('/s/M', 1, ['authorization', `Bearer ${token}`]))
    expect(seen.filter((token) => token === 'Bearer b')).toHaveLength(1)
    expect(seen[0]).toBe('Bearer a')
    const before = seen.length
    answered(pair, 1, () => client.unary('/s/M', 1))
    expect(seen.slice(before)).toEqual([null])
  })

  test('a second authorization field is told to the gate', () => {
    const counts: number[] = []
    const gate = gateOf((facts) => {
      counts.push(facts.authorizationCount)
      return permitOf()
    })
    const pair = new RelayPair({ gate })
    pair.open().unary('/s/M', 1, ['authorization', 'Bearer a'], ['authorization', 'Bearer a'])
    pair.settle()
    expect(counts).toEqual([2])
  })

  test('a grpc-timeout that varies does not ask the gate again', () => {
    const { pair, gate, client } = gated()
    const head = listOf(requestOf('/s/M', ['x-k', 'v']))
    for (let i = 0; i < 20; i++) {
      client.callList(head, true, new HeaderField('grpc-timeout', `${5000 + i}m`))
      pair.settle()
      expect(pair.server.last.field('grpc-timeout')).toBe(`${5000 + i}m`)
      pair.server.last.ok()
      pair.settle()
    }
    expect(gate.admitCount).toBeLessThan(5)
    expect(pair.relay.stats.memoHits).toBeGreaterThan(15)
  })

  test('with and without grpc-timeout are two heads', () => {
    const { pair, client } = gated()
    const head = listOf(requestOf('/s/M'))
    for (let i = 0; i < 6; i++) {
      client.callList(head, true, i % 2 === 0 ? null : new HeaderField('grpc-timeout', '1S'))
      pair.settle()
      expect(pair.server.last.field('grpc-timeout')).toBe(i % 2 === 0 ? null : '1S')
    }
  })

  test('metadata that varies does not ask the gate again, and arrives', () => {
    const { pair, gate, client } = gated()
    for (let i = 0; i < 20; i++) {
      client.unary('/s/M', 1, ['traceparent', `00-${i}`])
      pair.settle()
      expect(pair.server.last.field('traceparent')).toBe(`00-${i}`)
      pair.server.last.ok()
      pair.settle()
    }
    expect(gate.admitCount).toBeLessThan(5)
  })

  test('more heads than a connection keeps are still right', () => {
    const { pair, client } = gated()
    for (let i = 0; i < 200; i++) {
      client.call(`/s/M${i % 100}`, true)
      pair.settle()
      expect(pair.server.last.field(':path')).toBe(`/s/M${i % 100}`)
    }
  })

  test('the end of the request and its octets belong to the call, not to the head', () => {
    const { pair, client } = gated()
    for (let i = 0; i < 6; i++) {
      const isBare = i % 2 === 0
      const call = client.call('/s/M', isBare)
      if (!isBare) call.send(i, true)
      pair.settle()
      expect(pair.server.last.body).toEqual(isBare ? Buffer.alloc(0) : messageOf(i))
      expect(pair.server.last.isEnded).toBe(true)
    }
  })
})

const DENIED = {
  kind: 'refusal',
  reason: 'policy_denied',
  status: 7,
  retryDelaySeconds: null,
  text: 'policy default denied',
  glitches: 0,
  validUntilMs: 0,
} as const

describe('A permit that is replaced while calls wait for a connection', () => {
  test('does not leave the older token with later calls', () => {
    let generation = 1
    let isCurrent = true
    const gate = gateOf(
      () =>
        permitOf({ credentialGeneration: generation, fields: [['authorization', `Bearer ${generation}`]] }),
      { isCurrent: (permit) => isCurrent && permit.credentialGeneration === generation },
    )
    const pair = new RelayPair({ gate, dials: 'wait' })
    const client = pair.connect()
    const head = listOf(requestOf('/s/M'))
    // Three equal blocks first, so that the calls share one plan.
    for (let i = 0; i < 3; i++) client.callList(head, true)
    pair.settle()
    generation = 2
    client.callList(head, true)
    pair.settle()
    pair.nextDial().connect()
    pair.settle()
    isCurrent = true
    client.callList(head, true)
    pair.settle()
    const tokens = pair.server.calls.map((call) => call.field('authorization'))
    expect(tokens).toEqual(['Bearer 1', 'Bearer 1', 'Bearer 1', 'Bearer 2', 'Bearer 2'])
  })
})

describe('Permits are counted', () => {
  test('by issuer, once a call, whether the gate was asked or not', () => {
    const gate = gateOf((facts) =>
      permitOf({ principal: { issuer: `https://${facts.path.slice(3)}.test`, subject: '', client: '' } }),
    )
    const pair = new RelayPair({ gate })
    const client = pair.open()
    answered(pair, 7, () => client.unary('/s/a'))
    answered(pair, 3, () => client.unary('/s/b'))
    const counts = pair.relay.stats.permits.map(({ issuer, count }) => [issuer, count])
    expect(counts).toEqual([
      ['https://a.test', 7],
      ['https://b.test', 3],
    ])
    expect(gate.admitCount).toBeLessThan(8)
  })

  test('a bounded number of issuers', () => {
    const pair = new RelayPair()
    for (let i = 0; i < 100; i++) pair.relay.stats.permitsOf(`https://${i}.test`).count++
    expect(pair.relay.stats.permits).toHaveLength(65)
    expect(pair.relay.stats.permitsOf('https://another.test').issuer).toBe('_OTHER')
    expect(pair.relay.stats.permits.reduce((sum, { count }) => sum + count, 0)).toBe(100)
  })
})

describe('What the gate refuses', () => {
  test('is answered on HEADERS, with no DATA read', () => {
    const pair = new RelayPair({ gate: gateOf(() => DENIED) })
    const call = pair.open().call('/s/M')
    pair.settle()
    expect(call.outcome).toBe('7 policy_denied')
    expect(call.message).toBe('policy default denied')
    expect(call.trailers).toBeNull()
    expect(pair.server.calls).toHaveLength(0)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('forged signatures are worth glitches: their connection is asked to leave', () => {
    const forged = { ...DENIED, reason: 'token_signature', status: 16, glitches: 10 } as const
    const pair = new RelayPair({ gate: gateOf(() => forged), limits: { glitches: 50 } })
    const client = pair.open()
    for (let i = 0; i < 6; i++) {
      if (!client.connection.canOpenStream) break
      client.unary()
      pair.settle()
    }
    expect(client.recorder.goaways[0]).toMatch(/^NO_ERROR/)
    expect(client.connection.canOpenStream).toBe(false)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('carries RetryInfo where it says so', async () => {
    const late = { ...DENIED, reason: 'keys_unavailable', status: 14, retryDelaySeconds: 7 } as const
    const pair = new RelayPair({ gate: gateOf(() => Promise.resolve(late)) })
    const call = pair.open().unary()
    await pair.pause()
    expect(call.outcome).toBe('14 RI 7 keys_unavailable')
  })
})

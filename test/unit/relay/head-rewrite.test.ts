import { describe, expect, test } from 'vitest'
import { HeaderField, NEVER_INDEXED_FIELD } from '../../../src/hpack/index.ts'
import { egressHead, foldName, type EgressNames } from '../../../src/relay/head-rewrite.ts'
import type { Permit } from '../../../src/auth/index.ts'
import { listOf, type Fields } from '../../support/h2-pair.ts'
import { gateOf, NOTHING_LEFT, RelayPair, requestOf } from '../../support/relay-pair.ts'
import { permitOf } from '../../support/relay-rig.ts'

const NAMES: EgressNames = {
  scheme: 'https',
  authority: 'collector:4317',
  strippedNames: new Set(['x-tenant']),
  upstreamHeaders: [],
}
const PERMIT = permitOf() as Permit

/** The head that egress gets for these fields. */
function rewritten(fields: Fields, permit = PERMIT, names: Partial<EgressNames> = {}): [string, string][] {
  const head = fields.map(([name, value]) => new HeaderField(name, value))
  const list = egressHead(head, permit, { ...NAMES, ...names })
  return list.fields.map((field) => [field.name, field.value])
}
const PSEUDO: Fields = [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', '/s/M'],
  [':authority', 'anything'],
]
const OURS: Fields = [
  [':method', 'POST'],
  [':scheme', 'https'],
  [':path', '/s/M'],
  [':authority', 'collector:4317'],
]

describe('The head on its way to the upstream', () => {
  test(':scheme and :authority are those of the egress leg, whatever the caller said', () => {
    expect(rewritten(PSEUDO)).toEqual(OURS)
  })

  test('a caller without :authority, with host: host goes, :authority comes before regular fields', () => {
    const fields: Fields = [...PSEUDO.slice(0, 3), ['host', 'anything'], ['te', 'trailers']]
    expect(rewritten(fields)).toEqual([...OURS, ['te', 'trailers']])
    expect(rewritten(PSEUDO.slice(0, 3))).toEqual(OURS)
  })

  test("a caller's field whose name folds to one of ours is gone too: servers behind us read _ as -", () => {
    const permit = permitOf({ fields: [['x-api-key', 'ours']] }) as Permit
    const spoofed: Fields = [
      ['x_api_key', 'theirs'],
      ['x-api_key', 'theirs'],
      ['x_scope_orgid', 'theirs'],
    ]
    expect(
      rewritten([...PSEUDO, ...spoofed], permit, { upstreamHeaders: [['x-scope-orgid', 'tenant']] }),
    ).toEqual([...OURS, ['x-scope-orgid', 'tenant'], ['x-api-key', 'ours']])
  })

  test('unknown metadata passes in its order, duplicates and -bin values untouched', () => {
    const metadata: Fields = [
      ['te', 'trailers'],
      ['x-many', 'b'],
      ['x-raw-bin', 'AP8='],
      ['x-many', 'a'],
      ['x-many', 'b'],
      ['x-empty', ''],
      ['x-octets', '\xe4\xff'],
      ['cookie', 'a=b'],
    ]
    expect(rewritten([...PSEUDO, ...metadata])).toEqual([...OURS, ...metadata])
  })

  test.each([
    'x-authgw-subject',
    'x_authgw_subject',
    'x-authgw_client',
    'x-authgw-hop',
    'x-authgw-anything',
    'x-forwarded-client-cert',
    'x_forwarded_client_cert',
    'x-tenant',
    'x_tenant',
    'host',
    'grpc-timeout',
  ])('%s of the caller never reaches it, though the permit does not set it', (name) => {
    expect(rewritten([...PSEUDO, [name, 'spoofed']])).toEqual(OURS)
  })

  test.each(['x-authgwish', 'x-author', 'authgw-reason', 'x-tenants', 'forwarded'])('%s passes', (name) => {
    expect(rewritten([...PSEUDO, [name, 'v']])).toEqual([...OURS, [name, 'v']])
  })

  test('authorization goes or stays as the permit says', () => {
    const fields: Fields = [...PSEUDO, ['authorization', 'Bearer a.b.c']]
    expect(rewritten(fields)).toEqual(OURS)
    const keeping = permitOf({ dropsAuthorization: false }) as Permit
    expect(rewritten(fields, keeping)).toEqual([...OURS, ['authorization', 'Bearer a.b.c']])
  })

  test('fields of the permit stand at the end, in place of those of the caller', () => {
    const permit = permitOf({
      fields: [
        ['authorization', 'Bearer ours'],
        ['x-scope-orgid', 'a'],
        ['x-authgw-hop', '1'],
      ],
    }) as Permit
    const fields: Fields = [
      ...PSEUDO,
      ['x-scope-orgid', 'b'],
      ['authorization', 'Bearer theirs'],
      ['x-k', 'v'],
    ]
    expect(rewritten(fields, permit)).toEqual([...OURS, ['x-k', 'v'], ...permit.fields])
  })

  test('fields for the upstream replace those of the caller; those of the permit come first', () => {
    const permit = permitOf({ fields: [['x-b', 'permit']] }) as Permit
    const names = {
      upstreamHeaders: [
        ['x-a', 'configured'],
        ['x-b', 'configured'],
      ] as const,
    }
    expect(rewritten([...PSEUDO, ['x-a', 'caller'], ['x-c', 'caller']], permit, names)).toEqual([
      ...OURS,
      ['x-c', 'caller'],
      ['x-a', 'configured'],
      ['x-b', 'permit'],
    ])
  })

  test('a field that came never-indexed leaves so', () => {
    const secret = new HeaderField('x-key', 'secret', NEVER_INDEXED_FIELD)
    const list = egressHead([secret], PERMIT, NAMES)
    expect(list.fields.at(-1)).toBe(secret)
  })

  test('names are folded: _ equals -', () => {
    expect(foldName('a_b-c_d')).toBe('a-b-c-d')
    expect(foldName('plain')).toBe('plain')
  })
})

describe('Through the relay', () => {
  test('every call carries the rewritten head and the options of the relay', () => {
    const pair = new RelayPair({
      strippedNames: new Set(['x-tenant']),
      upstreamHeaders: [['x-cluster', 'eu']],
    })
    pair.open().unary('/s/M', 10, ['x_tenant', 'spoofed'], ['x-cluster', 'us'], ['x-trace', '1'])
    pair.settle()
    expect(pair.server.last.fields).toEqual([
      [':method', 'POST'],
      [':scheme', 'https'],
      [':path', '/s/M'],
      [':authority', 'collector.test:4317'],
      ['content-type', 'application/grpc'],
      ['te', 'trailers'],
      ['x-trace', '1'],
      ['x-cluster', 'eu'],
    ])
  })

  test('grpc-timeout goes out as it came when it was not held', () => {
    const pair = new RelayPair()
    pair.open().unary('/s/M', 10, ['grpc-timeout', '1500000u'], ['x-after', '1'])
    pair.settle()
    expect(pair.server.last.fields.at(-1)).toEqual(['grpc-timeout', '1500000u'])
  })

  test('grpc-timeout goes out less the time that the call was held', async () => {
    const decision = Promise.withResolvers<ReturnType<typeof permitOf>>()
    const pair = new RelayPair({ gate: gateOf(() => decision.promise) })
    pair.open().unary('/s/M', 10, ['grpc-timeout', '10S'])
    pair.settle()
    await pair.advance(1500)
    decision.resolve(permitOf())
    await pair.pause()
    expect(pair.server.last.field('grpc-timeout')).toBe('8500000u')
  })

  test('a hold of 1 % or less is not told', async () => {
    const decision = Promise.withResolvers<ReturnType<typeof permitOf>>()
    const pair = new RelayPair({ gate: gateOf(() => decision.promise) })
    pair.open().unary('/s/M', 10, ['grpc-timeout', '10S'])
    await pair.advance(100)
    decision.resolve(permitOf())
    await pair.pause()
    expect(pair.server.last.field('grpc-timeout')).toBe('10S')
  })

  test('x-authgw-hop of the caller is a fact for the gate and goes no further', () => {
    const hops: boolean[] = []
    const gate = gateOf((facts) => {
      hops.push(facts.isAuthgwHop)
      return permitOf()
    })
    const pair = new RelayPair({ gate })
    const client = pair.open()
    client.unary('/s/A', 1, ['x-authgw-hop', '1'])
    client.unary('/s/B', 1, ['x_authgw_hop', '1'])
    client.unary('/s/C', 1)
    pair.settle()
    expect(hops).toEqual([true, true, false])
    for (const call of pair.server.calls) expect(call.field('x-authgw-hop')).toBeNull()
  })

  test('request trailers are dropped, the end is not', () => {
    const pair = new RelayPair()
    const call = pair.open().call().send(10)
    call.stream.sendTrailers(listOf([['x-late', '1']]))
    pair.settle()
    expect(pair.server.last.isEnded).toBe(true)
    expect(pair.server.last.trailers).toBeNull()
    pair.server.last.ok()
    pair.settle()
    expect(call.outcome).toBe('0')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('authgw-reason of the upstream is taken out at the control plane, kept at the workload', () => {
    for (const dropsReason of [true, false]) {
      const pair = new RelayPair({ dropsReason })
      const client = pair.open()
      const bare = client.unary()
      pair.settle()
      pair.server.last.trailersOnly(7, ['authgw-reason', 'policy_denied'], ['x-k', 'v'])
      const late = client.unary()
      pair.settle()
      pair.server.last.sendHead().sendTrailers(7, ['authgw-reason', 'policy_denied'], ['x-k', 'v'])
      pair.settle()
      for (const call of [bare, late]) {
        expect(call.last['authgw-reason']).toBe(dropsReason ? undefined : 'policy_denied')
        expect(call.last['x-k']).toBe('v')
      }
      expect(pair.relay.stats.egressReasons).toEqual({ policy_denied: 2 })
    }
  })

  test('content-length of an answer is not passed on: trailers of ours could break its promise', () => {
    const pair = new RelayPair()
    const call = pair.open().unary()
    pair.settle()
    pair.server.last
      .sendHead([
        [':status', '200'],
        ['content-type', 'application/grpc+proto'],
        ['content-length', '15'],
      ])
      .sendData(10)
      .sendTrailers()
    pair.settle()
    expect(call.headFields).toEqual({ ':status': '200', 'content-type': 'application/grpc+proto' })
    expect(call.outcome).toBe('0')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('clients that are alike share one head', () => {
    const pair = new RelayPair()
    const [first, second] = [pair.open(), pair.connect()]
    for (const client of [first, second]) client.call(requestOf('/s/M', ['x-k', 'v']), true)
    pair.settle()
    const [a, b] = pair.server.calls
    expect(a!.fields).toEqual(b!.fields)
  })
})

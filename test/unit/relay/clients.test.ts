import { describe, expect, test } from 'vitest'
import type { Permit } from '../../../src/auth/index.ts'
import { NO_CLIENT_LIMITS, type ClientLimits } from '../../../src/relay/index.ts'
import { Clients } from '../../../src/relay/clients.ts'
import { gateOf, messageOf, NOTHING_LEFT, RelayPair } from '../../support/relay-pair.ts'
import { permitOf } from '../../support/relay-rig.ts'

const principal = (client: string, issuer = 'https://a.test') => ({
  issuer,
  client,
  subject: `sub-${client}`,
})

/** A relay whose callers are who they say in `x-client`, and a client that calls under a name. */
function behind(limits: Partial<ClientLimits>) {
  const permits = new Map<string, Permit>()
  const gate = gateOf((facts) => {
    const name = facts.path.split('/')[1]!
    const permit = permits.get(name) ?? (permitOf({ principal: principal(name) }) as Permit)
    permits.set(name, permit)
    return permit
  })
  const pair = new RelayPair({ gate, perClient: { ...NO_CLIENT_LIMITS, ...limits } })
  const client = pair.open()
  const call = (name: string, bodyBytes = 10) => {
    const made = client.unary(`/${name}/Method`, bodyBytes)
    pair.settle()
    return made
  }
  const counts = () =>
    Object.fromEntries(
      [...pair.relay.stats.clients.all()].map((one) => [
        one.name,
        [one.callCount, one.refusedCount, one.openCount],
      ]),
    )
  return { pair, client, call, counts }
}
const REFUSED = '14 RI 3 client_limit'

test('calls at once: one more is put off, and another client’s is not', () => {
  const { pair, call, counts } = behind({ concurrentCalls: 2 })
  const open = [call('a'), call('a')]
  expect(call('a').outcome).toBe(REFUSED)
  expect(call('b').outcome).toBe('open')
  expect(counts()).toEqual({ a: [2, 1, 2], b: [1, 0, 1] })
  expect(pair.relay.stats.answers.client_limit).toBe(1)
  pair.server.calls[0]!.ok()
  pair.settle()
  expect(open[0]!.outcome).toBe('0')
  expect(call('a').outcome).toBe('open')
  for (const one of pair.server.calls.slice(1)) one.ok()
  pair.settle()
  expect(counts()).toEqual({ a: [3, 1, 0], b: [1, 0, 0] })
  expect(pair.leftovers).toEqual(NOTHING_LEFT)
})

test('calls a second: as many at once after a rest, then at the pace of the limit', async () => {
  const { pair, call, counts } = behind({ callsPerSecond: 2 })
  pair.onServerEvent = (one) => {
    if (one.isEnded) one.ok()
  }
  const outcomes = () => Array.from({ length: 4 }, () => call('a').outcome)
  expect(outcomes()).toEqual(['0', '0', REFUSED, REFUSED])
  await pair.advance(500)
  expect(outcomes()).toEqual(['0', REFUSED, REFUSED, REFUSED])
  await pair.advance(60_000)
  expect(outcomes()).toEqual(['0', '0', REFUSED, REFUSED])
  expect(counts()).toEqual({ a: [5, 7, 0] })
})

test('less than one call a second still lets one pass', async () => {
  const { pair, call } = behind({ callsPerSecond: 0.1 })
  expect(call('a').outcome).toBe('open')
  await pair.advance(9_900)
  expect(call('a').outcome).toBe(REFUSED)
  await pair.advance(200)
  expect(call('a').outcome).toBe('open')
})

test('octets a second: a large request passes whole, and is paid for before the next one may begin', async () => {
  const { pair, call } = behind({ bytesPerSecond: 10_000 })
  call('a', 30_000 - 5)
  expect(pair.server.last.body).toEqual(messageOf(30_000 - 5))
  expect([...pair.relay.stats.clients.all()][0]!.requestBytes).toBe(30_000)
  expect(call('a').outcome).toBe(REFUSED)
  expect(call('b').outcome).toBe('open')
  await pair.advance(1_900)
  expect(call('a').outcome).toBe(REFUSED)
  await pair.advance(200)
  expect(call('a').outcome).toBe('open')
})

test('octets that came before the verdict are the client’s too', async () => {
  const decision = Promise.withResolvers<ReturnType<typeof permitOf>>()
  const pair = new RelayPair({ gate: gateOf(() => decision.promise) })
  pair.open().unary('/a/Method', 995)
  pair.settle()
  expect([...pair.relay.stats.clients.all()]).toEqual([])
  decision.resolve(permitOf({ principal: principal('a') }))
  await pair.pause()
  expect([...pair.relay.stats.clients.all()].map((one) => one.requestBytes)).toEqual([1_000])
})

test('a call that its client gives up frees its place', () => {
  const { pair, call, counts } = behind({ concurrentCalls: 1 })
  call('a').cancel()
  pair.settle()
  expect(counts()).toEqual({ a: [1, 0, 0] })
  expect(call('a').outcome).toBe('open')
})

test('without limits nobody is refused, and everybody is counted', () => {
  const { call, counts } = behind({})
  for (let i = 0; i < 100; i++) expect(call('a').outcome).toBe('open')
  expect(counts()).toEqual({ a: [100, 0, 100] })
})

describe('who is who', () => {
  test('a client is an issuer’s: the same name under another issuer is another', () => {
    const clients = new Clients(NO_CLIENT_LIMITS)
    const one = clients.of(principal('a'))
    expect(clients.of(principal('a'))).toBe(one)
    expect(clients.of(principal('a', 'https://b.test'))).not.toBe(one)
    expect([...clients.all()].map(({ issuer, name }) => [issuer, name])).toEqual([
      ['https://a.test', 'a'],
      ['https://b.test', 'a'],
    ])
  })

  test('without a client the subject stands in; without a token there is nobody', () => {
    const clients = new Clients(NO_CLIENT_LIMITS)
    expect(clients.of({ issuer: 'https://a.test', client: '', subject: 'sub' })?.name).toBe('sub')
    expect(clients.of({ issuer: '', client: '', subject: '' })).toBeNull()
  })

  test('names are cut at 128 characters, and the 4,097th client shares with all that follow', () => {
    const clients = new Clients(NO_CLIENT_LIMITS)
    expect(clients.of(principal('x'.repeat(200)))?.name).toHaveLength(128)
    for (let i = 1; i < 4_096; i++) clients.of(principal(`c${i}`))
    const late = clients.of(principal('late'))
    expect(late).toBe(clients.of(principal('later')))
    expect([late?.issuer, late?.name]).toEqual(['_OTHER', '_OTHER'])
    expect(clients.of(principal('c7'))?.name).toBe('c7')
    expect([...clients.all()]).toHaveLength(4_097)
  })
})

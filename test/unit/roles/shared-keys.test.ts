import { expect, test } from 'vitest'
import { BearerGate, KeyKeeper, Policy, type CallFacts, type Verdict } from '../../../src/auth/index.ts'
import { NO_LOG } from '../../../src/base/index.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'
import { refused, TRACES, until, verifiedPeer } from '../../support/gate-bench.ts'
import { TestIssuer } from '../../support/issuer.ts'
import { connectWorker, NOTHING } from '../../support/worker-bench.ts'

async function setUp() {
  const clock = new FakeClock()
  const issuer = await TestIssuer.create(clock)
  const keeper = new KeyKeeper(
    { issuer: issuer.issuer },
    {
      clock,
      log: NO_LOG,
      fetch: issuer.fetch,
      readFile: () => Promise.reject(new Error('no file')),
      cache: null,
    },
  )
  const owned = { ...NOTHING, keys: new Map([[issuer.issuer, keeper]]) }
  const workers = await Promise.all(
    [5_000_000, -800].map((originMs) => connectWorker(owned, clock, { originMs })),
  )
  const gates = workers.map(
    ({ sources, clock }) =>
      new BearerGate(
        { providers: [{ issuer: issuer.issuer, audiences: ['control-plane'] }], policy: new Policy() },
        { clock, log: NO_LOG, keys: new Map([[issuer.issuer, sources.keys(issuer.issuer)]]) },
      ),
  )
  const admit = async (gate: BearerGate, token: string): Promise<Verdict> => {
    const call: CallFacts = {
      path: TRACES,
      authorization: `Bearer ${token}`,
      authorizationCount: 1,
      isAuthgwHop: false,
      peer: verifiedPeer(),
      receivedAtMs: clock.wallMs(),
      timeoutMs: Infinity,
    }
    return gate.admit(call)
  }
  const advance = async (ms: number): Promise<void> => {
    for (const one of [clock, ...workers.map((worker) => worker.clock)]) await one.advance(ms)
  }
  const fetchCount = () => issuer.requestCount(issuer.jwksUri)
  return { clock, issuer, keeper, workers, gates, admit, advance, fetchCount }
}

test('one fetch of the keys lets the gates of two workers validate', async () => {
  const { issuer, keeper, gates, admit, workers, fetchCount } = await setUp()
  keeper.start()
  const { snapshots } = workers[1]!.sources.keys(issuer.issuer)
  await until(() => snapshots.current !== null)
  const token = await issuer.mint()
  const verdicts = await Promise.all(gates.map((gate) => admit(gate, token)))
  expect(verdicts.map(({ kind }) => kind)).toEqual(['permit', 'permit'])
  expect(fetchCount()).toBe(1)
})

test('a new key that both meet at the same time costs one more fetch, and both take its token', async () => {
  const { issuer, keeper, gates, admit, advance, fetchCount, workers } = await setUp()
  keeper.start()
  await until(() => workers[1]!.sources.keys(issuer.issuer).snapshots.current !== null)
  await advance(11_000)
  await issuer.addKey('RS256', 'the-new-one')
  const token = await issuer.mint()
  const verdicts = await Promise.all(gates.map((gate) => admit(gate, token)))
  expect(verdicts.map(({ kind }) => kind)).toEqual(['permit', 'permit'])
  expect(fetchCount()).toBe(2)
})

test('an unknown kid at one worker after the other stays at one fetch in ten seconds', async () => {
  const { issuer, keeper, gates, admit, advance, fetchCount, workers } = await setUp()
  keeper.start()
  await until(() => workers[1]!.sources.keys(issuer.issuer).snapshots.current !== null)
  await advance(11_000)
  const ask = async (gate: BearerGate, kid: string): Promise<string> =>
    refused(await admit(gate, issuer.raw({ header: { kid } }))).reason
  expect(await ask(gates[0]!, 'made-up-1')).toBe('token_unknown_key')
  expect(fetchCount()).toBe(2)
  const later = ask(gates[1]!, 'made-up-2')
  await advance(2_500)
  expect(await later).toBe('token_unknown_key')
  expect(fetchCount()).toBe(2)
})

test('keys that are too old are taken from every worker', async () => {
  const { issuer, keeper, workers, advance } = await setUp()
  keeper.start()
  const sets = workers.map(({ sources }) => sources.keys(issuer.issuer).snapshots)
  await until(() => sets[1]!.current !== null)
  expect(sets.map(({ current }) => current!.value.keys.length)).toEqual([1, 1])
  issuer.goDown()
  await advance(86_500_000)
  await settle()
  expect(sets.map(({ current }) => current!.value.keys.length)).toEqual([0, 0])
})

test('a worker whose supervisor has gone is told to ask again later', async () => {
  const { issuer, workers } = await setUp()
  workers[0]!.line.close()
  expect(await workers[0]!.sources.keys(issuer.issuer).request({ waitMs: 0 })).toEqual({
    fetchStartedAtMs: 0,
    nextFetchInMs: 1_000,
  })
})

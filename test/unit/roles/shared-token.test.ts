import { describe, expect, test } from 'vitest'
import {
  anonymousPeer,
  CredentialGate,
  isUsable,
  OAuthTokenSource,
  TokenKeeper,
} from '../../../src/auth/index.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'
import { permitted } from '../../support/gate-bench.ts'
import {
  connectionError,
  ISSUER,
  RecordingLog,
  tokenAnswer,
  TokenEndpoint,
} from '../../support/token-endpoint.ts'
import { connectWorker, NOTHING, type BenchWorker } from '../../support/worker-bench.ts'

/** Monotonic clocks begin at the start of each process. */
const ORIGINS_MS = [7_000_000, -900]
const NEED = { rejectedGeneration: null, waitMs: 2_000 }

async function setUp() {
  const clock = new FakeClock()
  const endpoint = new TokenEndpoint()
  const keeper = new TokenKeeper({
    identity: 'main',
    clock,
    log: new RecordingLog(),
    source: new OAuthTokenSource({
      grant: { kind: 'client_credentials' },
      issuerUrl: ISSUER,
      discoveryUrl: null,
      tokenUrl: null,
      clientId: { value: 'workload' },
      authentication: { kind: 'basic', clientSecret: { value: 'hush' } },
      scopes: [],
      endpointParams: {},
      allowsPlainHttp: false,
      fetch: endpoint.fetch,
      readFile: () => Promise.reject(new Error('no files here')),
      clock,
    }),
  })
  const owned = { ...NOTHING, tokens: new Map([['main', keeper]]) }
  const workers = await Promise.all(ORIGINS_MS.map((originMs) => connectWorker(owned, clock, { originMs })))
  const advance = async (ms: number): Promise<void> => {
    for (const one of [clock, ...workers.map((worker) => worker.clock)]) await one.advance(ms)
  }
  return { clock, endpoint, keeper, workers, advance, owned }
}

const tokenOf = (worker: BenchWorker) => worker.sources.token('main').tokens.current

describe('one token for two workers', () => {
  test('is fetched once and reaches both, under the owner’s generation', async () => {
    const { keeper, endpoint, workers } = await setUp()
    expect(workers.map(tokenOf)).toEqual([null, null])
    keeper.start()
    await settle()
    expect(workers.map(tokenOf)).toMatchObject([
      { generation: 1, value: { identity: 'main', accessToken: 'token-1' } },
      { generation: 1, value: { identity: 'main', accessToken: 'token-1' } },
    ])
    expect(endpoint.requests).toHaveLength(1)
  })

  test('ends at the same moment on clocks that began at different times', async () => {
    const { keeper, clock, workers, advance, endpoint } = await setUp()
    keeper.start()
    await settle()
    endpoint.answer = () => Promise.reject(connectionError('ECONNREFUSED'))
    const usable = () => [
      isUsable(keeper.tokens.current!.value, clock.nowMs(), clock.wallMs()),
      ...workers.map((worker) =>
        isUsable(tokenOf(worker)!.value, worker.clock.nowMs(), worker.clock.wallMs()),
      ),
    ]
    await advance(289_000)
    expect(usable()).toEqual([true, true, true])
    await advance(1_000)
    expect(usable()).toEqual([false, false, false])
  })

  test('asked for by both at once costs one fetch; each hears of it after the snapshot has come', async () => {
    const { keeper, endpoint, workers, advance } = await setUp()
    endpoint.answer = () => Promise.reject(connectionError('ECONNREFUSED'))
    keeper.start()
    // The next attempt is 10 to 11 s after the first: near enough to be waited for.
    await advance(9_000)
    endpoint.answer = tokenAnswer()
    const replies = workers.map(async (worker) => {
      const reply = await worker.sources.token('main').requestToken(NEED)
      return { reply, generation: tokenOf(worker)?.generation }
    })
    await settle()
    await keeper.refreshNow()
    expect(await Promise.all(replies)).toEqual([
      { reply: { kind: 'token', generation: 1 }, generation: 1 },
      { reply: { kind: 'token', generation: 1 }, generation: 1 },
    ])
    expect(endpoint.requests).toHaveLength(2)
  })

  test('refused by the control plane at both is replaced once', async () => {
    const { keeper, endpoint, workers, advance } = await setUp()
    keeper.start()
    // A token is not asked for again within a second.
    await advance(1_500)
    const rejected = { rejectedGeneration: 1, waitMs: 2_000 }
    const replies = await Promise.all(
      workers.map((worker) => worker.sources.token('main').requestToken(rejected)),
    )
    expect(replies).toEqual([
      { kind: 'token', generation: 2 },
      { kind: 'token', generation: 2 },
    ])
    expect(workers.map((worker) => tokenOf(worker)?.value.accessToken)).toEqual(['token-2', 'token-2'])
    expect(endpoint.requests).toHaveLength(2)
  })

  test('is with a worker that comes later from its first moment on', async () => {
    const { keeper, owned, clock, advance } = await setUp()
    keeper.start()
    await advance(1_000)
    const late = await connectWorker(owned, clock, { originMs: -clock.nowMs() })
    expect(late.orders.tokens['main']?.generation).toBe(1)
    expect(tokenOf(late)!.value.usableUntilMs).toBe(289_000)
  })

  test('goes on to the other when one has died', async () => {
    const { keeper, workers } = await setUp()
    keeper.start()
    await settle()
    workers[0]!.die()
    await keeper.refreshNow()
    await settle()
    expect(workers.map((worker) => tokenOf(worker)?.value.accessToken)).toEqual(['token-1', 'token-2'])
  })
})

test('a worker whose supervisor has gone gets no token, and no exception either', async () => {
  const { keeper, workers } = await setUp()
  keeper.start()
  await settle()
  const port = workers[0]!.sources.token('main')
  workers[0]!.line.close()
  expect(await port.requestToken(NEED)).toEqual({
    kind: 'failure',
    reason: 'idp_unreachable',
    retryInMs: 1_000,
  })
})

test('a snapshot that comes again changes nothing and tells nobody', async () => {
  const { keeper, workers } = await setUp()
  keeper.start()
  await settle()
  const heard: number[] = []
  const { tokens } = workers[0]!.sources.token('main')
  const end = tokens.subscribe(({ generation }) => heard.push(generation))
  const { current } = keeper.tokens
  workers[0]!.sources.news.token!({ identity: 'main', snapshot: current! })
  workers[0]!.sources.news.token!({ identity: 'nobody', snapshot: { ...current!, generation: 9 } })
  expect(heard).toEqual([])
  await keeper.refreshNow()
  await settle()
  end()
  await keeper.refreshNow()
  await settle()
  expect(heard).toEqual([2])
})

test('a gate puts the token of another process on calls', async () => {
  const { keeper, workers } = await setUp()
  keeper.start()
  await settle()
  const [worker] = workers
  const gate = new CredentialGate({
    identity: 'main',
    port: worker!.sources.token('main'),
    clock: worker!.clock,
  })
  const verdict = await gate.admit({
    path: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
    authorization: null,
    authorizationCount: 0,
    isAuthgwHop: false,
    peer: anonymousPeer('127.0.0.1', true),
    receivedAtMs: worker!.clock.wallMs(),
    timeoutMs: Infinity,
  })
  expect(permitted(verdict).fields).toContainEqual(['authorization', 'Bearer token-1'])
  gate.close()
})

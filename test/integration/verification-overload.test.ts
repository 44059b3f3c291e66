/**
 * Row 21 for signatures, over real sockets: more verifications wanted at once than a connection (4) and a worker (32) may have in work.
 * The cryptography is held by hand, so that no machine is too fast or too slow for it.
 */
import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { prepareGround, startPair, TEST_SERVICE, waitFor } from '../support/gateway-pair.ts'
import type { GatewayPair, PairGround } from '../support/gateway-pair.ts'
import { echo } from '../support/grpc-peer.ts'
import type { GrpcCaller, GrpcServed, Outcome } from '../support/grpc-peer.ts'
import { connectNodeHttp2, nodeHttp2 } from '../support/node-http2-kit.ts'
import { retryDelayMs } from '../support/otlp-proto.ts'

const HELLO = Buffer.from('hello')
const UNAVAILABLE = 14
const PER_CONNECTION = 4
const PER_WORKER = 32
/** `min(60 % of grpc-timeout, 2 s)`, for calls without one. */
const MAX_WAIT_MS = 2_000

/** Stands before the cryptography of this process: while it holds, signatures that are to be checked pile up here. */
class HeldVerifier {
  /** Connections whose signatures have got as far as this and wait, by the claim `jti` of their tokens: `<connection>/<random>`. */
  readonly held: string[] = []
  #isHolding = false
  #release = Promise.withResolvers<void>()

  constructor() {
    const { subtle } = globalThis.crypto
    const verify = subtle.verify.bind(subtle)
    vi.spyOn(subtle, 'verify').mockImplementation(async (algorithm, key, signature, signed) => {
      if (this.#isHolding) {
        this.held.push(connectionOf(signed))
        await this.#release.promise
      }
      return verify(algorithm, key, signature, signed)
    })
  }
  hold(): void {
    this.#isHolding = true
    this.held.length = 0
    this.#release = Promise.withResolvers<void>()
  }
  release(): void {
    this.#isHolding = false
    this.#release.resolve()
  }
  countOf(connection: string): number {
    return this.held.filter((one) => one === connection).length
  }
}

function connectionOf(signed: NodeJS.BufferSource): string {
  const octets = ArrayBuffer.isView(signed)
    ? Buffer.from(signed.buffer, signed.byteOffset, signed.byteLength)
    : Buffer.from(signed)
  const claims = JSON.parse(
    Buffer.from(octets.toString('latin1').split('.')[1]!, 'base64url').toString(),
  ) as {
    jti: string
  }
  return claims.jti.split('/')[0]!
}

let ground: PairGround
let upstream: GrpcServed
let pair: GatewayPair
let verifier: HeldVerifier
let honest: GrpcCaller
/** Calls that have reached the server behind the gateway. */
let servedCount = 0
const callers: GrpcCaller[] = []

beforeAll(async () => {
  verifier = new HeldVerifier()
  ground = await prepareGround()
  upstream = await nodeHttp2.serve()
  upstream.respond = (call) => {
    servedCount++
    return echo(call)
  }
  pair = await startPair(ground, 'control_plane', upstream.port)
  honest = connect()
})
afterEach(() => verifier.release())
afterAll(async () => {
  for (const caller of callers) caller.close()
  await pair?.close()
  await upstream?.close()
  await ground?.close()
  vi.restoreAllMocks()
})

/** A new connection, on which each call brings a token of its own. */
function connect(): GrpcCaller {
  const caller = connectNodeHttp2({ ...pair.ingress, token: null })
  callers.push(caller)
  return caller
}

/** A connection, and tokens that nobody has seen yet. */
async function loud(name: string, tokenCount: number) {
  const tokens = await Promise.all(
    Array.from({ length: tokenCount }, () => ground.provider.mintToken({ jti: `${name}/${randomUUID()}` })),
  )
  return { name, caller: connect(), tokens }
}

const send = (caller: GrpcCaller, token: string, timeoutMs?: number): Promise<Outcome> =>
  caller.unary(HELLO, {
    path: `/${TEST_SERVICE}/Call`,
    metadata: { authorization: [`Bearer ${token}`] },
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  })

const waiting = (): Promise<number> => pair.metric('authgw_signature_checks_waiting')

function expectOverload(outcome: Outcome): void {
  expect(outcome).toMatchObject({ status: UNAVAILABLE, message: 'verification overload', replies: [] })
  expect(outcome.trailers['authgw-reason']).toEqual(['verification_overload'])
  const delayMs = retryDelayMs(outcome.trailers['grpc-status-details-bin']![0] as Buffer)
  expect(delayMs).toBeGreaterThanOrEqual(1_000)
  expect(delayMs).toBeLessThanOrEqual(5_000)
}

test('a connection has four in work, a worker 32; who waits 2 s is put off, and passes at the next try', async () => {
  expect((await send(honest, ground.token)).status).toBe(0)
  const first = await loud('first', 6)
  const others = await Promise.all(Array.from({ length: 8 }, (_, at) => loud(`other-${at}`, 6)))
  // Every connection is made and known before anything is held.
  for (const { caller } of [first, ...others]) expect((await send(caller, ground.token)).status).toBe(0)
  const servedBefore = servedCount
  verifier.hold()

  const startMs = performance.now()
  const firstCalls = first.tokens.map((token) => send(first.caller, token))
  await waitFor(
    async () => (await waiting()) === 6 - PER_CONNECTION,
    1_000,
    'the first connection’s share is used up',
  )
  expect(verifier.held).toEqual(Array.from({ length: PER_CONNECTION }, () => 'first'))

  const otherCalls = others.flatMap(({ caller, tokens }) => tokens.map((token) => send(caller, token)))
  await waitFor(async () => (await waiting()) === 54 - PER_WORKER, 1_000, 'the worker’s share is used up')
  expect(verifier.held).toHaveLength(PER_WORKER)
  for (const { name } of [first, ...others])
    expect(verifier.countOf(name)).toBeLessThanOrEqual(PER_CONNECTION)

  // Nobody else is kept from anything for which there is a verdict already, on whichever connection.
  const honestCalls = await Promise.all(Array.from({ length: 50 }, () => send(honest, ground.token)))
  for (const outcome of honestCalls) expect(outcome).toMatchObject({ status: 0, replies: [HELLO] })
  expect((await send(first.caller, ground.token)).status).toBe(0)
  expect(servedCount - servedBefore).toBe(51)
  expect(performance.now() - startMs).toBeLessThan(MAX_WAIT_MS)

  const outcomes = await Promise.all([...firstCalls, ...otherCalls])
  expect(performance.now() - startMs).toBeGreaterThanOrEqual(MAX_WAIT_MS - 50)
  for (const outcome of outcomes) expectOverload(outcome)
  expect(outcomes).toHaveLength(54)
  expect(servedCount - servedBefore).toBe(51)
  expect(await waiting()).toBe(0)
  // Those whose turn never came cost no cryptography.
  expect(verifier.held).toHaveLength(PER_WORKER)
  expect((await send(honest, ground.token)).status).toBe(0)

  verifier.release()
  for (const { caller, tokens } of [first, ...others])
    for (const outcome of await Promise.all(tokens.map((token) => send(caller, token))))
      expect(outcome).toMatchObject({ status: 0, replies: [HELLO] })
  await pair.checkAtRest()
}, 30_000)

test('who waits for less than 2 s is let in when its turn comes, and a call of 2 s waits no longer than 1.2 s', async () => {
  const some = await loud('some', 7)
  expect((await send(some.caller, ground.token)).status).toBe(0)
  verifier.hold()
  const calls = some.tokens.slice(0, 6).map((token) => send(some.caller, token))
  await waitFor(async () => (await waiting()) === 2, 1_000, 'two wait')
  const hastyMs = performance.now()
  const hasty = await send(some.caller, some.tokens[6]!, 2_000)
  expectOverload(hasty)
  expect(performance.now() - hastyMs).toBeGreaterThan(1_150)
  expect(performance.now() - hastyMs).toBeLessThan(1_800)
  expect(await waiting()).toBe(2)
  expect(verifier.held).toHaveLength(PER_CONNECTION)
  verifier.release()
  for (const outcome of await Promise.all(calls)) expect(outcome.status).toBe(0)
  expect(await waiting()).toBe(0)
  await pair.checkAtRest()
})

import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { prepareGround, SHAPES, startPair } from '../../support/gateway-pair.ts'
import type { GatewayPair, PairGround } from '../../support/gateway-pair.ts'
import { grpcJs } from '../../support/grpc-js-kit.ts'
import { echo, joined } from '../../support/grpc-peer.ts'
import type { GrpcCaller, GrpcServed, ServedCall } from '../../support/grpc-peer.ts'
import { nodeHttp2 } from '../../support/node-http2-kit.ts'

const KITS = [grpcJs, nodeHttp2]
const OK = 0
const CANCELLED = 1
const DEADLINE_EXCEEDED = 4
const RESOURCE_EXHAUSTED = 8
const DATA_LOSS = 15
const MIB = 1024 * 1024

/** As grpc's own interop suite: white space, BMP and beyond; with what percent-encoding must not mistake. */
const SPECIAL_MESSAGE = '\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n 100 %, %41 stays'

const WAYS = SHAPES.flatMap((shape) =>
  KITS.flatMap((client) =>
    KITS.map((server) => ({ shape, client, server, title: `${client.name} → ${shape} → ${server.name}` })),
  ),
)

let ground: PairGround
beforeAll(async () => {
  ground = await prepareGround()
})
afterAll(() => ground.close())

describe.each(WAYS)('$title', ({ shape, client, server }) => {
  let served: GrpcServed
  let pair: GatewayPair
  let caller: GrpcCaller
  beforeAll(async () => {
    served = await server.serve()
    pair = await startPair(ground, shape, served.port)
    caller = client.connect(pair.ingress)
  })
  afterAll(async () => {
    await pair.checkAtRest()
    caller.close()
    await pair.close()
    await served.close()
  })

  test('unary messages of 0 B, 1 B, 1 MiB and 4 MiB come and go unchanged', async () => {
    served.respond = echo
    for (const bytes of [0, 1, MIB, 4 * MIB]) {
      const message = randomBytes(bytes)
      const { status, replies } = await caller.unary(message)
      expect(status).toBe(OK)
      expect(replies).toHaveLength(1)
      expect(Buffer.compare(replies[0]!, message)).toBe(0)
    }
  })

  test('a call without any message, and one with many before the first answer', async () => {
    served.respond = async (call) => {
      let count = 0
      while ((await call.next()) !== null) count++
      await call.send(Buffer.from(String(count)))
      call.finish()
    }
    for (const count of [0, 500]) {
      const call = caller.open()
      for (let i = 0; i < count; i++) await call.send(Buffer.from(`message ${i}`))
      call.end()
      const { status, replies } = await call.outcome
      expect([status, replies.map(String)]).toEqual([OK, [String(count)]])
    }
  })

  test('one message in, many out', async () => {
    served.respond = async (call) => {
      await call.next()
      for (let i = 0; i < 500; i++) await call.send(Buffer.alloc(1000, i))
      call.finish()
    }
    const call = caller.open()
    await call.send(Buffer.from('go'))
    call.end()
    const { status, replies } = await call.outcome
    expect(status).toBe(OK)
    expect(replies).toHaveLength(500)
    expect(replies.every((reply, i) => reply.equals(Buffer.alloc(1000, i)))).toBe(true)
  })

  test('ping-pong of 1,000 messages: each answer is there before the next question', async () => {
    served.respond = echo
    const call = caller.open()
    for (let i = 0; i < 1000; i++) {
      const ping = Buffer.from(`ping ${i}`)
      await call.send(ping)
      expect(await call.next()).toEqual(ping)
    }
    call.end()
    expect((await call.outcome).status).toBe(OK)
  })

  test('metadata goes both ways: duplicates in order, -bin values octet by octet', async () => {
    const every = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
    const sent = {
      'x-twice': ['first', 'second', 'first'],
      'x-trace-bin': [every, Buffer.from([0]), Buffer.alloc(0)],
      'x-unknown': ['a b;c=d'],
    }
    let seen: ServedCall | null = null
    served.respond = (call) => {
      seen = call
      call.sendHead({ 'x-head': ['1', '2'], 'x-head-bin': [every] })
      call.finish(OK, '', { 'x-end': ['3', '4', '3'], 'x-end-bin': [every, Buffer.from([255])] })
    }
    const outcome = await caller.unary(Buffer.from('m'), { metadata: sent })
    const { metadata } = seen!
    expect(joined(metadata['x-twice'])).toBe('first, second, first')
    expect(metadata['x-trace-bin']).toEqual(sent['x-trace-bin'])
    expect(joined(metadata['x-unknown'])).toBe('a b;c=d')
    expect(joined(outcome.head['x-head'])).toBe('1, 2')
    expect(outcome.head['x-head-bin']).toEqual([every])
    expect(joined(outcome.trailers['x-end'])).toBe('3, 4, 3')
    expect(outcome.trailers['x-end-bin']).toEqual([every, Buffer.from([255])])
  })

  test('the token stays between the gateways, and nothing of it reaches the server', async () => {
    let metadata: ServedCall['metadata'] = {}
    served.respond = (call) => {
      metadata = call.metadata
      call.finish()
    }
    expect((await caller.unary(Buffer.alloc(1))).status).toBe(OK)
    const hasToken = metadata['authorization'] !== undefined
    expect(hasToken).toBe(shape === 'workload')
    expect(metadata['x-authgw-hop'] === undefined).toBe(shape !== 'workload')
  })

  test('an error with details passes octet by octet, before and after the first message', async () => {
    const details = randomBytes(777)
    for (const isLate of [false, true]) {
      served.respond = async (call) => {
        if (isLate) await call.send(Buffer.from('so far'))
        call.finish(DATA_LOSS, 'the disk is gone', { 'grpc-status-details-bin': [details] })
      }
      const outcome = await caller.unary(Buffer.from('m'))
      expect([outcome.status, outcome.message]).toEqual([DATA_LOSS, 'the disk is gone'])
      expect(outcome.trailers['grpc-status-details-bin']).toEqual([details])
      expect(outcome.trailers['authgw-reason']).toBeUndefined()
    }
  })

  test('every status code passes as it is, RESOURCE_EXHAUSTED without RetryInfo too', async () => {
    for (let status = 1; status <= 15; status++) {
      served.respond = (call) => call.finish(status, `status ${status}`)
      const outcome = await caller.unary(Buffer.from('m'))
      expect([outcome.status, outcome.message]).toEqual([status, `status ${status}`])
      expect(outcome.trailers['grpc-status-details-bin']).toBeUndefined()
    }
    expect(RESOURCE_EXHAUSTED).toBeLessThan(15)
  })

  test('a status message with white space, Unicode and percent signs', async () => {
    served.respond = (call) => call.finish(2, SPECIAL_MESSAGE)
    const outcome = await caller.unary(Buffer.from('m'))
    expect([outcome.status, outcome.message]).toEqual([2, SPECIAL_MESSAGE])
  })

  test('an answer before the request has ended reaches the caller, who may stop sending', async () => {
    served.respond = (call) => call.finish(RESOURCE_EXHAUSTED, 'enough')
    const call = caller.open()
    await call.send(Buffer.alloc(100_000))
    expect([(await call.outcome).status, (await call.outcome).message]).toEqual([
      RESOURCE_EXHAUSTED,
      'enough',
    ])
  })

  test('a cancel of the caller reaches the server at once', async () => {
    let reached: Promise<void> | null = null
    let hasBegun = (): void => {}
    const begun = new Promise<void>((resolve) => (hasBegun = resolve))
    served.respond = async (call) => {
      reached = call.cancelled
      await call.next()
      hasBegun()
    }
    const call = caller.open()
    await call.send(Buffer.from('m'))
    await begun
    const startMs = performance.now()
    call.cancel()
    await reached!
    expect(performance.now() - startMs).toBeLessThan(500)
    expect((await call.outcome).status).toBe(CANCELLED)
  })

  test('a cancel of the server reaches the caller', async () => {
    served.respond = async (call) => {
      await call.send(Buffer.from('so far'))
      call.finish(CANCELLED, 'cancelled by the server')
    }
    const call = caller.open()
    await call.send(Buffer.from('m'))
    const { status, message, replies } = await call.outcome
    expect([status, message, replies.length]).toEqual([CANCELLED, 'cancelled by the server', 1])
  })

  test('a deadline reaches the server, ends the call, and cancels it there', async () => {
    let givenMs = 0
    let reached: Promise<void> | null = null
    served.respond = (call) => {
      givenMs = call.timeoutMs
      reached = call.cancelled
    }
    const startMs = performance.now()
    const outcome = await caller.unary(Buffer.from('m'), { timeoutMs: 300 })
    const tookMs = performance.now() - startMs
    expect(outcome.status).toBe(DEADLINE_EXCEEDED)
    expect(tookMs).toBeGreaterThan(250)
    expect(tookMs).toBeLessThan(1500)
    expect(givenMs).toBeGreaterThan(100)
    expect(givenMs).toBeLessThanOrEqual(300)
    await Promise.race([
      reached!,
      sleep(1000).then(() => Promise.reject(new Error('the server was not told'))),
    ])
  })

  test('a loss of the server connection in the middle is UNAVAILABLE, and the next call is served', async () => {
    served.respond = async (call) => {
      await call.send(Buffer.from('so far'))
      served.cutConnections()
    }
    const call = caller.open()
    await call.send(Buffer.from('m'))
    expect((await call.outcome).status).toBe(14)
    served.respond = echo
    expect((await caller.unary(Buffer.from('again'))).replies.map(String)).toEqual(['again'])
  })

  test('a loss of the caller in the middle is seen by the server at once', async () => {
    let reached: Promise<void> | null = null
    let hasBegun = (): void => {}
    const begun = new Promise<void>((resolve) => (hasBegun = resolve))
    served.respond = (call) => {
      reached = call.cancelled
      hasBegun()
    }
    const other = client.connect(pair.ingress)
    const call = other.open()
    await call.send(Buffer.from('m'))
    await begun
    const startMs = performance.now()
    call.cancel()
    other.close()
    await reached!
    expect(performance.now() - startMs).toBeLessThan(500)
    await pair.checkAtRest()
  })
})

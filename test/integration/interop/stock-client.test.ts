import grpc from '@grpc/grpc-js'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { prepareGround, SHAPES, startPair } from '../../support/gateway-pair.ts'
import type { GatewayPair, PairGround } from '../../support/gateway-pair.ts'
import { connectGrpcJs, grpcJs } from '../../support/grpc-js-kit.ts'
import { echo } from '../../support/grpc-peer.ts'
import type { GrpcServed, ServedCall } from '../../support/grpc-peer.ts'
import { nodeHttp2, serveRaw } from '../../support/node-http2-kit.ts'

let ground: PairGround
beforeAll(async () => {
  ground = await prepareGround()
})
afterAll(() => ground.close())

describe.each(SHAPES)('%s', (shape) => {
  let served: GrpcServed
  let pair: GatewayPair
  beforeAll(async () => {
    served = await grpcJs.serve()
    pair = await startPair(ground, shape, served.port)
  })
  afterAll(async () => {
    await pair.checkAtRest()
    await pair.close()
    await served.close()
  })

  test('messages that grpc-js compresses arrive as they were, and cross the gateways compressed', async () => {
    const caller = connectGrpcJs(pair.ingress, {
      'grpc.default_compression_algorithm': grpc.compressionAlgorithms.gzip,
    })
    served.respond = echo
    const message = Buffer.alloc(1_000_000, 'telemetry repeats itself ')
    const before = await pair.metric('authgw_io_bytes_total')
    const { status, replies } = await caller.unary(message)
    expect([status, replies[0]!.equals(message)]).toEqual([0, true])
    // Only the answer is as long as the message: read and written once by each gateway.
    const answerBytes = 2 * pair.gateways.length * message.length
    expect((await pair.metric('authgw_io_bytes_total')) - before).toBeLessThan(1.2 * answerBytes)
    caller.close()
  })

  test('keepalive PINGs, with a call open and without, end nothing', async () => {
    const goaways = (): number[] =>
      pair.gateways.flatMap(({ roles }) => roles.map(({ relay }) => relay.ingressStats.goawaysOut))
    const before = goaways()
    const caller = connectGrpcJs(pair.ingress, {
      'grpc.keepalive_time_ms': 50,
      'grpc.keepalive_timeout_ms': 1000,
      'grpc.keepalive_permit_without_calls': 1,
    })
    let open: ServedCall | null = null
    served.respond = (call) => void (open = call)
    const call = caller.open()
    await call.send(Buffer.from('m'))
    await sleep(1000)
    open!.finish()
    expect((await call.outcome).status).toBe(0)
    await sleep(500)
    served.respond = echo
    expect((await caller.unary(Buffer.from('m'))).status).toBe(0)
    expect(goaways()).toEqual(before)
    caller.close()
  })

  test('a call begun while the server is away is UNAVAILABLE soon, and served when it is back', async () => {
    const gone = await serveRaw(() => {})
    await gone.close()
    const own = await startPair(ground, shape, gone.port)
    const caller = nodeHttp2.connect(own.ingress)
    const startMs = performance.now()
    const outcome = await caller.unary(Buffer.from('m'))
    expect([outcome.status, outcome.trailers['authgw-reason'] === undefined]).toEqual([14, false])
    expect(performance.now() - startMs).toBeLessThan(3000)
    await own.checkAtRest()
    caller.close()
    await own.close()
  })
})

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { prepareGround, SHAPES, startPair } from '../../support/gateway-pair.ts'
import type { PairGround } from '../../support/gateway-pair.ts'
import { grpcJs } from '../../support/grpc-js-kit.ts'
import { echo } from '../../support/grpc-peer.ts'
import { nodeHttp2 } from '../../support/node-http2-kit.ts'

const CALLS = 10_000
const IN_FLIGHT = 100

let ground: PairGround
beforeAll(async () => {
  ground = await prepareGround()
})
afterAll(() => ground.close())

describe.each(SHAPES)('%s', (shape) => {
  test('10,000 calls with 100 in flight: each gets its own answer, and nothing is left behind', async () => {
    const served = await nodeHttp2.serve()
    served.respond = echo
    const pair = await startPair(ground, shape, served.port)
    const caller = grpcJs.connect(pair.ingress)
    let next = 0
    const wrong: string[] = []
    const work = async (): Promise<void> => {
      while (next < CALLS) {
        const question = Buffer.from(`call ${next++}`)
        const { status, message, replies } = await caller.unary(question)
        if (status !== 0 || replies.length !== 1 || !replies[0]!.equals(question))
          wrong.push(`${question.toString()}: ${status} ${message}`)
      }
    }
    await Promise.all(Array.from({ length: IN_FLIGHT }, work))
    expect(wrong).toEqual([])
    await pair.checkAtRest()
    for (const gateway of pair.gateways)
      for (const { relay } of gateway.roles) expect(relay.stats.callsStarted).toBe(CALLS)
    caller.close()
    await pair.close()
    await served.close()
  })
})

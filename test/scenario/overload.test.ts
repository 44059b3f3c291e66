/**
 * Rows 21 and 22 of the no-loss contract: more than the gateway may hold, or more streams than it allows.
 */
import { expect, test } from 'vitest'
import { waitFor } from '../support/gateway-pair.ts'
import { answerOf, EXPORT_PATH, GRPC_HEAD, openStage } from '../support/scenario-stage.ts'
import { dialRaw } from '../support/raw-caller.ts'

test('more calls than the upstream has room for: put off within 2 s, never dropped, and passed once there is room', async () => {
  await using stage = await openStage({
    shape: 'workload',
    upstreamSettings: { maxConcurrentStreams: 1 },
  })
  const gate = Promise.withResolvers<void>()
  stage.upstream.respond = async (call) => {
    while ((await call.next()) !== null);
    await gate.promise
    call.finish()
  }
  const startMs = performance.now()
  // Eight connections are opened at most; each takes one call.
  const calls = Array.from({ length: 40 }, () => stage.call({ timeoutMs: 20_000 }))
  let overloadCount = 0
  const counted = calls.map(async (call) => {
    const answer = await call
    if (answer.status === 'OK') return
    overloadCount++
    expect(answer).toMatchObject({ status: 'UNAVAILABLE' })
    expect(answer.retrySeconds).toBeGreaterThanOrEqual(1)
    expect(answer.retrySeconds).toBeLessThanOrEqual(5)
    expect(performance.now() - startMs).toBeLessThan(4_000)
  })
  await waitFor(() => overloadCount === 32, 6_000, 'those without room are put off')
  gate.resolve()
  await Promise.all(counted)
  expect(overloadCount).toBe(32)
  expect((await stage.call()).status).toBe('OK')
})

test('memory for waiting octets is spent: new calls are put off before their body is read', async () => {
  await using stage = await openStage({ shape: 'workload', top: 'limits: {max_held_size: 4MiB}' })
  stage.upstream.respond = async (call) => {
    // Reads nothing: what comes is held.
    await call.cancelled
  }
  const callers = [stage.connect(), stage.connect()]
  const stuck = Array.from({ length: 40 }, (_, index) => {
    const call = callers[index % 2]!.open({ path: EXPORT_PATH })
    void call.send(Buffer.alloc(512 * 1024))
    return call
  })
  const isSpent = async (): Promise<boolean> => (await stage.metric('authgw_held_bytes')) >= 4 * 1024 * 1024
  await waitFor(isSpent, 5_000, 'the memory is spent').catch(() => {})
  const held = await stage.metric('authgw_held_bytes')
  const answer = answerOf(
    await stage.connect().unary(Buffer.alloc(5), { path: EXPORT_PATH, timeoutMs: 3_000 }),
  )
  for (const call of stuck) call.cancel()
  expect(held).toBeGreaterThanOrEqual(4 * 1024 * 1024)
  expect(answer).toMatchObject({ status: 'UNAVAILABLE', reason: 'overload', retrySeconds: 3 })
  await waitFor(async () => (await stage.metric('authgw_held_bytes')) === 0, 3_000, 'all is given back')
})

test('streams above the limit are refused so that clients send them again by themselves', async () => {
  await using stage = await openStage({ shape: 'workload', listen: 'max_concurrent_streams: 2' })
  stage.upstream.respond = async (call) => {
    await call.cancelled
  }
  const caller = await dialRaw(stage.port)
  const head = GRPC_HEAD.map(([name, value]) => [name, name === ':scheme' ? 'http' : value] as const)
  const REFUSED_STREAM = 7
  const ends = Array.from({ length: 4 }, () => caller.request(head, Buffer.alloc(5)))
  const first = await Promise.race(ends)
  expect(first.resetCode).toBe(REFUSED_STREAM)
  expect((await ends[3]!).resetCode).toBe(REFUSED_STREAM)
  caller.close()
  // A client that reads SETTINGS waits for room: all its calls pass.
  stage.upstream.respond = (call) => call.finish()
  const answers = await Promise.all(Array.from({ length: 30 }, () => stage.call()))
  for (const { status } of answers) expect(status).toBe('OK')
})

/**
 * Row 24 of the no-loss contract: a gateway is stopped in good order while calls are under way.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { EXPORT_PATH, openStage } from '../support/scenario-stage.ts'

test.concurrent.each(['workload', 'control_plane'] as const)(
  '%s: calls under way end well, those that come during the delay pass, and readiness goes first',
  async (shape) => {
    await using stage = await openStage({ shape, top: 'drain: {delay: 1s, timeout: 4s}' })
    stage.upstream.respond = async (call) => {
      await sleep(600)
      call.finish()
    }
    expect((await stage.call()).status).toBe('OK')
    const underWay = stage.call()
    await sleep(50)
    const drained = stage.gateways[0]!.drain()
    await sleep(100)
    expect(await stage.readyStatus(shape)).toBe(503)
    // The collector's last flush still gets through.
    const late = stage.call()
    expect((await underWay).status).toBe('OK')
    expect((await late).status).toBe('OK')
    // The workload waits for its client to leave, as far as drain.timeout allows.
    const startMs = performance.now()
    await drained
    expect(performance.now() - startMs).toBeLessThan(5_000)
  },
)

test.concurrent('a call that outlives the drain is put off in its trailers', async () => {
  await using stage = await openStage({ shape: 'control_plane', top: 'drain: {delay: 0s, timeout: 500ms}' })
  const arrived = Promise.withResolvers<void>()
  stage.upstream.respond = async (call) => {
    call.sendHead({})
    arrived.resolve()
    await call.cancelled
  }
  const caller = stage.connect()
  const call = caller.open({
    path: EXPORT_PATH,
    metadata: { authorization: [`Bearer ${await stage.token()}`] },
  })
  await call.send(Buffer.from('an endless stream'))
  await arrived.promise
  const drained = stage.gateways[0]!.drain()
  const outcome = await call.outcome
  expect(outcome).toMatchObject({ status: 14, message: 'authgw: shutting down' })
  expect(outcome.trailers['authgw-reason']).toEqual(['draining'])
  await drained
})

test.concurrent(
  'under load, a gateway that is drained and started again costs no call that grpc clients would not repeat',
  async () => {
    await using stage = await openStage({ shape: 'both', top: 'drain: {delay: 200ms, timeout: 5s}' })
    const statuses = new Map<string, number>()
    const isOver = { value: false }
    const load = Array.from({ length: 10 }, async () => {
      while (!isOver.value) {
        const { status } = await stage.call({ timeoutMs: 3_000 })
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
        if (status !== 'OK') await sleep(50)
      }
    })
    await sleep(300)
    await stage.restart('control_plane', 'in good order')
    await sleep(500)
    isOver.value = true
    await Promise.all(load)
    for (const status of statuses.keys()) expect(['OK', 'UNAVAILABLE']).toContain(status)
    expect(statuses.get('OK')).toBeGreaterThan(100)
    expect((await stage.call()).status).toBe('OK')
  },
)

/**
 * Rows 19 and 20 of the no-loss contract: the caller's time is over, or the caller has gone.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { waitFor } from '../support/gateway-pair.ts'
import { EXPORT_PATH, GRPC_HEAD, openStage } from '../support/scenario-stage.ts'
import { dialRaw } from '../support/raw-caller.ts'

test('a deadline that passes while the upstream thinks: DEADLINE_EXCEEDED here, CANCEL there', async () => {
  await using stage = await openStage({ shape: 'both' })
  let isCancelled = false
  stage.upstream.respond = async (call) => {
    expect(call.timeoutMs).toBeLessThanOrEqual(500)
    await call.cancelled
    isCancelled = true
  }
  const startMs = performance.now()
  expect((await stage.call({ timeoutMs: 500 })).status).toBe('DEADLINE_EXCEEDED')
  expect(performance.now() - startMs).toBeLessThan(1_500)
  await waitFor(() => isCancelled, 1_000, 'the upstream hears of it')
})

test('a deadline is kept for clients that do not watch it themselves', async () => {
  await using stage = await openStage({ shape: 'workload' })
  let isCancelled = false
  stage.upstream.respond = async (call) => {
    await call.cancelled
    isCancelled = true
  }
  const caller = await dialRaw(stage.port)
  const head = [
    ...GRPC_HEAD.filter(([name]) => name !== ':scheme'),
    [':scheme', 'http'],
    ['grpc-timeout', '300m'],
  ] as const
  const pseudoFirst = [...head].sort(([a], [b]) => Number(b.startsWith(':')) - Number(a.startsWith(':')))
  const { fields } = await caller.request(pseudoFirst, Buffer.alloc(5))
  expect(fields).toMatchObject({ 'grpc-status': '4', 'authgw-reason': 'deadline' })
  await waitFor(() => isCancelled, 1_000, 'the upstream hears of it')
  caller.close()
})

test.each(['cancels', 'disconnects'])('a client that %s: the upstream hears of it at once', async (how) => {
  await using stage = await openStage({ shape: 'both' })
  let cancelledAtMs = 0
  let isSeen = false
  stage.upstream.respond = async (call) => {
    isSeen = true
    await call.cancelled
    cancelledAtMs = performance.now()
  }
  const caller = stage.connect()
  const call = caller.open({ path: EXPORT_PATH })
  call.outcome.catch(() => {})
  await call.send(Buffer.from('half a stream'))
  await waitFor(() => isSeen, 2_000, 'the call arrives')
  await sleep(50)
  const goneAtMs = performance.now()
  if (how === 'cancels') call.cancel()
  else {
    call.cancel()
    caller.close()
  }
  await waitFor(() => cancelledAtMs > 0, 2_000, 'the upstream hears of it')
  expect(cancelledAtMs - goneAtMs).toBeLessThan(500)
  await waitFor(async () => (await stage.metric('authgw_open_calls')) === 0, 2_000, 'no call is left')
  expect(await stage.metric('authgw_held_bytes')).toBe(0)
})

/**
 * Rows 23 and 25 of the no-loss contract: messages and heads that will never fit. Final: a retry would meet the same.
 */
import { expect, test } from 'vitest'
import { openStage } from '../support/scenario-stage.ts'
import { dialRaw } from '../support/raw-caller.ts'
import { GRPC_HEAD } from '../support/scenario-stage.ts'

test.each(['workload', 'control_plane'] as const)(
  '%s: a message over max_recv_msg_size_mib',
  async (shape) => {
    await using stage = await openStage({ shape, listen: 'max_recv_msg_size_mib: 1' })
    expect(await stage.call({ body: Buffer.alloc(1024 * 1024 + 1) })).toMatchObject({
      status: 'RESOURCE_EXHAUSTED',
      retrySeconds: null,
      reason: 'message_too_large',
    })
    expect((await stage.call({ body: Buffer.alloc(1024 * 1024) })).status).toBe('OK')
  },
)

test('metadata above the limit: refused alone, the connection goes on', async () => {
  await using stage = await openStage({ shape: 'workload' })
  const caller = await dialRaw(stage.port)
  const head = GRPC_HEAD.map(([name, value]) => [name, name === ':scheme' ? 'http' : value] as const)
  const bulk = Array.from({ length: 3 }, (_, index) => [`x-bulk-${index}`, '~'.repeat(25_000)] as const)
  const refused = await caller.request([...head, ...bulk], Buffer.alloc(5))
  expect(refused.fields).toMatchObject({ 'grpc-status': '8', 'authgw-reason': 'header_too_large' })
  expect(refused.fields).not.toHaveProperty('grpc-status-details-bin')
  const passed = await caller.request(head, Buffer.alloc(5))
  expect(passed.fields).toMatchObject({ 'grpc-status': '0' })
  caller.close()
})

test('metadata that is too much for the upstream alone: refused for good, by us', async () => {
  await using stage = await openStage({ shape: 'workload', upstreamSettings: { maxHeaderListSize: 4_096 } })
  expect((await stage.call()).status).toBe('OK')
  expect(await stage.call({ metadata: { 'x-bulk': ['y'.repeat(6_000)] } })).toMatchObject({
    status: 'RESOURCE_EXHAUSTED',
    retrySeconds: null,
    reason: 'header_too_large',
  })
})

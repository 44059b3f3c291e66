/**
 * Row 26 of the no-loss contract: something else than gRPC speaks to a gateway.
 */
import { expect, test } from 'vitest'
import { dialRaw } from '../support/raw-caller.ts'
import { GRPC_HEAD, openStage } from '../support/scenario-stage.ts'

const headWith = (changes: Record<string, string>): [string, string][] =>
  GRPC_HEAD.map(([name, value]) => [name, changes[name] ?? (name === ':scheme' ? 'http' : value)])

test.each([
  ['OTLP over HTTP', 'application/x-protobuf'],
  ['JSON', 'application/json'],
  ['a form', 'application/x-www-form-urlencoded'],
])('%s is answered with 415', async (_name, contentType) => {
  await using stage = await openStage({ shape: 'workload' })
  const caller = await dialRaw(stage.port)
  const { fields } = await caller.request(headWith({ 'content-type': contentType }), Buffer.alloc(5))
  expect(fields[':status']).toBe('415')
  caller.close()
})

test.each(['/a%2Fb/Export', '/../admin', '/a//b', '/a/b?c=d', '/a/./b', '/a\\b/c'])(
  'the path %s is no method, and never reaches the policy',
  async (path) => {
    await using stage = await openStage({ shape: 'workload' })
    const caller = await dialRaw(stage.port)
    const { fields } = await caller.request(headWith({ ':path': path }), Buffer.alloc(5))
    expect(fields).toMatchObject({ 'grpc-status': '12', 'authgw-reason': 'bad_path' })
    expect(await stage.metric('authgw_decisions_total')).toBe(0)
    caller.close()
  },
)

test('content-types that begin as gRPC’s pass', async () => {
  await using stage = await openStage({ shape: 'workload' })
  for (const contentType of [
    'application/grpc',
    'application/grpc+proto',
    'application/grpc;charset=utf-8',
  ]) {
    const caller = await dialRaw(stage.port)
    const { fields } = await caller.request(headWith({ 'content-type': contentType }), Buffer.alloc(5))
    expect(fields['grpc-status']).toBe('0')
    caller.close()
  }
})

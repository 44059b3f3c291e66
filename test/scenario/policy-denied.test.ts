/**
 * Rows 6 and 10 of the no-loss contract: the token is valid, and the policy says no.
 */
import { expect, test } from 'vitest'
import { exportPath } from '../support/otlp-proto.ts'
import { CLIENT_ID, CLIENT_SECRET, openStage } from '../support/scenario-stage.ts'

const ONLY_METRICS = 'policy: {rules: [{name: only-metrics, to: {signals: [metrics]}}]}'

test('without rules only OTLP Export passes: other methods are denied for good', async () => {
  await using stage = await openStage({ shape: 'control_plane' })
  for (const signal of ['traces', 'metrics', 'logs'] as const)
    expect((await stage.call({ path: exportPath(signal) })).status).toBe('OK')
  for (const [path, rule] of [
    ['/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', 'default'],
    ['/opentelemetry.proto.collector.trace.v1.TraceService/export', 'default'],
  ] as const)
    expect(await stage.call({ path })).toMatchObject({
      status: 'PERMISSION_DENIED',
      retrySeconds: null,
      reason: 'policy_denied',
      message: `policy ${rule} denied`,
    })
  const denied = { decision: 'refuse', reason: 'policy_denied' }
  expect(await stage.metric('authgw_decisions_total', { ...denied, issuer: stage.proxy.url })).toBe(2)
  expect(await stage.metric('authgw_decisions_total', denied)).toBe(2)
})

test('OTel-Arrow is not served unless a rule names it: its exporter falls back to OTLP', async () => {
  await using stage = await openStage({ shape: 'control_plane' })
  // Headers inside its batches can override those of the stream.
  const path = '/opentelemetry.proto.experimental.arrow.v1.ArrowTracesService/ArrowTraces'
  expect(await stage.call({ path })).toMatchObject({
    status: 'UNIMPLEMENTED',
    retrySeconds: null,
    reason: 'policy_denied',
    message: 'policy otel_arrow denied',
  })
})

test('a rule that allows one signal denies the others, by name', async () => {
  await using stage = await openStage({ shape: 'control_plane', controlPlane: ONLY_METRICS })
  expect((await stage.call({ path: exportPath('metrics') })).status).toBe('OK')
  expect(await stage.call()).toMatchObject({
    status: 'PERMISSION_DENIED',
    retrySeconds: null,
    reason: 'policy_denied',
  })
})

test('a deny rule goes before all others, and is named', async () => {
  await using stage = await openStage({
    shape: 'control_plane',
    clients: [{ clientId: CLIENT_ID, secret: CLIENT_SECRET, claims: { tenant: 'blocked' } }],
    controlPlane: `policy:
  rules:
    - {name: everyone}
    - {name: blocked-tenants, action: deny, when: [{claim: tenant, any_of: [blocked]}]}`,
  })
  expect(await stage.call()).toMatchObject({
    status: 'PERMISSION_DENIED',
    reason: 'policy_denied',
    message: 'policy blocked-tenants denied',
  })
  const token = await stage.provider.mintToken({ tenant: 'welcome' })
  expect((await stage.call({ token })).status).toBe('OK')
})

test('a dry run lets pass what it would deny, and logs it', async () => {
  await using stage = await openStage({
    shape: 'control_plane',
    controlPlane: 'policy: {dry_run: true, rules: [{name: only-metrics, to: {signals: [metrics]}}]}',
  })
  expect((await stage.call()).status).toBe('OK')
  expect(await stage.logs()).toContain('the policy would deny the call (dry run)')
})

test('through both gateways a denial is passed on as it is, and asks for no other token', async () => {
  await using stage = await openStage({ shape: 'both', controlPlane: ONLY_METRICS })
  expect(await stage.call()).toMatchObject({
    status: 'PERMISSION_DENIED',
    retrySeconds: null,
    reason: 'policy_denied',
  })
  expect(stage.proxy.attempts('/token')).toHaveLength(1)
})

test('with on_denied: hold the workload keeps the data in the queue until the policy is put right', async () => {
  await using stage = await openStage({
    shape: 'both',
    controlPlane: ONLY_METRICS,
    workload: 'on_denied: hold',
  })
  expect(await stage.call()).toMatchObject({
    status: 'UNAVAILABLE',
    retrySeconds: 10,
    reason: 'denied_held',
  })
})

test('the workload puts no token on a method that is not on its list', async () => {
  await using stage = await openStage({ shape: 'workload' })
  let seenCount = 0
  stage.upstream.respond = (call) => {
    seenCount++
    call.finish()
  }
  expect(await stage.call({ path: '/some.other.Service/Call' })).toMatchObject({
    status: 'PERMISSION_DENIED',
    retrySeconds: null,
    reason: 'policy_denied',
  })
  expect(seenCount).toBe(0)
})

test('a refused call costs nothing of its body: the answer comes with no DATA read', async () => {
  await using stage = await openStage({ shape: 'control_plane', controlPlane: ONLY_METRICS })
  const call = stage.connect().open({
    path: exportPath('traces'),
    metadata: { authorization: [`Bearer ${await stage.token()}`] },
    timeoutMs: 5_000,
  })
  // Nothing is sent and the request is not ended: the verdict needs the head alone.
  expect((await call.outcome).status).toBe(7)
})

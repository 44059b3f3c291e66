/**
 * Row 2 of the no-loss contract: the provider refuses the workload's client credentials.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { oauthError, TOKEN_PATH } from '../support/fault-proxy.ts'
import { waitFor } from '../support/gateway-pair.ts'
import { openStage } from '../support/scenario-stage.ts'
import type { Stage } from '../support/scenario-stage.ts'

const writeSecret = (stage: Pick<Stage, 'folder'>, secret: string): void =>
  writeFileSync(join(stage.folder, 'client-secret'), secret)

/** The first call may come before the provider's answer: it waits for it. */
const CALL = { timeoutMs: 5_000 }

test('a wrong client secret keeps telemetry in the queue, and shows where operators look', async () => {
  await using stage = await openStage({
    shape: 'workload',
    waitsUntilWell: false,
    beforeStart: (early) => writeSecret(early, 'yesterdays-secret'),
  })
  expect(await stage.call(CALL)).toMatchObject({
    status: 'UNAVAILABLE',
    retrySeconds: 10,
    reason: 'credential_config',
    message: 'authgw: token unavailable: invalid_client',
  })
  expect(await stage.metric('authgw_token_refreshes_total', { result: 'invalid_client' })).toBe(1)
  const isDegraded = async (): Promise<boolean> =>
    (await stage.metric('authgw_degraded', { reason: 'invalid_client' })) === 1
  await waitFor(isDegraded, 2_000, 'it is degraded')
  expect(await stage.readyStatus('workload')).toBe(200)
  const logs = await stage.logs()
  expect(logs).toContain('the client credentials need an operator')
  expect(logs).not.toContain('yesterdays-secret')
})

test('the provider that refuses a client is not asked again for half a minute', async () => {
  await using stage = await openStage({
    shape: 'workload',
    waitsUntilWell: false,
    beforeStart: (early) => writeSecret(early, 'yesterdays-secret'),
  })
  for (let count = 0; count < 3; count++) expect((await stage.call(CALL)).status).toBe('UNAVAILABLE')
  await new Promise((resolve) => setTimeout(resolve, 2_500))
  await stage.call(CALL)
  expect(stage.proxy.attempts(TOKEN_PATH)).toHaveLength(1)
})

test('once the secret file is put right, calls pass within seconds', async () => {
  await using stage = await openStage({
    shape: 'workload',
    waitsUntilWell: false,
    beforeStart: (early) => writeSecret(early, 'yesterdays-secret'),
  })
  expect((await stage.call(CALL)).reason).toBe('credential_config')
  writeSecret(stage, 'a-secret-for-loopback')
  await waitFor(async () => (await stage.call(CALL)).status === 'OK', 5_000, 'calls pass')
})

test('with on_invalid_client: fail the exporter is told that no retry helps', async () => {
  await using stage = await openStage({
    shape: 'workload',
    workload: 'on_invalid_client: fail',
    waitsUntilWell: false,
    beforeStart: (early) => writeSecret(early, 'yesterdays-secret'),
  })
  expect(await stage.call(CALL)).toMatchObject({
    status: 'UNAUTHENTICATED',
    retrySeconds: null,
    reason: 'credential_config',
  })
})

test('a client that may not use the grant is told apart from a provider that is ill', async () => {
  await using stage = await openStage({
    shape: 'workload',
    waitsUntilWell: false,
    beforeStart: ({ proxy }) => proxy.misbehave(TOKEN_PATH, oauthError('unauthorized_client')),
  })
  expect(await stage.call(CALL)).toMatchObject({ status: 'UNAVAILABLE', reason: 'credential_config' })
})

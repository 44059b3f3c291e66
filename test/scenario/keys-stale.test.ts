/**
 * Row 8 of the no-loss contract: the keys are older than they should be, because the provider is down.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { openStage } from '../support/scenario-stage.ts'

test.concurrent('known keys are used on while the provider is down', async () => {
  await using stage = await openStage({ shape: 'control_plane' })
  const tokens = [await stage.token(), await stage.provider.mintToken({ jti: 'never seen before' })]
  await stage.proxy.stop()
  for (const token of tokens)
    expect(await stage.call({ token })).toMatchObject({ status: 'OK', reason: null })
  expect(await stage.readyStatus('control_plane')).toBe(200)
})

test.concurrent(
  'keys older than key_max_stale are no longer used: calls are put off, tokens seen before too',
  async () => {
    await using stage = await openStage({ shape: 'control_plane', oidc: 'key_max_stale: 3s' })
    const token = await stage.token()
    expect((await stage.call({ token })).status).toBe('OK')
    await stage.proxy.stop()
    await sleep(3_200)
    expect(await stage.call({ token })).toMatchObject({ status: 'UNAVAILABLE', reason: 'keys_unavailable' })
    expect(await stage.metric('authgw_key_set_keys')).toBe(0)
    expect(await stage.logs()).toContain('older than key_max_stale')
  },
)

/**
 * Rows 7 and 9 of the no-loss contract: a token names a key that the control plane gateway has not got.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { KEYS_PATH, SERVER_ERROR } from '../support/fault-proxy.ts'
import { openStage } from '../support/scenario-stage.ts'

test.concurrent(
  'keys that rotate: the first call under the new key is put off at most once, older tokens pass on',
  async () => {
    await using stage = await openStage({ shape: 'control_plane' })
    const before = await stage.token()
    await stage.provider.rotateKeys()
    const after = await stage.token()
    // The last fetch is less than ten seconds old: the next may not start yet.
    const early = await stage.call({ token: after })
    expect(early).toMatchObject({ status: 'UNAVAILABLE', reason: 'keys_unavailable' })
    expect(early.retrySeconds).toBeGreaterThanOrEqual(1)
    expect(early.retrySeconds).toBeLessThanOrEqual(10)
    expect((await stage.call({ token: before })).status).toBe('OK')
    await sleep(early.retrySeconds! * 1_000)
    expect((await stage.call({ token: after })).status).toBe('OK')
    expect((await stage.call({ token: before })).status).toBe('OK')
    expect(stage.proxy.attempts(KEYS_PATH)).toHaveLength(2)
  },
  30_000,
)

test.concurrent(
  'a key that no fetch brings: refused for good only by keys fetched after the call came',
  async () => {
    await using stage = await openStage({ shape: 'control_plane' })
    const token = await stage.provider.mintToken({}, { kid: 'nobody-knows' })
    const early = await stage.call({ token })
    expect(early).toMatchObject({ status: 'UNAVAILABLE', reason: 'keys_unavailable' })
    await sleep(early.retrySeconds! * 1_000)
    expect(await stage.call({ token })).toMatchObject({
      status: 'UNAUTHENTICATED',
      retrySeconds: null,
      reason: 'token_unknown_key',
      message: 'invalid token: unknown key',
    })
    // And while the next fetch cools down nobody knows again.
    expect(await stage.call({ token })).toMatchObject({ status: 'UNAVAILABLE', reason: 'keys_unavailable' })
    expect(stage.proxy.attempts(KEYS_PATH)).toHaveLength(2)
  },
  30_000,
)

test.concurrent(
  'a key that cannot be looked up because the provider is ill: put off',
  async () => {
    await using stage = await openStage({ shape: 'control_plane' })
    await stage.provider.rotateKeys({ forgetOld: true })
    const token = await stage.token()
    stage.proxy.misbehave(KEYS_PATH, SERVER_ERROR)
    await sleep(10_100)
    expect(await stage.call({ token })).toMatchObject({ status: 'UNAVAILABLE', reason: 'keys_unavailable' })
    expect(stage.proxy.attempts(KEYS_PATH)).toHaveLength(2)
    expect(await stage.call({ token })).toMatchObject({ status: 'UNAVAILABLE', reason: 'keys_unavailable' })
    expect(stage.proxy.attempts(KEYS_PATH)).toHaveLength(2)
  },
  30_000,
)

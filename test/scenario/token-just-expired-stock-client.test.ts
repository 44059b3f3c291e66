/**
 * Rows 9a and 11 of the no-loss contract: a stock oauth2client sends a token that has expired a moment ago, or clocks differ.
 */
import { expect, test } from 'vitest'
import { tokenAnswer, TOKEN_PATH } from '../support/fault-proxy.ts'
import { openStage } from '../support/scenario-stage.ts'

const nowSeconds = (): number => Math.floor(Date.now() / 1000)

test('a token that has expired a moment ago is put off, so that a stock client fetches another', async () => {
  await using stage = await openStage({ shape: 'control_plane' })
  const expired = await stage.provider.mintToken({ iat: nowSeconds() - 400, exp: nowSeconds() - 60 })
  expect(await stage.call({ token: expired })).toMatchObject({
    status: 'UNAVAILABLE',
    retrySeconds: 5,
    reason: 'token_expired_recently',
  })
  const longAgo = await stage.provider.mintToken({ iat: nowSeconds() - 700, exp: nowSeconds() - 400 })
  expect(await stage.call({ token: longAgo })).toMatchObject({
    status: 'UNAUTHENTICATED',
    retrySeconds: null,
    reason: 'token_expired',
  })
})

test('a forged token does not become retryable by being expired', async () => {
  await using stage = await openStage({ shape: 'control_plane' })
  const expired = await stage.provider.mintToken({ iat: nowSeconds() - 400, exp: nowSeconds() - 60 })
  expect(await stage.call({ token: `${expired.slice(0, -8)}AAAAAAAA` })).toMatchObject({
    status: 'UNAUTHENTICATED',
    reason: 'token_signature',
  })
})

test('a workload gateway marks its calls: an expired token is refused, so that it fetches another at once', async () => {
  await using stage = await openStage({ shape: 'control_plane' })
  const expired = await stage.provider.mintToken({ iat: nowSeconds() - 400, exp: nowSeconds() - 60 })
  const metadata = { 'x-authgw-hop': ['1'] }
  expect(await stage.call({ token: expired, metadata })).toMatchObject({
    status: 'UNAUTHENTICATED',
    reason: 'token_expired',
  })
})

test('the mark selects the status only, and does not reach the collector', async () => {
  await using stage = await openStage({ shape: 'control_plane' })
  const names: string[] = []
  stage.upstream.respond = (call) => {
    names.push(...Object.keys(call.metadata))
    call.finish()
  }
  expect((await stage.call({ metadata: { 'x-authgw-hop': ['1'] } })).status).toBe('OK')
  expect(names).toContain('content-type')
  expect(names).not.toContain('x-authgw-hop')
  expect(names).not.toContain('authorization')
})

test('with on_expired: fail an expired token is refused', async () => {
  await using stage = await openStage({ shape: 'control_plane', controlPlane: 'on_expired: fail' })
  const expired = await stage.provider.mintToken({ iat: nowSeconds() - 400, exp: nowSeconds() - 60 })
  expect(await stage.call({ token: expired })).toMatchObject({
    status: 'UNAUTHENTICATED',
    retrySeconds: null,
    reason: 'token_expired',
  })
})

test('a stock client whose provider’s clock is two minutes ahead is put off, and the skew is counted', async () => {
  await using stage = await openStage({ shape: 'control_plane' })
  const early = await stage.provider.mintToken({ iat: nowSeconds() + 120, exp: nowSeconds() + 420 })
  expect(await stage.call({ token: early })).toMatchObject({
    status: 'UNAVAILABLE',
    retrySeconds: 5,
    reason: 'token_not_yet_valid',
  })
  expect(await stage.metric('authgw_token_oddities_total', { kind: 'clock_skew' })).toBe(1)
})

test('a token from ten minutes ahead is refused, and the skew is counted', async () => {
  await using stage = await openStage({ shape: 'control_plane' })
  const early = await stage.provider.mintToken({ nbf: nowSeconds() + 600, exp: nowSeconds() + 900 })
  expect(await stage.call({ token: early })).toMatchObject({
    status: 'UNAUTHENTICATED',
    retrySeconds: null,
    reason: 'token_not_yet_valid',
  })
  expect(await stage.metric('authgw_token_oddities_total', { kind: 'clock_skew' })).toBe(1)
})

test('clocks that differ by 20 s are forgiven in both directions', async () => {
  await using stage = await openStage({ shape: 'control_plane' })
  const ahead = await stage.provider.mintToken({ iat: nowSeconds() + 20, nbf: nowSeconds() + 20 })
  const behind = await stage.provider.mintToken({ iat: nowSeconds() - 300, exp: nowSeconds() - 20 })
  for (const token of [ahead, behind]) expect((await stage.call({ token })).status).toBe('OK')
})

test('through both gateways, a token from the future is never lost data: the workload turns the refusal', async () => {
  await using stage = await openStage({
    shape: 'both',
    waitsUntilWell: false,
    beforeStart: async ({ provider, proxy }) => {
      const early = await provider.mintToken({ nbf: nowSeconds() + 3_600, exp: nowSeconds() + 7_200 })
      proxy.misbehave(TOKEN_PATH, tokenAnswer(early, 300))
    },
  })
  await stage.call()
  expect(await stage.call()).toMatchObject({ status: 'UNAVAILABLE', reason: 'credential_rejected' })
})

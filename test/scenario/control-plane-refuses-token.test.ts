/**
 * Row 5 of the no-loss contract: the control plane answers UNAUTHENTICATED to the token of the workload gateway.
 */
import { expect, test } from 'vitest'
import { KEYS_PATH, tokenAnswer, TOKEN_PATH } from '../support/fault-proxy.ts'
import { waitFor } from '../support/gateway-pair.ts'
import type { ServedCall } from '../support/grpc-peer.ts'
import { AUDIENCE, openStage } from '../support/scenario-stage.ts'
import type { Stage } from '../support/scenario-stage.ts'

/** An upstream that knows tokens as a control plane does, so that a test decides which it takes. */
function acceptOnly(stage: Stage, isGood: (token: string) => boolean, seen: string[] = []): void {
  stage.upstream.respond = async (call: ServedCall) => {
    const token = String(call.metadata['authorization']?.[0]).replace('Bearer ', '')
    seen.push(token)
    if (!isGood(token)) return call.finish(16, 'invalid token', { 'authgw-reason': ['token_expired'] })
    for (let message = await call.next(); message !== null; message = await call.next())
      await call.send(message)
    call.finish()
  }
}

test.concurrent('a refused call is replayed with a fresh token: the caller notices nothing', async () => {
  await using stage = await openStage({ shape: 'workload' })
  const seen: string[] = []
  acceptOnly(stage, () => true, seen)
  expect((await stage.call()).status).toBe('OK')
  const [first] = seen
  acceptOnly(stage, (token) => token !== first, seen)
  const body = Buffer.alloc(100_000, 'request')
  const answer = await stage.call({ body })
  expect(answer).toMatchObject({ status: 'OK', reason: null })
  expect(answer.outcome.replies[0]!.equals(body)).toBe(true)
  expect(stage.proxy.attempts(TOKEN_PATH)).toHaveLength(2)
  expect(await stage.metric('authgw_replays_total')).toBe(1)
  expect(await stage.metric('authgw_token_rejections_total')).toBe(1)
})

test.concurrent('a hundred calls refused at once cost one token request', async () => {
  await using stage = await openStage({ shape: 'workload' })
  const seen: string[] = []
  acceptOnly(stage, () => true, seen)
  await stage.call()
  const [first] = seen
  acceptOnly(stage, (token) => token !== first)
  const answers = await Promise.all(Array.from({ length: 100 }, () => stage.call()))
  for (const answer of answers) expect(answer).toMatchObject({ status: 'OK', reason: null })
  expect(stage.proxy.attempts(TOKEN_PATH)).toHaveLength(2)
})

test.concurrent(
  'a control plane that refuses every token never makes the exporter drop data, nor floods the provider',
  async () => {
    await using stage = await openStage({ shape: 'workload' })
    const seen: string[] = []
    acceptOnly(stage, () => false, seen)
    expect(await stage.call()).toMatchObject({
      status: 'UNAVAILABLE',
      retrySeconds: 10,
      reason: 'credential_rejected',
      message: 'authgw: token unavailable: token_rejected',
    })
    const refusedCount = seen.length
    const answers = await Promise.all(Array.from({ length: 50 }, () => stage.call()))
    for (const answer of answers)
      expect(answer).toMatchObject({ status: 'UNAVAILABLE', retrySeconds: 10, reason: 'credential_rejected' })
    // Answered here, but for one probe a second.
    expect(seen.length - refusedCount).toBeLessThanOrEqual(2)
    expect(stage.proxy.attempts(TOKEN_PATH).length).toBeLessThanOrEqual(2)
    await waitFor(async () => (await stage.metric('authgw_degraded')) === 1, 2_000, 'it is degraded')

    acceptOnly(stage, () => true)
    const healedAtMs = performance.now()
    await waitFor(async () => (await stage.call()).status === 'OK', 12_000, 'calls pass again')
    expect(performance.now() - healedAtMs).toBeLessThan(12_000)
  },
)

test.concurrent('with on_rejected: pass the second refusal is passed on as it is', async () => {
  await using stage = await openStage({ shape: 'workload', workload: 'on_rejected: pass' })
  acceptOnly(stage, () => false)
  expect(await stage.call()).toMatchObject({
    status: 'UNAUTHENTICATED',
    message: 'invalid token',
    reason: 'token_expired',
  })
})

test.concurrent('when no other token can be had, the refused call is put off for a second', async () => {
  await using stage = await openStage({ shape: 'workload' })
  stage.proxy.misbehave(TOKEN_PATH, { kind: 'cut' })
  acceptOnly(stage, () => false)
  expect(await stage.call()).toMatchObject({
    status: 'UNAVAILABLE',
    retrySeconds: 1,
    reason: 'credential_unavailable',
  })
})

test.concurrent(
  'a call that streams too much to be held is put off, and its next try carries a fresh token',
  async () => {
    await using stage = await openStage({ shape: 'workload' })
    const seen: string[] = []
    acceptOnly(stage, () => true, seen)
    await stage.call()
    const [first] = seen
    stage.upstream.respond = async (call) => {
      while ((await call.next()) !== null);
      const isOld = call.metadata['authorization']?.[0] === `Bearer ${first}`
      call.finish(isOld ? 16 : 0, '', isOld ? { 'authgw-reason': ['token_expired'] } : {})
    }
    const body = Buffer.alloc(2 * 1024 * 1024)
    expect(await stage.call({ body })).toMatchObject({
      status: 'UNAVAILABLE',
      retrySeconds: 1,
      reason: 'credential_refused',
    })
    await waitFor(
      async () => (await stage.call({ body })).status === 'OK',
      3_000,
      'a call with a fresh token',
    )
    expect(stage.proxy.attempts(TOKEN_PATH)).toHaveLength(2)
  },
)

test.concurrent(
  'through both gateways, a token with a signature that does not verify is replaced by a good one',
  async () => {
    await using stage = await openStage({
      shape: 'both',
      waitsUntilWell: false,
      beforeStart: async ({ provider, proxy }) => {
        const good = await provider.mintToken({})
        proxy.misbehave(TOKEN_PATH, tokenAnswer(good.slice(0, -8) + 'AAAAAAAA'))
      },
    })
    await waitFor(
      async () => (await stage.metric('authgw_token_refreshes_total', { result: 'ok' })) === 1,
      2_000,
      'a token',
    )
    await waitFor(() => stage.proxy.attempts(KEYS_PATH).length === 1, 2_000, 'the keys')
    stage.proxy.heal()
    expect(await stage.call()).toMatchObject({ status: 'OK', reason: null })
    expect(await stage.metric('authgw_replays_total')).toBe(1)
  },
)

test.concurrent(
  'through both gateways, tokens for another audience are held back, never dropped',
  async () => {
    await using stage = await openStage({
      shape: 'both',
      waitsUntilWell: false,
      beforeStart: async ({ provider, proxy }) =>
        proxy.misbehave(TOKEN_PATH, tokenAnswer(await provider.mintToken({ aud: `not-${AUDIENCE}` }))),
    })
    await waitFor(() => stage.proxy.attempts(KEYS_PATH).length === 1, 2_000, 'the keys')
    // The provider has no other token to give: the first call waits a second, and those after it longer.
    expect(await stage.call()).toMatchObject({ status: 'UNAVAILABLE', retrySeconds: 1 })
    expect(await stage.call()).toMatchObject({
      status: 'UNAVAILABLE',
      retrySeconds: 10,
      reason: 'credential_rejected',
    })
    expect(await stage.metric('authgw_egress_refusals_total', { reason: 'token_audience' })).toBeGreaterThan(
      0,
    )
    // Put right at the provider: noticed without a restart, although the refused token lives on for minutes.
    stage.proxy.heal()
    const healedAtMs = performance.now()
    await waitFor(async () => (await stage.call()).status === 'OK', 12_000, 'calls pass')
    expect(performance.now() - healedAtMs).toBeLessThan(12_000)
    expect(stage.proxy.attempts(TOKEN_PATH).length).toBeLessThanOrEqual(4)
  },
)

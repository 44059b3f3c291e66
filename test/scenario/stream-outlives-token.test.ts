/**
 * Row 29 of the no-loss contract: a stream lives longer than the token that it was opened with.
 */
import { expect, test } from 'vitest'
import { exportPath } from '../support/otlp-proto.ts'
import { openStage } from '../support/scenario-stage.ts'

const PATH = exportPath('traces')
const nowSeconds = (): number => Math.floor(Date.now() / 1000)

test.concurrent('at the control plane a stream ends with its token, leeway included', async () => {
  await using stage = await openStage({ shape: 'control_plane', oidc: 'clock_skew: 1s' })
  stage.upstream.respond = async (call) => {
    call.sendHead({})
    await call.cancelled
  }
  const expiresAtSeconds = nowSeconds() + 2
  const token = await stage.provider.mintToken({ exp: expiresAtSeconds })
  const call = stage.connect().open({ path: PATH, metadata: { authorization: [`Bearer ${token}`] } })
  await call.send(Buffer.from('begin'))
  const outcome = await call.outcome
  expect(outcome).toMatchObject({ status: 16, message: 'authgw: the token of this stream has expired' })
  expect(outcome.trailers['authgw-reason']).toEqual(['stream_expired'])
  const lateMs = Date.now() - (expiresAtSeconds + 1) * 1_000
  expect(lateMs).toBeGreaterThan(-100)
  expect(lateMs).toBeLessThan(1_500)
})

test.concurrent(
  'the workload turns that end into one after which clients open the stream again, with a fresh token',
  async () => {
    await using stage = await openStage({ shape: 'both', tokenLifeSeconds: 3, oidc: 'clock_skew: 1s' })
    const tokens = new Set<string>()
    stage.upstream.respond = async (call) => {
      call.sendHead({})
      await call.cancelled
    }
    const caller = stage.connect()
    for (let round = 0; round < 2; round++) {
      const call = caller.open({ path: PATH })
      await call.send(Buffer.from('begin'))
      const outcome = await call.outcome
      expect(outcome).toMatchObject({ status: 14, message: 'authgw: the stream is to be opened again' })
      tokens.add(String(outcome.trailers['authgw-reason']))
    }
    expect([...tokens]).toEqual(['stream_renewed'])
  },
)

test.concurrent('max_stream_duration ends streams so that clients open them again', async () => {
  await using stage = await openStage({ shape: 'workload', workload: 'max_stream_duration: 1s' })
  stage.upstream.respond = async (call) => {
    call.sendHead({})
    await call.cancelled
  }
  const call = stage.connect().open({ path: PATH })
  await call.send(Buffer.from('begin'))
  const outcome = await call.outcome
  expect(outcome).toMatchObject({ status: 14 })
  expect(outcome.trailers['authgw-reason']).toEqual(['stream_too_long'])
})

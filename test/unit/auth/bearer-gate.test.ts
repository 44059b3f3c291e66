import { expect, test } from 'vitest'
import { gateBench, permitted, refused, until } from '../../support/gate-bench.ts'

test('a token signed by the issuer opens the way to OTLP Export', async () => {
  const { admitMinted, gate, clock, issuer } = await gateBench()
  const permit = permitted(await admitMinted())
  expect(permit.principal).toEqual({
    issuer: issuer.issuer,
    subject: 'service-account-workload',
    client: 'workload',
  })
  expect(permit.dropsAuthorization).toBe(true)
  expect(gate.isCurrent(permit, clock.wallMs())).toBe(true)
  expect(gate.stats.accepted).toBe(1)
})

test('a second call with the same token is answered synchronously and costs no signature', async () => {
  const { gate, call, issuer } = await gateBench()
  const token = await issuer.mint()
  const first = permitted(await gate.admit(call(token)))
  const second = gate.admit(call(token))
  expect(second).toBe(first)
  expect(gate.stats.verifications).toBe(1)
  expect(gate.stats.verdictHits).toBe(1)
})

test('a forged signature is refused, worth ten glitches, and remembered for ten seconds', async () => {
  const { gate, call, issuer, clock } = await gateBench()
  const token = await issuer.forge()
  const refusal = refused(await gate.admit(call(token)))
  expect(refusal).toMatchObject({ reason: 'token_signature', status: 16, glitches: 10, validUntilMs: 0 })
  expect(refused(await gate.admit(call(token)))).toMatchObject({ reason: 'token_signature', glitches: 10 })
  expect(gate.stats.verifications).toBe(1)
  await clock.advance(10_000)
  refused(await gate.admit(call(token)))
  expect(gate.stats.verifications).toBe(2)
})

test('an outage of the provider at the start is row 7, and the first keys end it', async () => {
  const { keeper, issuer, clock, admitMinted } = await gateBench({ startsWithKeys: false })
  const comeBack = issuer.goDown()
  keeper.start()
  await until(() => keeper.state.failure !== null)
  expect(refused(await admitMinted())).toMatchObject({
    reason: 'keys_unavailable',
    status: 14,
    retryDelaySeconds: 10,
  })
  comeBack()
  await clock.advance(11_000)
  await until(() => keeper.state.keyCount > 0)
  permitted(await admitMinted())
})

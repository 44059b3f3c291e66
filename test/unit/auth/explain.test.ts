import { expect, test } from 'vitest'
import { anonymousPeer, Policy, type ProviderOptions } from '../../../src/auth/index.ts'
import { explainCall, type Explanation } from '../../../src/auth/explain.ts'
import { gateBench, TRACES, verifiedPeer } from '../../support/gate-bench.ts'
import type { MintOptions } from '../../support/issuer.ts'

async function bench() {
  const made = await gateBench()
  const providers: ProviderOptions[] = [{ issuer: made.issuer.issuer, audiences: ['control-plane'] }]
  const keys = made.keeper.snapshots.current!.value.keys
  const explain = (token: string, over: object = {}): Promise<Explanation> =>
    explainCall(
      providers,
      new Policy({ rules: [{ name: 'no-logs', action: 'deny', to: { signals: ['logs'] } }] }),
      {
        token,
        path: TRACES,
        peer: verifiedPeer(),
        wallMs: made.clock.wallMs(),
        keys,
        ...over,
      },
    )
  return { ...made, explain }
}
const outcomes = ({ checks }: Explanation) =>
  Object.fromEntries(checks.map(({ check, outcome }) => [check, outcome]))

test('a good token passes every check, and the rules say what they make of it', async () => {
  const { explain, issuer } = await bench()
  const explanation = await explain(await issuer.mint())
  expect(outcomes(explanation)).toEqual({
    shape: 'passed',
    issuer: 'passed',
    signature: 'passed',
    claims: 'passed',
    binding: 'passed',
    time: 'passed',
  })
  expect(explanation.principal?.client).toBe('workload')
  expect(explanation.rules).toEqual([{ rule: 'no-logs', action: 'deny', mismatch: 'to' }])
  expect(explanation.decision).toEqual({ isAllowed: true, rule: 'default', audited: [] })
})

test.each<[string, MintOptions, string, string]>([
  ['an expired token', { expiresInSeconds: -9_000, issuedAgoSeconds: 9_999 }, 'time', 'token_expired'],
  [
    'one that has just expired',
    { expiresInSeconds: -60, issuedAgoSeconds: 90 },
    'time',
    'token_expired_recently',
  ],
  ['one from the future', { issuedAgoSeconds: -60 }, 'time', 'token_not_yet_valid'],
  ['another audience', { claims: { aud: 'x' } }, 'claims', 'token_audience'],
  ['another issuer', { claims: { iss: 'https://x' } }, 'issuer', 'token_issuer'],
  ['another certificate', { claims: { cnf: { 'x5t#S256': 'x' } } }, 'binding', 'token_binding'],
  ['an unknown kid', { header: { kid: 'x' } }, 'signature', 'token_unknown_key'],
  ['a key that does not fit', { header: { alg: 'ES256' } }, 'signature', 'token_key_unusable'],
  ['a crit', { header: { crit: ['x'] } }, 'shape', 'token_header'],
])('%s fails the check it should', async (_what, mint, check, reason) => {
  const { explain, issuer } = await bench()
  expect(outcomes(await explain(await issuer.mint(mint)))[check]).toBe(reason)
})

test('a forged token fails by its signature; without keys that is left open', async () => {
  const { explain, issuer } = await bench()
  const token = await issuer.forge()
  expect(outcomes(await explain(token))['signature']).toBe('token_signature')
  const offline = await explain(token, { keys: null, peer: anonymousPeer('127.0.0.1', true) })
  expect(outcomes(offline)['signature']).toBe('open')
  expect(JSON.stringify(offline)).not.toContain(token.split('.')[2])
})

import { expect, test } from 'vitest'
import { gateBench, verifiedPeer } from '../../support/gate-bench.ts'

const denials = (lines: Record<string, unknown>[]) =>
  lines.filter((line) => line['message'] === 'a call is denied')

test('a denial names reason, kid, issuer, client and subject of a verified token, once per client and reason in 10 s', async () => {
  const { admit, issuer, lines, clock } = await gateBench()
  const token = await issuer.mint()
  for (let i = 0; i < 5; i++) await admit(token, { path: '/a.B/C' })
  expect(denials(lines)).toEqual([
    {
      level: 'warn',
      message: 'a call is denied',
      reason: 'policy_denied',
      status: 7,
      rule: 'default',
      kid: 'rs256-1',
      path: '/a.B/C',
      peer: '192.0.2.1',
      iss: issuer.issuer,
      azp: 'workload',
      sub: 'service-account-workload',
      suppressed: 0,
    },
  ])
  await clock.advance(10_000)
  await admit(token, { path: '/a.B/C' })
  expect(denials(lines)[1]).toMatchObject({ suppressed: 4 })
})

test('claims of a token that did not verify are named as such and cut; new names in each token make no new lines', async () => {
  const { admit, issuer, lines } = await gateBench()
  for (let i = 0; i < 20; i++)
    await admit(
      await issuer.forge({ claims: { azp: `client-${i}`, sub: 'x'.repeat(500), iss: issuer.issuer } }),
    )
  expect(denials(lines)).toHaveLength(1)
  expect(denials(lines)[0]).toMatchObject({
    reason: 'token_signature',
    unverified_azp: 'client-0',
    unverified_sub: 'x'.repeat(64),
    unverified_iss: issuer.issuer,
  })
  expect(denials(lines)[0]).not.toHaveProperty('sub')
})

test('a flood from many addresses writes at most 100 lines in 10 s', async () => {
  const { admit, lines } = await gateBench()
  for (let i = 0; i < 500; i++)
    await admit(null, { peer: verifiedPeer({ address: `10.0.${i >> 8}.${i & 255}` }) })
  expect(denials(lines)).toHaveLength(100)
})

test('no token, nor a segment of one, is ever in a line', async () => {
  const { admit, issuer, lines } = await gateBench()
  const tokens = [
    await issuer.mint(),
    await issuer.forge(),
    await issuer.mint({ claims: { aud: 'x' } }),
    await issuer.mint({ header: { kid: 'nobody' } }),
    issuer.raw({ header: { alg: 'none' } }),
    `${await issuer.mint()}.x`,
  ]
  for (const token of tokens)
    for (const path of ['/a.B/C', undefined]) await admit(token, path === undefined ? {} : { path })
  const text = JSON.stringify(lines)
  for (const token of tokens)
    for (const part of token.split('.').filter((s) => s.length > 8)) expect(text).not.toContain(part)
  expect(denials(lines).length).toBeGreaterThan(3)
})

test('a token that lives longer than an hour is worth one warning an hour', async () => {
  const { admitMinted, lines, gate } = await gateBench()
  for (let i = 0; i < 3; i++) await admitMinted({ expiresInSeconds: 7_200 })
  expect(lines.filter((line) => line['reason'] === 'long_lifetime')).toMatchObject([
    { lifetime_seconds: 7_200 },
  ])
  expect(gate.stats.longLived).toBe(3)
})

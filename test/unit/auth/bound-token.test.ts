import { describe, expect, test } from 'vitest'
import { anonymousPeer, CredentialGate, OTLP_EXPORT_PATHS, TokenKeeper } from '../../../src/auth/index.ts'
import type { CallFacts, FetchedToken } from '../../../src/auth/index.ts'
import { CredentialError, NO_LOG } from '../../../src/base/index.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'

const CALL: CallFacts = {
  path: OTLP_EXPORT_PATHS.traces,
  authorization: null,
  authorizationCount: 0,
  isAuthgwHop: false,
  peer: anonymousPeer('127.0.0.1', true),
  receivedAtMs: 0,
  timeoutMs: Infinity,
}

/** A token bound to the certificate `source.boundTo`, and connections that are made with `egress.certificate`. */
async function setUp(boundTo: string | null = 'OLD', certificate: string | null = 'OLD') {
  const clock = new FakeClock()
  const source = {
    kind: 'fake',
    boundTo,
    count: 0,
    fetchToken(): Promise<FetchedToken> {
      const { boundTo: certificateSha256 } = source
      const accessToken = `token-${++source.count}`
      return Promise.resolve({ accessToken, lifeMs: 300_000, certificateSha256, recheckMs: null })
    },
  }
  const egress = { certificate }
  const keeper = new TokenKeeper({ identity: 'main', source, clock, log: NO_LOG })
  const gate = new CredentialGate({
    identity: 'main',
    port: keeper,
    clock,
    egressCertificate: () => egress.certificate,
  })
  keeper.start()
  await settle()
  return { clock, source, egress, keeper, gate }
}

describe('a token that is bound to a certificate (RFC 8705 §3)', () => {
  test('leaves on connections made with that certificate', async () => {
    const { gate } = await setUp()
    expect(gate.admit(CALL)).toMatchObject({
      kind: 'permit',
      fields: [['authorization', 'Bearer token-1'], {}],
    })
    expect(gate.degraded).toBeNull()
  })

  test('and a plain bearer leaves on any', async () => {
    const { gate } = await setUp(null, 'NEW')
    expect(gate.admit(CALL)).toMatchObject({ kind: 'permit' })
  })

  test('does not leave on connections made with a newer one: calls wait for the token that belongs to it', async () => {
    const { gate, egress, source, keeper, clock } = await setUp()
    const permit = gate.admit(CALL)
    egress.certificate = 'NEW'
    if (permit instanceof Promise || permit.kind !== 'permit') throw new Error('no permit')
    expect(gate.isCurrent(permit, clock.wallMs())).toBe(false)
    const waiting = gate.admit(CALL)
    source.boundTo = 'NEW'
    void keeper.refreshNow()
    await settle()
    expect(await waiting).toMatchObject({ kind: 'permit', fields: [['authorization', 'Bearer token-2'], {}] })
  })

  test('that comes before the connections have changed is put on calls once they have', async () => {
    const { gate, egress, source, keeper } = await setUp()
    source.boundTo = 'NEW'
    await keeper.refreshNow()
    const waiting = gate.admit(CALL)
    egress.certificate = 'NEW'
    gate.onEgressChange()
    expect(await waiting).toMatchObject({ kind: 'permit', fields: [['authorization', 'Bearer token-2'], {}] })
  })

  test.each(['ANOTHER', null])(
    'to a certificate that our connections never have (%s): calls are put off, at once after the first, and it is said',
    async (certificate) => {
      const { gate, clock, source } = await setUp('OLD', certificate)
      const startMs = clock.wallMs()
      const first = gate.admit(CALL)
      await clock.advance(2_000)
      const refusal = {
        kind: 'refusal',
        status: 14,
        reason: 'credential_unavailable',
        text: 'authgw: token unavailable: token_unusable',
      }
      expect(await first).toMatchObject(refusal)
      expect(gate.admit(CALL)).toMatchObject(refusal)
      expect(gate.degraded).toEqual({ reason: 'token_unusable', sinceMs: startMs })
      expect(source.count).toBe(1)
    },
  )

  test('and has run out asks for another like any other token', async () => {
    const { gate, clock, source, egress } = await setUp('OLD', 'ANOTHER')
    void gate.admit(CALL)
    await clock.advance(2_000)
    expect(gate.admit(CALL)).toMatchObject({ kind: 'refusal' })
    source.fetchToken = () => Promise.reject(new CredentialError('idp_unreachable', 'down'))
    await clock.advance(290_000)
    egress.certificate = 'OLD'
    const late = gate.admit(CALL)
    await clock.advance(2_000)
    expect(await late).toMatchObject({ text: 'authgw: token unavailable: idp_unreachable' })
    expect(gate.degraded).toBeNull()
  })

  test('calls that were refused under it wait for the one that belongs to the new certificate', async () => {
    const { gate, egress, source, clock } = await setUp()
    const permit = gate.admit(CALL)
    if (permit instanceof Promise || permit.kind !== 'permit') throw new Error('no permit')
    await clock.advance(6_000)
    egress.certificate = 'NEW'
    source.boundTo = 'NEW'
    const renewed = gate.renew(permit)
    await settle()
    expect(await renewed).toMatchObject({ kind: 'permit', fields: [['authorization', 'Bearer token-2'], {}] })
  })
})

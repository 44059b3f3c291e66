/**
 * Row 12 of the no-loss contract: the certificates of a client or of the control plane are not as they must be. Clients
 * see UNAVAILABLE, never a status at which they drop data.
 */
import { expect, test } from 'vitest'
import type { PkiPair } from '../support/dev-pki.ts'
import { answerOf, EXPORT_PATH, openStage } from '../support/scenario-stage.ts'
import type { Stage } from '../support/scenario-stage.ts'

async function callWith(stage: Stage, certificate: PkiPair): Promise<string> {
  const caller = stage.connect(certificate)
  const metadata = { authorization: [`Bearer ${await stage.token()}`] }
  return answerOf(await caller.unary(Buffer.alloc(5), { path: EXPORT_PATH, timeoutMs: 2_000, metadata }))
    .status
}

test('clients with a certificate of a stranger, an expired one, and one of tomorrow never get to a call', async () => {
  await using stage = await openStage({ shape: 'control_plane' })
  let seenCount = 0
  stage.upstream.respond = (call) => {
    seenCount++
    call.finish()
  }
  const { stranger, expiredClient, futureClient } = stage.pki
  for (const certificate of [stranger, expiredClient, futureClient])
    expect(['UNAVAILABLE', 'DEADLINE_EXCEEDED']).toContain(await callWith(stage, certificate))
  expect(seenCount).toBe(0)
  expect(await stage.metric('authgw_tls_handshake_failures_total')).toBeGreaterThanOrEqual(3)
  expect(await callWith(stage, stage.pki.client)).toBe('OK')
})

test('a name that is not on allowed_sans is refused in the handshake’s place', async () => {
  await using stage = await openStage({
    shape: 'control_plane',
    listenTls: 'allowed_sans: [URI:spiffe://example.org/another]',
  })
  expect(['UNAVAILABLE', 'DEADLINE_EXCEEDED']).toContain(await callWith(stage, stage.pki.client))
})

test('a control plane whose certificate has expired: the workload puts calls off', async () => {
  await using stage = await openStage({
    shape: 'both',
    listenTls: '',
    controlPlaneCertificate: ({ expiredServer }) => expiredServer,
  })
  expect(await stage.call()).toMatchObject({
    status: 'UNAVAILABLE',
    retrySeconds: 1,
    reason: 'egress_unreachable',
  })
  const refused = { leg: 'egress', reason: 'certificate_refused' }
  expect(await stage.metric('authgw_tls_handshake_failures_total', refused)).toBeGreaterThanOrEqual(1)
})

test('a workload whose certificate nobody trusts: it puts calls off, and says why in its log', async () => {
  await using stage = await openStage({ shape: 'both', workloadCertificate: ({ stranger }) => stranger })
  const answer = await stage.call()
  expect(answer).toMatchObject({ status: 'UNAVAILABLE', retrySeconds: 1 })
  expect(['egress_unreachable', 'egress_closed']).toContain(answer.reason)
})

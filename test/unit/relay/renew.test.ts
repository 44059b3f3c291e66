import { describe, expect, test } from 'vitest'
import type { Gate, Refusal, Verdict } from '../../../src/auth/index.ts'
import { ReplayBudget } from '../../../src/relay/index.ts'
import type { Fields } from '../../support/h2-pair.ts'
import { messageOf, NOTHING_LEFT, RelayPair, TRACES, type PairOptions } from '../../support/relay-pair.ts'
import { permitOf } from '../../support/relay-rig.ts'

const EXPIRED: Fields = [['authgw-reason', 'token_expired']]
const REJECTED: Refusal = {
  kind: 'refusal',
  reason: 'credential_rejected',
  status: 14,
  retryDelaySeconds: 10,
  text: 'authgw: token unavailable: token_rejected',
  glitches: 0,
  validUntilMs: 0,
}

/** A workload whose token has a generation; a renewal waits until the test gives the next one. */
function workload(options: PairOptions = {}) {
  let generation = 1
  const renewals: PromiseWithResolvers<Verdict>[] = []
  let renewal: Refusal | null | undefined
  const current = () =>
    permitOf({ credentialGeneration: generation, fields: [['authorization', `Bearer t${generation}`]] })
  const gate: Gate = {
    admit: current,
    isCurrent: (permit) => permit.credentialGeneration === generation,
    renew: (permit) => {
      if (renewal !== undefined) return renewal
      if (permit.credentialGeneration < generation) return Promise.resolve(current())
      const next = Promise.withResolvers<Verdict>()
      renewals.push(next)
      return next.promise
    },
  }
  const pair = new RelayPair({ gate, renews: true, dropsReason: false, maxEgressConnections: 1, ...options })
  return {
    pair,
    client: pair.open(),
    renewals,
    setRenewal: (value: Refusal | null): void => {
      renewal = value
    },
    grant: async () => {
      generation++
      for (const waiting of renewals.splice(0)) waiting.resolve(current())
      await pair.pause()
    },
  }
}

describe('Row 5: the control plane refuses our token', () => {
  test('it is renewed, and the call is sent again under the fresh one, on the same connection', async () => {
    const { pair, client, grant } = workload()
    const call = client.unary(TRACES, 5000)
    pair.settle()
    pair.server.last.trailersOnly(16, ...EXPIRED)
    pair.settle()
    expect(call.outcome).toBe('open')
    await grant()
    expect(pair.servers).toHaveLength(1)
    expect(pair.server.calls.map((seen) => seen.field('authorization'))).toEqual(['Bearer t1', 'Bearer t2'])
    expect(pair.server.last.body).toEqual(messageOf(5000))
    expect(pair.server.last.isEnded).toBe(true)
    pair.server.last.ok()
    pair.settle()
    expect(call.outcome).toBe('0')
    expect(pair.relay.stats.renewals).toBe(1)
    expect(pair.relay.stats.replays).toBe(1)
    expect(pair.relay.stats.egressReasons).toEqual({ token_expired: 1 })
    expect(pair.relay.stats.permits[0]!.count).toBe(1)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('while the request is still under way', async () => {
    const { pair, client, grant } = workload()
    const call = client.call(TRACES).send(1000)
    pair.settle()
    pair.server.last.trailersOnly(16, ...EXPIRED)
    pair.settle()
    call.send(2000)
    pair.settle()
    expect(client.ingress.credits.window.heldBytes).toBe(2005)
    await grant()
    call.send(3000, true)
    pair.settle()
    expect(pair.server.last.body).toEqual(Buffer.concat([1000, 2000, 3000].map((bytes) => messageOf(bytes))))
    expect(client.ingress.credits.window.heldBytes).toBe(0)
    pair.server.last.ok()
    pair.settle()
    expect(call.outcome).toBe('0')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('100 calls refused at once share what the gate does, and all succeed', async () => {
    const { pair, client, grant } = workload()
    const calls = Array.from({ length: 100 }, () => client.unary(TRACES, 100))
    pair.settle()
    for (const seen of pair.server.calls) seen.trailersOnly(16, ...EXPIRED)
    pair.settle()
    await grant()
    for (const seen of pair.server.calls.slice(100)) seen.ok()
    pair.settle()
    expect(calls.every((call) => call.outcome === '0')).toBe(true)
    expect(pair.server.calls).toHaveLength(200)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('refused under an older generation: sent again at once', async () => {
    const { pair, client, grant } = workload()
    const call = client.unary(TRACES)
    pair.settle()
    await grant()
    pair.server.last.trailersOnly(16, ...EXPIRED)
    await pair.pause()
    expect(pair.server.last.field('authorization')).toBe('Bearer t2')
    pair.server.last.ok()
    pair.settle()
    expect(call.outcome).toBe('0')
  })

  test('a second refusal is what the gate says: UNAVAILABLE with RetryInfo of 10 s', async () => {
    const { pair, client, grant, setRenewal } = workload()
    const call = client.unary(TRACES)
    pair.settle()
    pair.server.last.trailersOnly(16, ...EXPIRED)
    pair.settle()
    await grant()
    setRenewal(REJECTED)
    pair.server.last.trailersOnly(16, ...EXPIRED)
    pair.settle()
    expect(call.outcome).toBe('14 RI 10 credential_rejected')
    expect(call.message).toBe('authgw: token unavailable: token_rejected')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('a renewal that fails answers the call', async () => {
    const { pair, client, renewals } = workload()
    const call = client.unary(TRACES)
    pair.settle()
    pair.server.last.trailersOnly(16, ...EXPIRED)
    pair.settle()
    renewals[0]!.resolve({ ...REJECTED, reason: 'credential_unavailable', retryDelaySeconds: 1 })
    await pair.pause()
    expect(call.outcome).toBe('14 RI 1 credential_unavailable')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('on_rejected: pass gives the answer of the control plane', () => {
    const { pair, client, setRenewal } = workload()
    setRenewal(null)
    const call = client.unary(TRACES)
    pair.settle()
    pair.server.last.trailersOnly(16, ['grpc-message', 'invalid token: expired'], ...EXPIRED)
    pair.settle()
    expect(call.outcome).toBe('16 token_expired')
    expect(call.message).toBe('invalid token: expired')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('a request that is not held: UNAVAILABLE with RetryInfo of 1 s, and the token is renewed all the same', () => {
    const { pair, client, renewals } = workload({ replayBudget: new ReplayBudget(1_000_000, 100) })
    const call = client.unary(TRACES, 1000)
    pair.settle()
    pair.server.last.trailersOnly(16, ...EXPIRED)
    pair.settle()
    expect(call.outcome).toBe('14 RI 1 credential_refused')
    expect(call.message).toBe('authgw: the control plane refused the token')
    expect(renewals).toHaveLength(1)
    renewals[0]!.reject(new Error('nobody listens'))
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('UNAUTHENTICATED of a backend: only an OTLP Export may be sent twice', async () => {
    const { pair, client, grant } = workload()
    const other = client.unary('/pkg.Service/Method')
    pair.settle()
    pair.server.last.trailersOnly(16)
    pair.settle()
    expect(other.outcome).toBe('14 RI 1 credential_refused')
    const otlp = client.unary(TRACES)
    pair.settle()
    pair.server.last.trailersOnly(16)
    pair.settle()
    await grant()
    pair.server.last.ok()
    pair.settle()
    expect(otlp.outcome).toBe('0')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('after a part of the answer: UNAVAILABLE, so that the stream is opened again', () => {
    const { pair, client, renewals } = workload()
    const call = client.unary(TRACES)
    pair.settle()
    pair.server.last.sendHead().sendTrailers(16, ...EXPIRED)
    pair.settle()
    expect(call.outcome).toBe('14 RI 1 stream_renewed')
    expect(renewals).toHaveLength(0)
  })

  test('a client that goes while the token is renewed leaves nothing behind', async () => {
    const { pair, client, grant } = workload()
    const call = client.unary(TRACES, 5000)
    pair.settle()
    pair.server.last.trailersOnly(16, ...EXPIRED)
    pair.settle()
    call.cancel()
    pair.settle()
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
    await grant()
    expect(pair.server.calls).toHaveLength(1)
  })

  test('a deadline that passes while the token is renewed', async () => {
    const { pair, client, grant } = workload()
    const call = client.unary(TRACES, 5000, ['grpc-timeout', '1S'])
    pair.settle()
    pair.server.last.trailersOnly(16, ...EXPIRED)
    await pair.advance(1100)
    expect(call.outcome).toBe('4 deadline')
    await grant()
    expect(pair.server.calls).toHaveLength(1)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('the refused stream is not reset when both sides of it have ended', async () => {
    const { pair, client, grant } = workload()
    client.unary(TRACES)
    pair.settle()
    pair.server.last.trailersOnly(16, ...EXPIRED)
    pair.settle()
    expect(pair.relay.egressStats.resetsOut).toBe(0)
    await grant()
    expect(pair.server.calls).toHaveLength(2)
  })

  test('with the only slot of the upstream taken by others meanwhile, it waits for one', async () => {
    const { pair, client, grant } = workload({ serverLimits: { maxConcurrentStreams: 1 } })
    const call = client.unary(TRACES)
    const other = client.unary(TRACES)
    pair.settle()
    pair.server.last.trailersOnly(16, ...EXPIRED)
    pair.settle()
    expect(pair.server.calls).toHaveLength(2)
    await grant()
    expect(pair.relay.stats.callsWaiting).toBe(1)
    pair.server.last.ok()
    pair.settle()
    expect(other.outcome).toBe('0')
    pair.server.last.ok()
    pair.settle()
    expect(call.outcome).toBe('0')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('the control plane role passes UNAUTHENTICATED of the collector on', () => {
    const { pair, client } = workload({ renews: false })
    const call = client.unary(TRACES)
    pair.settle()
    pair.server.last.trailersOnly(16)
    pair.settle()
    expect(call.outcome).toBe('16')
  })

  test('at most three times a call', async () => {
    const { pair, client, grant } = workload()
    const call = client.unary(TRACES)
    pair.settle()
    for (let i = 0; i < 3; i++) {
      pair.server.last.trailersOnly(16, ...EXPIRED)
      pair.settle()
      await grant()
    }
    pair.server.last.trailersOnly(16, ...EXPIRED)
    pair.settle()
    expect(pair.server.calls).toHaveLength(4)
    expect(call.outcome).toBe('14 RI 1 credential_refused')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
})

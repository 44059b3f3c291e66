import { describe, expect, test } from 'vitest'
import {
  CredentialGate,
  OTLP_EXPORT_PATHS,
  Permit,
  RoutedGate,
  TokenKeeper,
  anonymousPeer,
  isOtlpExport,
} from '../../../src/auth/index.ts'
import type {
  CallFacts,
  CredentialGateOptions,
  FetchedToken,
  Gate,
  Refusal,
  TokenPort,
  TokenReply,
  TokenRequest,
  Verdict,
} from '../../../src/auth/index.ts'
import { CredentialError, NO_LOG } from '../../../src/base/index.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'

const TRACES = OTLP_EXPORT_PATHS.traces
const ARROW = '/opentelemetry.proto.experimental.arrow.v1.ArrowTracesService/ArrowTraces'

/** A source that is told what to give. */
class FakeSource {
  readonly kind = 'fake'
  count = 0
  lifeMs = 300_000
  certificateSha256: string | null = null
  fail: CredentialError | null = null
  delay: Promise<void> | null = null
  async fetchToken(): Promise<FetchedToken> {
    this.count++
    if (this.delay !== null) await this.delay
    if (this.fail !== null) throw this.fail
    const { lifeMs, certificateSha256 } = this
    return { accessToken: `token-${this.count}`, lifeMs, certificateSha256, recheckMs: null }
  }
}

function call(facts: Partial<CallFacts> = {}): CallFacts {
  return {
    path: TRACES,
    authorization: null,
    authorizationCount: 0,
    isAuthgwHop: false,
    peer: anonymousPeer('127.0.0.1', true),
    receivedAtMs: 0,
    timeoutMs: Infinity,
    ...facts,
  }
}

function setUp(options: Partial<CredentialGateOptions> = {}) {
  const clock = new FakeClock()
  const source = new FakeSource()
  const keeper = new TokenKeeper({ identity: 'main', source, clock, log: NO_LOG })
  const gate = new CredentialGate({ identity: 'main', port: keeper, clock, ...options })
  const start = async () => {
    keeper.start()
    await settle()
  }
  return { clock, source, keeper, gate, start }
}

/** The verdict if it is there now. */
function now(verdict: Verdict | Promise<Verdict>): Verdict {
  expect(verdict).not.toBeInstanceOf(Promise)
  return verdict as Verdict
}
function permitted(verdict: Verdict | Refusal | null): Permit {
  expect(verdict).toBeInstanceOf(Permit)
  return verdict as Permit
}
const tokenOf = (verdict: Verdict | null): string | undefined => permitted(verdict).fields[0]?.[1]
const UNREACHABLE = new CredentialError('idp_unreachable', 'down')

describe('a call with a token at hand', () => {
  test('is permitted at once, with the token and the mark of the hop', async () => {
    const { gate, start, clock } = setUp({ principal: { issuer: 'i', subject: '', client: 'c' } })
    await start()
    const permit = permitted(now(gate.admit(call())))
    expect(permit.fields).toEqual([
      ['authorization', 'Bearer token-1'],
      ['x-authgw-hop', '1'],
    ])
    expect(permit).toMatchObject({
      dropsAuthorization: true,
      credentialGeneration: 1,
      egressIdentity: 'main',
      endsAtMs: Infinity,
      validUntilMs: clock.wallMs() + 290_000,
      principal: { issuer: 'i', subject: '', client: 'c' },
    })
  })

  test('gets the same permit object until the token changes, and a new one then', async () => {
    const { gate, start, clock } = setUp()
    await start()
    const first = permitted(now(gate.admit(call())))
    expect(gate.admit(call({ path: OTLP_EXPORT_PATHS.logs }))).toBe(first)
    expect(gate.isCurrent(first, clock.wallMs())).toBe(true)
    await clock.advance(240_000)
    expect(gate.isCurrent(first, clock.wallMs())).toBe(false)
    const second = permitted(now(gate.admit(call())))
    expect(tokenOf(second)).toBe('Bearer token-2')
    expect(second.credentialGeneration).toBe(2)
  })

  test('a permit dies with its token, on either clock', async () => {
    const { gate, start, clock, source } = setUp()
    await start()
    const permit = permitted(now(gate.admit(call())))
    expect(gate.isCurrent(permit, permit.validUntilMs - 1)).toBe(true)
    expect(gate.isCurrent(permit, permit.validUntilMs)).toBe(false)
    source.fail = UNREACHABLE
    await clock.advance(290_000)
    expect(gate.isCurrent(permit, 0)).toBe(false)
  })

  test('header and scheme are the operator’s; another header leaves authorization alone', async () => {
    const { gate, start } = setUp({ header: 'x-token', scheme: '' })
    await start()
    const permit = permitted(now(gate.admit(call())))
    expect(permit.fields[0]).toEqual(['x-token', 'token-1'])
    expect(permit.dropsAuthorization).toBe(false)
  })

  test('a token bound to a certificate leaves on connections of its own', async () => {
    const { gate, start, source } = setUp()
    source.certificateSha256 = 'thumb'
    await start()
    expect(permitted(now(gate.admit(call()))).egressIdentity).toBe('main#thumb')
  })
})

describe('an authorization field of the caller’s own', () => {
  const own = call({ authorization: 'Bearer own', authorizationCount: 1 })

  test('is overwritten by default', async () => {
    const { gate, start } = setUp()
    await start()
    expect(permitted(now(gate.admit(own)))).toMatchObject({ dropsAuthorization: true })
  })

  test('is kept when so configured: nothing of ours is on the call, nothing of it is renewed', async () => {
    const { gate, start, clock } = setUp({ existing: 'keep' })
    const permit = permitted(now(gate.admit(own)))
    expect(permit).toMatchObject({ fields: [], dropsAuthorization: false })
    expect(gate.isCurrent(permit, clock.wallMs())).toBe(true)
    expect(gate.renew(permit)).toBeNull()
    await start()
    expect(tokenOf(now(gate.admit(call())))).toBe('Bearer token-1')
  })

  test('is refused when so configured', async () => {
    const { gate, start } = setUp({ existing: 'refuse' })
    await start()
    expect(gate.admit(own)).toMatchObject({ reason: 'policy_denied', status: 7, retryDelaySeconds: null })
    expect(gate.stats.denied).toBe(1)
    permitted(now(gate.admit(call())))
  })
})

describe('which methods get a token', () => {
  test('the Export methods of all four signals, and nothing else, not even beside them', async () => {
    const { gate, start } = setUp()
    await start()
    for (const path of Object.values(OTLP_EXPORT_PATHS)) permitted(now(gate.admit(call({ path }))))
    for (const path of [
      '/opentelemetry.proto.collector.trace.v1.TraceService/Delete',
      '/grpc.health.v1.Health/Check',
    ])
      expect(gate.admit(call({ path }))).toMatchObject({
        reason: 'policy_denied',
        status: 7,
        text: 'authgw: policy otlp-only denied',
      })
  })

  test('an OTel-Arrow stream is told that it is not served, so that its exporter falls back to OTLP', async () => {
    const { gate, start } = setUp()
    await start()
    expect(gate.admit(call({ path: ARROW }))).toMatchObject({
      reason: 'policy_denied',
      status: 12,
      retryDelaySeconds: null,
      text: 'authgw: policy otlp-only denied',
    })
    expect(gate.stats.denied).toBe(1)
    const allowing = setUp({ allow: ['opentelemetry.proto.experimental.arrow.v1.ArrowTracesService'] })
    await allowing.start()
    permitted(now(allowing.gate.admit(call({ path: ARROW }))))
  })

  test('an Export may be repeated without loss, other methods may not', () => {
    expect(Object.values(OTLP_EXPORT_PATHS).every(isOtlpExport)).toBe(true)
    expect(isOtlpExport('/opentelemetry.proto.collector.trace.v1.TraceService/Delete')).toBe(false)
  })

  test('or what the operator lists: methods and services', async () => {
    const { gate, start } = setUp({ allow: ['/a.B/One', 'c.D', 'e.F/*'] })
    await start()
    for (const path of ['/a.B/One', '/c.D/Any', '/e.F/Any']) permitted(now(gate.admit(call({ path }))))
    for (const path of ['/a.B/Two', '/c.DD/Any', '/c/D', TRACES])
      expect(gate.admit(call({ path }))).toMatchObject({ reason: 'policy_denied' })
  })
})

describe('a call without a token at hand (no-loss.md rows 1, 2, 4)', () => {
  test('waits for the first one', async () => {
    const { gate, keeper } = setUp()
    keeper.start()
    const verdict = gate.admit(call())
    expect(verdict).toBeInstanceOf(Promise)
    expect(tokenOf(await verdict)).toBe('Bearer token-1')
    expect(gate.stats.waits).toBe(1)
  })

  test.each([
    [Infinity, 2_000],
    [10_000, 2_000],
    [1_000, 600],
  ])('with %d ms of its own, waits at most %d ms', async (timeoutMs, waitMs) => {
    const { gate, keeper, source, clock } = setUp()
    source.delay = new Promise(() => {})
    keeper.start()
    let verdict: Verdict | null = null
    const admitted = gate.admit(call({ timeoutMs }))
    void (async () => {
      verdict = await admitted
    })()
    await clock.advance(waitMs - 1)
    expect(verdict).toBeNull()
    await clock.advance(1)
    await settle()
    expect(verdict).toMatchObject({
      reason: 'credential_unavailable',
      status: 14,
      retryDelaySeconds: 1,
      text: 'authgw: token unavailable: idp_timeout',
      validUntilMs: 0,
      glitches: 0,
    })
  })

  test('is refused with the class of the fault as soon as the attempt fails, and the time to the next', async () => {
    const { gate, keeper, source, clock } = setUp()
    source.fail = UNREACHABLE
    keeper.start()
    expect(await gate.admit(call())).toMatchObject({
      reason: 'credential_unavailable',
      status: 14,
      retryDelaySeconds: 10,
      text: 'authgw: token unavailable: idp_unreachable',
    })
    await clock.advance(6_000)
    expect(await gate.admit(call())).toMatchObject({ retryDelaySeconds: 5 })
    expect(gate.stats.unavailable).toBe(2)
  })

  test('is refused at once while the next attempt is further away than it can wait, until that is near', async () => {
    const { gate, keeper, source, clock } = setUp()
    source.fail = new CredentialError('idp_rate_limited', 'x', { retryAfterMs: 60_000 })
    keeper.start()
    expect(await gate.admit(call())).toMatchObject({ retryDelaySeconds: 10 })
    await clock.advance(55_000)
    expect(now(gate.admit(call()))).toMatchObject({
      retryDelaySeconds: 5,
      text: 'authgw: token unavailable: idp_rate_limited',
    })
    expect(source.count).toBe(1)
    source.fail = null
    await clock.advance(4_000)
    const verdict = gate.admit(call())
    await clock.advance(1_000)
    expect(tokenOf(await verdict)).toBe('Bearer token-2')
  })

  test('a thousand waiting calls cost one attempt and all leave with its token', async () => {
    const { gate, keeper, source } = setUp()
    keeper.start()
    const verdicts = await Promise.all(Array.from({ length: 1_000 }, async () => gate.admit(call())))
    expect(new Set(verdicts).size).toBe(1)
    expect(source.count).toBe(1)
  })

  test('a refused client is worth 10 s and reads as a matter for the operator', async () => {
    const { gate, keeper, source } = setUp()
    source.fail = new CredentialError('invalid_client', 'x')
    keeper.start()
    expect(await gate.admit(call())).toMatchObject({
      reason: 'credential_config',
      status: 14,
      retryDelaySeconds: 10,
      text: 'authgw: token unavailable: invalid_client',
    })
    expect(gate.stats.misconfigured).toBe(1)
  })

  test('on_invalid_client: fail passes UNAUTHENTICATED', async () => {
    const { gate, keeper, source } = setUp({ onInvalidClient: 'fail' })
    source.fail = new CredentialError('invalid_client', 'x')
    keeper.start()
    expect(await gate.admit(call())).toMatchObject({
      reason: 'credential_config',
      status: 16,
      retryDelaySeconds: null,
    })
  })

  test('the old token serves while its refresh fails', async () => {
    const { gate, start, source, clock } = setUp()
    await start()
    source.fail = UNREACHABLE
    await clock.advance(289_000)
    expect(tokenOf(now(gate.admit(call())))).toBe('Bearer token-1')
    await clock.advance(1_000)
    const verdict = gate.admit(call())
    await clock.advance(2_000)
    expect(await verdict).toMatchObject({ reason: 'credential_unavailable' })
  })

  test('after a suspend, the first call fetches and waits, the others with it', async () => {
    const { gate, start, source, clock } = setUp()
    await start()
    await clock.advance(5_000)
    clock.jumpWall(600_000)
    const both = [call(), call()].map(async (facts) => gate.admit(facts))
    const verdicts = await Promise.all(both)
    expect(verdicts.map(tokenOf)).toEqual(['Bearer token-2', 'Bearer token-2'])
    expect(source.count).toBe(2)
  })

  test('a clock set forward while the provider is down stalls no call for longer than one attempt', async () => {
    const { gate, start, source, clock } = setUp()
    await start()
    await clock.advance(5_000)
    source.fail = UNREACHABLE
    clock.jumpWall(3_600_000)
    expect(tokenOf(await gate.admit(call()))).toBe('Bearer token-1')
    expect(tokenOf(now(gate.admit(call())))).toBe('Bearer token-1')
    expect(source.count).toBe(2)
  })
})

describe('a token that the control plane refuses (row 5)', () => {
  test('is replaced once for all calls that were refused under it', async () => {
    const { gate, start, source, clock } = setUp()
    await start()
    await clock.advance(10_000)
    const first = permitted(now(gate.admit(call())))
    const renewed = await Promise.all([first, first].map(async (permit) => gate.renew(permit)))
    expect(renewed.map((verdict) => tokenOf(verdict))).toEqual(['Bearer token-2', 'Bearer token-2'])
    expect(source.count).toBe(2)
    expect(tokenOf(await gate.renew(first))).toBe('Bearer token-2')
    expect(source.count).toBe(2)
    expect(gate.stats).toMatchObject({ rejections: 3, renewals: 2 })
    expect(gate.degraded).toBeNull()
  })

  test('a call refused under an older token replays under the current one without a refresh', async () => {
    const { gate, start, source, clock } = setUp()
    await start()
    const first = permitted(now(gate.admit(call())))
    await clock.advance(250_000)
    expect(source.count).toBe(2)
    expect(tokenOf(await gate.renew(first))).toBe('Bearer token-2')
    expect(source.count).toBe(2)
  })

  test('when the replacement fails the call may come back after 1 s', async () => {
    const { gate, start, source, clock } = setUp()
    await start()
    await clock.advance(10_000)
    source.fail = UNREACHABLE
    expect(await gate.renew(permitted(now(gate.admit(call()))))).toMatchObject({
      reason: 'credential_unavailable',
      status: 14,
      retryDelaySeconds: 1,
      text: 'authgw: token unavailable: idp_unreachable',
    })
    expect(gate.degraded).toBeNull()
  })

  test('when the provider refuses our client meanwhile, row 2 answers', async () => {
    const { gate, start, source, clock } = setUp()
    await start()
    await clock.advance(10_000)
    source.fail = new CredentialError('invalid_client', 'x')
    expect(await gate.renew(permitted(now(gate.admit(call()))))).toMatchObject({
      reason: 'credential_config',
      retryDelaySeconds: 10,
    })
  })

  test('a slow replacement ends the wait after 2 s and still serves the next call', async () => {
    const { gate, start, source, clock } = setUp()
    await start()
    await clock.advance(10_000)
    const first = permitted(now(gate.admit(call())))
    const slow = Promise.withResolvers<void>()
    source.delay = slow.promise
    const verdict = gate.renew(first)
    await clock.advance(2_000)
    expect(await verdict).toMatchObject({ status: 14, retryDelaySeconds: 1 })
    slow.resolve()
    await settle()
    expect(tokenOf(await gate.renew(first))).toBe('Bearer token-2')
  })

  async function refusedTwice(options: Partial<CredentialGateOptions> = {}) {
    const parts = setUp(options)
    await parts.start()
    await parts.clock.advance(10_000)
    const first = permitted(now(parts.gate.admit(call())))
    const second = permitted(await parts.gate.renew(first))
    return { ...parts, first, second, answer: parts.gate.renew(second) }
  }

  test('a second refusal is worth 10 s; no further token is asked for', async () => {
    const { answer, source, gate, clock, first } = await refusedTwice()
    expect(answer).toMatchObject({
      reason: 'credential_rejected',
      status: 14,
      retryDelaySeconds: 10,
      text: 'authgw: token unavailable: token_rejected',
    })
    expect(source.count).toBe(2)
    expect(gate.degraded).toEqual({ reason: 'token_rejected', sinceMs: clock.wallMs() })
    expect(gate.renew(first)).toMatchObject({ reason: 'credential_rejected', retryDelaySeconds: 10 })
  })

  test('on_rejected: pass passes it through, and holds nothing back', async () => {
    const { answer, gate } = await refusedTwice({ onRejected: 'pass' })
    expect(answer).toBeNull()
    expect(gate.degraded).toBeNull()
    permitted(now(gate.admit(call())))
  })

  test('then calls are answered here, with one probe a second', async () => {
    const { gate, clock, second } = await refusedTwice()
    expect(gate.isCurrent(second, clock.wallMs())).toBe(false)
    const seen: string[] = []
    for (let i = 0; i < 30; i++) {
      await clock.advance(100)
      const verdict = now(gate.admit(call()))
      if (verdict instanceof Permit) void gate.renew(verdict)
      seen.push(verdict.kind)
    }
    expect(seen.flatMap((kind, at) => (kind === 'permit' ? [(at + 1) * 100] : []))).toEqual([
      1_000, 2_000, 3_000,
    ])
    expect(gate.stats).toMatchObject({ probes: 3, heldBack: 27 })
    expect(gate.admit(call())).toMatchObject({ reason: 'credential_rejected', retryDelaySeconds: 10 })
  })

  test('and go out again when no probe was refused for 5 s', async () => {
    const { gate, clock, second } = await refusedTwice()
    await clock.advance(4_999)
    expect(gate.isCurrent(second, clock.wallMs())).toBe(false)
    await clock.advance(1)
    permitted(now(gate.admit(call())))
    permitted(now(gate.admit(call())))
    expect(gate.isCurrent(second, clock.wallMs())).toBe(true)
    expect(gate.degraded).toBeNull()
  })

  test('or when there is another token', async () => {
    const { gate, keeper } = await refusedTwice()
    expect(now(gate.admit(call()))).toMatchObject({ kind: 'refusal' })
    await keeper.refreshNow()
    expect(tokenOf(now(gate.admit(call())))).toBe('Bearer token-3')
  })

  test('while probes are refused another token is asked for every 10 s: the provider may give a better one by now', async () => {
    const { gate, clock, source, second } = await refusedTwice()
    const seen: (string | undefined)[] = []
    for (let i = 0; i < 250; i++) {
      await clock.advance(100)
      const verdict = now(gate.admit(call()))
      if (verdict instanceof Permit) {
        seen.push(tokenOf(verdict))
        void gate.renew(verdict)
        await settle()
      }
    }
    expect(source.count).toBe(4)
    expect(seen).toContain('Bearer token-4')
    // A probe a second, and the first call under each new token.
    expect(seen.length).toBeLessThanOrEqual(28)
    expect(gate.isCurrent(second, clock.wallMs())).toBe(false)
  })

  test('on_rejected: pass asks for another token as often', async () => {
    const { gate, clock, source } = await refusedTwice({ onRejected: 'pass' })
    for (let i = 0; i < 25; i++) {
      await clock.advance(1_000)
      void gate.renew(permitted(now(gate.admit(call()))))
      await settle()
    }
    expect(source.count).toBe(4)
  })

  test('a refusal long after a replacement is a first one again', async () => {
    const { gate, start, source, clock } = setUp()
    await start()
    await clock.advance(10_000)
    const second = permitted(await gate.renew(permitted(now(gate.admit(call())))))
    await clock.advance(60_000)
    expect(tokenOf(await gate.renew(second))).toBe('Bearer token-3')
    expect(source.count).toBe(3)
  })
})

/** Carries snapshots and messages as an adapter between processes would: as JSON, later. */
function remote(port: TokenPort): TokenPort & { readonly requests: TokenRequest[] } {
  const copy = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T
  const requests: TokenRequest[] = []
  return {
    requests,
    tokens: {
      get current() {
        return port.tokens.current === null ? null : copy(port.tokens.current)
      },
      subscribe: (listener) =>
        port.tokens.subscribe((snapshot) => setImmediate(() => listener(copy(snapshot)))),
    },
    requestToken: async (request): Promise<TokenReply> => {
      requests.push(request)
      await settle()
      return copy(await port.requestToken(copy(request)))
    },
  }
}

describe('two workers on one keeper', () => {
  test('share its token, its attempts and its replacement, by value and message alone', async () => {
    const { clock, source, keeper } = setUp()
    const ports = [remote(keeper), remote(keeper)]
    const gates = ports.map((port) => new CredentialGate({ identity: 'main', port, clock }))
    keeper.start()
    const verdicts = await Promise.all(gates.map(async (gate) => gate.admit(call())))
    expect(verdicts.map(tokenOf)).toEqual(['Bearer token-1', 'Bearer token-1'])
    expect(source.count).toBe(1)
    await clock.advance(10_000)
    const renewed = await Promise.all(gates.map(async (gate, i) => gate.renew(permitted(verdicts[i]!))))
    expect(renewed.map((verdict) => tokenOf(verdict))).toEqual(['Bearer token-2', 'Bearer token-2'])
    expect(source.count).toBe(2)
    await clock.advance(250_000)
    expect(gates.map((gate) => tokenOf(now(gate.admit(call()))))).toEqual([
      'Bearer token-3',
      'Bearer token-3',
    ])
    expect(keeper.stats.rejected).toBe(1)
  })

  test('one worker that closes leaves the other served', async () => {
    const { clock, keeper, gate, start } = setUp()
    const other = new CredentialGate({ identity: 'main', port: keeper, clock })
    await start()
    other.close()
    await clock.advance(250_000)
    expect(tokenOf(now(gate.admit(call())))).toBe('Bearer token-2')
  })

  test('a worker that asks many times at once sends one message', async () => {
    const { clock, keeper } = setUp()
    const port = remote(keeper)
    const gate = new CredentialGate({ identity: 'main', port, clock })
    keeper.start()
    keeper.close()
    await Promise.all(Array.from({ length: 50 }, async () => gate.admit(call())))
    expect(port.requests).toEqual([{ rejectedGeneration: null, waitMs: 2_000 }])
  })

  test('a port that breaks, or answers before its snapshot arrives, refuses and never throws', async () => {
    const clock = new FakeClock()
    const tokens = { current: null, subscribe: () => () => {} }
    const broken = new CredentialGate({
      identity: 'main',
      clock,
      port: { tokens, requestToken: () => Promise.reject(new Error('channel closed')) },
    })
    expect(await broken.admit(call())).toMatchObject({ reason: 'credential_unavailable', status: 14 })
    const early = new CredentialGate({
      identity: 'main',
      clock,
      port: { tokens, requestToken: () => Promise.resolve({ kind: 'token', generation: 7 }) },
    })
    const verdict = early.admit(call())
    await clock.advance(2_000)
    expect(await verdict).toMatchObject({ reason: 'credential_unavailable', status: 14 })
  })
})

describe('several identities', () => {
  function routed() {
    const traces = setUp({ identity: 'traces' })
    const rest = setUp({ identity: 'rest' })
    const gate: Gate = new RoutedGate([
      { prefix: '/', gate: rest.gate },
      { prefix: '/opentelemetry.proto.collector.trace.', gate: traces.gate },
    ])
    return { traces, rest, gate }
  }

  test('the longest prefix of the path chooses', async () => {
    const { traces, rest, gate } = routed()
    await traces.start()
    await rest.start()
    expect(permitted(now(gate.admit(call()))).egressIdentity).toBe('traces')
    expect(permitted(now(gate.admit(call({ path: OTLP_EXPORT_PATHS.logs })))).egressIdentity).toBe('rest')
  })

  test('a permit is judged and renewed by the gate that gave it', async () => {
    const { traces, rest, gate } = routed()
    traces.keeper.start()
    await rest.start()
    const permit = permitted(await gate.admit(call()))
    expect(gate.isCurrent(permit, traces.clock.wallMs())).toBe(true)
    await traces.clock.advance(10_000)
    const renewed = permitted(await gate.renew(permit))
    expect(renewed.egressIdentity).toBe('traces')
    expect(gate.isCurrent(renewed, traces.clock.wallMs())).toBe(true)
    expect(gate.isCurrent(permit, traces.clock.wallMs())).toBe(false)
    expect(gate.renew(renewed)).toMatchObject({ reason: 'credential_rejected' })
  })

  test('a path that no route takes is denied, a permit of another gate is nobody’s', async () => {
    const { traces } = routed()
    await traces.start()
    const stranger = permitted(now(traces.gate.admit(call())))
    const gate = new RoutedGate([{ prefix: '/a.', gate: traces.gate }])
    expect(gate.admit(call())).toMatchObject({ reason: 'policy_denied', status: 7 })
    expect(gate.admit(call({ path: ARROW }))).toMatchObject({
      reason: 'policy_denied',
      status: 12,
      text: 'authgw: policy routes denied',
    })
    expect(gate.isCurrent(stranger, 0)).toBe(false)
    expect(gate.renew(stranger)).toBeNull()
    expect(gate.admit(call({ path: '/a.B/C' }))).toMatchObject({ reason: 'policy_denied' })
  })

  test('a refusal passes as it is', async () => {
    const { traces, gate } = routed()
    traces.source.fail = UNREACHABLE
    traces.keeper.start()
    expect(await gate.admit(call())).toMatchObject({ reason: 'credential_unavailable' })
  })
})

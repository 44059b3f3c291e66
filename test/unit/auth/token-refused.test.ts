/**
 * Row 5 of the no-loss contract beside the schedule: how far apart tokens are asked for while the control plane refuses them.
 */
import { describe, expect, test } from 'vitest'
import {
  CredentialGate,
  OTLP_EXPORT_PATHS,
  Permit,
  TokenKeeper,
  anonymousPeer,
} from '../../../src/auth/index.ts'
import type { CallFacts, FetchedToken, Refusal } from '../../../src/auth/index.ts'
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

/** A keeper and its gates, a source that notes when it was asked, in ms from the start, and a control plane that refuses. */
function setUp(lifeMs: number, gateCount = 1, random = 0.5) {
  const clock = new FakeClock(0)
  clock.randomValue = random
  const fetches: number[] = []
  const source = {
    kind: 'fake',
    fail: null as CredentialError | null,
    async fetchToken(): Promise<FetchedToken> {
      fetches.push(clock.nowMs())
      await settle()
      if (this.fail !== null) throw this.fail
      return { accessToken: `token-${fetches.length}`, lifeMs, certificateSha256: null, recheckMs: null }
    },
  }
  const keeper = new TokenKeeper({ identity: 'main', source, clock, log: NO_LOG })
  const gates = Array.from(
    { length: gateCount },
    () => new CredentialGate({ identity: 'main', port: keeper, clock }),
  )
  const refusals: Refusal[] = []
  /** A call at each gate; the control plane refuses its token, and the token of its replay. */
  const refuseOneEach = (): void => {
    for (const gate of gates) {
      const verdict = gate.admit(CALL)
      if (verdict instanceof Promise) continue
      if (!(verdict instanceof Permit)) refusals.push(verdict)
      else void refuse(gate, verdict, 1)
    }
  }
  const refuse = async (gate: CredentialGate, permit: Permit, replays: number): Promise<void> => {
    const renewed = await gate.renew(permit)
    if (renewed instanceof Permit && replays > 0) return refuse(gate, renewed, replays - 1)
    if (renewed !== null && !(renewed instanceof Permit)) refusals.push(renewed)
  }
  const refuseFor = async (ms: number): Promise<void> => {
    for (let passedMs = 0; passedMs < ms; passedMs += 100) {
      refuseOneEach()
      await clock.advance(100)
    }
  }
  const start = async () => {
    keeper.start()
    await clock.advance(0)
    await settle()
  }
  return { clock, source, keeper, gate: gates[0]!, fetches, refusals, refuseFor, start }
}

const gaps = (times: readonly number[]): number[] => times.slice(1).map((atMs, i) => atMs - times[i]!)
const permitted = (verdict: unknown): Permit => {
  expect(verdict).toBeInstanceOf(Permit)
  return verdict as Permit
}

describe('while every token is refused', () => {
  test.each([
    [1, 0],
    [1, 0.5],
    [1, 0.999],
    [4, 0.999],
  ])('tokens of 10 s: at least 5 s apart, with %d gates and jitter %d', async (gateCount, random) => {
    const { fetches, refusals, refuseFor, start } = setUp(10_000, gateCount, random)
    await start()
    await refuseFor(60_000)
    expect(fetches.length).toBeLessThanOrEqual(13)
    expect(fetches.length).toBeGreaterThanOrEqual(11)
    // The first token is no refresh: it is replaced as soon as it is refused.
    expect(Math.min(...gaps(fetches.slice(1)))).toBeGreaterThanOrEqual(5_000)
    expect(refusals.length).toBeGreaterThan(100)
    for (const refusal of refusals) {
      expect(refusal).toMatchObject({ status: 14, reason: 'credential_rejected' })
      expect(refusal.retryDelaySeconds).toBeGreaterThanOrEqual(1)
      expect(refusal.retryDelaySeconds).toBeLessThanOrEqual(10)
    }
  })

  test.each([1, 4])('tokens of 300 s: at least 5 s apart, with %d gates', async (gateCount) => {
    const { fetches, refuseFor, start } = setUp(300_000, gateCount)
    await start()
    await refuseFor(60_000)
    expect(fetches.length).toBeLessThanOrEqual(13)
    expect(fetches.length).toBeGreaterThanOrEqual(6)
    expect(Math.min(...gaps(fetches.slice(1)))).toBeGreaterThanOrEqual(5_000)
  })

  test('tokens of 4 s: their end comes first, and there is always one that has not run out', async () => {
    const { clock, gate, fetches, refuseFor, start } = setUp(4_000, 1, 0)
    await start()
    await refuseFor(10_000)
    const seen = fetches.length
    for (let i = 0; i < 200; i++) {
      await refuseFor(100)
      expect(gate.admit(CALL)).not.toBeInstanceOf(Promise)
    }
    // By the schedule alone: every 2 s.
    expect(fetches.length - seen).toBe(10)
    expect(clock.nowMs()).toBe(30_000)
  })
})

describe('a refused token', () => {
  test('is replaced at once when the last fetch is long ago', async () => {
    const { clock, gate, fetches, start } = setUp(300_000)
    await start()
    await clock.advance(250_000)
    expect(fetches).toHaveLength(2)
    await clock.advance(60_000)
    const atMs = clock.nowMs()
    const renewed = permitted(await gate.renew(permitted(gate.admit(CALL))))
    expect(renewed.fields[0]![1]).toBe('Bearer token-3')
    expect(fetches[2]).toBe(atMs)
  })

  test('got by the schedule a second ago: calls hear how long it is until there may be another, and then pass', async () => {
    const { clock, gate, fetches, start } = setUp(300_000, 1, 0)
    await start()
    await clock.advance(241_000)
    expect(fetches).toEqual([0, 240_000])
    const probe = permitted(gate.admit(CALL))
    expect(await gate.renew(probe)).toMatchObject({
      reason: 'credential_rejected',
      status: 14,
      retryDelaySeconds: 4,
      text: 'authgw: token unavailable: token_rejected',
    })
    expect(gate.admit(CALL)).toMatchObject({ status: 14, retryDelaySeconds: 4 })
    await clock.advance(1_500)
    // One goes through as a probe, and what it hears does not put the others off for longer.
    expect(gate.renew(permitted(gate.admit(CALL)))).toMatchObject({ status: 14, retryDelaySeconds: 3 })
    expect(gate.admit(CALL)).toMatchObject({ status: 14, retryDelaySeconds: 3 })
    await clock.advance(2_500)
    expect(fetches).toHaveLength(2)
    const renewed = permitted(await gate.renew(permitted(gate.admit(CALL))))
    expect(renewed.fields[0]![1]).toBe('Bearer token-3')
    expect(fetches).toEqual([0, 240_000, 245_000])
    expect(gate.degraded).toBeNull()
  })

  test('got by the schedule 4 s ago: the call waits for the other one, and is sent again', async () => {
    const { clock, gate, fetches, start } = setUp(300_000, 1, 0)
    await start()
    await clock.advance(244_000)
    const renewed = gate.renew(permitted(gate.admit(CALL)))
    await clock.advance(999)
    expect(fetches).toEqual([0, 240_000])
    await clock.advance(1)
    expect(permitted(await renewed).fields[0]![1]).toBe('Bearer token-3')
    expect(fetches).toEqual([0, 240_000, 245_000])
  })

  test('got a second ago because a secret was rotated: no sooner either, whatever generation is refused', async () => {
    const { clock, keeper, gate, fetches, start } = setUp(300_000)
    await start()
    await clock.advance(10_000)
    permitted(await gate.renew(permitted(gate.admit(CALL))))
    await clock.advance(1_000)
    await keeper.refreshNow()
    const third = permitted(gate.admit(CALL))
    expect(await gate.renew(third)).toMatchObject({ reason: 'credential_rejected', retryDelaySeconds: 5 })
    await clock.advance(5_000)
    expect(permitted(await gate.renew(third)).fields[0]![1]).toBe('Bearer token-4')
    expect(fetches).toEqual([0, 10_000, 11_000, 16_000])
  })

  test('while the provider is ill: its own pace holds, and the answer names it', async () => {
    const { clock, gate, source, fetches, start } = setUp(300_000, 1, 0)
    await start()
    await clock.advance(20_000)
    source.fail = new CredentialError('idp_unreachable', 'down')
    const old = permitted(gate.admit(CALL))
    for (let i = 0; i < 9; i++) {
      expect(await gate.renew(old)).toMatchObject({ reason: 'credential_unavailable', retryDelaySeconds: 1 })
      await clock.advance(100)
    }
    await clock.advance(40_000)
    expect(fetches).toEqual([0, 20_000, 30_000, 50_000])
  })

  test('the schedule counts from the replacement', async () => {
    const { clock, gate, fetches, start } = setUp(300_000, 1, 0)
    await start()
    await clock.advance(200_000)
    permitted(await gate.renew(permitted(gate.admit(CALL))))
    await clock.advance(239_999)
    expect(fetches).toEqual([0, 200_000])
    await clock.advance(1)
    expect(fetches).toEqual([0, 200_000, 440_000])
  })
})

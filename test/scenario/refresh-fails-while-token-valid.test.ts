/**
 * Row 3 of the no-loss contract: the provider falls ill while the token that it gave is still good.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { HTML_PAGE, SERVER_ERROR, TOKEN_PATH } from '../support/fault-proxy.ts'
import { waitFor } from '../support/gateway-pair.ts'
import { openStage } from '../support/scenario-stage.ts'

test.concurrent(
  'a token whose refresh fails is used until just before its end, and calls are put off only then',
  async () => {
    await using stage = await openStage({ shape: 'both', tokenLifeSeconds: 6 })
    const gotAtMs = performance.now()
    stage.proxy.misbehave(TOKEN_PATH, SERVER_ERROR)
    // Half of a life below 50 s is when the refresh is due.
    await waitFor(() => stage.proxy.attempts(TOKEN_PATH).length >= 2, 5_000, 'a refresh has failed')
    while (performance.now() - gotAtMs < 4_500) {
      expect(await stage.call()).toMatchObject({ status: 'OK', reason: null })
      await sleep(100)
    }
    await waitFor(async () => (await stage.call()).status !== 'OK', 2_500, 'the token has come to its end')
    expect(await stage.call({ timeoutMs: 1_000 })).toMatchObject({
      status: 'UNAVAILABLE',
      reason: 'credential_unavailable',
      message: 'authgw: token unavailable: idp_status',
    })
    stage.proxy.heal()
    await waitFor(async () => (await stage.call()).status === 'OK', 12_000, 'calls pass again')
  },
)

test.concurrent(
  'while the old token serves, the process says that it is degraded and why, and stays ready',
  async () => {
    await using stage = await openStage({ shape: 'workload', tokenLifeSeconds: 4 })
    stage.proxy.misbehave(TOKEN_PATH, HTML_PAGE)
    await waitFor(() => stage.proxy.attempts(TOKEN_PATH).length >= 2, 5_000, 'a refresh has failed')
    await waitFor(async () => (await stage.metric('authgw_degraded')) === 1, 2_000, 'it is degraded')
    const conditions = (await stage.conditions('workload')).join('\n')
    expect(conditions).toContain('idp_malformed')
    expect(conditions).toContain('last good token')
    expect(await stage.readyStatus('workload')).toBe(200)
  },
)

test.concurrent(
  'many calls never make more than one token request, however short the life of a token',
  async () => {
    await using stage = await openStage({ shape: 'workload', tokenLifeSeconds: 4 })
    const endMs = performance.now() + 5_000
    let calls = 0
    while (performance.now() < endMs) {
      const answers = await Promise.all(Array.from({ length: 20 }, () => stage.call()))
      for (const { status } of answers) expect(status).toBe('OK')
      calls += answers.length
    }
    expect(calls).toBeGreaterThan(200)
    expect(stage.proxy.attempts(TOKEN_PATH).length).toBeLessThanOrEqual(4)
  },
)

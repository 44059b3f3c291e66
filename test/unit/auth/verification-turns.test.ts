import { expect, test } from 'vitest'
import { GateStats } from '../../../src/auth/index.ts'
import {
  FORGERY_PAUSE_MS,
  FREE_FORGERIES_PER_PEER,
  MAX_FORGERIES_PER_PEER,
  MAX_VERIFICATIONS_PER_PEER,
  MAX_WAITING_PER_PEER,
  VerificationTurns,
} from '../../../src/auth/jwt/verify.ts'
import { refusal } from '../../../src/auth/refusal.ts'
import { DEFAULT_H2_LIMITS } from '../../../src/h2/index.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'
import { verifiedPeer } from '../../support/gate-bench.ts'

function bench() {
  const clock = new FakeClock()
  const stats = new GateStats()
  const turns = new VerificationTurns(clock, stats)
  /** Tasks in the order in which their turn came; each ends when it is called. */
  const begun: { readonly name: string; readonly end: () => void }[] = []
  const results: string[] = []
  const ask = (name: string, peer = verifiedPeer(), waitMs = 2_000): void => {
    const task = () =>
      new Promise<string>((resolve) => {
        begun.push({ name, end: () => resolve(name) })
      })
    void turns.run(peer, waitMs, task).then((result) => results.push(`${name} ${result ?? 'late'}`))
  }
  return { clock, stats, begun, results, ask, names: () => begun.map(({ name }) => name) }
}

test('a connection has four turns at once; its fifth call waits for one of them to end', async () => {
  const { ask, names, begun, results } = bench()
  const peer = verifiedPeer()
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) ask(name, peer)
  await settle()
  expect(names()).toEqual(['a', 'b', 'c', 'd'])
  begun[2]!.end()
  await settle()
  expect(results).toEqual(['c c'])
  expect(names()).toEqual(['a', 'b', 'c', 'd', 'e'])
})

test('whoever waits longer than it can is told so, and its place is given up', async () => {
  const { ask, clock, begun, results, stats, names } = bench()
  const peer = verifiedPeer()
  for (const name of ['a', 'b', 'c', 'd']) ask(name, peer)
  ask('hasty', peer, 600)
  ask('patient', peer)
  await clock.advance(600)
  expect(results).toEqual(['hasty late'])
  expect(stats.verificationsWaiting).toBe(1)
  begun[0]!.end()
  await settle()
  expect(names().at(-1)).toBe('patient')
  await clock.advance(10_000)
  expect(results).toEqual(['hasty late', 'a a'])
  expect(clock.timerCount).toBe(0)
})

test('connections take turns: one with many calls does not keep another from its own', async () => {
  const { ask, begun, names, stats } = bench()
  const peers = Array.from({ length: 8 }, () => verifiedPeer())
  for (const peer of peers) for (let i = 0; i < 4; i++) ask('full', peer)
  const greedy = verifiedPeer()
  const modest = verifiedPeer()
  for (let i = 0; i < 20; i++) ask('greedy', greedy)
  ask('modest', modest)
  await settle()
  expect(stats).toMatchObject({ verificationsActive: 32, verificationsWaiting: 21 })
  begun[0]!.end()
  begun[1]!.end()
  await settle()
  expect(names().slice(32).sort()).toEqual(['greedy', 'modest'])
})

/** Checks of one connection's signatures, all of them forged. */
function forger() {
  const { stats, clock } = bench()
  const turns = new VerificationTurns(clock, stats)
  const peer = verifiedPeer()
  let checks = 0
  const forged = (): Promise<boolean | null> =>
    turns.run(peer, 2_000, () => {
      checks++
      return Promise.resolve(false)
    })
  const asks = (verdict: boolean): Promise<boolean | null> =>
    turns.run(peer, 2_000, () => Promise.resolve(verdict))
  return { stats, clock, turns, forged, asks, checks: () => checks }
}

test('from the fifth forgery on nothing is checked for its connection for 100 ms, and those that wait end at once', async () => {
  const { stats, clock, turns, forged, asks, checks } = forger()
  const verdicts = await Promise.all(Array.from({ length: 250 }, forged))
  // Those in work when the fifth comes to light are done as well.
  expect(checks()).toBeGreaterThan(FREE_FORGERIES_PER_PEER)
  expect(checks()).toBeLessThanOrEqual(FREE_FORGERIES_PER_PEER + MAX_VERIFICATIONS_PER_PEER)
  expect(verdicts.at(-1)).toBeNull()
  expect(stats).toMatchObject({ verificationsActive: 0, verificationsWaiting: 0 })
  expect(clock.timerCount).toBe(0)
  await clock.advance(FORGERY_PAUSE_MS - 1)
  expect(await asks(true)).toBeNull()
  expect(await turns.run(verifiedPeer(), 2_000, () => Promise.resolve(true))).toBe(true)
  await clock.advance(1)
  expect(await asks(true)).toBe(true)
})

test('four forgeries slow nothing down', async () => {
  const { forged, asks } = forger()
  for (let i = 0; i < FREE_FORGERIES_PER_PEER; i++) expect(await forged()).toBe(false)
  expect(await asks(true)).toBe(true)
})

test('a connection under suspicion has one turn at a time, until its forgeries are forgiven', async () => {
  const { stats, clock } = bench()
  const turns = new VerificationTurns(clock, stats)
  const peer = verifiedPeer()
  const never = (): Promise<boolean> => new Promise(() => {})
  for (let i = 0; i <= FREE_FORGERIES_PER_PEER; i++) await turns.run(peer, 0, () => Promise.resolve(false))
  await clock.advance(FORGERY_PAUSE_MS)
  for (let i = 0; i < 3; i++) void turns.run(peer, 2_000, never)
  await settle()
  expect(stats).toMatchObject({ verificationsActive: 1, verificationsWaiting: 2 })
  await clock.advance(4_000)
  for (let i = 0; i < MAX_VERIFICATIONS_PER_PEER; i++) void turns.run(peer, 2_000, never)
  await settle()
  expect(stats.verificationsActive).toBe(MAX_VERIFICATIONS_PER_PEER)
})

test('after twenty-one forgeries nothing is checked until one is forgiven', async () => {
  const { clock, forged, asks, checks } = forger()
  // One is forgiven every 2 s, so that in the end a twenty-second and a twenty-third may be checked.
  while ((await forged()) !== null) await clock.advance(FORGERY_PAUSE_MS)
  expect(checks()).toBeGreaterThanOrEqual(MAX_FORGERIES_PER_PEER)
  expect(checks()).toBeLessThanOrEqual(MAX_FORGERIES_PER_PEER + 2)
  expect(await asks(true)).toBeNull()
  await clock.advance(2_000)
  expect(await asks(true)).toBe(true)
})

test('of one connection so many calls wait for a turn, and one more is answered at once', async () => {
  const { stats, clock } = bench()
  const turns = new VerificationTurns(clock, stats)
  const peer = verifiedPeer()
  const never = (): Promise<boolean> => new Promise(() => {})
  for (let i = 0; i < MAX_VERIFICATIONS_PER_PEER + MAX_WAITING_PER_PEER; i++)
    void turns.run(peer, 2_000, never)
  await settle()
  expect(stats.verificationsWaiting).toBe(MAX_WAITING_PER_PEER)
  expect(await turns.run(peer, 2_000, never)).toBeNull()
})

test('by default the last forgery that is checked is one glitch too many for its connection', () => {
  const { glitches } = refusal('token_signature', verifiedPeer())
  expect(MAX_FORGERIES_PER_PEER * glitches).toBeGreaterThan(DEFAULT_H2_LIMITS.glitches)
  expect((MAX_FORGERIES_PER_PEER - 1) * glitches).toBeLessThanOrEqual(DEFAULT_H2_LIMITS.glitches)
})

test('a task that fails frees its turn', async () => {
  const { stats, clock } = bench()
  const turns = new VerificationTurns(clock, stats)
  await expect(turns.run(verifiedPeer(), 0, () => Promise.reject(new Error('broken')))).rejects.toThrow(
    'broken',
  )
  expect(stats.verificationsActive).toBe(0)
})

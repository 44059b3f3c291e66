import { describe, expect, test } from 'vitest'
import type { PairClient, ServerCall } from '../../support/relay-pair.ts'
import { NOTHING_LEFT, RelayPair } from '../../support/relay-pair.ts'

const KIB = 1024
/** A caller that never gives credit: its answers stay here. */
const HOARDER = { initialStreamWindowBytes: 100, streamWindowBytes: 100, maxStreamWindowBytes: 100 }

/** Calls whose answers of `answerBytes` nobody takes. */
function hoard(pair: RelayPair, client: PairClient, count: number, answerBytes: number): void {
  for (let i = 0; i < count; i++) client.unary('/hoard/M').credits = false
  pair.settle()
  for (const call of callsTo(pair, '/hoard/M')) {
    if (call.stream.hasResponseHead) continue
    call.sendHead().sendData(answerBytes)
  }
  pair.settle()
}
const callsTo = (pair: RelayPair, path: string): ServerCall[] =>
  pair.servers.flatMap(({ calls }) => calls.filter((call) => call.field(':path') === path))

/** The outcome of a call of another client. */
function honestOutcome(pair: RelayPair, client: PairClient): string {
  const call = client.unary('/honest/M')
  pair.settle()
  callsTo(pair, '/honest/M').at(-1)?.ok(2000)
  pair.settle()
  return call.outcome
}

describe('Callers that do not read their answers', () => {
  test('hold no window of the egress connection that others answers need', () => {
    const pair = new RelayPair({ clientLimits: HOARDER })
    const slow = pair.open()
    hoard(pair, slow, 120, 64 * KIB)
    expect(pair.held.usedBytes).toBeGreaterThan(4 * KIB * KIB)
    const honest = pair.connect()
    expect(honestOutcome(pair, honest)).toBe('0')
  })

  test('leave the window as it was when they go', () => {
    const pair = new RelayPair({ clientLimits: HOARDER })
    const slow = pair.open()
    hoard(pair, slow, 120, 64 * KIB)
    pair.cutClient(slow)
    pair.settle()
    const recvWindow = pair.server.egress.credits.window
    expect(recvWindow.heldBytes).toBe(0)
    expect(recvWindow.remainingBytes + recvWindow.pendingBytes).toBe(recvWindow.targetBytes)
    const client = pair.connect()
    for (let i = 0; i < 5; i++) expect(honestOutcome(pair, client)).toBe('0')
    expect(recvWindow.targetBytes).toBeLessThan(2 * 4 * KIB * KIB)
    expect({ ...pair.leftovers, ingressStreams: 0 }).toEqual(NOTHING_LEFT)
  })

  test('are the first to go when memory is short: the one that holds most, and nobody else', () => {
    const pair = new RelayPair({ clientLimits: HOARDER, maxHeldBytes: 8 * KIB * KIB })
    const modest = pair.open()
    hoard(pair, modest, 5, 64 * KIB)
    const slow = pair.connect()
    hoard(pair, slow, 130, 64 * KIB)
    expect(pair.held.usedBytes).toBeGreaterThan(6 * KIB * KIB)
    const honest = pair.connect()
    expect(honestOutcome(pair, honest)).toBe('0')
    expect(pair.held.usedBytes).toBeLessThan(KIB * KIB)
    expect(pair.relay.stats.answers.overload).toBe(0)
    expect(slow.recorder.calls.every((call) => call.reset === 'CANCEL')).toBe(true)
    expect(modest.recorder.calls.every((call) => call.reset === null)).toBe(true)
    expect(pair.relay.stats.bugs).toBe(0)
  })

  test('are let be while requests hold the memory: those wait for the upstream, not for them', () => {
    const pair = new RelayPair({
      maxHeldBytes: 2 * KIB * KIB,
      serverLimits: HOARDER,
      limits: { maxConcurrentStreams: 1000 },
    })
    const client = pair.open()
    pair.servers[0]!.recorder.onEvent = (call) => (call.credits = false)
    for (let i = 0; i < 60; i++) client.unary('/s/M', 60 * KIB)
    pair.settle()
    const late = pair.connect().unary('/s/M')
    pair.settle()
    expect(late.outcome).toBe('14 RI 3 overload')
    expect(client.recorder.calls.filter((call) => call.reset !== null)).toEqual([])
  })
})

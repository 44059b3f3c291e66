import { describe, expect, test } from 'vitest'
import { anonymousPeer } from '../../../src/auth/index.ts'
import { H2Code, type H2Connection } from '../../../src/h2/index.ts'
import { frame, type FrameSpec } from '../../support/frame-factory.ts'
import { literals, PREFACE } from '../../support/h2-pair.ts'
import { messageOf, NOTHING_LEFT, RelayPair, requestOf } from '../../support/relay-pair.ts'

const CHUNK_BYTES = 64 * 1024
/** The message of each call: too large to be copied, and a small part of its chunk. */
const MESSAGE = messageOf(6_000)

/** What one read brings: these frames, and then octets that nobody keeps. */
function readOf(...specs: (FrameSpec | Buffer)[]): Buffer {
  const bytes = Buffer.concat(specs.map((spec) => (Buffer.isBuffer(spec) ? spec : frame(spec))))
  const memory = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  bytes.copy(memory)
  return memory.subarray(0, bytes.length)
}

/** A caller whose reads are under the test's hand. */
function callerOf(pair: RelayPair): H2Connection {
  const ingress = pair.relay.accept(anonymousPeer('127.0.0.1', true))!
  ingress.link = { flush: () => {} }
  ingress.receive(readOf(PREFACE, { type: 'SETTINGS' }, { type: 'SETTINGS', flags: ['ACK'] }))
  return ingress
}

/** A call of `caller` in a read of its own. */
function call(pair: RelayPair, caller: H2Connection, stream: number): void {
  caller.receive(
    readOf(
      { type: 'HEADERS', stream, flags: ['END_HEADERS'], payload: literals(requestOf('/s/M')) },
      { type: 'DATA', stream, flags: ['END_STREAM'], payload: MESSAGE },
    ),
  )
  pair.settle()
  caller.checkCredits()
}

describe('A request that waits is counted with the chunk that it pins', () => {
  const MAX_CALLS = 10
  const waiting = (calls: number): { pair: RelayPair; caller: H2Connection } => {
    const pair = new RelayPair({ dials: 'wait', maxHeldBytes: MAX_CALLS * CHUNK_BYTES })
    const caller = callerOf(pair)
    for (let i = 0; i < calls; i++) call(pair, caller, 1 + 2 * i)
    return { pair, caller }
  }

  test('so that pinned chunks reach the budget, and the next call is refused before its body', () => {
    const { pair, caller } = waiting(MAX_CALLS - 1)
    expect(pair.held.usedBytes).toBe((MAX_CALLS - 1) * MESSAGE.length)
    expect(pair.held.heldBytes).toBe((MAX_CALLS - 1) * CHUNK_BYTES)
    expect(pair.held.isSpent).toBe(false)
    call(pair, caller, 101)
    expect(pair.held.heldBytes).toBe(MAX_CALLS * CHUNK_BYTES)
    expect(pair.relay.stats.callsWaiting).toBe(MAX_CALLS)
    call(pair, caller, 103)
    expect(pair.relay.stats.callsWaiting).toBe(MAX_CALLS)
    expect(pair.relay.stats.answers.overload).toBe(1)
    expect(pair.held.heldBytes).toBe(MAX_CALLS * CHUNK_BYTES)
  })

  test('until it has left', () => {
    const { pair, caller } = waiting(4)
    pair.dials = 'connect'
    pair.settle()
    expect(pair.server.calls.map((seen) => seen.body)).toEqual([MESSAGE, MESSAGE, MESSAGE, MESSAGE])
    expect([pair.held.usedBytes, pair.held.pins.idleBytes]).toEqual([0, 0])
    for (const seen of pair.server.calls) seen.ok()
    pair.settle()
    caller.drain([], Infinity)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('until its caller leaves', () => {
    const { pair, caller } = waiting(4)
    caller.receive(readOf({ type: 'RST_STREAM', stream: 3, payload: Buffer.from([0, 0, 0, H2Code.CANCEL]) }))
    expect(pair.held.heldBytes).toBe(3 * CHUNK_BYTES)
    caller.onSocketClosed(null)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('until it is answered for want of an upstream', async () => {
    const { pair, caller } = waiting(4)
    await pair.advance(3_000)
    caller.drain([], Infinity)
    expect(pair.relay.stats.callsOpen).toBe(0)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('in the queue of an upstream that gives no window, and once more when it is to be sent again', () => {
    const pair = new RelayPair({
      serverLimits: { initialStreamWindowBytes: 1_000, streamWindowBytes: 1_000 },
    })
    pair.onServerEvent = (seen) => {
      seen.credits = false
    }
    const caller = callerOf(pair)
    call(pair, caller, 1)
    expect(pair.held.usedBytes).toBe(MESSAGE.length - 1_000)
    expect(pair.held.heldBytes).toBe(CHUNK_BYTES)
    pair.server.last.rst(H2Code.REFUSED_STREAM)
    pair.settle()
    expect(pair.relay.stats.replays).toBe(1)
    expect(pair.server.calls).toHaveLength(2)
    // What goes again was credited as far as it had gone, and is held no less.
    expect(pair.held.usedBytes).toBe(MESSAGE.length - 1_000)
    expect(pair.held.heldBytes).toBe(CHUNK_BYTES)
    pair.onServerEvent = () => {}
    pair.server.last.credit()
    pair.settle()
    pair.server.last.ok()
    pair.settle()
    caller.drain([], Infinity)
    expect(pair.server.last.body).toEqual(MESSAGE)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
})

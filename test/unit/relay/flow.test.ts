import { describe, expect, test } from 'vitest'
import { H2Code } from '../../../src/h2/index.ts'
import {
  gateOf,
  messageOf,
  NOTHING_LEFT,
  RelayPair,
  type ClientCall,
  type PairOptions,
} from '../../support/relay-pair.ts'
import { listOf } from '../../support/h2-pair.ts'
import { permitOf } from '../../support/relay-rig.ts'

const TRAILERS = listOf([['grpc-status', '0']])

/** Octets of the request that the ingress leg has received and not credited. */
const heldOf = (pair: RelayPair): number => pair.clients[0]!.ingress.credits.window.heldBytes
/** Octets of the answer that the egress leg has received and not credited. */
const answerHeldOf = (pair: RelayPair): number => pair.server.egress.credits.window.heldBytes

describe('DATA that arrives while the gate decides', () => {
  function undecided(options: PairOptions = {}) {
    const decision = Promise.withResolvers<ReturnType<typeof permitOf>>()
    const pair = new RelayPair({ gate: gateOf(() => decision.promise), ...options })
    return { pair, client: pair.open(), decide: () => decision.resolve(permitOf()) }
  }

  test('is held, and its window is not credited', async () => {
    const { pair, client, decide } = undecided()
    const body = messageOf(200_000)
    const call = client.call().send(body, true)
    pair.settle()
    // The window of a stream without a Permit, and not one octet more.
    expect(heldOf(pair)).toBe(65_535)
    expect(pair.held.usedBytes).toBe(65_535)
    expect(pair.server.calls).toHaveLength(0)
    decide()
    await pair.pause()
    expect(pair.server.last.body).toEqual(body)
    expect(pair.server.last.isEnded).toBe(true)
    expect(heldOf(pair)).toBe(0)
    pair.server.last.ok()
    pair.settle()
    expect(call.outcome).toBe('0')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('small pieces are copied, so that they pin no chunk, and arrive in order', async () => {
    const { pair, client, decide } = undecided()
    const call = client.call()
    const body = messageOf(100)
    for (let at = 0; at < body.length; at += 7) {
      call.send(body.subarray(at, at + 7))
      pair.settle()
    }
    call.end()
    decide()
    await pair.pause()
    expect(pair.server.last.body).toEqual(body)
    expect(pair.server.last.isEnded).toBe(true)
  })

  test('a refusal gives its credit back', async () => {
    const decision = Promise.withResolvers<never>()
    const { pair, client } = undecided({ gate: gateOf(() => decision.promise) })
    const call = client.call().send(30_000)
    pair.settle()
    expect(heldOf(pair)).toBe(30_005)
    decision.resolve({
      kind: 'refusal',
      reason: 'keys_unavailable',
      status: 14,
      retryDelaySeconds: 2,
      text: 'unavailable',
      glitches: 0,
      validUntilMs: 0,
    } as never)
    await pair.pause()
    expect(call.outcome).toBe('14 RI 2 keys_unavailable')
    expect(heldOf(pair)).toBe(0)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('a bare request is opened with END_STREAM on its HEADERS', async () => {
    const { pair, client, decide } = undecided()
    client.call().end()
    pair.settle()
    decide()
    await pair.pause()
    expect(pair.server.last.isEnded).toBe(true)
    expect(pair.server.last.pieces).toHaveLength(0)
  })
})

describe('Credit', () => {
  test('goes back to ingress only for what egress has taken', () => {
    const pair = new RelayPair({ serverLimits: { initialStreamWindowBytes: 1000, streamWindowBytes: 1000 } })
    pair.onServerEvent = (call) => (call.credits = false)
    const call = pair.open().call().send(50_000)
    pair.settle()
    expect(pair.server.last.bodyBytes).toBe(1000)
    expect(heldOf(pair)).toBe(50_005 - 1000)
    expect(pair.server.egress.sendQueue.queuedBytes).toBe(50_005 - 1000)
    pair.onServerEvent = () => {}
    pair.server.last.credit()
    pair.settle()
    expect(pair.server.last.bodyBytes).toBe(50_005)
    expect(heldOf(pair)).toBe(0)
    call.cancel()
    pair.settle()
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('goes back to egress only for what the client has taken', () => {
    const pair = new RelayPair({ clientLimits: { initialStreamWindowBytes: 1000, streamWindowBytes: 1000 } })
    const call = pair.open().unary()
    call.credits = false
    pair.settle()
    pair.server.last.sendHead().sendData(40_000).sendTrailers()
    pair.settle()
    expect(call.bodyBytes).toBe(1000)
    // Received in good order: the egress stream is gone, its octets are still counted.
    expect(answerHeldOf(pair)).toBe(40_005 - 1000)
    expect(call.outcome).toBe('open')
    call.credit()
    pair.settle()
    expect(call.bodyBytes).toBe(40_005)
    expect(call.outcome).toBe('0')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test.each(['a refusal of ours', 'a reset by the upstream', 'a reset by the client', 'an early answer'])(
    'comes back whole when egress is blocked: %s',
    (what) => {
      const pair = new RelayPair({
        maxMessageBytes: 60_000,
        serverLimits: { initialStreamWindowBytes: 1000, streamWindowBytes: 1000 },
      })
      pair.onServerEvent = (call) => (call.credits = false)
      const call = pair.open().call().send(50_000)
      pair.settle()
      expect(heldOf(pair)).toBeGreaterThan(40_000)
      if (what === 'a refusal of ours') call.send(messageOf(60_001).subarray(0, 100))
      else if (what === 'a reset by the upstream') pair.server.last.rst(H2Code.INTERNAL_ERROR)
      else if (what === 'a reset by the client') call.cancel()
      else pair.server.last.ok(20)
      pair.settle()
      expect(heldOf(pair)).toBe(0)
      expect(pair.server.egress.sendQueue.queuedBytes).toBe(0)
      expect(pair.leftovers).toEqual(NOTHING_LEFT)
    },
  )

  test('an upload whose answer comes early and waits for a slow reader gets its credit at once', () => {
    const pair = new RelayPair({ clientLimits: { initialStreamWindowBytes: 10, streamWindowBytes: 10 } })
    const call = pair.open().call().send(1000)
    call.credits = false
    pair.settle()
    pair.server.last.ok(5000)
    pair.settle()
    expect(call.outcome).toBe('open')
    call.send(50_000)
    pair.settle()
    expect(heldOf(pair)).toBe(0)
    call.credit()
    pair.settle()
    expect(call.body).toEqual(messageOf(5000))
    expect(call.outcome).toBe('0')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('an answer that comes while the end of the request waits for a window cancels the request', () => {
    const pair = new RelayPair({ serverLimits: { initialStreamWindowBytes: 1000, streamWindowBytes: 1000 } })
    pair.onServerEvent = (call) => (call.credits = false)
    const call = pair.open().unary('/s/M', 50_000)
    pair.settle()
    pair.server.last.sendHead()
    pair.settle()
    pair.server.last.stream.sendTrailers(TRAILERS)
    pair.settle()
    expect(call.outcome).toBe('0')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })

  test('a reset in the middle of an answer gives back what the client had not taken', () => {
    const pair = new RelayPair({ clientLimits: { initialStreamWindowBytes: 100, streamWindowBytes: 100 } })
    const call = pair.open().unary()
    call.credits = false
    pair.settle()
    pair.server.last.sendHead().sendData(20_000)
    pair.settle()
    pair.server.last.rst(H2Code.INTERNAL_ERROR)
    pair.settle()
    expect(answerHeldOf(pair)).toBe(0)
    expect(call.outcome).toBe('open')
    call.credit()
    pair.settle()
    expect(call.body).toEqual(messageOf(20_000))
    expect(call.outcome).toBe('14 RI 1 egress_closed')
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
})

describe('The length of messages', () => {
  const refused = (call: ClientCall): boolean => call.outcome === '8 message_too_large'

  test('is followed across pieces of any size', () => {
    for (const size of [1, 2, 3, 4, 5, 6, 7, 100]) {
      const pair = new RelayPair({ maxMessageBytes: 100 })
      const call = pair.open().call()
      const octets = Buffer.concat([messageOf(100), messageOf(0), messageOf(99), messageOf(101)])
      const limit = 105 + 5 + 104 + 5
      for (let at = 0; at < octets.length; at += size) {
        expect(refused(call)).toBe(at >= limit)
        if (refused(call)) break
        call.send(octets.subarray(at, at + size))
        pair.settle()
      }
      expect(refused(call)).toBe(true)
      expect(pair.leftovers).toEqual(NOTHING_LEFT)
    }
  })

  test('a whole message in one piece, after others in pieces', () => {
    const pair = new RelayPair({ maxMessageBytes: 100 })
    const call = pair.open().call()
    for (const part of [messageOf(50).subarray(0, 20), messageOf(50).subarray(20), messageOf(100)])
      call.send(part)
    pair.settle()
    expect(call.outcome).toBe('open')
    call.send(101)
    pair.settle()
    expect(refused(call)).toBe(true)
  })

  test('several messages in one piece', () => {
    const pair = new RelayPair({ maxMessageBytes: 100 })
    const call = pair
      .open()
      .call()
      .send(Buffer.concat([messageOf(10), messageOf(20), messageOf(30)]))
    pair.settle()
    expect(call.outcome).toBe('open')
    call.send(Buffer.concat([messageOf(10), messageOf(101)]))
    pair.settle()
    expect(refused(call)).toBe(true)
  })

  test('counts while the call waits for its decision too', () => {
    const pair = new RelayPair({ maxMessageBytes: 100, gate: gateOf(() => new Promise(() => {})) })
    const call = pair.open().call().send(101)
    pair.settle()
    expect(refused(call)).toBe(true)
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
})

describe('Streams share a connection', () => {
  test('8 stalled streams do not slow a ninth', () => {
    const pair = new RelayPair()
    const client = pair.open()
    pair.onServerEvent = (call) => (call.credits = call.field(':path') !== '/s/Stalled')
    for (let i = 0; i < 8; i++) client.call('/s/Stalled').send(2 * 1024 * 1024)
    pair.settle()
    const stalledBytes = heldOf(pair)
    expect(stalledBytes).toBeGreaterThan(1024 * 1024)
    const ninth = client.call('/s/Free').send(3 * 1024 * 1024, true)
    pair.settle()
    expect(pair.server.last.bodyBytes).toBe(3 * 1024 * 1024 + 5)
    pair.server.last.ok(1024 * 1024)
    pair.settle()
    expect(ninth.outcome).toBe('0')
    expect(heldOf(pair)).toBe(stalledBytes)
  })

  test('100 uploads of 4 MiB and a caller with 1 KiB: it waits for one round of the others at most', () => {
    const pair = new RelayPair({ maxEgressConnections: 1 })
    pair.checksEveryFrame = false
    pair.relay.pool.warmUp()
    const clients = Array.from({ length: 10 }, () => pair.connect())
    const caller = pair.connect()
    const body = Buffer.alloc(4 * 1024 * 1024)
    body.writeUInt32BE(body.length - 5, 1)
    for (const client of clients) for (let i = 0; i < 10; i++) client.call('/s/Upload').send(body, true)
    // The egress socket takes 64 KiB a round, so uploads queue up in front of it.
    for (let i = 0; i < 200; i++) pair.round(65_536)
    expect(pair.servers).toHaveLength(1)
    expect(pair.server.egress.sendQueue.queuedBytes).toBeGreaterThan(1024 * 1024)
    const before = pair.server.calls.reduce((sum, call) => sum + call.bodyBytes, 0)
    const call = caller.unary('/s/Small', 1024)
    const isThere = () => pair.server.calls.find((seen) => seen.field(':path') === '/s/Small')?.isEnded
    for (let i = 0; i < 1000 && !isThere(); i++) pair.round(65_536)
    const after = pair.server.calls.reduce((sum, seen) => sum + seen.bodyBytes, 0)
    expect(isThere()).toBe(true)
    // One quantum of 16 KiB for each of the others, and what was under way already.
    expect(after - before).toBeLessThan(102 * 16_384 + 4 * 65_536)
    pair.server.calls.find((seen) => seen.field(':path') === '/s/Small')!.ok()
    for (let i = 0; i < 10; i++) pair.round(65_536)
    expect(call.outcome).toBe('0')
    for (const client of [...clients, caller]) pair.cutClient(client)
    pair.settle()
    expect(pair.leftovers).toEqual(NOTHING_LEFT)
  })
})

/**
 * A relay between a client and a server that both send anything. After every step each octet of both legs is accounted for;
 * when both have gone, nothing is left of any call, and no bug of ours was caught on the way.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import type { H2Connection } from '../../../src/h2/index.ts'
import { frames, settingsPayload } from '../../support/frame-factory.ts'
import { NOTHING_LEFT, RelayPair } from '../../support/relay-pair.ts'
import { Cursor } from './cursor.ts'
import { PEER_STEPS, peerOctets } from './programs.ts'

const SETTINGS = frames(
  { type: 'SETTINGS', payload: settingsPayload([]) },
  { type: 'SETTINGS', flags: ['ACK'] },
)

/** One program. */
class Program {
  readonly #pair: RelayPair
  readonly #ingress: H2Connection
  #egress: H2Connection[] = []
  readonly #cursor: Cursor

  constructor(input: Buffer) {
    this.#cursor = new Cursor(input)
    const mode = this.#cursor.octet()
    this.#pair = new RelayPair({
      dials: 'wait',
      renews: (mode & 1) === 1,
      isGrpcOnly: (mode & 2) === 0,
      limits: { maxConcurrentStreams: 8 },
      maxMessageBytes: 20_000,
    })
    this.#pair.turn.begin()
    // The pair's own client has said its preface and settings: from here on the input speaks in its place.
    const client = this.#pair.connect()
    this.#pair.unplug(client.connection)
    this.#ingress = client.ingress
    if ((mode & 4) === 0) this.#dial()
  }

  run(): void {
    while (!this.#cursor.isAtEnd) {
      const octet = this.#cursor.octet()
      const step = (octet & 0x7f) % (PEER_STEPS + 2)
      if (step < PEER_STEPS) this.#send(octet >= 0x80, peerOctets(step, this.#cursor))
      else if (step === PEER_STEPS) this.#dial()
      else this.#drain()
      this.#check()
    }
    this.#finish()
  }

  #dial(): void {
    if (this.#pair.dialer.pending.length === 0) this.#pair.relay.pool.warmUp()
    if (this.#pair.dialer.pending.length === 0) return
    const server = this.#pair.nextDial().connect()
    this.#pair.unplug(server.connection)
    this.#egress.push(server.egress)
    server.egress.receive(Buffer.from(SETTINGS))
  }

  #send(isEgress: boolean, octets: Buffer): void {
    const leg = isEgress ? this.#egress.at(-1) : this.#ingress
    if (leg === undefined) return
    this.#pair.turn.begin()
    if (!leg.wantsRead) this.#drain()
    leg.receive(octets)
  }

  /** Everything that the relay has to say leaves. */
  #drain(): void {
    this.#pair.turn.flushAll()
    for (const leg of [this.#ingress, ...this.#egress]) {
      const out: Buffer[] = []
      leg.drain(out, Infinity)
      leg.recycle()
      if (leg.isFinished) leg.onSocketClosed(null)
    }
  }

  #check(): void {
    const legs = [this.#ingress, ...this.#egress]
    for (const leg of legs) leg.checkCredits()
    const { held, relay } = this.#pair
    equal(
      held.usedBytes,
      legs.reduce((sum, leg) => sum + leg.credits.window.heldBytes, 0),
    )
    ok(held.usedBytes <= 16 * 1024 * 1024, 'held octets are bounded')
    equal(relay.stats.bugs, 0)
  }

  /** Both sides go. */
  #finish(): void {
    this.#ingress.onSocketClosed(null)
    for (const leg of this.#egress) leg.onSocketClosed(null)
    while (this.#pair.dialer.pending.length > 0) this.#pair.nextDial().fail()
    this.#drain()
    this.#check()
    deepEqual(this.#pair.leftovers, NOTHING_LEFT)
  }
}

/** One input. */
export function fuzz(input: Buffer): void {
  new Program(input).run()
}

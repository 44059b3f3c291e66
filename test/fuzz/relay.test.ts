/**
 * Random lives of calls: clients, a gate, dials and servers do anything at any time, in any order. Whatever they do, no
 * octet of credit is lost, every call ends once with a status, and nothing is left behind.
 */
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Gate, Verdict } from '../../src/auth/index.ts'
import { H2Code } from '../../src/h2/index.ts'
import type { Call } from '../../src/relay/call.ts'
import { HALF_CLOSED_INGRESS } from '../../src/relay/call-state.ts'
import { ReplayBudget } from '../../src/relay/index.ts'
import {
  messageOf,
  NOTHING_LEFT,
  RelayPair,
  TRACES,
  type ClientCall,
  type PairClient,
  type ServerCall,
} from '../support/relay-pair.ts'
import { permitOf } from '../support/relay-rig.ts'
import { addFigures, STEPS } from './steps.ts'

/** Numbers pick one of what there is: `at % length`. */
const step = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.constant('open'), fc.nat(7), fc.nat(5)) },
  {
    weight: 4,
    arbitrary: fc.tuple(
      fc.constant('send'),
      fc.nat(30),
      fc.constantFrom(10, 900, 900, 3000, 3000, 15_000, 70_000),
    ),
  },
  { weight: 3, arbitrary: fc.tuple(fc.constant('end'), fc.nat(30), fc.constant(0)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('cancel'), fc.nat(30), fc.constant(0)) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('client holds'), fc.nat(30), fc.nat(1)) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('server holds'), fc.nat(30), fc.nat(1)) },
  { weight: 8, arbitrary: fc.tuple(fc.constant('answer'), fc.nat(30), fc.nat(12)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('goaway'), fc.nat(3), fc.nat(1)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('cut'), fc.nat(3), fc.nat(1)) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('decide'), fc.nat(9), fc.nat(3)) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('dial'), fc.nat(9), fc.nat(3)) },
  {
    weight: 8,
    arbitrary: fc.tuple(fc.constant('round'), fc.constantFrom(1, 1000, Infinity), fc.constant(0)),
  },
  { weight: 10, arbitrary: fc.tuple(fc.constant('settle'), fc.constant(0), fc.constant(0)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('pass'), fc.constantFrom(1, 150, 900), fc.constant(0)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('rotate'), fc.nat(1), fc.constant(0)) },
)
type Step = readonly [string, number, number]

/** What a client has asked for. */
interface Asked {
  readonly call: ClientCall
  readonly client: PairClient
  readonly sent: Buffer[]
  isEnded: boolean
  isCancelled: boolean
}

const DENIED: Verdict = {
  kind: 'refusal',
  reason: 'keys_unavailable',
  status: 14,
  retryDelaySeconds: 2,
  text: 'unavailable',
  glitches: 0,
  validUntilMs: 0,
}

/** One program, and all that is known of its calls. */
class Program {
  readonly asked: Asked[] = []
  readonly decisions: ((verdict: Verdict) => void)[] = []
  /** What each server call has answered so far. */
  readonly answered = new Map<ServerCall, Buffer[]>()
  readonly cutClients = new Set<PairClient>()
  readonly pair: RelayPair
  generation = 1

  readonly #served = new Set<ServerCall>()

  constructor(isWorkload: boolean) {
    const gate: Gate = {
      admit: (facts) => (facts.path === '/s/Slow' ? this.#later() : this.#permit()),
      isCurrent: (permit) => permit.credentialGeneration === this.generation,
      renew: () => this.#later(),
    }
    this.pair = new RelayPair({
      gate,
      dials: 'wait',
      renews: isWorkload,
      dropsReason: !isWorkload,
      replayBudget: new ReplayBudget(100_000, 20_000),
      maxMessageBytes: 60_000,
      maxEgressConnections: 2,
      serverLimits: { maxConcurrentStreams: 3, initialStreamWindowBytes: 2000, streamWindowBytes: 2000 },
      clientLimits: { initialStreamWindowBytes: 2000, streamWindowBytes: 2000 },
    })
    this.pair.open()
    this.pair.onServerEvent = (call) => void this.#served.add(call)
    this.pair.connect()
    this.#dial(1)
    this.pair.settle()
  }

  #permit(): Verdict {
    return permitOf({ credentialGeneration: this.generation, fields: [['x-token', String(this.generation)]] })
  }
  #later(): Promise<Verdict> {
    return new Promise((resolve) => this.decisions.push(resolve))
  }
  /** In the order in which they began: a call that is sent again may come back to an older server. */
  get serverCalls(): ServerCall[] {
    return [...this.#served]
  }

  async run([what, at, more]: Step): Promise<void> {
    const { pair } = this
    if (what === 'open') this.#open(at, more)
    else if (what === 'round') pair.round(at)
    else if (what === 'settle') this.#settle()
    else if (what === 'pass') await pair.advance(at, 50)
    else if (what === 'decide') await this.#decide(at, more)
    else if (what === 'dial') this.#dial(more)
    else if (what === 'goaway') this.#goaway(at, more)
    else if (what === 'cut') this.#cut(at, more)
    else if (what === 'answer' || what === 'server holds') this.#serve(what, at, more)
    else if (what === 'rotate') {
      pair.dialer.generation++
      this.generation++
      pair.dialer.onChange()
    } else this.#ask(what, at, more)
    this.check()
  }

  /** At rest, what each leg holds is exactly what the other has not taken. */
  #settle(): void {
    const { pair } = this
    pair.settle()
    for (const [index, { call, client }] of this.asked.entries()) {
      const stream = client.ingress.streams.find(call.stream.id)
      const relayed = stream?.attachment as Call | null | undefined
      if (!stream || !relayed || relayed.state > HALF_CLOSED_INGRESS) continue
      const attempts = this.#attempts(index)
      const takenBytes = Math.max(0, ...attempts.map((attempt) => attempt.bodyBytes))
      expect(stream.recvWindow.heldBytes).toBe(stream.receivedBytes - takenBytes)
      const answering = attempts.at(-1)
      const egress = answering && pair.servers.find((server) => server.calls.includes(answering))!.egress
      const answer = egress?.streams.find(answering!.stream.id)
      if (answer) expect(answer.recvWindow.heldBytes).toBe(answer.receivedBytes - call.bodyBytes)
    }
  }

  #attempts(index: number): ServerCall[] {
    return this.serverCalls.filter((seen) => seen.field('x-id') === String(index))
  }

  #open(at: number, more: number): void {
    const client = this.pair.clients[at % 2]!
    if (this.cutClients.has(client) || !client.connection.canOpenStream) return
    const path = ['/s/Plain', '/s/Slow', TRACES][more % 3]!
    const id = ['x-id', String(this.asked.length)] as const
    const call =
      more < 3 ? client.call(path, false, id) : client.call(path, false, id, ['grpc-timeout', '700m'])
    this.asked.push({ call, client, sent: [], isEnded: false, isCancelled: false })
  }

  #ask(what: string, at: number, more: number): void {
    const asked = this.asked[at % Math.max(1, this.asked.length)]
    if (asked === undefined || asked.call.stream.isOver) return
    const { call } = asked
    if (what === 'client holds') {
      if (more === 0) call.credits = false
      else call.credit()
    } else if (what === 'cancel') {
      asked.isCancelled = true
      call.cancel()
    } else if (!asked.isEnded) {
      const octets = what === 'send' && more > 0 ? messageOf(more, at) : Buffer.alloc(0)
      asked.isEnded = what === 'end'
      asked.sent.push(octets)
      if (octets.length > 0 || asked.isEnded) call.send(octets, asked.isEnded)
    }
  }

  #serve(what: string, at: number, more: number): void {
    const live = this.serverCalls.filter((call) => !call.stream.isOver)
    const call = live[at % Math.max(1, live.length)]
    if (call === undefined) return
    if (what === 'answer') return this.#answer(call, more)
    if (more === 0) call.credits = false
    else call.credit()
  }

  #answer(call: ServerCall, more: number): void {
    const begun = this.answered.get(call)
    const parts = begun ?? []
    const isOpen = !call.stream.isEndQueued
    if (!isOpen) return
    if (more === 0 || (begun === undefined && more === 9)) call.rst(H2Code.REFUSED_STREAM)
    else if (more === 1) call.rst(H2Code.INTERNAL_ERROR)
    else if (begun === undefined && more < 7) {
      if (more === 2) call.trailersOnly(16, ['authgw-reason', 'token_expired'])
      else if (more === 3) call.trailersOnly(14)
      else if (more === 4) call.raw([[':status', '503']])
      else if (more === 5) call.trailersOnly('nonsense')
      else call.trailersOnly(0)
    } else {
      this.answered.set(call, parts)
      if (begun === undefined) call.sendHead()
      const octets = messageOf([1, 100, 5000, 30_000][more % 4]!, more)
      parts.push(octets)
      if (more === 12) call.sendData(octets, true)
      else {
        call.sendData(octets)
        if (more > 9) call.sendTrailers(more === 11 ? 16 : 0)
      }
    }
  }

  async #decide(at: number, more: number): Promise<void> {
    const [resolve] = this.decisions.splice(at % Math.max(1, this.decisions.length), 1)
    resolve?.(more === 0 ? DENIED : this.#permit())
    await this.pair.pause()
  }

  #dial(more: number): void {
    if (this.pair.dialer.pending.length === 0) return
    const dial = this.pair.nextDial()
    if (more === 0) dial.fail()
    else dial.connect()
  }

  #goaway(at: number, more: number): void {
    const server = this.pair.servers[at % Math.max(1, this.pair.servers.length)]
    if (server === undefined || server.connection.departure.phase !== 0) return
    if (more === 0) server.connection.drainStreams()
    else server.connection.departure.announceEnd()
  }

  #cut(at: number, more: number): void {
    if (more === 0) {
      const server = this.pair.servers[at % Math.max(1, this.pair.servers.length)]
      if (server !== undefined) this.pair.cut(server)
    } else if (at === 0) {
      const client = this.pair.clients[1]!
      this.cutClients.add(client)
      this.pair.cutClient(client)
    }
  }

  /** After every step. */
  check(): void {
    const { pair } = this
    pair.checkCredits()
    const legs = [
      ...pair.clients.map((client) => client.ingress),
      ...pair.servers.map((server) => server.egress),
    ]
    expect(pair.held.usedBytes).toBe(legs.reduce((sum, leg) => sum + leg.credits.window.heldBytes, 0))
    expect(pair.replayBudget.usedBytes).toBeGreaterThanOrEqual(0)
    expect(pair.replayBudget.usedBytes).toBeLessThanOrEqual(pair.replayBudget.maxBytes)
    for (const { call } of this.asked) expect(call.endCount).toBeLessThan(2)
    expect(pair.relay.stats.bugs).toBe(0)
  }

  /** Everyone does what is left to do, as honest peers would. */
  async finish(): Promise<void> {
    const { pair } = this
    for (let i = 0; i < 12; i++) {
      pair.dials = 'connect'
      for (const resolve of this.decisions.splice(0)) resolve(this.#permit())
      for (const asked of this.asked) {
        if (asked.call.stream.isOver) continue
        asked.call.credit()
        if (!asked.isEnded) asked.call.end()
        asked.isEnded = true
      }
      for (const call of this.serverCalls) {
        if (call.stream.isOver) continue
        call.credit()
        if (!call.isEnded || call.stream.isEndQueued) continue
        if (!this.answered.has(call)) call.sendHead()
        this.answered.set(call, this.answered.get(call) ?? [])
        call.sendTrailers(0)
      }
      await pair.pause()
      await pair.advance(250, 250)
      this.check()
      if (this.asked.every(({ call }) => call.stream.isOver)) break
    }
  }

  /** At the end. */
  judge(): void {
    for (const asked of this.asked) this.#judge(asked)
    expect(this.pair.leftovers).toEqual(NOTHING_LEFT)
    const { callsStarted } = this.pair.relay.stats
    expect(callsStarted).toBeLessThanOrEqual(this.asked.length)
  }

  #judge(asked: Asked): void {
    const { call, client } = asked
    const attempts = this.#attempts(this.asked.indexOf(asked))
    const request = Buffer.concat(asked.sent)
    // Whatever a server got of it, it got in order and not twice.
    for (const attempt of attempts)
      expect(attempt.body.equals(request.subarray(0, attempt.bodyBytes))).toBe(true)
    // At most one attempt's answer reached the client, and no octet of another's.
    const answers = attempts.map((attempt) => Buffer.concat(this.answered.get(attempt) ?? []))
    const isOfOne = answers.some((octets) => octets.subarray(0, call.bodyBytes).equals(call.body))
    expect(call.bodyBytes === 0 || isOfOne).toBe(true)
    if (this.cutClients.has(client) || asked.isCancelled) return
    expect(call.outcome).not.toMatch(/^(open|reset)/)
    expect(call.endCount).toBe(1)
    expect([0, 4, 8, 14, 16]).toContain(call.status)
    if (call.status === 8) expect(call.last['authgw-reason']).toBe('message_too_large')
    if (call.status === 4) expect(call.last['authgw-reason']).toBe('deadline')
    if (call.status !== 0) return
    // A call that went well got the whole answer, and its server the whole request, unless it answered before its end.
    const good = attempts.at(-1)!
    expect(call.body.equals(Buffer.concat(this.answered.get(good) ?? []))).toBe(true)
    if (good.isEnded) expect(good.body.equals(request)).toBe(true)
  }
}

/** Programs between two looks at how many steps were run. */
const PROGRAMS_AT_ONCE = 20

test(
  `${STEPS} steps around a relay: no call is lost and no credit leaks`,
  { timeout: 60_000 + STEPS },
  async () => {
    const fromMs = performance.now()
    const ran = { steps: 0, programs: 0, frames: 0 }
    let callCount = 0
    const property = fc.asyncProperty(
      fc.boolean(),
      fc.array(step, { minLength: 40, maxLength: 120, size: 'max' }),
      async (isWorkload, steps) => {
        const program = new Program(isWorkload)
        for (const one of steps) await program.run(one)
        await program.finish()
        program.judge()
        ran.programs++
        ran.steps += steps.length
        callCount += program.asked.length
        ran.frames += program.pair.frameCount
      },
    )
    while (ran.steps < STEPS) await fc.assert(property, { numRuns: PROGRAMS_AT_ONCE })
    const seconds = Math.round((performance.now() - fromMs) / 1000)
    addFigures({ model: 'relay', ...ran, seconds })
    // Programs that do nothing prove nothing.
    expect(callCount).toBeGreaterThan(STEPS / 20)
    expect(ran.frames).toBeGreaterThan(STEPS / 3)
  },
)

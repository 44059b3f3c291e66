/**
 * A relay between clients and servers in memory: no socket, no timer, time by hand. Every octet that is carried is
 * followed by a check of the credits at all ends.
 */
import type { Gate, PeerIdentity } from '../../src/auth/index.ts'
import { anonymousPeer } from '../../src/auth/index.ts'
import { DeadlineWheel, NO_LOG, TransportError, Turn, type FaultToken } from '../../src/base/index.ts'
import {
  ByteBudget,
  DEFAULT_H2_LIMITS,
  H2Connection,
  h2CodeName,
  H2Stats,
  RESET_BY_CLOSE,
  RESET_BY_FAULT,
  RESET_BY_GOAWAY,
  type H2Handler,
  type H2Limits,
  type H2Stream,
  type ResetCause,
} from '../../src/h2/index.ts'
import type { HeaderField, HeaderList } from '../../src/hpack/index.ts'
import { Relay, ReplayBudget, type DialListener, type EgressDialer } from '../../src/relay/index.ts'
import type { RelayOptions } from '../../src/relay/index.ts'
import { FakeClock } from './fake-clock.ts'
import { cutFrames, listOf, type Fields } from './h2-pair.ts'
import { OPEN_GATE } from './relay-rig.ts'

/** The traces Export method of OTLP. */
export const TRACES = '/opentelemetry.proto.collector.trace.v1.TraceService/Export'

/** A request head as grpc-go sends it, with more fields behind. */
export const requestOf = (path = '/pkg.Service/Method', ...more: Fields): Fields => [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', path],
  [':authority', 'workload:4317'],
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
  ...more,
]
const RESPONSE: Fields = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
]

/** One whole gRPC message with `bodyBytes` of payload. */
export function messageOf(bodyBytes: number, fill = 0x61): Buffer {
  const message = Buffer.alloc(5 + bodyBytes, fill)
  message[0] = 0
  message.writeUInt32BE(bodyBytes, 1)
  return message
}

const shown = (list: HeaderList): Record<string, string> =>
  Object.fromEntries(list.fields.map((field) => [field.name, field.value]))

const CAUSES: Readonly<Record<number, string>> = {
  [RESET_BY_FAULT]: 'fault',
  [RESET_BY_GOAWAY]: 'goaway',
  [RESET_BY_CLOSE]: 'close',
}

/** What one end has seen of a stream. */
class Seen {
  readonly stream: H2Stream
  head: HeaderList | null = null
  trailers: HeaderList | null = null
  readonly pieces: Buffer[] = []
  /** How often the peer has ended its side; 1 at most for a peer in order. */
  endCount = 0
  reset: string | null = null
  /** Gives credit for what comes at once; without, it is held until `credit`. */
  credits = true
  heldBytes = 0

  constructor(stream: H2Stream) {
    this.stream = stream
  }
  get body(): Buffer {
    return Buffer.concat(this.pieces)
  }
  get bodyBytes(): number {
    return this.pieces.reduce((sum, piece) => sum + piece.length, 0)
  }
  get isEnded(): boolean {
    return this.endCount > 0
  }
  take(payload: Buffer): void {
    this.pieces.push(Buffer.from(payload))
    if (this.credits) this.stream.credit(payload.length)
    else this.heldBytes += payload.length
  }
  /** Credits all that is held, and from now on at once. */
  credit(): void {
    this.stream.credit(this.heldBytes)
    this.heldBytes = 0
    this.credits = true
  }
}

/** A call as its client sees it. */
export class ClientCall extends Seen {
  /** Sends a message of `payload` octets, or these octets. */
  send(payload: number | Buffer, isEnd = false): this {
    this.stream.sendData(typeof payload === 'number' ? messageOf(payload) : payload, isEnd)
    return this
  }
  end(): this {
    this.stream.sendData(Buffer.alloc(0), true)
    return this
  }
  cancel(code = 8): this {
    this.stream.reset(code)
    return this
  }
  /** The block that ended it: trailers, or the head of a trailers-only answer. */
  get last(): Record<string, string> {
    const list = this.trailers ?? this.head
    return list === null ? {} : shown(list)
  }
  get headFields(): Record<string, string> {
    return this.head === null ? {} : shown(this.head)
  }
  get status(): number {
    const text = this.last['grpc-status']
    return text === undefined ? -1 : Number(text)
  }
  /** grpc-status, RetryInfo in seconds and authgw-reason of the answer, such as `14 RI 1 egress_closed`. */
  get outcome(): string {
    if (this.reset !== null && this.trailers === null && !this.isEnded) return `reset ${this.reset}`
    if (!this.isEnded) return 'open'
    const { last } = this
    const delay = retrySeconds(last['grpc-status-details-bin'])
    return [this.status, delay === null ? '' : `RI ${delay}`, last['authgw-reason'] ?? '']
      .filter((part) => part !== '')
      .join(' ')
  }
  get message(): string {
    return this.last['grpc-message'] ?? ''
  }
}

/** Seconds of the RetryInfo in a grpc-status-details-bin value; null without one. */
export function retrySeconds(details: string | undefined): number | null {
  if (details === undefined) return null
  const bytes = Buffer.from(details, 'base64')
  const type = 'google.rpc.RetryInfo'
  const at = bytes.indexOf(type)
  if (at < 0) return null
  // Any.value, RetryInfo.retry_delay, Duration.seconds: three tags with lengths below 128, then one octet.
  return bytes[at + type.length + 5] ?? 0
}

/** A call as the server behind the relay sees it. */
export class ServerCall extends Seen {
  get fields(): readonly (readonly [string, string])[] {
    return this.head!.fields.map((field) => [field.name, field.value] as const)
  }
  field(name: string): string | null {
    return this.head!.first(name)
  }
  sendHead(fields: Fields = RESPONSE): this {
    this.stream.sendHeaders(listOf(fields), false)
    return this
  }
  sendData(payload: number | Buffer, isEnd = false): this {
    this.stream.sendData(typeof payload === 'number' ? messageOf(payload) : payload, isEnd)
    return this
  }
  sendTrailers(status: number | string = 0, ...more: Fields): this {
    this.stream.sendTrailers(listOf([['grpc-status', String(status)], ...more]))
    return this
  }
  /** Head, a message and trailers. */
  ok(bodyBytes = 10): this {
    return this.sendHead().sendData(bodyBytes).sendTrailers()
  }
  trailersOnly(status: number | string, ...more: Fields): this {
    this.stream.sendHeaders(listOf([...RESPONSE, ['grpc-status', String(status)], ...more]), true)
    return this
  }
  /** A block that ends the answer, as it is. */
  raw(fields: Fields): this {
    this.stream.sendHeaders(listOf(fields), true)
    return this
  }
  rst(code: number): this {
    this.stream.reset(code)
    return this
  }
}

/** The owner of a test's own end: writes down what comes. */
class Recorder<C extends Seen> implements H2Handler {
  readonly calls: C[] = []
  readonly #make: (stream: H2Stream) => C
  closedBy: TransportError | null | undefined = undefined
  goaways: string[] = []
  onEvent: (call: C) => void = () => {}

  constructor(make: (stream: H2Stream) => C) {
    this.#make = make
  }
  add(stream: H2Stream): C {
    const call = this.#make(stream)
    stream.attachment = call
    this.calls.push(call)
    return call
  }
  onRequest(stream: H2Stream, head: HeaderList, isEnd: boolean): void {
    stream.admit()
    const call = this.add(stream)
    call.head = head
    if (isEnd) call.endCount++
    this.onEvent(call)
  }
  onResponse(stream: H2Stream, head: HeaderList, isEnd: boolean): void {
    const call = stream.attachment as C
    call.head = head
    if (isEnd) call.endCount++
    this.onEvent(call)
  }
  onTrailers(stream: H2Stream, trailers: HeaderList): void {
    const call = stream.attachment as C
    call.trailers = trailers
    call.endCount++
    this.onEvent(call)
  }
  onData(stream: H2Stream, payload: Buffer, isEnd: boolean): void {
    const call = stream.attachment as C
    call.take(payload)
    if (isEnd) call.endCount++
    this.onEvent(call)
  }
  onDataSent(): void {}
  onStreamReset(stream: H2Stream, code: number, cause: ResetCause, token: FaultToken | null): void {
    const call = stream.attachment as C | null
    if (call === null) return
    const why = token ?? CAUSES[cause]
    call.reset = why === undefined ? h2CodeName(code) : `${h2CodeName(code)} ${why}`
    call.heldBytes = 0
    this.onEvent(call)
  }
  onStreamClosed(): void {}
  onCapacity(): void {}
  onGoaway(_connection: H2Connection, lastStreamId: number, code: number): void {
    this.goaways.push(`${h2CodeName(code)} ${lastStreamId}`)
  }
  onClosed(_connection: H2Connection, error: TransportError | null): void {
    this.closedBy = error
  }
}

/** Two connections that are wired together; `near` is the test's end. */
interface Wire {
  readonly near: H2Connection
  readonly far: H2Connection
}

/** A client in front of the relay. */
export class PairClient {
  readonly connection: H2Connection
  /** The relay's end. */
  readonly ingress: H2Connection
  readonly recorder: Recorder<ClientCall>

  constructor(connection: H2Connection, ingress: H2Connection, recorder: Recorder<ClientCall>) {
    this.connection = connection
    this.ingress = ingress
    this.recorder = recorder
  }
  /** Opens a call with these fields, or one to this path. */
  call(what: Fields | string = '/pkg.Service/Method', isEnd = false, ...more: Fields): ClientCall {
    const fields = typeof what === 'string' ? requestOf(what, ...more) : what
    return this.callList(listOf(fields), isEnd)
  }
  /** Opens a call with a list of its own making. */
  callList(list: HeaderList, isEnd = false, extra: HeaderField | null = null): ClientCall {
    const stream = this.connection.openStream(list, extra, isEnd, {})
    return this.recorder.add(stream)
  }
  /** A unary call with a message of `bodyBytes`. */
  unary(path = '/pkg.Service/Method', bodyBytes = 10, ...more: Fields): ClientCall {
    return this.call(path, false, ...more).send(bodyBytes, true)
  }
}

/** A server behind the relay: one accepted connection. */
export class PairServer {
  readonly address: string
  readonly connection: H2Connection
  /** The relay's end. */
  readonly egress: H2Connection
  readonly recorder: Recorder<ServerCall>

  constructor(
    address: string,
    connection: H2Connection,
    egress: H2Connection,
    recorder: Recorder<ServerCall>,
  ) {
    this.address = address
    this.connection = connection
    this.egress = egress
    this.recorder = recorder
  }
  get calls(): readonly ServerCall[] {
    return this.recorder.calls
  }
  /** The newest call. */
  get last(): ServerCall {
    const call = this.calls.at(-1)
    if (call === undefined) throw new Error('the server has seen no call')
    return call
  }
}

/** A dial that waits for the test. */
export interface PendingDial {
  readonly address: string
  connect(): PairServer
  fail(code?: TransportError['code']): void
}

/** Addresses and dials under the test's hand. */
class PairDialer implements EgressDialer {
  addresses: readonly string[] = ['10.0.0.1:4317']
  generation = 1
  readonly authority = 'collector.test:4317'
  readonly scheme = 'https'
  onChange: () => void = () => {}
  resolveCount = 0
  dialled: string[] = []
  readonly pending: { address: string; listener: DialListener }[] = []
  dial(address: string, listener: DialListener): void {
    this.dialled.push(address)
    this.pending.push({ address, listener })
  }
  resolveAgain(): void {
    this.resolveCount++
  }
}

/** What a pair is made from. */
export interface PairOptions extends Partial<RelayOptions> {
  /** Limits of both legs of the relay. */
  readonly limits?: Partial<H2Limits>
  /** Limits of the servers. */
  readonly serverLimits?: Partial<H2Limits>
  readonly clientLimits?: Partial<H2Limits>
  readonly maxHeldBytes?: number
  /** What becomes of dials: connected at the next settle, refused, or left to the test. Default connect. */
  readonly dials?: 'connect' | 'fail' | 'wait'
}

/** A relay with everything around it. */
export class RelayPair {
  readonly clock = new FakeClock()
  readonly turn = new Turn(this.clock, () => {})
  readonly wheel = new DeadlineWheel(this.clock.nowMs())
  readonly dialer = new PairDialer()
  readonly held: ByteBudget
  readonly replayBudget: ReplayBudget
  readonly relay: Relay
  readonly servers: PairServer[] = []
  readonly clients: PairClient[] = []
  /** Called for each event at a server; answers what it likes. */
  onServerEvent: (call: ServerCall, server: PairServer) => void = () => {}
  dials: 'connect' | 'fail' | 'wait'
  /** Whether credits are checked after every frame; else only after each round. */
  checksEveryFrame = true
  /** Frames carried so far. */
  frameCount = 0
  serverLimits: Partial<H2Limits>
  readonly #clientLimits: Partial<H2Limits>
  readonly #wires: Wire[] = []

  constructor(options: PairOptions = {}) {
    const { limits, serverLimits, clientLimits, maxHeldBytes, dials, ...relay } = options
    this.held = new ByteBudget(maxHeldBytes ?? 48 * 1024 * 1024)
    this.replayBudget = relay.replayBudget ?? new ReplayBudget()
    this.dials = dials ?? 'connect'
    this.serverLimits = serverLimits ?? {}
    this.#clientLimits = clientLimits ?? {}
    const legLimits = { ...DEFAULT_H2_LIMITS, maxConcurrentStreams: 1000, ...limits }
    this.relay = new Relay({
      gate: OPEN_GATE,
      dialer: this.dialer,
      turn: this.turn,
      wheel: this.wheel,
      clock: this.clock,
      log: NO_LOG,
      ingressLimits: legLimits,
      egressLimits: legLimits,
      held: this.held,
      replayBudget: this.replayBudget,
      maxMessageBytes: 64 * 1024 * 1024,
      maxConnections: 10_000,
      isGrpcOnly: true,
      renews: false,
      holdsDenied: false,
      dropsReason: true,
      strippedNames: new Set(),
      knownMethods: [],
      keepaliveMs: Infinity,
      keepaliveTimeoutMs: 10_000,
      ...relay,
    })
  }

  /** A client on this machine unless told otherwise; null when the relay takes none. */
  tryConnect(peer: PeerIdentity = anonymousPeer('127.0.0.1', true)): PairClient | null {
    const ingress = this.relay.accept(peer)
    if (ingress === null) return null
    const recorder = new Recorder((stream) => new ClientCall(stream))
    const connection = this.#ownEnd(false, recorder, this.#clientLimits)
    const client = new PairClient(connection, ingress, recorder)
    this.clients.push(client)
    this.#wire(connection, ingress)
    this.settle()
    return client
  }
  connect(peer?: PeerIdentity): PairClient {
    const client = this.tryConnect(peer)
    if (client === null) throw new Error('the relay takes no connection')
    return client
  }
  /** A client, with the relay connected to its first server. */
  open(): PairClient {
    this.relay.pool.warmUp()
    return this.connect()
  }
  get server(): PairServer {
    const server = this.servers.at(-1)
    if (server === undefined) throw new Error('nobody was dialled')
    return server
  }

  /** Takes the oldest dial that waits. */
  nextDial(): PendingDial {
    const dial = this.dialer.pending.shift()
    if (dial === undefined) throw new Error('no dial is under way')
    const { address, listener } = dial
    return {
      address,
      connect: () => this.#connectServer(address, listener),
      fail: (code = 'connect_refused') => {
        this.turn.begin()
        listener.onDialFailed(new TransportError(code, `dial ${address}: ${code}`))
      },
    }
  }

  #connectServer(address: string, listener: DialListener): PairServer {
    this.turn.begin()
    const egress = listener.onConnected()
    const recorder = new Recorder((stream) => new ServerCall(stream))
    const connection = this.#ownEnd(true, recorder, this.serverLimits)
    const server = new PairServer(address, connection, egress, recorder)
    recorder.onEvent = (call) => this.onServerEvent(call, server)
    this.servers.push(server)
    this.#wire(connection, egress)
    return server
  }

  #ownEnd(isServer: boolean, handler: H2Handler, limits: Partial<H2Limits>): H2Connection {
    const connection = new H2Connection({
      isServer,
      handler,
      turn: this.turn,
      wheel: this.wheel,
      limits: { ...DEFAULT_H2_LIMITS, maxConcurrentStreams: 1000, ...limits },
      stats: new H2Stats(),
      held: new ByteBudget(Infinity),
    })
    connection.start()
    return connection
  }

  #wire(near: H2Connection, far: H2Connection): void {
    near.link = { flush: () => {} }
    far.link = { flush: () => {} }
    this.#wires.push({ near, far })
  }

  /** Carries what `from` has to `to`; returns the frames. */
  #carry(from: H2Connection, to: H2Connection, maxBytes: number): number {
    const out: Buffer[] = []
    from.drain(out, maxBytes)
    if (out.length === 0) return 0
    const pieces = cutFrames(Buffer.concat(out))
    this.frameCount += pieces.length
    from.recycle()
    for (const piece of pieces) {
      // A socket's chunk is memory of its own.
      const chunk = Buffer.allocUnsafeSlow(piece.length)
      piece.copy(chunk)
      to.receive(chunk)
      if (!this.checksEveryFrame) continue
      from.checkCredits()
      to.checkCredits()
    }
    return pieces.length
  }

  /** One round: each end says what it has, at most `maxBytes`. Returns the frames carried. */
  round(maxBytes = Infinity): number {
    this.turn.begin()
    this.turn.flushAll()
    let moved = 0
    while (this.dials !== 'wait' && this.dialer.pending.length > 0) {
      moved++
      if (this.dials === 'connect') this.nextDial().connect()
      else this.nextDial().fail()
    }
    for (const wire of this.#wires.slice()) {
      const { near, far } = wire
      moved += this.#carry(near, far, maxBytes) + this.#carry(far, near, maxBytes)
      if (near.isFinished || far.isFinished) moved += this.#closeSocket(wire)
    }
    this.checkCredits()
    return moved
  }

  /** A connection that has said all ends its socket, as the pump does; the other end hears of it. */
  #closeSocket({ near, far }: Wire): number {
    const error = (): TransportError => new TransportError('closed_by_peer', 'the socket has ended')
    if (near.hasOutput || far.hasOutput) return 1
    near.onSocketClosed(near.isFinished ? null : error())
    far.onSocketClosed(far.isFinished ? null : error())
    this.unplug(near)
    return 1
  }

  /** Carries everything until nobody has anything left to say. */
  settle(maxBytes = Infinity): this {
    for (let i = 0; i < 100_000; i++) {
      if (this.round(maxBytes) === 0) return this
    }
    throw new Error('the ends never come to rest')
  }

  /** Cuts a connection as a lost socket does. */
  cut(server: PairServer): void {
    const error = new TransportError('reset_by_peer', 'the socket is gone')
    this.turn.begin()
    server.egress.onSocketClosed(error)
    server.connection.onSocketClosed(error)
    this.unplug(server.connection)
  }
  /** The same for a client. */
  cutClient(client: PairClient): void {
    const error = new TransportError('reset_by_peer', 'the socket is gone')
    this.turn.begin()
    client.ingress.onSocketClosed(error)
    client.connection.onSocketClosed(error)
    this.unplug(client.connection)
  }
  /** Nothing is carried on this connection any more. */
  unplug(near: H2Connection): void {
    const at = this.#wires.findIndex((wire) => wire.near === near)
    if (at >= 0) this.#wires.splice(at, 1)
  }

  /** Moves the time on, letting timers and deadlines fire and carrying what they bring. */
  async advance(ms: number, stepMs = 100): Promise<this> {
    for (let left = ms; left > 0; left -= stepMs) {
      await this.clock.advance(Math.min(left, stepMs))
      this.turn.begin()
      this.wheel.advance(this.turn.nowMs)
      this.settle()
    }
    return this
  }
  /** Lets promises settle and carries what comes of it. */
  async pause(): Promise<this> {
    this.settle()
    await this.clock.advance(0)
    return this.settle()
  }

  /** Every octet at both ends of both legs is accounted for, and no chunk is counted less than the views of it. */
  checkCredits(): void {
    if (this.held.pins.idleBytes < 0) throw new Error(`${this.held.pins.idleBytes} octets pinned`)
    for (const { near, far } of this.#wires) {
      near.checkCredits()
      far.checkCredits()
    }
  }

  /** What the relay still holds when no call is open: nothing. */
  get leftovers(): Record<string, number> {
    const { stats, ingressStats, egressStats } = this.relay
    return {
      heldBytes: this.held.heldBytes,
      pinnedBytes: this.held.pins.idleBytes,
      replayBytes: this.replayBudget.usedBytes,
      callsOpen: stats.callsOpen,
      callsWaiting: stats.callsWaiting,
      ingressStreams: ingressStats.streamsOpen,
      egressStreams: egressStats.streamsOpen,
      bugs: stats.bugs,
    }
  }
}

/** `leftovers` of a relay that has nothing to do. */
export const NOTHING_LEFT = {
  heldBytes: 0,
  pinnedBytes: 0,
  replayBytes: 0,
  callsOpen: 0,
  callsWaiting: 0,
  ingressStreams: 0,
  egressStreams: 0,
  bugs: 0,
}

/** A peer without a certificate on another machine: it learns little. */
export const STRANGER: PeerIdentity = anonymousPeer('192.0.2.7', false)

/** A gate that asks a function. */
export function gateOf(
  admit: Gate['admit'],
  rest: Partial<Pick<Gate, 'isCurrent' | 'renew'>> = {},
): Gate & { admitCount: number } {
  const gate = {
    admitCount: 0,
    admit: (facts: Parameters<Gate['admit']>[0]) => {
      gate.admitCount++
      return admit(facts)
    },
    isCurrent: rest.isCurrent ?? (() => true),
    renew: rest.renew ?? (() => null),
  }
  return gate
}

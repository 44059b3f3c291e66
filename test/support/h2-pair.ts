import { DeadlineWheel, Turn, type Clock, type TransportError } from '../../src/base/index.ts'
import { FrameType, H2Code, h2CodeName } from '../../src/frame/index.ts'
import {
  ByteBudget,
  DEFAULT_H2_LIMITS,
  H2Connection,
  H2Stats,
  RESET_BY_CLOSE,
  RESET_BY_FAULT,
  RESET_BY_GOAWAY,
  type H2Handler,
  type H2Limits,
  type H2Stream,
  type ResetCause,
} from '../../src/h2/index.ts'
import { HeaderField, HeaderList } from '../../src/hpack/index.ts'
import type { FaultToken } from '../../src/base/index.ts'
import { frame, settingsPayload, uint32, type FrameSpec } from './frame-factory.ts'
import { PlainDecoder } from './plain-hpack.ts'

/** The client's connection preface. */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

/** Name and value pairs. */
export type Fields = readonly (readonly [name: string, value: string])[]

/** A request head that every check lets pass. */
export const REQUEST: Fields = [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', '/pkg.Service/Method'],
  [':authority', 'collector:4317'],
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
]
/** A response head that every check lets pass. */
export const RESPONSE: Fields = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
]
/** Trailers of a call that went well. */
export const TRAILERS: Fields = [['grpc-status', '0']]

/** A header list for H2Connection's senders. */
export const listOf = (fields: Fields): HeaderList =>
  new HeaderList(fields.map(([name, value]) => new HeaderField(name, value)))

/** A header block of literals without indexing: any octets, no state. */
export function literals(fields: Fields): Buffer {
  const text = (value: string): Buffer => {
    const octets = Buffer.from(value, 'latin1')
    if (octets.length < 127) return Buffer.concat([Buffer.of(octets.length), octets])
    const head = [127]
    let rest = octets.length - 127
    for (; rest >= 128; rest >>>= 7) head.push((rest & 127) | 128)
    return Buffer.concat([Buffer.of(...head, rest), octets])
  }
  return Buffer.concat(fields.map(([name, value]) => Buffer.concat([Buffer.of(0), text(name), text(value)])))
}

/** A clock that moves when told to. No timers: a connection owns none. */
class HandClock implements Clock {
  #nowMs = 1_000
  nowMs(): number {
    return this.#nowMs
  }
  wallMs(): number {
    return Date.UTC(2026, 10, 22) + this.#nowMs
  }
  random(): number {
    return 0.5
  }
  setTimer(): never {
    throw new Error('a connection sets no timer')
  }
  move(ms: number): void {
    this.#nowMs += ms
  }
}

/** Time, the wheel and the turn that the ends of one test share. */
export class Bench {
  readonly clock = new HandClock()
  readonly turn = new Turn(this.clock, () => {})
  readonly wheel = new DeadlineWheel(this.clock.nowMs())

  /** Moves the time in steps of `stepMs`, firing deadlines; one long step is an event loop that stood still. */
  advance(ms: number, stepMs = 100): void {
    for (let left = ms; left > 0; left -= stepMs) {
      this.clock.move(Math.min(left, stepMs))
      this.turn.begin()
      this.wheel.advance(this.turn.nowMs)
    }
  }
}

const causeNames: Readonly<Record<number, string>> = {
  [RESET_BY_FAULT]: 'fault',
  [RESET_BY_GOAWAY]: 'goaway',
  [RESET_BY_CLOSE]: 'close',
}

/** An owner that writes each event down as a line, such as `data 1 5 end`, and does what a test hangs into `on`. */
export class RecordingHandler implements H2Handler {
  readonly log: string[] = []
  readonly streams = new Map<number, H2Stream>()
  /** Octets received by stream. */
  readonly received = new Map<number, Buffer[]>()
  readonly heads = new Map<number, HeaderList>()
  /** Credits payloads at once, as an owner without another leg would. */
  credits = true
  /** Admits requests at once. */
  admits = true
  /** Called after each line with its first word and stream. */
  on: (event: string, stream: H2Stream | null) => void = () => {}

  /** The lines since the last call. */
  take(): string[] {
    return this.log.splice(0)
  }
  stream(id: number): H2Stream {
    const stream = this.streams.get(id)
    if (stream === undefined) throw new Error(`no stream ${id}: ${this.log.join('; ')}`)
    return stream
  }
  bytes(id: number): Buffer {
    return Buffer.concat(this.received.get(id) ?? [])
  }

  onRequest(stream: H2Stream, head: HeaderList, isEnd: boolean): void {
    this.streams.set(stream.id, stream)
    this.heads.set(stream.id, head)
    if (this.admits) stream.admit()
    this.#write('request', stream, `${head.first(':path') ?? '-'}${isEnd ? ' end' : ''}`)
  }
  onResponse(stream: H2Stream, head: HeaderList, isEnd: boolean): void {
    this.heads.set(stream.id, head)
    this.#write('response', stream, `${head.first(':status') ?? '-'}${isEnd ? ' end' : ''}`)
  }
  onTrailers(stream: H2Stream, trailers: HeaderList): void {
    const text = trailers.fields.map((field) => `${field.name}=${field.value}`).join(',')
    this.#write('trailers', stream, text)
  }
  onData(stream: H2Stream, payload: Buffer, isEnd: boolean): void {
    const parts = this.received.get(stream.id) ?? []
    this.received.set(stream.id, parts)
    parts.push(Buffer.from(payload))
    if (this.credits) stream.credit(payload.length)
    this.#write('data', stream, `${payload.length}${isEnd ? ' end' : ''}`)
  }
  onDataSent(stream: H2Stream, bytes: number): void {
    this.#write('sent', stream, `${bytes}`)
  }
  onStreamReset(stream: H2Stream, code: number, cause: ResetCause, token: FaultToken | null): void {
    const why = token ?? causeNames[cause] ?? 'peer'
    this.#write('reset', stream, `${h2CodeName(code)} ${why}`)
  }
  onStreamClosed(stream: H2Stream): void {
    this.#write('closed', stream, '')
  }
  onCapacity(): void {
    this.on('capacity', null)
  }
  onGoaway(_connection: H2Connection, lastStreamId: number, code: number): void {
    this.log.push(`goaway last=${lastStreamId} ${h2CodeName(code)}`)
    this.on('goaway', null)
  }
  onClosed(_connection: H2Connection, error: TransportError | null): void {
    this.log.push(`over ${error === null ? 'in order' : error.code}`)
    this.on('over', null)
  }

  #write(event: string, stream: H2Stream, text: string): void {
    this.log.push(`${event} ${stream.id}${text === '' ? '' : ` ${text}`}`)
    this.on(event, stream)
  }
}

/** One frame as it stood on the wire; `fields` for a whole header block. */
export interface WireFrame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
  readonly fields: Fields | null
}

/** What an end of a test is made from. */
export interface EndOptions {
  readonly isServer?: boolean
  readonly limits?: Partial<H2Limits>
  readonly maxHeldBytes?: number
  readonly jitter?: number
  readonly keepaliveMs?: number
  readonly keepaliveTimeoutMs?: number
}

/** A connection with its recording owner. */
export class End {
  readonly bench: Bench
  readonly handler = new RecordingHandler()
  readonly stats = new H2Stats()
  readonly held: ByteBudget
  readonly connection: H2Connection
  /** How often the connection has asked for a turn. */
  flushRequests = 0

  constructor(bench: Bench, options: EndOptions) {
    this.bench = bench
    this.held = new ByteBudget(options.maxHeldBytes ?? 48 * 1024 * 1024)
    const { limits, isServer, maxHeldBytes: _maxHeldBytes, ...rest } = options
    this.connection = new H2Connection({
      ...rest,
      isServer: isServer ?? true,
      handler: this.handler,
      turn: bench.turn,
      wheel: bench.wheel,
      limits: { ...DEFAULT_H2_LIMITS, ...limits },
      stats: this.stats,
      held: this.held,
    })
    this.connection.link = { flush: () => void this.flushRequests++ }
    this.connection.start()
  }

  /** Takes one chunk in and checks that every octet is accounted for. */
  receive(chunk: Buffer): void {
    this.connection.receive(chunk)
    this.connection.checkCredits()
  }

  /** What the connection wants to send now, as a copy. */
  drain(maxBytes = Infinity): Buffer {
    const out: Buffer[] = []
    this.connection.drain(out, maxBytes)
    const bytes = Buffer.concat(out)
    this.connection.recycle()
    this.connection.checkCredits()
    return bytes
  }
}

/** Cuts a direction's octets into frames, the preface apart. */
export function cutFrames(bytes: Buffer): Buffer[] {
  const pieces: Buffer[] = []
  let at = 0
  if (bytes.subarray(0, 3).toString('latin1') === 'PRI') {
    pieces.push(bytes.subarray(0, PREFACE.length))
    at = PREFACE.length
  }
  while (at < bytes.length) {
    const to = at + 9 + bytes.readUIntBE(at, 3)
    pieces.push(Buffer.from(bytes.subarray(at, to)))
    at = to
  }
  return pieces
}

/** A connection under test and a peer that may send anything and writes down what comes. */
export class RawPeer {
  readonly end: End
  readonly bench: Bench
  readonly frames: WireFrame[] = []
  readonly #decoder = new PlainDecoder()
  #block: Buffer[] = []
  #blockFlags = 0

  constructor(options: EndOptions = {}, bench = new Bench()) {
    this.bench = bench
    this.end = new End(bench, options)
  }
  get connection(): H2Connection {
    return this.end.connection
  }
  get handler(): RecordingHandler {
    return this.end.handler
  }

  /** Sends octets or frames, one `receive` each. */
  send(...specs: (Buffer | FrameSpec)[]): this {
    for (const spec of specs) this.end.receive(Buffer.isBuffer(spec) ? Buffer.from(spec) : frame(spec))
    return this
  }
  /** Sends HEADERS in one frame. */
  headers(stream: number, fields: Fields, isEnd = false): this {
    const flags = isEnd ? (['END_HEADERS', 'END_STREAM'] as const) : (['END_HEADERS'] as const)
    return this.send({ type: 'HEADERS', stream, flags, payload: literals(fields) })
  }
  data(stream: number, payload: number | Buffer, isEnd = false, pad?: number): this {
    const bytes = typeof payload === 'number' ? Buffer.alloc(payload, stream) : payload
    const spec: FrameSpec = { type: 'DATA', stream, flags: isEnd ? ['END_STREAM'] : [], payload: bytes }
    return this.send(pad === undefined ? spec : { ...spec, pad })
  }
  rst(stream: number, code: number = H2Code.CANCEL): this {
    return this.send({ type: 'RST_STREAM', stream, payload: uint32(code) })
  }
  windowUpdate(stream: number, increment: number): this {
    return this.send({ type: 'WINDOW_UPDATE', stream, payload: uint32(increment) })
  }
  settings(...entries: (readonly [id: number, value: number])[]): this {
    return this.send({ type: 'SETTINGS', payload: settingsPayload(entries) })
  }
  settingsAck(): this {
    return this.send({ type: 'SETTINGS', flags: ['ACK'] })
  }
  ping(payload = '00 01 02 03 04 05 06 07', isAck = false): this {
    return this.send({ type: 'PING', flags: isAck ? ['ACK'] : [], payload })
  }
  goaway(lastStreamId: number, code: number = H2Code.NO_ERROR): this {
    return this.send({ type: 'GOAWAY', payload: Buffer.concat([uint32(lastStreamId), uint32(code)]) })
  }

  /** Preface (towards a server), SETTINGS and the acknowledgement of ours; what we sent so far is dropped. */
  open(...entries: (readonly [id: number, value: number])[]): this {
    if (this.connection.isServer) this.send(PREFACE)
    this.settings(...entries).settingsAck()
    this.flush()
    this.frames.length = 0
    this.handler.take()
    return this
  }

  /** Lets the connection write, and writes its frames down. */
  flush(maxBytes = Infinity): this {
    this.end.bench.turn.flushAll()
    for (const bytes of cutFrames(this.end.drain(maxBytes))) {
      if (bytes.length !== PREFACE.length || bytes[0] !== 0x50) this.#note(bytes)
    }
    return this
  }

  /** The frames since the last call, as lines such as `HEADERS 1 end :status=200`. */
  take(): string[] {
    this.flush()
    return this.frames.splice(0).map((wire) => shownFrame(wire))
  }
  advance(ms: number, stepMs = 100): this {
    this.bench.advance(ms, stepMs)
    return this
  }

  #note(bytes: Buffer): void {
    const type = bytes[3]!
    const flags = bytes[4]!
    const stream = bytes.readUInt32BE(5)
    const payload = bytes.subarray(9)
    let fields: Fields | null = null
    if (type === FrameType.HEADERS || type === FrameType.CONTINUATION) {
      if (type === FrameType.HEADERS) this.#blockFlags = flags
      this.#block.push(payload)
      if ((flags & 0x4) !== 0) {
        fields = this.#decoder
          .decode(Buffer.concat(this.#block))
          .map(([name, value]) => [name, value] as const)
        this.#block = []
      }
    }
    this.frames.push({
      type,
      flags: type === FrameType.CONTINUATION ? this.#blockFlags : flags,
      stream,
      payload,
      fields,
    })
  }
}

const TYPE_NAMES = Object.keys(FrameType)

/** One frame as a line. */
export function shownFrame(wire: WireFrame): string {
  const { type, flags, stream, payload } = wire
  const end = (flags & 1) === 0 ? '' : ' end'
  switch (type) {
    case FrameType.DATA:
      return `DATA ${stream} ${payload.length}${end}`
    case FrameType.HEADERS:
    case FrameType.CONTINUATION:
      return wire.fields === null
        ? `${TYPE_NAMES[type]} ${stream} part`
        : `HEADERS ${stream}${end} ${wire.fields.map(([name, value]) => `${name}=${value}`).join(',')}`
    case FrameType.RST_STREAM:
      return `RST_STREAM ${stream} ${h2CodeName(payload.readUInt32BE(0))}`
    case FrameType.SETTINGS:
      return (flags & 1) === 0 ? `SETTINGS ${payload.length / 6}` : 'SETTINGS ack'
    case FrameType.PING:
      return `PING${(flags & 1) === 0 ? '' : ' ack'} ${payload.toString('hex')}`
    case FrameType.GOAWAY: {
      const debug = payload.subarray(8).toString('latin1')
      return `GOAWAY last=${payload.readUInt32BE(0)} ${h2CodeName(payload.readUInt32BE(4))}${debug && ` ${debug}`}`
    }
    case FrameType.WINDOW_UPDATE:
      return `WINDOW_UPDATE ${stream} +${payload.readUInt32BE(0)}`
    default:
      return `TYPE ${type} ${stream}`
  }
}

/** Two connections that speak to each other in memory, frame by frame. */
export class H2Pair {
  readonly bench = new Bench()
  readonly server: End
  readonly client: End

  constructor(options: { server?: EndOptions; client?: EndOptions } = {}) {
    this.server = new End(this.bench, { ...options.server, isServer: true })
    this.client = new End(this.bench, { ...options.client, isServer: false })
    this.settle()
    this.server.handler.take()
    this.client.handler.take()
  }

  /** Carries what one end has to the other, and checks both ends after each frame. */
  carry(from: End, to: End, maxBytes = Infinity): number {
    const pieces = cutFrames(from.drain(maxBytes))
    for (const piece of pieces) {
      to.receive(piece)
      from.connection.checkCredits()
    }
    return pieces.length
  }

  /** Carries both ways until there is nothing left to say. Gives the frames carried. */
  settle(maxBytes = Infinity): number {
    let carried = 0
    for (let round = 0; round < 10_000; round++) {
      const moved =
        this.carry(this.client, this.server, maxBytes) + this.carry(this.server, this.client, maxBytes)
      if (moved === 0) return carried
      carried += moved
    }
    throw new Error('the two ends never come to rest')
  }

  /** Opens a call on the client. */
  call(fields: Fields = REQUEST, isEnd = false): H2Stream {
    const stream = this.client.connection.openStream(listOf(fields), null, isEnd, {})
    this.client.handler.streams.set(stream.id, stream)
    return stream
  }
}

/**
 * `node:http2` as a gRPC client and server: messages framed by hand, so that a test sees what is on the wire.
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
import http2 from 'node:http2'
import type { ClientHttp2Stream, Http2Stream, OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { TEST_SERVICE } from './gateway-pair.ts'
import type { PairIngress } from './gateway-pair.ts'
import type {
  CallOptions,
  ClientCall,
  GrpcCaller,
  GrpcKit,
  GrpcServed,
  Metadata,
  Outcome,
  ServedCall,
} from './grpc-peer.ts'

const UNKNOWN = 2
const CANCELLED = 1
const PREFIX_BYTES = 5

export const nodeHttp2: GrpcKit = {
  name: 'node:http2',
  connect: connectNodeHttp2,
  serve: () => serveNodeHttp2(),
}

/** A message with the prefix that gRPC puts before it. */
export function framed(message: Buffer, isCompressed = false): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES)
  prefix[0] = isCompressed ? 1 : 0
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}

/** Dials an ingress without saying anything on it yet. */
export function dial(
  ingress: PairIngress,
  options: http2.ClientSessionOptions = {},
): http2.ClientHttp2Session {
  const { tls, port } = ingress
  const session = http2.connect(`${tls === null ? 'http' : 'https'}://127.0.0.1:${port}`, {
    ...options,
    ...(tls !== null && { ca: tls.ca, cert: tls.cert, key: tls.key }),
  })
  session.on('error', () => {})
  return session
}

/** The head of a call. */
export function headOf(
  ingress: PairIngress,
  { path, metadata, timeoutMs }: CallOptions = {},
): OutgoingHttpHeaders {
  return {
    ':method': 'POST',
    ':path': path ?? `/${TEST_SERVICE}/Call`,
    te: 'trailers',
    'content-type': 'application/grpc',
    ...(timeoutMs !== undefined && { 'grpc-timeout': `${timeoutMs}m` }),
    ...(ingress.token !== null && { authorization: `Bearer ${ingress.token}` }),
    ...toFields(metadata ?? {}),
  }
}

/** Connects a client. */
export function connectNodeHttp2(ingress: PairIngress, options: http2.ClientSessionOptions = {}): GrpcCaller {
  let session = dial(ingress, options)
  const open = (own: CallOptions = {}): ClientCall => {
    if (session.closed || session.destroyed) session = dial(ingress, options)
    return new Http2ClientCall(session.request(headOf(ingress, own)))
  }
  return {
    open,
    async unary(message, own = {}) {
      const call = open(own)
      await call.send(message)
      call.end()
      return call.outcome
    },
    close: () => session.destroy(),
  }
}

/** A call on a stream that a test has opened itself. */
export const callOn = (stream: ClientHttp2Stream): ClientCall => new Http2ClientCall(stream)

class Http2ClientCall implements ClientCall {
  readonly #stream: ClientHttp2Stream
  readonly #reader: MessageReader
  readonly #replies: Buffer[] = []
  #head: Metadata = {}
  #trailers: Metadata = {}

  constructor(stream: ClientHttp2Stream) {
    this.#stream = stream
    this.#reader = new MessageReader(stream)
    stream.on('error', () => {})
    stream.on('response', (_fields, flags, raw) => {
      // RFC 9113 §6.2: END_STREAM on the head is gRPC's trailers-only.
      if ((flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0) this.#trailers = fromRaw(raw)
      else this.#head = fromRaw(raw)
    })
    stream.on('trailers', (_fields, _flags, raw) => (this.#trailers = fromRaw(raw)))
  }

  send(message: Buffer): Promise<void> {
    return writeTo(this.#stream, framed(message))
  }
  end(): void {
    this.#stream.end()
  }
  cancel(): void {
    this.#stream.close(http2.constants.NGHTTP2_CANCEL)
  }
  async next(): Promise<Buffer | null> {
    const message = await this.#reader.next()
    if (message !== null) this.#replies.push(message)
    return message
  }
  get outcome(): Promise<Outcome> {
    return this.#finish()
  }
  async #finish(): Promise<Outcome> {
    while ((await this.next()) !== null);
    if (!this.#stream.closed) await new Promise((resolve) => this.#stream.once('close', resolve))
    const status = this.#trailers['grpc-status']?.[0]
    const message = String(this.#trailers['grpc-message']?.[0] ?? '')
    const fallback = this.#stream.rstCode === http2.constants.NGHTTP2_CANCEL ? CANCELLED : UNKNOWN
    return {
      status: status === undefined ? fallback : Number(status),
      message: decodeURIComponent(message),
      head: this.#head,
      trailers: this.#trailers,
      replies: this.#replies,
    }
  }
}

/** A server whose streams a test takes as they are. */
export interface RawServed {
  readonly port: number
  readonly sessions: ReadonlySet<http2.ServerHttp2Session>
  close(): Promise<void>
}

/** Starts a server that hands every stream to `onStream`. `port` 0 takes a free one. */
export async function serveRaw(
  onStream: (stream: ServerHttp2Stream, raw: readonly string[]) => void,
  options: http2.ServerOptions = {},
  port = 0,
): Promise<RawServed> {
  const server = http2.createServer({ settings: { maxConcurrentStreams: 1000 }, ...options })
  const sessions = new Set<http2.ServerHttp2Session>()
  server.on('session', (session) => {
    sessions.add(session)
    session.on('error', () => {})
    session.once('close', () => sessions.delete(session))
  })
  server.on('sessionError', () => {})
  server.on('stream', (stream: ServerHttp2Stream, _fields, _flags, raw) => {
    stream.on('error', () => {})
    onStream(stream, raw)
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    sessions,
    async close() {
      for (const session of sessions) session.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

/** Starts a server, with further SETTINGS. */
export async function serveNodeHttp2(settings: http2.Settings = {}): Promise<GrpcServed> {
  const raw = await serveRaw(
    (stream, fields) => {
      void (async () => served.respond(new Http2ServedCall(stream, fields)))().catch(() => {
        stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR)
      })
    },
    { settings: { maxConcurrentStreams: 1000, ...settings } },
  )
  const served: GrpcServed = {
    port: raw.port,
    respond: () => {},
    cutConnections: () => {
      for (const session of raw.sessions) session.socket.destroy()
    },
    close: () => raw.close(),
  }
  return served
}

class Http2ServedCall implements ServedCall {
  readonly path: string
  readonly metadata: Metadata
  readonly timeoutMs: number
  readonly cancelled: Promise<void>
  readonly #stream: ServerHttp2Stream
  readonly #reader: MessageReader
  #trailers: OutgoingHttpHeaders = {}

  constructor(stream: ServerHttp2Stream, raw: readonly string[]) {
    this.#stream = stream
    this.metadata = fromRaw(raw)
    this.path = String(this.metadata[':path']?.[0])
    this.timeoutMs = timeoutMsOf(this.metadata['grpc-timeout']?.[0])
    this.#reader = new MessageReader(stream)
    this.cancelled = new Promise((resolve) => void stream.once('aborted', () => resolve()))
    stream.on('wantTrailers', () => stream.sendTrailers(this.#trailers))
  }

  next(): Promise<Buffer | null> {
    return this.#reader.next()
  }
  sendHead(metadata: Metadata): void {
    if (this.#stream.headersSent || this.#stream.destroyed) return
    this.#stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', ...toFields(metadata) },
      { waitForTrailers: true },
    )
  }
  send(message: Buffer): Promise<void> {
    this.sendHead({})
    return writeTo(this.#stream, framed(message))
  }
  finish(status = 0, message = '', trailers: Metadata = {}): void {
    if (this.#stream.destroyed) return
    const fields = {
      'grpc-status': String(status),
      ...(message !== '' && { 'grpc-message': encodeURI(message) }),
      ...toFields(trailers),
    }
    if (this.#stream.headersSent) {
      this.#trailers = fields
      this.#stream.end()
      return
    }
    this.#stream.respond(
      { ':status': 200, 'content-type': 'application/grpc', ...fields },
      { endStream: true },
    )
  }
}

/** Cuts a stream of octets into messages, on demand: what is not asked for is not read. */
export class MessageReader {
  readonly #stream: Http2Stream
  #rest: Buffer[] = []
  #restBytes = 0
  #isOver = false
  #wake: () => void = () => {}

  constructor(stream: Http2Stream) {
    this.#stream = stream
    for (const event of ['end', 'close', 'aborted', 'error'])
      stream.on(event, () => {
        this.#isOver = true
        this.#wake()
      })
    stream.on('readable', () => this.#wake())
  }

  async next(): Promise<Buffer | null> {
    const prefix = await this.#take(PREFIX_BYTES)
    return prefix === null ? null : this.#take(prefix.readUInt32BE(1))
  }

  async #take(bytes: number): Promise<Buffer | null> {
    while (this.#restBytes < bytes) {
      const chunk = this.#stream.read() as Buffer | null
      if (chunk !== null) {
        this.#rest.push(chunk)
        this.#restBytes += chunk.length
      } else if (this.#isOver) return null
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
    }
    const whole = Buffer.concat(this.#rest)
    this.#rest = [whole.subarray(bytes)]
    this.#restBytes = whole.length - bytes
    return whole.subarray(0, bytes)
  }
}

/** Writes; resolves when more may be written. */
export function writeTo(stream: Http2Stream, octets: Buffer): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || stream.write(octets)) return resolve()
    stream.once('drain', resolve)
    stream.once('close', resolve)
  })
}

/** Raw names and values in turn into metadata, `-bin` values decoded. */
export function fromRaw(raw: readonly string[]): Metadata {
  const metadata: Record<string, (string | Buffer)[]> = {}
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!
    const values = (metadata[name] ??= [])
    if (name.endsWith('-bin'))
      for (const value of raw[i + 1]!.split(',')) values.push(Buffer.from(value, 'base64'))
    else values.push(raw[i + 1]!)
  }
  return metadata
}

/** Metadata into fields for node:http2, `-bin` values in base64 without padding. */
export function toFields(metadata: Metadata): OutgoingHttpHeaders {
  return Object.fromEntries(
    Object.entries(metadata).map(([name, values]) => [
      name,
      values.map((value) =>
        typeof value === 'string' ? value : value.toString('base64').replace(/=+$/, ''),
      ),
    ]),
  )
}

const UNIT_MS: Readonly<Record<string, number>> = { H: 3.6e6, M: 6e4, S: 1e3, m: 1, u: 1e-3, n: 1e-6 }

function timeoutMsOf(field: string | Buffer | undefined): number {
  const parts = /^(\d{1,8})([HMSmun])$/.exec(String(field))
  return parts === null ? Infinity : Number(parts[1]) * UNIT_MS[parts[2]!]!
}

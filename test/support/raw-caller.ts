/**
 * A client that sends octets of the test's choosing over HTTP/2 and tells what came back, frame by frame: for heads that
 * no library would send.
 *
 * ```ts
 * const caller = await dialRaw(stage.port, tls)
 * const answer = await caller.request([[':method', 'POST'], …], Buffer.alloc(0))
 * answer.fields['grpc-status']
 * ```
 */
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { frame, settingsPayload } from './frame-factory.ts'
import type { FrameSpec } from './frame-factory.ts'
import { PlainDecoder, PlainEncoder } from './plain-hpack.ts'

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')
const [DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY] = [0, 1, 3, 4, 6, 7]
const MAX_FRAME_BYTES = 16_384

/** How a stream ended. */
export interface RawAnswer {
  /** Fields of its head and trailers, later ones over earlier. */
  readonly fields: Readonly<Record<string, string>>
  /** The code of an RST_STREAM; null without one. */
  readonly resetCode: number | null
}

/** One connection. */
export interface RawCaller {
  /** Sends a head and a body on a new stream; resolves when the stream or the connection has ended. */
  request(fields: readonly (readonly [string, string])[], body: Buffer): Promise<RawAnswer>
  /** The stream that the next request takes. */
  readonly nextStream: number
  /** Sends frames as they are. */
  send(...specs: FrameSpec[]): void
  /** Code and last stream of the GOAWAY that came; null while there was none. */
  readonly goaway: { readonly code: number; readonly lastStreamId: number } | null
  /** Resolves when the peer has closed the connection. */
  readonly closed: Promise<void>
  close(): void
}

/** Dials `127.0.0.1:port`, over TLS if certificates are given. */
export async function dialRaw(
  port: number,
  tls: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer } | null = null,
): Promise<RawCaller> {
  const socket =
    tls === null
      ? connectTcp(port, '127.0.0.1')
      : connectTls({ ...tls, port, host: '127.0.0.1', servername: 'localhost', ALPNProtocols: ['h2'] })
  await once(socket, tls === null ? 'connect' : 'secureConnect')
  return new Raw(socket)
}

interface OpenStream {
  readonly fields: Record<string, string>
  readonly end: (resetCode: number | null) => void
}

class Raw implements RawCaller {
  readonly closed: Promise<void>
  goaway: RawCaller['goaway'] = null
  readonly #socket: Socket
  readonly #encoder = new PlainEncoder()
  readonly #decoder = new PlainDecoder()
  readonly #streams = new Map<number, OpenStream>()
  nextStream = 1
  #unread: Buffer = Buffer.alloc(0)

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        for (const stream of this.#streams.values()) stream.end(null)
        resolve()
      })
    })
    socket.write(Buffer.concat([PREFACE, frame({ type: 'SETTINGS', payload: settingsPayload([]) })]))
  }

  send(...specs: FrameSpec[]): void {
    if (!this.#socket.destroyed) this.#socket.write(Buffer.concat(specs.map((spec) => frame(spec))))
  }

  request(fields: readonly (readonly [string, string])[], body: Buffer): Promise<RawAnswer> {
    const stream = this.nextStream
    this.nextStream += 2
    const block = this.#encoder.encode(fields.map(([name, value]) => [name, value, false]))
    const answer = new Promise<RawAnswer>((resolve) => {
      const found: Record<string, string> = {}
      const end = (resetCode: number | null): void => {
        this.#streams.delete(stream)
        resolve({ fields: found, resetCode })
      }
      this.#streams.set(stream, { fields: found, end })
    })
    const rest = block.subarray(MAX_FRAME_BYTES)
    this.send({
      type: 'HEADERS',
      stream,
      flags: [
        ...(rest.length === 0 ? (['END_HEADERS'] as const) : []),
        ...(body.length === 0 ? (['END_STREAM'] as const) : []),
      ],
      payload: block.subarray(0, MAX_FRAME_BYTES),
    })
    for (let at = 0; at < rest.length; at += MAX_FRAME_BYTES) {
      const isLast = at + MAX_FRAME_BYTES >= rest.length
      const payload = rest.subarray(at, at + MAX_FRAME_BYTES)
      this.send({ type: 'CONTINUATION', stream, flags: isLast ? ['END_HEADERS'] : [], payload })
    }
    if (body.length > 0) this.send({ type: 'DATA', stream, flags: ['END_STREAM'], payload: body })
    return answer
  }

  close(): void {
    this.#socket.destroy()
  }

  #onData(chunk: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, chunk])
    while (this.#unread.length >= 9) {
      const lengthBytes = this.#unread.readUIntBE(0, 3)
      if (this.#unread.length < 9 + lengthBytes) return
      const [type, flags] = [this.#unread[3]!, this.#unread[4]!]
      const stream = this.#unread.readUInt32BE(5)
      const payload = this.#unread.subarray(9, 9 + lengthBytes)
      this.#unread = this.#unread.subarray(9 + lengthBytes)
      this.#onFrame(type, flags, stream, payload)
    }
  }

  /** authgw pads nothing and sends no priorities; its blocks fit into one frame here. */
  #onFrame(type: number, flags: number, stream: number, payload: Buffer): void {
    const isEnd = (flags & 1) !== 0
    const open = this.#streams.get(stream)
    if (type === SETTINGS && !isEnd) this.send({ type: 'SETTINGS', flags: ['ACK'] })
    else if (type === PING && !isEnd) this.send({ type: 'PING', flags: ['ACK'], payload })
    else if (type === GOAWAY)
      this.goaway = { lastStreamId: payload.readUInt32BE(0), code: payload.readUInt32BE(4) }
    else if (type === RST_STREAM) open?.end(payload.readUInt32BE(0))
    else if (type === HEADERS)
      for (const [name, value] of this.#decoder.decode(payload))
        if (open !== undefined) open.fields[name] = value
    if ((type === HEADERS || type === DATA) && isEnd) open?.end(null)
  }
}

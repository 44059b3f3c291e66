/**
 * A peer that obeys no rule: octets onto a socket, in plaintext or TLS, and what came back, frame by frame. It counts what
 * it sends, and notes when it crossed a limit and when it was cut off.
 */
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { frame, frames, settingsPayload } from '../support/frame-factory.ts'
import type { FrameSpec } from '../support/frame-factory.ts'

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')
const [DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE] = [0, 1, 3, 4, 6, 7, 8]

/** Client certificates for TLS; `cert` and `key` may be left out. */
export interface PeerTls {
  readonly ca: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
}

/** How a peer dials. */
export interface PeerOptions {
  readonly port: number
  readonly tls?: PeerTls | null
  /** Address of ours to dial from; default 127.0.0.1. */
  readonly localAddress?: string
}

/** One connection of an attacker. */
export class HostilePeer {
  readonly socket: Socket
  readonly #tcp: Socket
  /** Code of the last GOAWAY; null without one. */
  goawayCode: number | null = null
  /** Debug text of that GOAWAY: the token of the fault. */
  goawayText = ''
  /** Streams that were reset, with the code. */
  readonly resets = new Map<number, number>()
  /** Header blocks, DATA octets and PING answers that came. */
  headCount = 0
  dataBytes = 0
  pingAckCount = 0
  /** Stream → whether END_STREAM came. */
  readonly ended = new Set<number>()
  /** Raw header blocks by stream. */
  readonly blocks = new Map<number, Buffer[]>()
  /** `performance.now()` at which the attack went over a limit, and at which the connection was gone. */
  crossedAtMs: number | null = null
  closedAtMs: number | null = null
  /** Whether SETTINGS and PING of the gateway are answered; from `hello` on. */
  isPolite = true
  #hasSaidHello = false
  /** Whether the gateway's SETTINGS have come. */
  hasSettings = false
  #unread: Buffer = Buffer.alloc(0)
  #nextStream = 1
  readonly #isServer: boolean
  /** Octets of the gateway's preface that are still to come, where it dials. */
  #prefaceBytes: number

  private constructor(socket: Socket, tcp: Socket, isServer = false) {
    this.socket = socket
    this.#tcp = tcp
    this.#isServer = isServer
    this.#prefaceBytes = isServer ? PREFACE.length : 0
    tcp.on('error', () => this.#gone())
    socket.on('error', () => this.#gone())
    socket.on('end', () => this.#gone())
    socket.on('close', () => this.#gone())
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
  }

  /** Dials; resolves when TCP, or TLS, stands. */
  static async dial({ port, tls = null, localAddress }: PeerOptions): Promise<HostilePeer> {
    const from = localAddress === undefined ? {} : { localAddress }
    const tcp = connectTcp({ port, host: '127.0.0.1', ...from })
    const socket =
      tls === null ? tcp : connectTls({ ...tls, socket: tcp, servername: 'localhost', ALPNProtocols: ['h2'] })
    const peer = new HostilePeer(socket, tcp)
    await Promise.race([
      once(socket, tls === null ? 'connect' : 'secureConnect'),
      once(socket, 'close'),
    ]).catch(() => {})
    return peer
  }

  /** Takes a socket that the gateway has dialled: the peer is its upstream. */
  static accept(socket: Socket): HostilePeer {
    return new HostilePeer(socket, socket, true)
  }

  /** Says the preface, as a client, and SETTINGS with these entries. */
  hello(settings: readonly (readonly [number, number])[] = []): this {
    if (!this.#isServer) this.write(PREFACE)
    this.write(frame({ type: 'SETTINGS', payload: settingsPayload(settings) }))
    this.#hasSaidHello = true
    if (this.hasSettings) this.#acknowledge()
    return this
  }

  /** The next identifier of the client's. */
  nextStream(): number {
    this.#nextStream += 2
    return this.#nextStream - 2
  }

  /** Sends frames as they are. */
  send(...specs: FrameSpec[]): void {
    this.write(frames(...specs))
  }

  /** Sends octets as they are; false when the socket wants a pause. */
  write(octets: Buffer): boolean {
    if (this.socket.destroyed || !this.socket.writable) return false
    return this.socket.write(octets)
  }

  /** Sends octets and waits until the kernel has them, or the connection is gone. */
  async push(octets: Buffer): Promise<void> {
    if (this.write(octets) || this.isGone) return
    await Promise.race([once(this.socket, 'drain').catch(() => {}), this.closed(5_000)])
  }

  /** From now on the peer is over a limit: the gateway has a second to end it. */
  cross(): void {
    this.crossedAtMs ??= performance.now()
  }

  /** Octets sent so far, those of TLS included. */
  get bytesSent(): number {
    return this.#tcp.bytesWritten
  }

  get isGone(): boolean {
    return this.closedAtMs !== null
  }

  /** Waits until the connection is gone; false after `maxMs`. */
  async closed(maxMs: number): Promise<boolean> {
    const endMs = performance.now() + maxMs
    while (!this.isGone && performance.now() < endMs) await sleep(5)
    return this.isGone
  }

  /** Waits until `isSo`, or the connection is gone, or `maxMs` have passed. */
  async until(isSo: () => boolean, maxMs: number): Promise<boolean> {
    const endMs = performance.now() + maxMs
    while (!isSo() && !this.isGone && performance.now() < endMs) await sleep(5)
    return isSo()
  }

  /** Reads nothing more: the kernel's buffers fill up. */
  stopReading(): void {
    this.socket.pause()
  }

  cut(): void {
    this.#tcp.resetAndDestroy()
  }

  end(): void {
    this.socket.destroy()
  }

  #acknowledge(): void {
    if (this.isPolite) this.send({ type: 'SETTINGS', flags: ['ACK'] })
  }

  #gone(): void {
    this.closedAtMs ??= performance.now()
  }

  #onData(octets: Buffer): void {
    const chunk = octets.subarray(this.#prefaceBytes)
    this.#prefaceBytes -= octets.length - chunk.length
    this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk])
    let at = 0
    const unread = this.#unread
    while (unread.length - at >= 9) {
      const end = at + 9 + unread.readUIntBE(at, 3)
      if (unread.length < end) break
      this.#onFrame(
        unread[at + 3]!,
        unread[at + 4]!,
        unread.readUInt32BE(at + 5),
        unread.subarray(at + 9, end),
      )
      at = end
    }
    this.#unread = unread.subarray(at)
  }

  #onFrame(type: number, flags: number, stream: number, payload: Buffer): void {
    if (type === SETTINGS && (flags & 1) === 0) {
      this.hasSettings = true
      if (this.#hasSaidHello) this.#acknowledge()
    } else if (type === PING && (flags & 1) !== 0) this.pingAckCount++
    else if (type === PING && this.isPolite && this.#hasSaidHello)
      this.send({ type: 'PING', flags: ['ACK'], payload })
    else if (type === RST_STREAM) this.resets.set(stream, payload.readUInt32BE(0))
    else if (type === DATA) this.dataBytes += payload.length
    else if (type === GOAWAY) {
      this.goawayCode = payload.readUInt32BE(4)
      this.goawayText = payload.toString('latin1', 8)
    } else if (type === HEADERS) {
      this.headCount++
      const blocks = this.blocks.get(stream) ?? []
      if (this.blocks.size < 4096) this.blocks.set(stream, [...blocks, Buffer.from(payload)])
    } else if (type === WINDOW_UPDATE) return
    if ((type === HEADERS || type === DATA) && (flags & 1) !== 0) this.ended.add(stream)
  }
}

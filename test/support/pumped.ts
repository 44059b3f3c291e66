import type { TransportError, Flushable, Turn } from '../../src/base/index.ts'
import type { PeerIdentity } from '../../src/auth/index.ts'
import type { ConnectionAcceptor, PumpedConnection } from '../../src/net/index.ts'

/** A connection that speaks no protocol: what comes in is kept (and sent back, if `echoes`), what is queued goes out. */
export class PlainConnection implements PumpedConnection {
  link: Flushable | null = null
  wantsRead = true
  isFinished = false
  isFaulted = false
  /** Errors given by `onSocketClosed`, in order. */
  readonly closings: (TransportError | null)[] = []
  readonly received: Buffer[] = []
  recycleCount = 0
  drainCalls: number[] = []
  isDraining = false
  readonly #turn: Turn
  readonly #echoes: boolean
  readonly #queue: Buffer[] = []

  constructor(turn: Turn, echoes = false) {
    this.#turn = turn
    this.#echoes = echoes
  }
  get hasOutput(): boolean {
    return this.#queue.length > 0
  }
  get text(): string {
    return Buffer.concat(this.received).toString('latin1')
  }
  get queuedBytes(): number {
    return this.#queue.reduce((sum, buffer) => sum + buffer.length, 0)
  }
  send(...buffers: (Buffer | string)[]): void {
    for (const buffer of buffers) this.#queue.push(typeof buffer === 'string' ? Buffer.from(buffer) : buffer)
    if (this.link !== null) this.#turn.add(this.link)
  }
  receive(chunk: Buffer): void {
    this.received.push(chunk)
    if (this.#echoes) this.send(chunk)
  }
  drain(out: Buffer[], maxBytes: number): number {
    this.drainCalls.push(maxBytes)
    let bytes = 0
    while (this.#queue.length > 0 && bytes < maxBytes) {
      bytes += this.#queue[0]!.length
      out.push(this.#queue.shift()!)
    }
    return bytes
  }
  recycle(): void {
    this.recycleCount++
  }
  onSocketClosed(error: TransportError | null): void {
    this.closings.push(error)
  }
  drainStreams(): void {
    this.isDraining = true
  }
  close(_code: number, _error: TransportError | null): void {
    this.send('GOAWAY')
    this.isFinished = true
  }
  finish(lastWords: string): void {
    this.send(lastWords)
    this.isFinished = true
    if (this.link !== null) this.#turn.add(this.link)
  }
}

/** Accepts everyone with an echoing connection and remembers whom. */
export class EchoAcceptor implements ConnectionAcceptor {
  readonly peers: PeerIdentity[] = []
  readonly connections: PlainConnection[] = []
  refuses = false
  readonly #turn: Turn
  constructor(turn: Turn) {
    this.#turn = turn
  }
  accept(peer: PeerIdentity): PlainConnection | null {
    if (this.refuses) return null
    this.peers.push(peer)
    const connection = new PlainConnection(this.#turn, true)
    this.connections.push(connection)
    return connection
  }
}

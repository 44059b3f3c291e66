/**
 * Our HTTP/2 core as a server that gives every request the same answer: a head, a body and trailers. No relay, no gate.
 * What h2spec judges as the codec; the listener, the pump and TLS are those of a gateway.
 */
import { ByteBudget, DEFAULT_H2_LIMITS, H2Connection, H2Stats } from '../../src/h2/index.ts'
import type { H2Handler, H2Stream } from '../../src/h2/index.ts'
import { createTurn, createWheel, Listener, NetStats, SystemClock, TlsContext } from '../../src/net/index.ts'
import { listOf } from '../support/h2-pair.ts'

/** Files of a certificate and its key. */
export interface KeyPairFiles {
  readonly certFile: string
  readonly keyFile: string
}

/** A responder that listens. */
export interface StaticResponder {
  readonly port: number
  /** Requests answered so far. */
  count(): number
  stop(): Promise<void>
}

const HEAD = listOf([
  [':status', '200'],
  ['content-type', 'text/plain'],
])
const TRAILERS = listOf([['grpc-status', '0']])
/** Long enough for the cases that open and close windows around an answer. */
const BODY = Buffer.from('a static answer\n'.repeat(8))

/** Answers when a request has ended, so that a malformed end is still judged; drops what it is sent. */
class StaticHandler implements H2Handler {
  count = 0

  #answer(stream: H2Stream): void {
    this.count++
    stream.sendHeaders(HEAD, false)
    stream.sendData(BODY, false)
    stream.sendTrailers(TRAILERS)
  }
  onRequest(stream: H2Stream, _head: unknown, isEnd: boolean): void {
    stream.admit()
    if (isEnd) this.#answer(stream)
  }
  onData(stream: H2Stream, payload: Buffer, isEnd: boolean): void {
    stream.credit(payload.length)
    if (isEnd) this.#answer(stream)
  }
  onTrailers(stream: H2Stream): void {
    this.#answer(stream)
  }
  onResponse(): void {}
  onDataSent(): void {}
  onStreamReset(): void {}
  onStreamClosed(): void {}
  onCapacity(): void {}
  onGoaway(): void {}
  onClosed(): void {}
}

/** Listens on a free port of 127.0.0.1, in plaintext without `tls`. */
export async function startStaticResponder(tls: KeyPairFiles | null): Promise<StaticResponder> {
  const clock = new SystemClock()
  const turn = createTurn(clock)
  const wheel = createWheel({ clock, turn })
  const stats = new NetStats()
  const h2Stats = new H2Stats()
  const held = new ByteBudget(48 * 1024 * 1024)
  const handler = new StaticHandler()
  const context = tls === null ? null : await TlsContext.open({ side: 'server', tls, clock, stats })
  const listener = new Listener({
    endpoint: '127.0.0.1:0',
    tls: context === null ? null : { context, clientAuth: 'none' },
    acceptor: {
      accept() {
        const limits = DEFAULT_H2_LIMITS
        const connection = new H2Connection({
          isServer: true,
          handler,
          turn,
          wheel,
          limits,
          stats: h2Stats,
          held,
        })
        connection.start()
        return connection
      },
    },
    clock,
    turn,
    wheel,
    stats,
  })
  const [endpoint] = await listener.listen()
  if (endpoint?.kind !== 'tcp') throw new Error('the responder has no port')
  return {
    port: endpoint.port,
    count: () => handler.count,
    async stop() {
      await listener.close()
      context?.close()
    },
  }
}

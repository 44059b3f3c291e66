import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { expect, vi } from 'vitest'
import { TransportError } from '../../src/base/index.ts'
import {
  Dialer,
  Listener,
  NetStats,
  SystemClock,
  TlsContext,
  createTurn,
  createWheel,
} from '../../src/net/index.ts'
import type { DialTls, ListenTls, ListenerOptions, TlsOptions } from '../../src/net/index.ts'
import { makePki } from './dev-pki.ts'
import type { Pki, PkiPair } from './dev-pki.ts'
import { EchoAcceptor, PlainConnection } from './pumped.ts'

/** A TLS listener that serves, its port on 127.0.0.1 and its material. */
export interface Serving {
  readonly listener: Listener
  readonly port: number
  readonly context: TlsContext
}

/** Waits for what other sockets and the kernel do in their own time. */
export const until = (check: () => unknown): Promise<unknown> =>
  vi.waitFor(check, { timeout: 10_000, interval: 10 })

/** Resolves when `socket` is closed. */
export function ended(socket: { once(event: string, fire: () => void): unknown }): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', resolve)
  })
}

/** Certificate and key of `pair` for node:tls. */
export const pairOf = ({ certFile, keyFile }: PkiPair): ConnectionOptions => ({
  cert: readFileSync(certFile),
  key: readFileSync(keyFile),
})

/** Says hello and waits for the echo. */
export async function greet(connection: PlainConnection, text = 'hello'): Promise<void> {
  connection.send(text)
  await until(() => {
    expect(connection.text).toContain(text)
  })
}

/** Listeners and dialers of real sockets with certificates of their own; `reset` after each test, `remove` at the end. */
export class NetHarness {
  readonly clock = new SystemClock()
  readonly turn = createTurn(this.clock)
  readonly wheel = createWheel({ clock: this.clock, turn: this.turn })
  readonly pki: Pki
  stats = new NetStats()
  acceptor = new EchoAcceptor(this.turn)
  readonly #folder: string
  #closers: (() => unknown)[] = []

  private constructor(folder: string, pki: Pki) {
    this.#folder = folder
    this.pki = pki
  }

  static async create(): Promise<NetHarness> {
    const folder = mkdtempSync(join(tmpdir(), 'authgw-net-'))
    return new NetHarness(folder, await makePki(folder))
  }

  /** Calls `close` at the end of the test. */
  onEnd(close: () => unknown): void {
    this.#closers.push(close)
  }

  /** Closes everything that a test has opened and starts counting anew. */
  async reset(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close()
    this.stats = new NetStats()
    this.acceptor = new EchoAcceptor(this.turn)
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }

  /** A folder that lasts for the test. */
  folder(): string {
    const folder = mkdtempSync(join(this.#folder, 'test-'))
    this.onEnd(() => {
      rmSync(folder, { recursive: true, force: true })
    })
    return folder
  }

  async context(side: 'server' | 'client', tls: TlsOptions): Promise<TlsContext> {
    const context = await TlsContext.open({ side, tls, clock: this.clock, stats: this.stats })
    this.onEnd(() => {
      context.close()
    })
    return context
  }

  /** Serves TLS with the server's certificate and `client_auth: require`, unless said otherwise. */
  async serve(
    tls: Partial<TlsOptions> & Partial<Omit<ListenTls, 'context'>> = {},
    options: Partial<ListenerOptions> = {},
  ): Promise<Serving> {
    const { clientAuth = 'require', allowedSans = [], ...rest } = tls
    const { server, ca } = this.pki
    const { certFile, keyFile } = server
    const context = await this.context('server', { certFile, keyFile, caFile: ca.certFile, ...rest })
    const { acceptor, clock, turn, wheel, stats } = this
    const ports = { acceptor, clock, turn, wheel, stats }
    const listenTls = { context, clientAuth, allowedSans }
    const listener = new Listener({ endpoint: '127.0.0.1:0', tls: listenTls, ...ports, ...options })
    this.onEnd(() => listener.close())
    const [endpoint] = await listener.listen()
    return { listener, port: endpoint?.kind === 'tcp' ? endpoint.port : 0, context }
  }

  /** A dialer with the client's certificate that trusts the CA, unless said otherwise. */
  async dialer(
    port: number,
    pair: Pick<PkiPair, 'certFile' | 'keyFile'> | null = this.pki.client,
    more: Partial<TlsOptions> & Partial<Omit<DialTls, 'context'>> = {},
  ): Promise<Dialer> {
    const { serverNameOverride = null, allowedSans = [], insecureSkipVerify = false, ...rest } = more
    const own = { certFile: pair?.certFile ?? null, keyFile: pair?.keyFile ?? null }
    const context = await this.context('client', { caFile: this.pki.ca.certFile, ...own, ...rest })
    const tls = { context, serverNameOverride, allowedSans, insecureSkipVerify }
    const { clock, turn, stats } = this
    const dialer = new Dialer({ endpoint: `127.0.0.1:${port}`, tls, clock, turn, stats })
    this.onEnd(() => {
      dialer.close()
    })
    await dialer.start()
    return dialer
  }

  dial(dialer: Dialer): Promise<PlainConnection | TransportError> {
    return new Promise((resolve) => {
      dialer.dial(dialer.addresses[0]!, {
        onConnected: () => {
          const connection = new PlainConnection(this.turn)
          resolve(connection)
          return connection
        },
        onDialFailed: resolve,
      })
    })
  }

  async connected(dialer: Dialer): Promise<PlainConnection> {
    const result = await this.dial(dialer)
    if (result instanceof TransportError) throw result
    return result
  }

  /** How a dial ended that must not get in: failed, or cut right after. */
  async refusal(dialer: Dialer): Promise<TransportError | null> {
    const result = await this.dial(dialer)
    if (result instanceof TransportError) return result
    await until(() => {
      expect(result.closings.length).toBeGreaterThan(0)
    })
    return result.closings[0]!
  }

  /** A TLS client of node:tls that trusts the CA and offers h2. */
  rawTls(port: number, options: ConnectionOptions = {}): TLSSocket {
    const ca = readFileSync(this.pki.ca.certFile)
    const socket = connectTls({ host: '127.0.0.1', port, ca, ALPNProtocols: ['h2'], ...options })
    socket.on('error', () => {})
    this.onEnd(() => socket.destroy())
    return socket
  }
}

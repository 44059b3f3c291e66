/**
 * Turns HTTP/1.1 on the admin endpoint into requests for the routes, and outlives callers who are slow on purpose.
 * Floor 6; knows no page. Metrics and probes may be asked from outside in plaintext: nothing secret is served. With TLS, who
 * shows a certificate that verifies counts as somebody on this machine.
 * RFC 9112; limits after the "slow request" attacks.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { isLoopbackAddress, listenOnAll, type AdminEndpoint, type ListeningAddress } from './endpoint.ts'
import type { AdminReply, AdminRoutes } from './routes.ts'
import { createTlsServer, isVerified, type AdminTls } from './tls.ts'

/** The limits of the admin server. Ages in ms. */
export interface AdminLimits {
  /** From the first octet to the end of the header. Default 5 s. */
  readonly maxHeaderMs?: number
  /** From the first octet to the end of the request, and of silence while a reply is read. Default 10 s. */
  readonly maxRequestMs?: number
  /** Silence between two requests. Default 5 s: probes open a connection each, Prometheus opens one again. */
  readonly maxIdleMs?: number
  /** Connections; when there is one more, the oldest that is not being answered is closed. Default 128. */
  readonly maxConnections?: number
}

/** Header of a request, in octets: probes and scrapers send a few hundred. */
const MAX_HEADER_BYTES = 8192
/** Requests on one connection before it is closed: bounds what one caller can send ahead of the replies. */
const MAX_REQUESTS_PER_CONNECTION = 100

/** Fields of every reply. Nothing here is to be kept, framed, or read by another page. */
const REPLY_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const

/** Fields by which a proxy says that the request is not its own. */
const FORWARDING_HEADERS = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via'] as const

/** An open connection. */
interface Connection {
  /** The TCP socket: below TLS, where there is TLS. */
  readonly socket: Socket
  /** Whether it is being answered. */
  isBusy: boolean
  /** Whether it was made under certificates that have been replaced: it ends with the answer that is under way. */
  isStale: boolean
}

/** The same for a TCP socket and for the TLS above it. */
const nameOf = ({ remoteAddress, remotePort, localAddress }: Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress}`

/** The admin server, listening. */
export class AdminServer {
  readonly #routes: AdminRoutes
  readonly #tls: AdminTls | null
  readonly #limits: Required<AdminLimits>
  readonly #servers: (Server | TlsServer)[] = []
  /** Open connections by `nameOf`, oldest first. */
  readonly #connections = new Map<string, Connection>()
  readonly #unsubscribe: () => void
  #addresses: ListeningAddress[] = []

  private constructor(routes: AdminRoutes, tls: AdminTls | null, limits: AdminLimits) {
    this.#routes = routes
    this.#tls = tls
    this.#unsubscribe = tls?.subscribe(() => this.#useNewCertificates()) ?? (() => {})
    this.#limits = {
      maxHeaderMs: 5000,
      maxRequestMs: 10_000,
      maxIdleMs: 5000,
      maxConnections: 128,
      ...limits,
    }
  }

  /**
   * Starts to listen.
   * @param tls null for plaintext
   * @throws ConfigError when the endpoint cannot be had
   */
  static async listen(
    endpoint: AdminEndpoint,
    routes: AdminRoutes,
    tls: AdminTls | null = null,
    limits: AdminLimits = {},
  ): Promise<AdminServer> {
    const server = new AdminServer(routes, tls, limits)
    server.#addresses = await listenOnAll(
      endpoint,
      'admin.endpoint',
      (address, port) => server.#listen(address, port),
      () => server.close(),
    )
    return server
  }

  /** Where it listens. */
  get addresses(): readonly ListeningAddress[] {
    return this.#addresses
  }

  /** Stops listening, lets replies that have begun end within `graceMs` (default 500), and closes the rest. */
  async close(graceMs = 500): Promise<void> {
    const servers = this.#servers.splice(0)
    this.#unsubscribe()
    const timer = setTimeout(() => {
      for (const { socket } of this.#connections.values()) socket.destroy()
    }, graceMs)
    await Promise.all(
      servers.map(
        (server) =>
          new Promise<void>((resolve) => {
            server.close(() => resolve())
            server.closeIdleConnections()
          }),
      ),
    )
    clearTimeout(timer)
  }

  #listen(address: string, port: number): Promise<number> {
    const server = this.#createServer()
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host: address, port, ipv6Only: address === '::1' }, () => {
        server.removeListener('error', reject)
        this.#servers.push(server)
        resolve((server.address() as AddressInfo).port)
      })
    })
  }

  #createServer(): Server | TlsServer {
    const { maxHeaderMs, maxRequestMs, maxIdleMs } = this.#limits
    const options = {
      headersTimeout: maxHeaderMs,
      requestTimeout: maxRequestMs,
      keepAliveTimeout: maxIdleMs,
      connectionsCheckingInterval: Math.min(1000, maxHeaderMs),
      maxHeaderSize: MAX_HEADER_BYTES,
    }
    const server =
      this.#tls === null ? createServer(options) : createTlsServer(this.#tls, options, maxHeaderMs)
    server.maxHeadersCount = 64
    server.maxRequestsPerSocket = MAX_REQUESTS_PER_CONNECTION
    server.setTimeout(maxRequestMs)
    server.on('connection', (socket: Socket) => this.#admit(socket))
    server.on('request', (request, response) => void this.#answer(request, response))
    return server
  }

  /** A newcomer may be the kubelet: those who hold connections without asking make room for it. */
  #admit(socket: Socket): void {
    const name = nameOf(socket)
    const connection = { socket, isBusy: false, isStale: false }
    this.#connections.set(name, connection)
    socket.once('close', () => {
      if (this.#connections.get(name) === connection) this.#connections.delete(name)
    })
    if (this.#connections.size <= this.#limits.maxConnections) return
    for (const oldest of this.#connections.values()) {
      if (oldest.isBusy) continue
      oldest.socket.destroy()
      return
    }
  }

  /** Who was let in under the old trust is asked again: connections last for seconds, so that all of them end. */
  #useNewCertificates(): void {
    for (const server of this.#servers)
      if ('setSecureContext' in server) server.setSecureContext(this.#tls!.contextOptions)
    for (const connection of this.#connections.values()) {
      if (connection.isBusy) connection.isStale = true
      else connection.socket.destroy()
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket, headers } = request
    const connection = this.#connections.get(nameOf(socket))
    if (connection !== undefined) {
      connection.isBusy = true
      response.once('close', () => {
        connection.isBusy = false
        if (connection.isStale) connection.socket.destroy()
      })
    }
    if (headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0') {
      // No route takes a body. The connection closes, so that nobody has to read it.
      this.#send(response, { status: 400, contentType: 'text/plain', body: 'no body is taken here\n' }, true)
      return
    }
    const reply = await this.#routes.answer({
      method: request.method ?? '',
      target: request.url ?? '',
      host: headers.host,
      isLocal: isLoopbackAddress(socket.remoteAddress) && isLoopbackAddress(socket.localAddress),
      isVerified: isVerified(socket),
      isForwarded: FORWARDING_HEADERS.some((name) => headers[name] !== undefined),
      wantsHtml: (headers.accept ?? '').includes('text/html'),
    })
    this.#send(response, reply, false)
  }

  #send(response: ServerResponse, reply: AdminReply, closes: boolean): void {
    if (response.destroyed) return
    const body = Buffer.from(reply.body)
    response.writeHead(reply.status, {
      ...REPLY_HEADERS,
      'content-type': reply.contentType,
      'content-length': body.length,
      ...reply.headers,
      ...(closes ? { connection: 'close' } : {}),
    })
    // For HEAD, node:http leaves the body out.
    response.end(body)
  }
}

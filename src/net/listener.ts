/**
 * A listening endpoint into accepted, verified connections under pumps: TCP, TLS with ALPN h2, or a UNIX socket.
 * Floor 4; knows neither calls nor tokens: whoever passes here is given to the relay's acceptor. RFC 9113 §3.2, §9.2.
 */
import type { Server as TcpServer, Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { Server as TlsServer, TLSSocket } from 'node:tls'
import type { PeerIdentity } from '../auth/index.ts'
import { NO_LOG, TransportError } from '../base/index.ts'
import type { Clock, DeadlineWheel, Log, Turn } from '../base/index.ts'
import { addressKey, listenEndpoints, parseEndpoint } from './address.ts'
import type { Endpoint } from './address.ts'
import { Admission } from './admission.ts'
import type { AdmissionLimits } from './admission.ts'
import { BACKLOG, bind } from './bind.ts'
import { PeerExpiry } from './peer-expiry.ts'
import { PeerRecheck } from './peer-recheck.ts'
import type { LivePeer } from './peer-recheck.ts'
import { isNameAllowed, plaintextPeer, tlsPeer } from './peer-identity.ts'
import { Pump } from './pump.ts'
import type { PumpedConnection } from './pump.ts'
import { SeldomLog } from './seldom-log.ts'
import type { NetStats } from './stats.ts'
import type { TlsContext } from './tls-context.ts'
import type { TlsMaterial } from './tls-material.ts'
import { errorCode, explainCode } from './transport-error.ts'

/** Takes accepted connections; the relay's IngressAcceptor is one. */
export interface ConnectionAcceptor {
  /** A connection for a verified socket, started; null when it is refused: the socket is closed. */
  accept(peer: PeerIdentity): PumpedConnection | null
}

/** Whether a client must show a certificate. With `optional` one that does not verify is still refused. */
export type ClientAuth = 'require' | 'optional' | 'none'

/** How a listener speaks TLS. */
export interface ListenTls {
  readonly context: TlsContext
  readonly clientAuth: ClientAuth
  /** DNS names or URIs of which a client certificate must carry one; empty: any. */
  readonly allowedSans?: readonly string[]
}

/** Accepted sockets from another process, unread. */
export interface SocketIntake {
  /** Begins to hand them over. Gives where they are accepted. */
  open(onSocket: (socket: Socket) => void): readonly Endpoint[]
  /** Takes no more. */
  close(): void
}

/** What a listener needs. */
export interface ListenerOptions {
  /** `host:port`, `localhost:port` (both loopback addresses) or `unix:///path`. Port 0 takes a free one. */
  readonly endpoint: string
  /** Null: plaintext. The configuration lets that through on this machine only. */
  readonly tls: ListenTls | null
  readonly acceptor: ConnectionAcceptor
  readonly limits?: Partial<AdmissionLimits>
  /** Default 10 000 ms. */
  readonly handshakeTimeoutMs?: number
  /** Where sockets come from when another process accepts them; null (default): this one does. */
  readonly intake?: SocketIntake | null
  readonly clock: Clock
  readonly turn: Turn
  readonly wheel: DeadlineWheel
  readonly stats: NetStats
  readonly log?: Log
  readonly onBug?: (error: unknown) => void
}

/** How long a TLS handshake may take. @see http2.md §4 */
export const HANDSHAKE_TIMEOUT_MS = 10_000

/** What OpenSSL says of a client that was asked for a certificate and has none. */
const NO_CERTIFICATE = 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE'

/** Listens at one endpoint until it is closed. */
export class Listener {
  readonly #options: ListenerOptions
  readonly #endpoint: Endpoint
  readonly #log: Log
  readonly #admission: Admission
  readonly #tlsServer: TlsServer | null
  readonly #live = new Map<Pump, LivePeer>()
  readonly #unsubscribe: () => void
  readonly #recheck: PeerRecheck
  #trustFingerprint: string
  /** Monotonic ms of the last change of trust: a handshake that began before it was judged by the old bundle. */
  #trustChangedMs = -Infinity
  #servers: readonly TcpServer[] = []
  /** Monotonic ms of the last warning, by its text. */
  readonly #seldom: SeldomLog

  /**
   * @throws AddressError when the endpoint cannot be understood
   * @throws TypeError for TLS on a UNIX socket
   */
  constructor(options: ListenerOptions) {
    this.#options = options
    this.#endpoint = parseEndpoint(options.endpoint)
    this.#log = (options.log ?? NO_LOG).child({ listener: options.endpoint })
    this.#seldom = new SeldomLog(this.#log, options.clock)
    this.#admission = new Admission(options.stats, options.clock, options.limits)
    if (this.#endpoint.kind === 'unix' && options.tls !== null) {
      throw new TypeError(
        'TLS on a UNIX socket is not supported; its file permissions guard it: leave tls out',
      )
    }
    this.#tlsServer = options.tls === null ? null : this.#createTlsServer(options.tls)
    this.#unsubscribe =
      options.tls?.context.subscribe(({ value }) => {
        this.#onNewMaterial(value)
      }) ?? (() => {})
    this.#recheck = new PeerRecheck({ ...options, log: this.#log })
    this.#trustFingerprint = options.tls?.context.material.trustFingerprint ?? ''
  }

  /**
   * Binds and starts to accept; resolves with the addresses, ports filled in.
   * @throws TransportError that names the address and the remedy
   */
  async listen(): Promise<readonly Endpoint[]> {
    const { intake } = this.#options
    if (intake) {
      return intake.open((socket) => {
        this.#onSocket(socket)
      })
    }
    const bound = await bind({
      endpoints: listenEndpoints(this.#endpoint),
      backlog: BACKLOG,
      onSocket: (socket) => {
        this.#onSocket(socket)
      },
      onAcceptError: (error) => {
        this.#onAcceptError(error)
      },
      log: this.#log,
    })
    this.#servers = bound.servers
    return bound.endpoints
  }

  /** Connections that are open now, handshakes not counted. */
  get openCount(): number {
    return this.#live.size
  }

  /** The peers that are connected now. */
  livePeers(): Iterable<LivePeer> {
    return this.#live.values()
  }

  /** Takes no more connections; those that are open go on. */
  stopAccepting(): void {
    this.#options.intake?.close()
    for (const server of this.#servers) server.close()
    this.#servers = []
  }

  /** Stops accepting and closes every connection; resolves when all are gone. Drain before, or their calls are cut. */
  async close(): Promise<void> {
    this.stopAccepting()
    this.#unsubscribe()
    this.#admission.refuseAll()
    const closing = new TransportError('local_close', 'authgw is stopping')
    const gone = [...this.#live.keys()].map(
      ({ socket }) =>
        new Promise<void>((resolve) => {
          if (socket.closed) resolve()
          else socket.once('close', resolve)
        }),
    )
    for (const pump of this.#live.keys()) pump.close(closing)
    await Promise.all(gone)
  }

  /** New handshakes use the new material; whoever is connected is judged by the new trust bundle. */
  #onNewMaterial(material: TlsMaterial): void {
    this.#tlsServer?.setSecureContext(material.contextOptions)
    if (material.trustFingerprint === this.#trustFingerprint) return
    this.#trustFingerprint = material.trustFingerprint
    this.#trustChangedMs = this.#options.clock.nowMs()
    void this.#recheck.run(material.trust, this.#live.values())
  }

  #createTlsServer(tls: ListenTls): TlsServer {
    const server = createTlsServer({
      ...tls.context.material.contextOptions,
      ALPNProtocols: ['h2'],
      requestCert: tls.clientAuth !== 'none',
      // Under `optional` a peer without a certificate is let through, so what does not verify is refused below.
      rejectUnauthorized: tls.clientAuth === 'require',
      handshakeTimeout: this.#options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
    })
    server.on('secureConnection', (socket) => {
      this.#onSecure(socket, tls)
    })
    server.on('tlsClientError', (error, socket) => {
      this.#onHandshakeFailed(error, socket)
    })
    return server
  }

  #onSocket(socket: Socket): void {
    // Before anything else: an error without a listener would end the process.
    socket.on('error', ignoreError)
    this.#options.stats.ingressAccepted++
    const address = socket.remoteAddress
    if (address === undefined && this.#endpoint.kind === 'tcp') {
      socket.destroy()
      return
    }
    const isTls = this.#tlsServer !== null
    const peer = plaintextPeer(address)
    // Whoever may use the machine may use it whole: per-address limits are for the network.
    const key = isTls || !peer.isLocal ? addressKey(peer.address) : null
    const visitor = this.#admission.admit(socket, key, isTls)
    if (visitor === null) {
      socket.destroy()
      this.#seldom.warn('a connection was refused: a connection limit is reached', '', {
        address: peer.address,
      })
      return
    }
    if (this.#tlsServer === null) this.#serve(socket, peer, null)
    else this.#tlsServer.emit('connection', socket)
  }

  #onSecure(socket: TLSSocket, tls: ListenTls): void {
    socket.on('error', ignoreError)
    const visitor = this.#admission.find(socket)
    const address = socket.remoteAddress
    if (visitor === null || address === undefined) {
      socket.destroy()
      return
    }
    const refusal = this.#refusalOf(socket, tls)
    if (refusal !== null) {
      this.#seldom.warn('a TLS peer was refused', refusal, { address })
      this.#admission.release(visitor)
      socket.destroy()
      return
    }
    const peer = tlsPeer(socket, address)
    if (peer.isVerified && !isNameAllowed(peer, tls.allowedSans ?? [])) {
      this.#options.stats.namesRefused++
      const names = [...peer.uris, ...peer.dnsNames]
      this.#seldom.warn('a client certificate was refused: none of its names is in allowed_sans', '', {
        address,
        names,
      })
      socket.destroy()
      return
    }
    this.#admission.onHandshakeDone(visitor, peer.isVerified)
    this.#serve(socket, peer, socket)
    // All of them again, since one run ends another.
    if (visitor.acceptedMs <= this.#trustChangedMs) {
      void this.#recheck.run(tls.context.material.trust, this.#live.values())
    }
  }

  /** Why a peer whose handshake is done is not let in; null when it is. */
  #refusalOf(socket: TLSSocket, tls: ListenTls): string | null {
    if (socket.alpnProtocol !== 'h2') {
      this.#options.stats.alpnRefused++
      return 'it does not ask for HTTP/2 by ALPN (h2)'
    }
    if (tls.clientAuth === 'none' || socket.authorized) return null
    const hasCertificate = socket.getPeerX509Certificate() !== undefined
    if (tls.clientAuth === 'optional' && !hasCertificate) return null
    this.#options.stats.certificatesRefused++
    return `its certificate does not verify: ${explainCode(authorizationCode(socket))}`
  }

  #onHandshakeFailed(error: Error, socket: TLSSocket): void {
    socket.on('error', ignoreError)
    const { stats } = this.#options
    const visitor = this.#admission.find(socket)
    const code = authorizationCode(socket)
    if (errorCode(error) === NO_CERTIFICATE) stats.certificatesMissing++
    else if (code !== '') stats.certificatesRefused++
    else if (errorCode(error) === 'ERR_TLS_HANDSHAKE_TIMEOUT') stats.handshakesTimedOut++
    else stats.handshakesFailed++
    const reason = code === '' ? explainCode(errorCode(error) || error.message) : explainCode(code)
    this.#seldom.warn('a TLS handshake failed', reason, { address: visitor?.address ?? socket.remoteAddress })
    socket.destroy()
  }

  #serve(socket: Socket, peer: PeerIdentity, tlsSocket: TLSSocket | null): void {
    const { acceptor, turn, wheel, clock, stats, onBug } = this.#options
    turn.begin()
    let connection: PumpedConnection | null = null
    try {
      connection = acceptor.accept(peer)
      if (connection === null) stats.refusedByRelay++
    } catch (error) {
      onBug?.(error)
    }
    if (connection === null) {
      socket.destroy()
      return
    }
    let expiry: PeerExpiry | null = null
    // The pump listens from here on; a third listener would cost each idle connection 140 octets.
    socket.off('error', ignoreError)
    const pump = new Pump({
      socket,
      connection,
      turn,
      clock,
      stats,
      isIngress: true,
      peerName: `peer ${peer.address}`,
      onClosed: (closed) => {
        this.#live.delete(closed)
        expiry?.clear()
      },
      ...(onBug && { onBug }),
    })
    if (socket.destroyed) return
    this.#live.set(pump, { peer, pump, tlsSocket })
    if (peer.notAfterMs !== Infinity) expiry = new PeerExpiry({ peer, pump, wheel, turn, stats })
  }

  #onAcceptError(error: Error): void {
    this.#options.stats.acceptErrors++
    const code = errorCode(error)
    this.#seldom.warn(
      'connections cannot be accepted right now; those that are open go on',
      explainCode(code),
      {
        code,
      },
    )
  }
}

function ignoreError(): void {
  // The 'close' that follows is what counts.
}

/** OpenSSL's code for why a peer's certificate does not verify; empty when there is none. */
function authorizationCode(socket: TLSSocket): string {
  const error: unknown = socket.authorizationError
  if (typeof error === 'string') return error
  return error ? errorCode(error) || 'unknown' : ''
}

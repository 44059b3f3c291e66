/**
 * An address of the upstream into a connected, verified socket under a pump: TCP, TLS with ALPN h2, or a UNIX socket.
 * Floor 4; keeps no pool and knows no call: the relay asks, once per connection. RFC 9113 §3.2, RFC 6125.
 */
import { X509Certificate } from 'node:crypto'
import { connect as connectTcp, isIP } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { ConnectionOptions, PeerCertificate, TLSSocket } from 'node:tls'
import { TransportError } from '../base/index.ts'
import type { Clock, Log, Timer, Turn } from '../base/index.ts'
import type { EgressDialer } from '../relay/index.ts'
import { formatEndpoint, parseEndpoint } from './address.ts'
import type { Endpoint } from './address.ts'
import { certificatePeer, isNameAllowed } from './peer-identity.ts'
import { KEEPALIVE_DELAY_MS, Pump } from './pump.ts'
import type { PumpedConnection } from './pump.ts'
import { Resolver } from './resolver.ts'
import type { LookupAll } from './resolver.ts'
import type { NetStats } from './stats.ts'
import type { TlsContext } from './tls-context.ts'
import { toTransportError } from './transport-error.ts'

/** Told how a dial ended: exactly one of the two, once. The relay's DialListener is one. */
export interface DialResult {
  onConnected(): PumpedConnection
  onDialFailed(error: TransportError): void
}

/** How an endpoint is spoken to over TLS. */
export interface DialTls {
  readonly context: TlsContext
  /** The name that the certificate must carry, and SNI, in place of the endpoint's host. */
  readonly serverNameOverride?: string | null
  /** DNS names or URIs of which the certificate must carry one; empty: any. Checked beside the host name. */
  readonly allowedSans?: readonly string[]
  /** Speaks to whoever answers. Guarded by `unsafe_allow` in the configuration. */
  readonly insecureSkipVerify?: boolean
}

/** What a dialer needs. */
export interface DialerOptions {
  /** `host:port`, `dns:///host:port` or `unix:///path`. */
  readonly endpoint: string
  /** Null: plaintext. The configuration lets that through on this machine only. */
  readonly tls: DialTls | null
  /** For `:authority`; default: the endpoint's host and port, `localhost` for a UNIX socket. */
  readonly authority?: string | null
  /** Bounds TCP and TLS together. Default 2 000 ms. */
  readonly connectTimeoutMs?: number
  readonly clock: Clock
  readonly turn: Turn
  readonly stats: NetStats
  readonly lookup?: LookupAll
  readonly log?: Log
  readonly onBug?: (error: unknown) => void
}

type DialTarget = { path: string } | { host: string; port: number }

/** How long a connection may take to stand, TLS included. */
export const CONNECT_TIMEOUT_MS = 2_000

/** Dials one endpoint. Made by roles/, used by the relay's pool. */
export class Dialer implements EgressDialer {
  readonly authority: string
  readonly scheme: 'http' | 'https'
  onChange: () => void = () => {}
  readonly #options: DialerOptions
  readonly #endpoint: Endpoint
  readonly #resolver: Resolver
  readonly #unsubscribe: () => void
  readonly #open = new Set<Dial>()
  readonly #pumps = new Set<Pump>()
  #isClosed = false

  /** @throws AddressError when the endpoint cannot be understood */
  constructor(options: DialerOptions) {
    this.#options = options
    this.#endpoint = parseEndpoint(options.endpoint)
    this.scheme = options.tls === null ? 'http' : 'https'
    this.authority = options.authority || defaultAuthority(this.#endpoint, options.tls)
    this.#resolver = new Resolver({
      endpoint: this.#endpoint,
      clock: options.clock,
      stats: options.stats,
      onChange: () => {
        this.onChange()
      },
      ...(options.lookup && { lookup: options.lookup }),
      ...(options.log && { log: options.log }),
    })
    this.#unsubscribe =
      options.tls?.context.subscribe(() => {
        this.onChange()
      }) ?? (() => {})
  }

  get addresses(): readonly string[] {
    return this.#resolver.addresses
  }

  get generation(): number {
    return this.#options.tls?.context.generation ?? 0
  }

  /** Why the endpoint's name does not resolve; null when it does. */
  get resolveError(): TransportError | null {
    return this.#resolver.lastError
  }

  /** Connections that stand now. */
  get openCount(): number {
    return this.#pumps.size
  }

  /** Resolves the endpoint for the first time. Never rejects: a failure is tried again. */
  start(): Promise<void> {
    return this.#resolver.start()
  }

  resolveAgain(): void {
    this.#resolver.resolveAgain()
  }

  dial(address: string, listener: DialResult): void {
    this.#options.stats.egressDials++
    const dial = new Dial(this.#options, this.#endpoint, address, (outcome) => {
      this.#open.delete(dial)
      if (outcome instanceof TransportError) {
        this.#options.stats.egressDialsFailed++
        listener.onDialFailed(outcome)
      } else {
        this.#serve(outcome, address, listener)
      }
    })
    this.#open.add(dial)
    dial.start()
    if (this.#isClosed) dial.fail(localClose(address))
  }

  /** Ends resolving and cuts every connection. */
  close(): void {
    this.#isClosed = true
    this.#resolver.close()
    this.#unsubscribe()
    for (const dial of this.#open) dial.fail(localClose('upstream'))
    for (const pump of this.#pumps) pump.destroy(localClose('upstream'))
  }

  #serve(socket: Socket, address: string, listener: DialResult): void {
    const { turn, clock, stats, onBug } = this.#options
    turn.begin()
    let connection: PumpedConnection
    try {
      connection = listener.onConnected()
    } catch (error) {
      onBug?.(error)
      socket.destroy()
      return
    }
    stats.egressOpen++
    const pump = new Pump({
      socket,
      connection,
      turn,
      clock,
      stats,
      isIngress: false,
      peerName: `upstream ${address}`,
      onClosed: (closed) => {
        stats.egressOpen--
        this.#pumps.delete(closed)
      },
      ...(onBug && { onBug }),
    })
    if (!socket.destroyed) this.#pumps.add(pump)
  }
}

/** gRPC's rule for UNIX sockets is `localhost`; an override of the server's name is also the authority, as in grpc-go. */
function defaultAuthority(endpoint: Endpoint, tls: DialTls | null): string {
  if (tls?.serverNameOverride) return tls.serverNameOverride
  return endpoint.kind === 'unix' ? 'localhost' : formatEndpoint(endpoint)
}

function localClose(where: string): TransportError {
  return new TransportError('local_close', `${where}: closed by authgw`)
}

/** One attempt. Calls `onOutcome` exactly once, never from within its constructor. */
class Dial {
  readonly #options: DialerOptions
  readonly #endpoint: Endpoint
  readonly #address: string
  readonly #onOutcome: (outcome: Socket | TransportError) => void
  #socket: Socket | null = null
  #timer: Timer | null = null
  #isConnected = false
  #isDone = false
  readonly #onError = (error: Error): void => {
    const isHandshake = this.#isConnected && this.#options.tls !== null
    this.fail(
      toTransportError(error, `dial ${this.#address}`, isHandshake ? 'tls_handshake' : 'connect_refused'),
    )
  }
  readonly #onClose = (): void => {
    this.fail(
      this.#isConnected
        ? new TransportError(
            'tls_handshake',
            `dial ${this.#address}: closed by the peer during the TLS handshake`,
          )
        : new TransportError('connect_refused', `dial ${this.#address}: closed before it was connected`),
    )
  }

  constructor(
    options: DialerOptions,
    endpoint: Endpoint,
    address: string,
    onOutcome: (outcome: Socket | TransportError) => void,
  ) {
    this.#options = options
    this.#endpoint = endpoint
    this.#address = address
    this.#onOutcome = onOutcome
  }

  start(): void {
    const timeoutMs = this.#options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS
    this.#timer = this.#options.clock.setTimer(timeoutMs, () => {
      const what = this.#isConnected ? 'the TLS handshake was not finished' : 'no connection'
      this.fail(
        new TransportError('connect_timeout', `dial ${this.#address}: ${what} within ${timeoutMs} ms`),
      )
    })
    const to = parseEndpoint(this.#address)
    const target: DialTarget = to.kind === 'unix' ? { path: to.path } : { host: to.host, port: to.port }
    const { tls } = this.#options
    const socket = tls === null ? connectTcp({ ...target, allowHalfOpen: true }) : this.#secure(tls, target)
    this.#socket = socket
    socket.setNoDelay(true)
    socket.setKeepAlive(true, KEEPALIVE_DELAY_MS)
    socket.on('error', this.#onError)
    socket.on('close', this.#onClose)
    socket.on('connect', () => {
      this.#isConnected = true
      if (tls === null) this.#finish(socket)
    })
    if (tls !== null) {
      socket.on('secureConnect', () => {
        this.#onSecure(socket as TLSSocket)
      })
    }
  }

  fail(error: TransportError): void {
    if (this.#isDone) return
    this.#isDone = true
    this.#timer?.cancel()
    if (this.#isConnected && this.#options.tls !== null) this.#countHandshake(error)
    this.#socket?.destroy()
    this.#onOutcome(error)
  }

  /** TCP stood, TLS did not. */
  #countHandshake({ code }: TransportError): void {
    const { stats } = this.#options
    if (code === 'local_close') return
    if (code === 'connect_timeout') stats.egressHandshakesTimedOut++
    else if (code === 'peer_name') stats.egressNamesRefused++
    else if (code === 'alpn') stats.egressAlpnRefused++
    else if ((this.#socket as TLSSocket).authorizationError) stats.egressCertificatesRefused++
    else stats.egressHandshakesFailed++
  }

  #secure(tls: DialTls, target: DialTarget): TLSSocket {
    const name = this.#expectedName(tls)
    const options: ConnectionOptions & { allowHalfOpen: true } = {
      ...target,
      allowHalfOpen: true,
      secureContext: tls.context.material.context,
      ALPNProtocols: ['h2'],
      // SNI carries names only (RFC 6066 §3).
      servername: isIP(name) === 0 ? name : '',
      rejectUnauthorized: tls.insecureSkipVerify !== true,
      checkServerIdentity: (_host, certificate) => this.#checkName(tls, name, certificate),
    }
    return connectTls(options)
  }

  #expectedName(tls: DialTls): string {
    if (tls.serverNameOverride) return tls.serverNameOverride
    return this.#endpoint.kind === 'unix' ? 'localhost' : this.#endpoint.host.replace(/\.$/, '')
  }

  /** The host name against the subject alternative names; the CN never counts (RFC 9525 §2). */
  #checkName(tls: DialTls, name: string, legacy: PeerCertificate): Error | undefined {
    const certificate = new X509Certificate(legacy.raw)
    const matches =
      isIP(name) === 0 ? certificate.checkHost(name, { subject: 'never' }) : certificate.checkIP(name)
    const names = certificate.subjectAltName ?? 'none'
    if (matches === undefined) {
      const remedy = `it names ${names}; dial one of these, set server_name_override, or issue a certificate for it`
      return peerName(`the certificate is not for "${name}": ${remedy}`, this.#address)
    }
    const allowed = tls.allowedSans ?? []
    if (isNameAllowed(certificatePeer(certificate, this.#address, false), allowed)) return undefined
    return peerName(`the certificate names ${names}, none of which is in allowed_sans`, this.#address)
  }

  #onSecure(socket: TLSSocket): void {
    if (socket.alpnProtocol === 'h2') {
      this.#finish(socket)
      return
    }
    const spoken = socket.alpnProtocol === false ? 'no ALPN' : String(socket.alpnProtocol)
    this.fail(
      new TransportError(
        'alpn',
        `dial ${this.#address}: the peer speaks TLS with ${spoken}, not HTTP/2 (h2)`,
      ),
    )
  }

  #finish(socket: Socket): void {
    if (this.#isDone) return
    this.#isDone = true
    this.#timer?.cancel()
    this.#onOutcome(socket)
    // The pump listens to both by now.
    socket.off('error', this.#onError)
    socket.off('close', this.#onClose)
  }
}

function peerName(problem: string, address: string): TransportError {
  return new TransportError('peer_name', `dial ${address}: ${problem}`)
}

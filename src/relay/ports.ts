/**
 * What the relay needs from the network, and what the network asks of the relay: connections in and out.
 * Floor 3; knows neither sockets nor TLS: net/ implements and calls these.
 */
import type { PeerIdentity } from '../auth/index.ts'
import type { TransportError } from '../base/index.ts'
import type { H2Connection } from '../h2/index.ts'

/** Takes accepted connections. Implemented by the relay, called by net/listener. */
export interface IngressAcceptor {
  /** A connection for a verified socket, started; null when it is refused (limits, draining): close the socket. */
  accept(peer: PeerIdentity): H2Connection | null
}

/** Told how a dial ended: exactly one of the two, once. */
export interface DialListener {
  /** The transport stands: gives the connection that the pump shall serve. */
  onConnected(): H2Connection
  onDialFailed(error: TransportError): void
}

/** Where egress connections go. Implemented by net/dialer over net/resolver. */
export interface EgressDialer {
  /** The addresses of the endpoint as last resolved, such as `10.0.0.7:4317` or `unix:/run/x.sock`; never changed in place. */
  readonly addresses: readonly string[]
  /** Grows when the TLS material changes: connections of an older generation take no new calls. */
  readonly generation: number
  /** host:port (or the configured override) for `:authority`. */
  readonly authority: string
  /** `http` or `https` for `:scheme`. */
  readonly scheme: 'http' | 'https'
  /** Calls back when addresses or generation changed. */
  onChange: () => void
  /** Dials one address; the result comes to `listener`, within the connect time-out (2 s unless configured). */
  dial(address: string, listener: DialListener): void
  /** Asks for a new resolution soon: a dial failed. */
  resolveAgain(): void
}

/**
 * The room of sockets, TLS, names and files: everything that authgw says to the operating system about the network.
 * Floor 4; implements the ports of auth and relay.
 */
export {
  AddressError,
  formatEndpoint,
  isLoopbackAddress,
  isLoopbackEndpoint,
  listenEndpoints,
  parseEndpoint,
} from './address.ts'
export type { Endpoint, TcpEndpoint, UnixEndpoint } from './address.ts'
export { HONEST_HANDSHAKE_MS, openFileLimit, RESERVED_FILES } from './admission.ts'
export type { AdmissionLimits } from './admission.ts'
export { Acceptor, adoptSocket } from './acceptor.ts'
export type { AcceptorOptions } from './acceptor.ts'
export { CONNECT_TIMEOUT_MS, Dialer } from './dialer.ts'
export type { DialResult, DialTls, DialerOptions } from './dialer.ts'
export { EbbWatch } from './ebb.ts'
export type { EbbOptions } from './ebb.ts'
export { FileWatch, POLL_MS, readFile } from './file-watch.ts'
export type { FileContents, FileWatchOptions, WatchFolder } from './file-watch.ts'
export { HttpClient, MAX_BODY_BYTES } from './http-fetch.ts'
export type { HttpFetchOptions, ProxyEnvironment } from './http-fetch.ts'
export { Listener } from './listener.ts'
export type { ClientAuth, ConnectionAcceptor, ListenTls, ListenerOptions, SocketIntake } from './listener.ts'
export type { LivePeer } from './peer-recheck.ts'
export { PrivateFiles } from './private-file.ts'
export { certificatePeer, isNameAllowed, parseAltNames, tlsPeer } from './peer-identity.ts'
export type { AltName } from './peer-identity.ts'
export {
  FINISH_MS,
  LINGER_MS,
  MAX_WAITING_BYTES,
  MAX_WAITING_IN_ALL_BYTES,
  MIN_WAITING_BYTES,
  Pump,
} from './pump.ts'
export type { PumpOptions, PumpedConnection } from './pump.ts'
export type { LookupAll } from './resolver.ts'
export { ProcessMemory } from './spare-memory.ts'
export type { SpareMemory } from './spare-memory.ts'
export { NetStats } from './stats.ts'
export { SystemClock, createTurn, createWheel } from './system-clock.ts'
export type { WheelDriverOptions } from './system-clock.ts'
export { TlsContext } from './tls-context.ts'
export type { TlsContextOptions } from './tls-context.ts'
export { TlsMaterialError } from './tls-material.ts'
export type { TlsMaterial, TlsOptions, TlsProblem, TlsSide } from './tls-material.ts'
export { TlsNameError, tlsCiphers, tlsCurves, tlsVersion } from './tls-names.ts'

/**
 * Turns certificates that somebody else owns into an HTTPS server, and its peers into those who proved who they are.
 * Floor 6; reads no file and verifies no chain: OpenSSL does, by what it is given. RFC 9110 §4.2.2.
 */
import { createServer } from 'node:https'
import type { Server, ServerOptions } from 'node:https'
import { TLSSocket, type SecureContextOptions } from 'node:tls'

/** How the admin server speaks TLS. */
export interface AdminTls {
  /** What handshakes use now. */
  readonly contextOptions: SecureContextOptions
  /** Whether a client must show a certificate. With `optional` one that does not verify is still refused. */
  readonly clientAuth: 'require' | 'optional' | 'none'
  /** Whether a certificate that verifies has one of the names that are let in. */
  isNameAllowed(socket: TLSSocket): boolean
  /** Calls back after each change of `contextOptions`. Returns the function that ends it. */
  subscribe(listener: () => void): () => void
}

/** Makes a server that speaks TLS, not listening yet. Peers that may not come in are cut before their first request. */
export function createTlsServer(tls: AdminTls, options: ServerOptions, handshakeTimeoutMs: number): Server {
  const server = createServer({
    ...options,
    ...tls.contextOptions,
    ALPNProtocols: ['http/1.1'],
    requestCert: tls.clientAuth !== 'none',
    rejectUnauthorized: tls.clientAuth === 'require',
    handshakeTimeout: handshakeTimeoutMs,
  })
  server.on('secureConnection', (socket) => {
    if (!mayEnter(socket, tls)) socket.destroy()
  })
  return server
}

/** Whether the peer of a request has shown a certificate that verifies. Whoever may not come in never gets this far. */
export function isVerified(socket: object): boolean {
  return socket instanceof TLSSocket && socket.authorized && socket.getPeerX509Certificate() !== undefined
}

function mayEnter(socket: TLSSocket, tls: AdminTls): boolean {
  if (tls.clientAuth === 'none') return true
  if (isVerified(socket)) return tls.isNameAllowed(socket)
  return tls.clientAuth === 'optional' && socket.getPeerX509Certificate() === undefined
}

/**
 * Endpoints into accepted sockets that nobody has read from: for a process that hands them on to another one.
 * Floor 4; judges nobody: admission, TLS and limits are the business of whoever gets the sockets.
 */
import type { Server, Socket } from 'node:net'
import { NO_LOG } from '../base/index.ts'
import type { Log } from '../base/index.ts'
import { listenEndpoints, parseEndpoint } from './address.ts'
import type { Endpoint } from './address.ts'
import { BACKLOG, bind } from './bind.ts'
import { KEEPALIVE_DELAY_MS } from './pump.ts'
import type { NetStats } from './stats.ts'
import { errorCode, explainCode } from './transport-error.ts'

/** What an acceptor needs. */
export interface AcceptorOptions {
  /** As for a listener. */
  readonly endpoint: string
  readonly onSocket: (socket: Socket) => void
  readonly stats: NetStats
  readonly log?: Log
}

/** Accepts at one endpoint until it is closed. */
export class Acceptor {
  /** Where it listens, ports filled in. */
  readonly endpoints: readonly Endpoint[]
  #servers: readonly Server[]

  private constructor(servers: readonly Server[], endpoints: readonly Endpoint[]) {
    this.#servers = servers
    this.endpoints = endpoints
  }

  /** Binds and accepts. @throws TransportError that names the address and the remedy */
  static async open({ endpoint, onSocket, stats, log = NO_LOG }: AcceptorOptions): Promise<Acceptor> {
    const { servers, endpoints } = await bind({
      endpoints: listenEndpoints(parseEndpoint(endpoint)),
      backlog: BACKLOG,
      pausesSockets: true,
      onSocket: (socket) => {
        // Whoever gets it sees its end; here an error without a listener would end the process.
        socket.on('error', () => {})
        onSocket(socket)
      },
      onAcceptError: (error) => {
        stats.acceptErrors++
        const code = errorCode(error)
        log.debug({ reason: explainCode(code), code }, 'connections cannot be accepted right now')
      },
      log: log.child({ listener: endpoint }),
    })
    return new Acceptor(servers, endpoints)
  }

  /** Takes no more connections. The file of a UNIX socket goes. */
  close(): void {
    for (const server of this.#servers) server.close()
    this.#servers = []
  }
}

/** Gives a socket that came from another process the options that it would have had from a listener here. */
export function adoptSocket(socket: Socket): Socket {
  socket.allowHalfOpen = true
  return socket.setNoDelay(true).setKeepAlive(true, KEEPALIVE_DELAY_MS)
}

/**
 * Endpoints into listening sockets: both loopback addresses of `localhost`, UNIX sockets of mode 0660, stale ones removed.
 * Floor 4; accepts and hands on, judges nobody. Errors name the address and the remedy.
 */
import { chmodSync, lstatSync, unlinkSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { AddressInfo, ListenOptions, Server, Socket } from 'node:net'
import { TransportError } from '../base/index.ts'
import type { Log } from '../base/index.ts'
import { formatEndpoint } from './address.ts'
import type { Endpoint } from './address.ts'
import { KEEPALIVE_DELAY_MS } from './pump.ts'
import { errorCode } from './transport-error.ts'

/** What to bind and whom to tell. */
export interface BindOptions {
  readonly endpoints: readonly Endpoint[]
  readonly backlog: number
  /** Whether sockets are left unread, for another process to read. Default false. */
  readonly pausesSockets?: boolean
  readonly onSocket: (socket: Socket) => void
  /** `accept` failed; the server goes on. */
  readonly onAcceptError: (error: Error) => void
  readonly log: Log
}

/** Sockets that listen. `endpoints` has the ports that were taken for 0. */
export interface Bound {
  readonly servers: readonly Server[]
  readonly endpoints: readonly Endpoint[]
}

/** Connections that the kernel holds for us while we are busy; it cuts this to net.core.somaxconn. */
export const BACKLOG = 1_024
/** Group may connect: the collector beside us often runs as another user. */
const UNIX_MODE = 0o660
/** How long the owner of a socket file has to answer before it counts as gone. */
const STALE_PROBE_MS = 500

/**
 * Listens on all endpoints or on none. Of the two addresses of `localhost`, IPv6 may be missing on the machine.
 * @throws TransportError that names the address and the remedy
 */
export async function bind(options: BindOptions): Promise<Bound> {
  const servers: Server[] = []
  const endpoints: Endpoint[] = []
  try {
    for (const wanted of options.endpoints) {
      // Port 0 for localhost means one free port on both addresses.
      const [first] = endpoints
      const endpoint =
        wanted.kind === 'tcp' && wanted.port === 0 && first?.kind === 'tcp'
          ? { ...wanted, port: first.port }
          : wanted
      const server = await bindOne(endpoint, options, endpoints.length > 0)
      if (server === null) continue
      servers.push(server)
      const address = server.address() as AddressInfo | string
      endpoints.push(
        endpoint.kind === 'unix' ? endpoint : { ...endpoint, port: (address as AddressInfo).port },
      )
    }
  } catch (error) {
    for (const server of servers) server.close()
    throw error
  }
  return { servers, endpoints }
}

async function bindOne(endpoint: Endpoint, options: BindOptions, isSecond: boolean): Promise<Server | null> {
  if (endpoint.kind === 'unix') await removeStaleSocket(endpoint.path)
  const server = createServer({
    allowHalfOpen: true,
    pauseOnConnect: options.pausesSockets ?? false,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEPALIVE_DELAY_MS,
  })
  server.on('connection', options.onSocket)
  const target: ListenOptions =
    endpoint.kind === 'unix' ? { path: endpoint.path } : { host: endpoint.host, port: endpoint.port }
  try {
    await listening(server, { ...target, backlog: options.backlog })
  } catch (error) {
    const code = errorCode(error)
    if (isSecond && (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT')) {
      options.log.info(
        { address: formatEndpoint(endpoint) },
        'this machine has no IPv6 loopback; listening on IPv4 alone',
      )
      return null
    }
    throw bindError(endpoint, error)
  }
  server.on('error', options.onAcceptError)
  if (endpoint.kind === 'unix') chmodSync(endpoint.path, UNIX_MODE)
  return server
}

function listening(server: Server, target: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(target, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/**
 * Removes the file of a socket whose owner has gone without removing it.
 * @throws TransportError when there is something else, or somebody answers
 */
async function removeStaleSocket(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return
  if (!stat.isSocket()) {
    throw new TransportError(
      'local_close',
      `listen on unix:${path}: there is a file that is no socket; move it away or choose another path`,
    )
  }
  if (await isAnswered(path)) {
    throw new TransportError(
      'local_close',
      `listen on unix:${path}: another process listens there; stop it or choose another path`,
    )
  }
  unlinkSync(path)
}

/** Whether somebody accepts at `path`. Only a refusal proves that nobody does. */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path, timeout: STALE_PROBE_MS })
    const answer = (isTaken: boolean): void => {
      socket.destroy()
      resolve(isTaken)
    }
    socket.once('connect', () => {
      answer(true)
    })
    socket.once('timeout', () => {
      answer(true)
    })
    socket.once('error', (error) => {
      answer(errorCode(error) !== 'ECONNREFUSED')
    })
  })
}

function bindError(endpoint: Endpoint, error: unknown): TransportError {
  const address = formatEndpoint(endpoint)
  const code = errorCode(error)
  const text = REMEDIES[code] ?? (error instanceof Error ? error.message : String(error))
  return new TransportError('local_close', `listen on ${address}: ${text} (${code})`, { cause: error })
}

const REMEDIES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use; find its owner with `ss -ltnp`, stop it or choose another port',
  EADDRNOTAVAIL: 'this machine has no such address; use one of its own, 0.0.0.0 or localhost',
  EACCES: 'no permission; use a port above 1023, or a folder that the user of authgw may write to',
  ENOENT: 'the folder of the socket does not exist; make it first',
  ENOTFOUND: 'the host name does not resolve; use an IP address of this machine or localhost',
  EAFNOSUPPORT: 'this machine does not speak that address family; use an IPv4 address',
}

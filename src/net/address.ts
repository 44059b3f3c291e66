/**
 * Endpoints as operators write them (`host:port`, `[::1]:4317`, `dns:///h:p`, `unix:///p`) into what sockets take.
 * Floor 4; opens nothing and resolves nothing. The words are those of the collector and of gRPC's naming.
 * @see https://github.com/grpc/grpc/blob/master/doc/naming.md
 */
import { isIP } from 'node:net'

/** A TCP endpoint. `host` is a name or an IP literal without brackets. */
export interface TcpEndpoint {
  readonly kind: 'tcp'
  readonly host: string
  /** 0 … 65535; 0 only makes sense for listening. */
  readonly port: number
}

/** A UNIX socket; `path` is absolute. */
export interface UnixEndpoint {
  readonly kind: 'unix'
  readonly path: string
}

export type Endpoint = TcpEndpoint | UnixEndpoint

/** An endpoint that cannot be understood. The message names what is wrong; `remedy` says what to write. */
export class AddressError extends Error {
  readonly remedy: string
  constructor(problem: string, remedy: string) {
    super(`${problem}; ${remedy}`)
    this.name = 'AddressError'
    this.remedy = remedy
  }
}

/** Linux's sun_path holds 108 octets with the closing NUL. @see unix(7) */
const MAX_UNIX_PATH_BYTES = 107
const HOST_NAME =
  /^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/i

/**
 * Reads an endpoint.
 * @throws AddressError with the remedy
 */
export function parseEndpoint(text: string): Endpoint {
  if (text.startsWith('unix:')) return parseUnix(text)
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase()
  if (scheme === undefined) return parseHostPort(text, text)
  if (scheme !== 'dns') {
    throw new AddressError(
      `endpoint "${text}" has the scheme ${scheme}`,
      'write host:port without it; the tls section says whether TLS is used',
    )
  }
  const rest = text.slice('dns://'.length)
  if (!rest.startsWith('/')) {
    throw new AddressError(
      `endpoint "${text}" names a DNS server`,
      'write dns:///host:port with three slashes; the system resolver is used',
    )
  }
  return parseHostPort(rest.slice(1), text)
}

function parseUnix(text: string): UnixEndpoint {
  const path = text.startsWith('unix://') ? text.slice('unix://'.length) : text.slice('unix:'.length)
  if (!path.startsWith('/') || path === '/') {
    throw new AddressError(`endpoint "${text}" has no absolute path`, 'write unix:///run/authgw/otlp.sock')
  }
  if (path.includes('\0')) {
    throw new AddressError('the path of a unix endpoint holds a NUL', 'write unix:///run/authgw/otlp.sock')
  }
  if (Buffer.byteLength(path) > MAX_UNIX_PATH_BYTES) {
    throw new AddressError(
      `the path of endpoint "${text}" is longer than ${MAX_UNIX_PATH_BYTES} octets`,
      'use a shorter folder: the operating system takes no more',
    )
  }
  return { kind: 'unix', path }
}

function parseHostPort(text: string, whole: string): TcpEndpoint {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):([^:]*)$/.exec(text)
  if (match === null) throw shapeError(text, whole)
  const [, bracketed, plain, portText] = match
  const host = (bracketed ?? plain)!
  if (bracketed !== undefined ? isIP(host.split('%')[0]!) !== 6 : isIP(host) === 0 && !isHostName(host)) {
    throw hostError(host, whole)
  }
  const port = /^\d{1,5}$/.test(portText!) ? Number(portText) : -1
  if (port < 0 || port > 65_535) {
    throw new AddressError(`endpoint "${whole}" has no port from 0 to 65535`, 'write host:4317')
  }
  return { kind: 'tcp', host, port }
}

/** A name whose last label is a number is an IP address written wrong. @see RFC 3696 §2 */
function isHostName(host: string): boolean {
  return host.length <= 253 && HOST_NAME.test(host) && !/(?:^|\.)\d+\.?$/.test(host)
}

function shapeError(text: string, whole: string): AddressError {
  if (isIP(text) === 6 || text.split(':').length > 2) {
    return new AddressError(
      `endpoint "${whole}" is an IPv6 address without brackets`,
      'write [::1]:4317, the address in square brackets',
    )
  }
  return new AddressError(`endpoint "${whole}" has no port`, `write ${text === '' ? 'localhost' : text}:4317`)
}

function hostError(host: string, whole: string): AddressError {
  if (host === '') {
    return new AddressError(
      `endpoint "${whole}" has no host`,
      'write localhost:4317 for this machine, or 0.0.0.0:4317 for all addresses',
    )
  }
  return new AddressError(
    `"${host}" in endpoint "${whole}" is neither a host name nor an IP address`,
    'write host.example.com:4317, 10.0.0.7:4317 or [fd00::7]:4317',
  )
}

/** Writes an endpoint the way it goes into logs and `EgressDialer.addresses`: `10.0.0.7:4317`, `[::1]:1`, `unix:/p`. */
export function formatEndpoint(endpoint: Endpoint): string {
  if (endpoint.kind === 'unix') return `unix:${endpoint.path}`
  return `${endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host}:${endpoint.port}`
}

/** Where to listen for an endpoint: `localhost` is both loopback addresses, anything else is itself. */
export function listenEndpoints(endpoint: Endpoint): readonly Endpoint[] {
  if (endpoint.kind === 'unix' || endpoint.host.toLowerCase() !== 'localhost') return [endpoint]
  return [
    { ...endpoint, host: '127.0.0.1' },
    { ...endpoint, host: '::1' },
  ]
}

/** Whether an IP address is this machine's loopback, IPv4 in IPv6 included. False for what is no IP address. */
export function isLoopbackAddress(ip: string): boolean {
  const v4 = ip.toLowerCase().startsWith('::ffff:') ? ip.slice('::ffff:'.length) : ip
  switch (isIP(v4)) {
    case 4:
      return v4.startsWith('127.')
    case 6:
      return /^(?:0{0,4}:)+(?:0{0,3}1)$/.test(v4) && v4 !== ':1'
    default:
      return false
  }
}

/** Whether nobody outside this machine is at `endpoint`: a UNIX socket, `localhost`, or a loopback address. */
export function isLoopbackEndpoint(endpoint: Endpoint): boolean {
  if (endpoint.kind === 'unix') return true
  return endpoint.host.toLowerCase() === 'localhost' || isLoopbackAddress(endpoint.host)
}

/**
 * The key under which connections of an address are counted: an IPv4 address itself, of an IPv6 address the /64 prefix,
 * since one subscriber usually holds a whole one (RFC 6177).
 */
export function addressKey(ip: string): string {
  if (isIP(ip) !== 6) return ip
  if (ip.toLowerCase().startsWith('::ffff:') && ip.includes('.')) return ip.slice('::ffff:'.length)
  const [head = '', tail] = ip.split('%')[0]!.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length)
  const groups = [...left, ...Array.from({ length: zeros }, () => '0'), ...right]
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`
}

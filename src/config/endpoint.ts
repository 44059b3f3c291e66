/**
 * An endpoint in the collector's and gRPC's words into where to listen or dial.
 * Floor 1; resolves no name. `host:port`, `[::1]:4317`, `dns:///host:port`, `unix:///path`, `/path`.
 * @see https://github.com/grpc/grpc/blob/master/doc/naming.md
 */

/** Where to listen or dial. `text` is what the operator wrote. */
export type Endpoint =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly text: string }
  | { readonly kind: 'unix'; readonly path: string; readonly text: string }

/** What is wrong with an endpoint, and what to write instead. */
export interface EndpointProblem {
  readonly problem: string
  readonly remedy: string
}

const EXAMPLE = 'write host:port such as localhost:4317, dns:///host:4317 or unix:///run/authgw/otlp.sock'

/** Reads an endpoint. An empty host (`:4317`) means every address, written `::`. Port 0 asks for any free port. */
export function parseEndpoint(text: string): Endpoint | EndpointProblem {
  if (text.startsWith('unix:') || text.startsWith('/')) {
    const path = text.replace(/^unix:(?:\/\/(?=\/))?/, '')
    return path.startsWith('/') && path.length > 1
      ? { kind: 'unix', path, text }
      : { problem: `"${text}" names no absolute path`, remedy: 'write unix:///run/authgw/otlp.sock' }
  }
  if (/^https?:\/\//.test(text)) {
    const bare = text.replace(/^https?:\/\//, '').replace(/\/+$/, '')
    return { problem: `"${text}" is a URL`, remedy: `write ${bare}; whether TLS is used is said under tls` }
  }
  const address = text.replace(/^dns:(?:\/\/[^/]*\/)?/, '')
  const parts = /^(?:\[([0-9a-fA-F:.%a-z]+)\]|([^:/\s[\]]*)):(\d{1,5})$/.exec(address)
  if (parts === null) {
    return /^[^:/\s]+$/.test(address)
      ? { problem: `"${text}" has no port`, remedy: `write ${text}:4317` }
      : { problem: `"${text}" is no endpoint`, remedy: EXAMPLE }
  }
  const port = Number(parts[3])
  if (port > 65_535) return { problem: `port ${port} is above 65535`, remedy: EXAMPLE }
  const host = parts[1] ?? parts[2]!
  return { kind: 'tcp', host: host === '' ? '::' : host.toLowerCase(), port, text }
}

/** Whether `host` is this machine and reachable from nowhere else: localhost, 127.0.0.0/8 or ::1. */
export function isLoopbackHost(host: string): boolean {
  const bare = host.toLowerCase().replace(/^\[|\]$/g, '')
  return (
    bare === 'localhost' ||
    bare.endsWith('.localhost') ||
    bare === '::1' ||
    /^127(?:\.\d{1,3}){3}$/.test(bare) ||
    /^::ffff:127(?:\.\d{1,3}){3}$/.test(bare)
  )
}

/** Whether traffic to or from `endpoint` never leaves this machine: loopback or a UNIX socket. */
export function isLocalEndpoint(endpoint: Endpoint): boolean {
  return endpoint.kind === 'unix' || isLoopbackHost(endpoint.host)
}

/** Whether two listeners cannot both have their endpoint: the same socket, or the same port on overlapping hosts. */
export function endpointsCollide(a: Endpoint, b: Endpoint): boolean {
  if (a.kind === 'unix' || b.kind === 'unix')
    return a.kind === 'unix' && b.kind === 'unix' && a.path === b.path
  if (a.port !== b.port || a.port === 0) return false
  if (isAnyHost(a.host) || isAnyHost(b.host) || a.host === b.host) return true
  return (
    (a.host === 'localhost' && isLoopbackHost(b.host)) || (b.host === 'localhost' && isLoopbackHost(a.host))
  )
}

function isAnyHost(host: string): boolean {
  return host === '::' || host === '0.0.0.0'
}

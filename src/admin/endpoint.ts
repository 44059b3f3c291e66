/**
 * Turns the host of an admin endpoint into addresses to listen on, and judges whether somebody is on this machine.
 * Floor 6; parses no configuration: it is given host and port.
 */
import { BlockList, isIP } from 'node:net'
import { ConfigError } from '../base/index.ts'

/** Where an admin server listens, as the configuration has parsed it. */
export interface AdminEndpoint {
  /** An IP address, `localhost` (127.0.0.1 and ::1), or empty for all addresses. A name of a host is resolved. */
  readonly host: string
  /** 0 … 65535; 0 lets the operating system choose. */
  readonly port: number
}

/** An address that is listened on. */
export interface ListeningAddress {
  readonly address: string
  readonly port: number
}

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8)
LOOPBACK.addAddress('::1', 'ipv6')

/** Whether an address of a socket is on this machine: 127.0.0.0/8, ::1, and the former inside IPv6. */
export function isLoopbackAddress(address: string | undefined): boolean {
  if (address === undefined) return false
  const version = isIP(address)
  return version !== 0 && LOOPBACK.check(address, version === 4 ? 'ipv4' : 'ipv6')
}

/**
 * Whether a Host header names this machine: `localhost` or a loopback address, with or without a port.
 * A page in a browser that was led here under another name (DNS rebinding) does not get past it.
 */
export function isLoopbackHost(host: string | undefined): boolean {
  const parts = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::\d{1,5})?$/i.exec(host ?? '')
  if (parts === null) return false
  const name = (parts[1] ?? parts[2]!).toLowerCase()
  return name === 'localhost' || isLoopbackAddress(name)
}

/** How often a port that the operating system chose is given up because it is taken on the other address. */
const MAX_PORT_ATTEMPTS = 5

const isMissingFamily = (error: unknown): boolean =>
  ['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL'].includes((error as NodeJS.ErrnoException).code ?? '')

/**
 * Listens on every address of `endpoint` by calling `listen` for each, and `unlisten` for those to be given back.
 * @param key the configuration key, for the message
 * @throws ConfigError with place and remedy when the address cannot be had
 */
export async function listenOnAll(
  endpoint: AdminEndpoint,
  key: string,
  listen: (address: string, port: number) => Promise<number>,
  unlisten: () => Promise<void>,
): Promise<ListeningAddress[]> {
  const [first, second] = addressesOf(endpoint.host)
  for (let attempt = 1; ; attempt++) {
    try {
      const port = await listen(first, endpoint.port).catch((error: unknown) => {
        // A machine without IPv6 cannot listen on `::`; all its addresses are then those of IPv4.
        if (first === '::' && isMissingFamily(error)) return listen('0.0.0.0', endpoint.port)
        throw error
      })
      const listening = [{ address: first, port }]
      if (second === null) return listening
      try {
        await listen(second, port)
        listening.push({ address: second, port })
      } catch (error) {
        if (!isMissingFamily(error)) throw error
      }
      return listening
    } catch (error) {
      await unlisten()
      const isTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
      if (endpoint.port !== 0 || !isTaken || attempt === MAX_PORT_ATTEMPTS)
        throw listenFault(endpoint, key, error)
    }
  }
}

function addressesOf(host: string): [string, string | null] {
  if (host === '') return ['::', null]
  return host === 'localhost' ? ['127.0.0.1', '::1'] : [host, null]
}

function listenFault(endpoint: AdminEndpoint, key: string, error: unknown): ConfigError {
  const { code, message } = error as NodeJS.ErrnoException
  const remedy =
    code === 'EADDRINUSE'
      ? 'end the process that listens there (ss -ltnp names it), or choose another port'
      : 'choose an address of this machine and a port that this user may listen on'
  const problem = `cannot listen on ${endpoint.host}:${endpoint.port}: ${code ?? message}`
  return new ConfigError([{ path: key, position: null, problem, remedy }])
}

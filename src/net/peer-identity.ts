/**
 * A TLS socket into who is at its other end: only what TLS has verified, by subject alternative names, never by CN.
 * Floor 4; decides nothing about rights. RFC 5280 §4.2.1.6, RFC 8705 §3.1.
 */
import { createHash } from 'node:crypto'
import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { anonymousPeer } from '../auth/index.ts'
import type { PeerIdentity } from '../auth/index.ts'
import { isLoopbackAddress } from './address.ts'

/** A name of a certificate: `DNS`, `URI`, `IP Address`, `email`, … and its value, unquoted. */
export interface AltName {
  readonly type: string
  readonly value: string
}

/**
 * Reads Node's text form of subject alternative names: `DNS:a, URI:"x, y"`. A value that could be mistaken for two
 * names stands in JSON quotes. Gives null when the text is not of that form: then no name is to be trusted.
 * @see https://nodejs.org/api/crypto.html#x509subjectaltname
 */
export function parseAltNames(text: string): AltName[] | null {
  const names: AltName[] = []
  let at = 0
  while (at < text.length) {
    const colon = text.indexOf(':', at)
    if (colon < 0) return null
    const type = text.slice(at, colon)
    let end: number
    let value: string
    if (text[colon + 1] === '"') {
      end = closingQuote(text, colon + 2)
      const unquoted = end < 0 ? null : unquote(text.slice(colon + 1, end))
      if (unquoted === null) return null
      value = unquoted
    } else {
      const comma = text.indexOf(', ', colon)
      end = comma < 0 ? text.length : comma
      value = text.slice(colon + 1, end)
    }
    if (end < text.length && !text.startsWith(', ', end)) return null
    names.push({ type, value })
    at = end + 2
  }
  return names
}

/** Index after the closing quote; -1 without one. */
function closingQuote(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === '"') return at + 1
  }
  return -1
}

function unquote(quoted: string): string | null {
  try {
    return JSON.parse(quoted) as string
  } catch {
    return null
  }
}

/** The identity of a plaintext peer: an address, or `unix`. */
export function plaintextPeer(remoteAddress: string | undefined): PeerIdentity {
  if (remoteAddress === undefined) return anonymousPeer('unix', true)
  return anonymousPeer(plainAddress(remoteAddress), isLoopbackAddress(remoteAddress))
}

/** A socket that listens on all addresses shows IPv4 peers as `::ffff:10.0.0.7`; logs and limits know them as IPv4. */
function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '')
}

/** The identity behind a TLS socket whose handshake is done. Verified only if TLS says so and a certificate is there. */
export function tlsPeer(socket: TLSSocket, address: string): PeerIdentity {
  const isLocal = isLoopbackAddress(address)
  const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined
  if (certificate === undefined) return anonymousPeer(plainAddress(address), isLocal)
  return certificatePeer(certificate, plainAddress(address), isLocal)
}

/** The identity that a verified certificate gives. */
export function certificatePeer(
  certificate: X509Certificate,
  address: string,
  isLocal: boolean,
): PeerIdentity {
  const names = parseAltNames(certificate.subjectAltName ?? '') ?? []
  const valuesOf = (type: string): string[] =>
    names.filter((name) => name.type === type).map(({ value }) => value)
  return {
    isVerified: true,
    isLocal,
    certificateSha256: createHash('sha256').update(certificate.raw).digest('base64url'),
    dnsNames: valuesOf('DNS').map((name) => name.toLowerCase()),
    uris: valuesOf('URI'),
    notAfterMs: certificate.validToDate.getTime(),
    address,
  }
}

/**
 * Whether one of `allowed` names the peer. Entries may carry their kind (`DNS:`, `URI:`). A URI is compared exactly, or,
 * with `*` after a slash at its end, by what stands before; a DNS name without regard to case, a leading `*.` standing
 * for one label. An empty list allows everyone whom TLS has verified.
 */
export function isNameAllowed(
  peer: Pick<PeerIdentity, 'dnsNames' | 'uris'>,
  allowed: readonly string[],
): boolean {
  return allowed.length === 0 || allowed.some((entry) => isNamed(peer, entry.replace(/^(?:DNS|URI):/i, '')))
}

function isNamed({ dnsNames, uris }: Pick<PeerIdentity, 'dnsNames' | 'uris'>, entry: string): boolean {
  if (entry.includes('://')) {
    // Without the slash, `spiffe://example.org*` would let in `spiffe://example.org.evil`.
    const prefix = /^[^:]+:\/\/[^/*]+\/(?:[^*]*\/)?\*$/.test(entry) ? entry.slice(0, -1) : null
    return uris.some((uri) => (prefix === null ? uri === entry : uri.startsWith(prefix)))
  }
  const wanted = entry.toLowerCase()
  if (!wanted.startsWith('*.')) return dnsNames.includes(wanted)
  return dnsNames.some((name) => {
    const dot = name.indexOf('.')
    return dot > 0 && name.slice(dot) === wanted.slice(1)
  })
}

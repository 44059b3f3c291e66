/**
 * Subject alternative names: `DNS:localhost,IP:::1,URI:spiffe://…` into the list that a certificate carries.
 * Floor 8; knows no certificate library. RFC 5280 §4.2.1.6.
 */
import { isIP } from 'node:net'

/** One subject alternative name. */
export interface SubjectAltName {
  readonly type: 'dns' | 'ip' | 'url' | 'email'
  readonly value: string
}

/** A name that cannot stand in a certificate; the message says which and what would. */
export class SubjectAltNameError extends Error {
  constructor(text: string, reason: string) {
    super(`"${text}" is no subject alternative name: ${reason}`)
    this.name = 'SubjectAltNameError'
  }
}

const DNS_NAME =
  /^(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?$/i

/**
 * Reads names that are separated by commas. A name without a prefix is taken for what it looks like: an IP address,
 * a URI, an e-mail address, else a DNS name (as cfssl does with `hosts`).
 * @throws SubjectAltNameError for a name that is malformed
 */
export function parseSubjectAltNames(list: string): SubjectAltName[] {
  return list
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
    .map((name) => parseOne(name))
}

function parseOne(text: string): SubjectAltName {
  const prefix = /^(dns|ip|uri|email):(.+)$/i.exec(text)
  const kind = prefix?.[1]?.toLowerCase() ?? kindOf(text)
  const value = prefix?.[2] ?? text
  switch (kind) {
    case 'ip':
      if (isIP(value) === 0)
        throw new SubjectAltNameError(text, 'not an IP address; write IP:127.0.0.1 or IP:::1')
      return { type: 'ip', value }
    case 'uri':
      if (!URL.canParse(value)) {
        throw new SubjectAltNameError(text, 'not a URI; write URI:spiffe://trust-domain/workload')
      }
      return { type: 'url', value }
    case 'email':
      return { type: 'email', value }
    default:
      if (!DNS_NAME.test(value))
        throw new SubjectAltNameError(text, 'not a DNS name; write DNS:host.example.com')
      return { type: 'dns', value }
  }
}

function kindOf(text: string): string {
  if (isIP(text) !== 0) return 'ip'
  if (text.includes('://')) return 'uri'
  return text.includes('@') ? 'email' : 'dns'
}

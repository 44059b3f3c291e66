/**
 * Go's names of TLS versions, cipher suites and curves, as the collector's configuration has them, into OpenSSL's.
 * Floor 4; knows no certificate. RFC 9113 §9.2.2 decides which suites HTTP/2 may use.
 */
import type { SecureVersion } from 'node:tls'

/** A word of the configuration that has no counterpart here. */
export class TlsNameError extends Error {
  readonly remedy: string
  constructor(problem: string, remedy: string) {
    super(`${problem}; ${remedy}`)
    this.name = 'TlsNameError'
    this.remedy = remedy
  }
}

/** The suites of TLS 1.3; Go does not let one choose among them, so they are always on. */
const TLS13_SUITES = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
] as const

/** Go's name → OpenSSL's, for the suites of TLS 1.2 that HTTP/2 does not forbid. */
const TLS12_SUITES: Readonly<Record<string, string>> = {
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: 'ECDHE-ECDSA-AES128-GCM-SHA256',
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: 'ECDHE-RSA-AES128-GCM-SHA256',
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: 'ECDHE-ECDSA-AES256-GCM-SHA384',
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: 'ECDHE-RSA-AES256-GCM-SHA384',
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-ECDSA-CHACHA20-POLY1305',
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-RSA-CHACHA20-POLY1305',
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305: 'ECDHE-ECDSA-CHACHA20-POLY1305',
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305: 'ECDHE-RSA-CHACHA20-POLY1305',
}

/** Go's name → OpenSSL's. */
const CURVES: Readonly<Record<string, string>> = {
  X25519: 'X25519',
  P256: 'P-256',
  P384: 'P-384',
  P521: 'P-521',
  X25519MLKEM768: 'X25519MLKEM768',
}

/** What is spoken when nothing is configured: AEAD with forward secrecy, the order of Go's crypto/tls. */
export const DEFAULT_CIPHERS = [...TLS13_SUITES, ...new Set(Object.values(TLS12_SUITES))].join(':')

/**
 * Maps `min_version` / `max_version`.
 * @throws TlsNameError for anything but 1.2 and 1.3
 */
export function tlsVersion(name: string): SecureVersion {
  if (name === '1.2') return 'TLSv1.2'
  if (name === '1.3') return 'TLSv1.3'
  throw new TlsNameError(
    `TLS version "${name}" is not supported`,
    'write "1.2" or "1.3": HTTP/2 asks for at least 1.2',
  )
}

/**
 * Maps `cipher_suites`; an empty list gives the default.
 * @throws TlsNameError for a suite that is unknown or that HTTP/2 forbids (RFC 9113 Appendix A)
 */
export function tlsCiphers(names: readonly string[]): string {
  if (names.length === 0) return DEFAULT_CIPHERS
  const suites: string[] = []
  for (const name of names) {
    const suite = TLS12_SUITES[name]
    if (suite !== undefined) suites.push(suite)
    else if (!TLS13_SUITES.some((known) => known === name)) {
      throw new TlsNameError(
        `cipher suite "${name}" is unknown or forbidden for HTTP/2`,
        `choose from ${Object.keys(TLS12_SUITES).join(', ')}`,
      )
    }
  }
  return [...TLS13_SUITES, ...new Set(suites)].join(':')
}

/**
 * Maps `curve_preferences`; an empty list gives OpenSSL's own choice.
 * @throws TlsNameError for an unknown curve
 */
export function tlsCurves(names: readonly string[]): string {
  if (names.length === 0) return 'auto'
  return names
    .map((name) => {
      const curve = CURVES[name]
      if (curve !== undefined) return curve
      throw new TlsNameError(`curve "${name}" is unknown`, `choose from ${Object.keys(CURVES).join(', ')}`)
    })
    .join(':')
}

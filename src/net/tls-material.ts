/**
 * Certificates, keys and lists as octets into checked TLS material: either all of it fits together, or it is refused.
 * Floor 4; reads no file and keeps nothing. RFC 5280, RFC 7468.
 */
import { X509Certificate, constants, createHash, createPrivateKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { createSecureContext, getCACertificates } from 'node:tls'
import type { SecureContext, SecureContextOptions } from 'node:tls'
import type { FileContents } from './file-watch.ts'
import { errorCode } from './transport-error.ts'
import { TlsNameError, tlsCiphers, tlsCurves, tlsVersion } from './tls-names.ts'

/** The collector's configtls, as far as it concerns both sides. Null or empty: not set. */
export interface TlsOptions {
  readonly caFile?: string | null
  readonly caPem?: string | null
  readonly includeSystemCaCertsPool?: boolean
  readonly certFile?: string | null
  readonly certPem?: string | null
  readonly keyFile?: string | null
  readonly keyPem?: string | null
  readonly crlFile?: string | null
  /** `1.2` (default) or `1.3`. */
  readonly minVersion?: string | null
  readonly maxVersion?: string | null
  /** Go's names. */
  readonly cipherSuites?: readonly string[]
  readonly curvePreferences?: readonly string[]
}

/** Which side the material is for. On a server the bundle (`ca…`) is `client_ca_file`. */
export type TlsSide = 'server' | 'client'

/** One thing that is wrong, by the option's name in the configuration. */
export interface TlsProblem {
  readonly option: string
  readonly problem: string
  readonly remedy: string
}

/** TLS material that cannot be used; lists every problem. Never holds a key. */
export class TlsMaterialError extends Error {
  readonly problems: readonly TlsProblem[]
  constructor(problems: readonly TlsProblem[]) {
    super(problems.map(({ option, problem, remedy }) => `${option}: ${problem}; ${remedy}`).join(' · '))
    this.name = 'TlsMaterialError'
    this.problems = problems
  }
}

/** Whom we trust: what a peer's chain must end in, and what it must not contain. PEM, one block each. */
export interface TrustBundle {
  readonly certificates: readonly string[]
  readonly crls: readonly string[]
}

/** Material that fits together, as of one moment. Immutable. */
export interface TlsMaterial {
  /** For `tls.Server#setSecureContext`. */
  readonly contextOptions: SecureContextOptions
  /** The same, made: for `tls.connect`. */
  readonly context: SecureContext
  readonly trust: TrustBundle
  /** Changes when `trust` does. */
  readonly trustFingerprint: string
  /** base64url SHA-256 of our own leaf (RFC 8705 `x5t#S256`); null without a certificate. */
  readonly certificateSha256: string | null
  /** Unix ms; Infinity without a certificate. */
  readonly notAfterMs: number
  /** Unix ms; -Infinity without a certificate. */
  readonly notBeforeMs: number
  /** Unix ms at which the first certificate of the bundle expires; Infinity without a bundle. */
  readonly trustNotAfterMs: number
}

/** The files that `options` names, without repetition. */
export function tlsFiles(options: TlsOptions): string[] {
  const { caFile, certFile, keyFile, crlFile } = options
  return [...new Set([caFile, certFile, keyFile, crlFile].filter((path): path is string => Boolean(path)))]
}

/**
 * Makes the material from what the files hold.
 * @throws TlsMaterialError with every problem
 */
export function buildTlsMaterial(side: TlsSide, options: TlsOptions, files: FileContents): TlsMaterial {
  const reader = new MaterialReader(side, options, files)
  const identity = reader.identity()
  const trust = reader.trust()
  const versions = reader.versions()
  if (reader.problems.length > 0) throw new TlsMaterialError(reader.problems)
  const contextOptions: SecureContextOptions = {
    ...versions,
    ...(identity && { cert: identity.certPem, key: identity.keyPem }),
    // Always given: without it Node would trust every public CA, for clients of ours too.
    ca: [...trust.certificates],
    ...(trust.crls.length > 0 && { crl: [...trust.crls] }),
    honorCipherOrder: true,
    // No resumption: each connection shows its certificate anew. No renegotiation: an old denial of service.
    secureOptions:
      constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION,
    ...(side === 'server' && { sessionIdContext: 'authgw' }),
  }
  return {
    contextOptions,
    context: dryRun(contextOptions),
    trust,
    trustFingerprint: createHash('sha256')
      .update(trust.certificates.join('\0'))
      .update('\0crl\0')
      .update(trust.crls.join('\0'))
      .digest('base64'),
    certificateSha256: identity ? createHash('sha256').update(identity.leaf.raw).digest('base64url') : null,
    notAfterMs: identity ? identity.leaf.validToDate.getTime() : Infinity,
    notBeforeMs: identity ? identity.leaf.validFromDate.getTime() : -Infinity,
    trustNotAfterMs: reader.trustNotAfterMs,
  }
}

function dryRun(contextOptions: SecureContextOptions): SecureContext {
  try {
    return createSecureContext(contextOptions)
  } catch (error) {
    throw new TlsMaterialError([
      {
        option: contextOptions.crl === undefined ? 'tls' : 'crl_file',
        problem: `OpenSSL refuses the material: ${(error as Error).message}`,
        remedy: 'check that certificates, key and revocation list are PEM and belong together',
      },
    ])
  }
}

interface Identity {
  readonly leaf: X509Certificate
  readonly certPem: string
  readonly keyPem: string
}

/** Reads the parts and gathers what is wrong with them. */
class MaterialReader {
  readonly problems: TlsProblem[] = []
  trustNotAfterMs = Infinity
  readonly #side: TlsSide
  readonly #options: TlsOptions
  readonly #files: FileContents

  constructor(side: TlsSide, options: TlsOptions, files: FileContents) {
    this.#side = side
    this.#options = options
    this.#files = files
  }

  versions(): SecureContextOptions {
    const { minVersion, maxVersion, cipherSuites, curvePreferences } = this.#options
    const min = this.#named('min_version', () => tlsVersion(minVersion || '1.2'))
    const max = this.#named('max_version', () => tlsVersion(maxVersion || '1.3'))
    const ciphers = this.#named('cipher_suites', () => tlsCiphers(cipherSuites ?? []))
    const ecdhCurve = this.#named('curve_preferences', () => tlsCurves(curvePreferences ?? []))
    if (min === 'TLSv1.3' && max === 'TLSv1.2') {
      this.#complain('min_version', 'min_version is above max_version', 'leave max_version out')
    }
    return {
      minVersion: min ?? 'TLSv1.2',
      maxVersion: max ?? 'TLSv1.3',
      ciphers: ciphers!,
      ecdhCurve: ecdhCurve!,
    }
  }

  identity(): Identity | null {
    const certPem = this.#text('cert', this.#options.certFile, this.#options.certPem)
    const keyPem = this.#text('key', this.#options.keyFile, this.#options.keyPem)
    const hasCert = Boolean(this.#options.certFile || this.#options.certPem)
    const hasKey = Boolean(this.#options.keyFile || this.#options.keyPem)
    if (hasCert !== hasKey) {
      const missing = hasCert ? 'key_file' : 'cert_file'
      this.#complain(missing, 'a certificate and its key go together', `set ${missing} too, or neither`)
    } else if (!hasCert && this.#side === 'server') {
      this.#complain('cert_file', 'a TLS listener needs a certificate', 'set cert_file and key_file')
    }
    if (certPem === null || keyPem === null) return null
    const chain = this.#certificates('cert_file', certPem)
    const key = this.#privateKey(keyPem)
    if (chain === null || key === null) return null
    const leaf = chain[0]!
    if (!leaf.checkPrivateKey(key)) {
      const other = chain.some((certificate) => certificate.checkPrivateKey(key))
      this.#complain(
        'key_file',
        other
          ? 'the key belongs to a later certificate of cert_file'
          : 'the key does not belong to the certificate',
        other ? 'put the leaf first in cert_file' : 'use the key that the certificate was requested with',
      )
      return null
    }
    this.#checkChain(chain)
    return { leaf, certPem, keyPem }
  }

  trust(): TrustBundle {
    const option = this.#side === 'server' ? 'client_ca_file' : 'ca_file'
    const { caFile, caPem, crlFile, includeSystemCaCertsPool } = this.#options
    const bundle = this.#text(option, caFile, caPem)
    const own = bundle === null ? [] : (this.#certificates(option, bundle) ?? [])
    for (const { validToDate } of own)
      this.trustNotAfterMs = Math.min(this.trustNotAfterMs, validToDate.getTime())
    const isSystem = includeSystemCaCertsPool === true || (this.#side === 'client' && !caFile && !caPem)
    const certificates = [...own.map(String), ...(isSystem ? systemCertificates() : [])]
    const crlText = this.#text('crl_file', crlFile, null)
    const crls = crlText === null ? [] : pemBlocks(crlText, 'X509 CRL')
    if (crlText !== null && crls.length === 0) {
      this.#complain('crl_file', 'there is no revocation list in it', 'use PEM: -----BEGIN X509 CRL-----')
    }
    return { certificates, crls }
  }

  /** OpenSSL sends the chain as it stands: what no earlier certificate was issued by does not belong there. */
  #checkChain(chain: readonly X509Certificate[]): void {
    const stray = chain.findIndex(
      (certificate, at) => at > 0 && !chain.slice(0, at).some((earlier) => earlier.checkIssued(certificate)),
    )
    if (stray < 0) return
    this.#complain(
      'cert_file',
      `certificate ${stray + 1} has issued none of those before it`,
      'put the leaf first, then each issuer after what it has issued',
    )
  }

  #certificates(option: string, text: string): X509Certificate[] | null {
    const blocks = pemBlocks(text, 'CERTIFICATE')
    if (blocks.length === 0) {
      this.#complain(option, 'there is no certificate in it', 'use PEM: -----BEGIN CERTIFICATE-----')
      return null
    }
    const certificates: X509Certificate[] = []
    for (const [at, block] of blocks.entries()) {
      try {
        certificates.push(new X509Certificate(block))
      } catch {
        this.#complain(option, `certificate ${at + 1} of ${blocks.length} is damaged`, 'write the file again')
        return null
      }
    }
    return certificates
  }

  #privateKey(text: string): KeyObject | null {
    try {
      return createPrivateKey(text)
    } catch (error) {
      const isLocked = /ENCRYPTED/.test(text) || /passphrase/i.test((error as Error).message)
      this.#complain(
        'key_file',
        isLocked ? 'the key is encrypted' : 'there is no private key in it',
        isLocked
          ? 'store it unencrypted, readable by authgw alone'
          : 'name a PEM file with a PKCS#8 private key',
      )
      return null
    }
  }

  /** The text of an option that is a file or inline PEM; null when it is not set or cannot be read. */
  #text(name: string, file: string | null | undefined, pem: string | null | undefined): string | null {
    const option = name.endsWith('_file') ? name : `${name}_file`
    if (file && pem) {
      this.#complain(option, 'it is set both as a file and as PEM', 'keep one of the two')
      return null
    }
    if (!file) return pem || null
    const content = this.#files.get(file)
    if (content === undefined || content instanceof Error) {
      const code = errorCode(content) || 'not read'
      const isMissing = code === 'ENOENT'
      this.#complain(
        option,
        `"${file}" cannot be read (${code})`,
        isMissing ? 'make the file or correct the path' : 'let the user that runs authgw read it',
      )
      return null
    }
    return content.toString('latin1')
  }

  #named<T>(option: string, map: () => T): T | null {
    try {
      return map()
    } catch (error) {
      if (!(error instanceof TlsNameError)) throw error
      this.#complain(option, error.message.slice(0, -error.remedy.length - 2), error.remedy)
      return null
    }
  }

  #complain(option: string, problem: string, remedy: string): void {
    this.problems.push({ option, problem, remedy })
  }
}

/** The machine's trust store, as Go takes it; Mozilla's, which Node brings, where the machine has none. */
export function systemCertificates(): string[] {
  const system = getCACertificates('system')
  const certificates = system.length > 0 ? system : getCACertificates('bundled')
  return [...new Set([...certificates, ...getCACertificates('extra')])]
}

/** The blocks of one kind in a PEM text, in order, without what stands around them. @see RFC 7468 §2 */
export function pemBlocks(text: string, label: 'CERTIFICATE' | 'X509 CRL'): string[] {
  const pattern = new RegExp(`-----BEGIN ${label}-----[\\s\\S]*?-----END ${label}-----`, 'g')
  return [...text.matchAll(pattern)].map((match) => match[0])
}

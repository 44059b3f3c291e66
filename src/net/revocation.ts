/**
 * Revocation lists in PEM into the answer whether a certificate of a path is revoked, as OpenSSL would give it.
 * Floor 4; knows no socket and builds no path. Node offers no access to CRLs outside a handshake. RFC 5280 §5, §6.3.
 */
import { webcrypto } from 'node:crypto'
import type { X509Certificate } from 'node:crypto'
import type * as x509 from '@peculiar/x509'

/** What the lists say: null is good; `isDoubtful` when only a handshake of OpenSSL's can tell. */
export interface Objection {
  readonly reason: string
  readonly isDoubtful: boolean
}

/** Authority key identifier and CRL number change nothing in how a list is read. */
const PLAIN_EXTENSIONS = new Set(['2.5.29.35', '2.5.29.20'])

interface RevocationList {
  readonly issuer: string
  readonly thisUpdateMs: number
  readonly nextUpdateMs: number
  readonly serials: ReadonlySet<string>
  /** It has a critical extension that this code does not read: partitioned, indirect or delta lists. */
  readonly isSpecial: boolean
  readonly parsed: x509.X509Crl
}

/** The revocation lists of one trust bundle. Answers are kept by issuer: a list is verified once. */
export class RevocationLists {
  readonly #library: typeof x509
  readonly #lists: readonly RevocationList[]
  /** Verified lists by their issuer's fingerprint; null when there is none. */
  readonly #byIssuer = new Map<string, RevocationList | null>()

  /** @throws Error when a list is no CRL */
  constructor(library: typeof x509, pems: readonly string[]) {
    this.#library = library
    this.#lists = pems.map((pem) => readList(new library.X509Crl(pem)))
  }

  /** Whether any list is configured; without one nothing is checked. */
  get isEmpty(): boolean {
    return this.#lists.length === 0
  }

  /** Says what stands against `certificate`, which `issuer` has signed. With lists configured each issuer needs one. */
  async objectionTo(
    certificate: X509Certificate,
    issuer: X509Certificate,
    wallMs: number,
  ): Promise<Objection | null> {
    if (this.isEmpty) return null
    const list = await this.#listOf(issuer)
    if (list === null) return { reason: 'no revocation list covers its issuer', isDoubtful: false }
    if (list.isSpecial) return { reason: 'the revocation list is of a special kind', isDoubtful: true }
    if (list.nextUpdateMs < wallMs) return { reason: 'the revocation list has expired', isDoubtful: false }
    if (list.thisUpdateMs > wallMs)
      return { reason: 'the revocation list is not valid yet', isDoubtful: false }
    if (!list.serials.has(normalSerial(certificate.serialNumber))) return null
    return { reason: 'it is revoked', isDoubtful: false }
  }

  /** The newest list that `issuer` has really signed. */
  async #listOf(issuer: X509Certificate): Promise<RevocationList | null> {
    const key = issuer.fingerprint256
    const known = this.#byIssuer.get(key)
    if (known !== undefined) return known
    const parsed = new this.#library.X509Certificate(issuer.raw)
    const name = nameKey(parsed.subjectName)
    let newest: RevocationList | null = null
    for (const list of this.#lists) {
      if (list.issuer !== name || (newest !== null && newest.thisUpdateMs >= list.thisUpdateMs)) continue
      if (await isSignedBy(list.parsed, parsed)) newest = list
    }
    this.#byIssuer.set(key, newest)
    return newest
  }
}

async function isSignedBy(list: x509.X509Crl, issuer: x509.X509Certificate): Promise<boolean> {
  try {
    return await list.verify({ publicKey: issuer }, webcrypto)
  } catch {
    return false
  }
}

function readList(parsed: x509.X509Crl): RevocationList {
  return {
    issuer: nameKey(parsed.issuerName),
    thisUpdateMs: parsed.thisUpdate.getTime(),
    nextUpdateMs: parsed.nextUpdate?.getTime() ?? Infinity,
    serials: new Set(parsed.entries.map(({ serialNumber }) => normalSerial(serialNumber))),
    isSpecial: parsed.extensions.some(({ critical, type }) => critical && !PLAIN_EXTENSIONS.has(type)),
    parsed,
  }
}

function nameKey(name: x509.Name): string {
  return Buffer.from(name.toArrayBuffer()).toString('base64')
}

/** Hexadecimal without leading zeros: Node and the library differ in them. */
function normalSerial(hex: string): string {
  return hex.toLowerCase().replace(/^0+(?=.)/, '')
}

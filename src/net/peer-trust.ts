/**
 * A peer's certificates and a new trust bundle into the answer whether the peer would still be let in.
 * Floor 4; knows no socket. Node checks paths inside a handshake only, so live peers are judged here. RFC 5280 §6.
 */
import { X509Certificate } from 'node:crypto'
import type * as x509 from '@peculiar/x509'
import { RevocationLists } from './revocation.ts'
import type { Objection } from './revocation.ts'
import type { TrustBundle } from './tls-material.ts'

/** What to do with a peer: keep it; cut it; or let it come again, because only a handshake can tell. */
export type TrustVerdict = 'trusted' | 'untrusted' | 'doubtful'

/** A verdict and why. */
export interface TrustOpinion {
  readonly verdict: TrustVerdict
  /** For the log; empty when trusted. */
  readonly reason: string
}

const TRUSTED: TrustOpinion = { verdict: 'trusted', reason: '' }
/** As OpenSSL's default is far beyond, and real paths have three. */
const MAX_DEPTH = 8
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const ANY_USAGE = '2.5.29.37.0'
/** Critical extensions of a CA that are checked here: basic constraints, key usage, extended key usage. */
const READ_EXTENSIONS = new Set(['2.5.29.19', '2.5.29.15', '2.5.29.37'])

/** What is known of a CA beyond what Node says. */
interface CaFacts {
  /** CAs that may stand between it and the leaf; Infinity without a limit. */
  readonly pathLength: number
  /** Name constraints and whatever else this code does not read. */
  readonly isSpecial: boolean
}

/** Judges peers by one trust bundle. The ASN.1 library is loaded when the first is made: a change of trust is rare. */
export class PeerTrust {
  readonly #library: typeof x509
  readonly #anchors: readonly X509Certificate[]
  readonly #anchorPrints: ReadonlySet<string>
  readonly #revocation: RevocationLists
  readonly #facts = new Map<string, CaFacts>()

  private constructor(library: typeof x509, bundle: TrustBundle) {
    this.#library = library
    this.#anchors = bundle.certificates.map((pem) => new X509Certificate(pem))
    this.#anchorPrints = new Set(this.#anchors.map(({ fingerprint256 }) => fingerprint256))
    this.#revocation = new RevocationLists(library, bundle.crls)
  }

  /** Makes a judge. @throws Error when the bundle holds something that cannot be parsed */
  static async load(bundle: TrustBundle): Promise<PeerTrust> {
    await import('reflect-metadata')
    return new PeerTrust(await import('@peculiar/x509'), bundle)
  }

  /** @param chain DER certificates as the peer showed them, the leaf first */
  async judge(chain: readonly Buffer[], wallMs: number): Promise<TrustOpinion> {
    const [leaf, ...others] = chain.map((der) => new X509Certificate(der))
    if (leaf === undefined) return { verdict: 'untrusted', reason: 'it showed no certificate' }
    if (!allowsClientAuth(leaf)) return { verdict: 'untrusted', reason: 'it is not for clients' }
    const candidates = [...this.#anchors, ...others.filter(({ ca }) => ca)]
    let worst: Objection = { reason: 'no path leads to a trusted CA', isDoubtful: false }
    for (const path of this.#paths([leaf], candidates)) {
      const objection = await this.#objectionTo(path, wallMs)
      if (objection === null) return TRUSTED
      if (!worst.isDoubtful) worst = objection
    }
    return { verdict: worst.isDoubtful ? 'doubtful' : 'untrusted', reason: worst.reason }
  }

  /** All paths from a leaf to a self-signed certificate of the bundle, as OpenSSL builds them without partial chains. */
  *#paths(
    path: readonly X509Certificate[],
    candidates: readonly X509Certificate[],
  ): Generator<readonly X509Certificate[]> {
    const last = path.at(-1)!
    const isAnchor = this.#anchorPrints.has(last.fingerprint256)
    if (isAnchor && last.checkIssued(last) && last.verify(last.publicKey)) {
      yield path
      return
    }
    if (path.length > MAX_DEPTH) return
    for (const issuer of candidates) {
      if (path.some(({ fingerprint256 }) => fingerprint256 === issuer.fingerprint256)) continue
      if (last.checkIssued(issuer) && last.verify(issuer.publicKey)) {
        yield* this.#paths([...path, issuer], candidates)
      }
    }
  }

  async #objectionTo(path: readonly X509Certificate[], wallMs: number): Promise<Objection | null> {
    for (const [at, certificate] of path.entries()) {
      if (certificate.validToDate.getTime() < wallMs) return firm('it, or a CA above it, has expired')
      if (certificate.validFromDate.getTime() > wallMs) return firm('it, or a CA above it, is not valid yet')
      if (at > 0) {
        const objection = this.#objectionToCa(certificate, path.slice(1, at))
        if (objection !== null) return objection
      }
      const issuer = path[at + 1] ?? certificate
      const objection = await this.#revocation.objectionTo(certificate, issuer, wallMs)
      if (objection !== null) return objection
    }
    return null
  }

  /** @param below the CAs between it and the leaf */
  #objectionToCa(certificate: X509Certificate, below: readonly X509Certificate[]): Objection | null {
    if (!certificate.ca) return firm('a certificate above it is no CA')
    if (!allowsClientAuth(certificate)) return firm('a CA above it is not for clients')
    const { pathLength, isSpecial } = this.#factsOf(certificate)
    // Self-issued certificates do not count (RFC 5280 §4.2.1.9).
    if (below.filter(({ subject, issuer }) => subject !== issuer).length > pathLength) {
      return firm('a CA above it allows fewer CAs below it')
    }
    return isSpecial ? { reason: 'a CA above it constrains names', isDoubtful: true } : null
  }

  #factsOf(certificate: X509Certificate): CaFacts {
    const known = this.#facts.get(certificate.fingerprint256)
    if (known !== undefined) return known
    const parsed = new this.#library.X509Certificate(certificate.raw)
    const constraints = parsed.getExtension(this.#library.BasicConstraintsExtension)
    const facts = {
      pathLength: constraints?.pathLength ?? Infinity,
      isSpecial: parsed.extensions.some(({ critical, type }) => critical && !READ_EXTENSIONS.has(type)),
    }
    this.#facts.set(certificate.fingerprint256, facts)
    return facts
  }
}

/** Without the extension every use is allowed. @see RFC 5280 §4.2.1.12 */
function allowsClientAuth(certificate: X509Certificate): boolean {
  // Node calls the extended key usage so; its types do not know that it may be missing.
  const usages = certificate.keyUsage as readonly string[] | undefined
  return usages === undefined || usages.includes(CLIENT_AUTH) || usages.includes(ANY_USAGE)
}

function firm(reason: string): Objection {
  return { reason, isDoubtful: false }
}

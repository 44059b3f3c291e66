import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { issueCertificate, issueRevocationList } from '../../src/cli/certs/certificate.ts'
import type { CertificateRequest, IssuedCertificate, KeyKind } from '../../src/cli/certs/certificate.ts'
import { parseSubjectAltNames } from '../../src/cli/certs/subject-alt-name.ts'

/** Files of a certificate and its key, and both as PEM. */
export interface PkiPair extends IssuedCertificate {
  readonly certFile: string
  readonly keyFile: string
}

/** A certificate authority with its files, which issues further certificates into the same folder. */
export interface PkiAuthority extends PkiPair {
  /** Issues `name`.pem and `name`-key.pem. `san` as for `authgw certs --san`. Overwrites: this is how tests rotate. */
  issue(name: string, leaf: PkiLeaf): Promise<PkiPair>
  /** Writes `name`.crl.pem that revokes `pairs`; returns its path. */
  revoke(name: string, pairs: readonly IssuedCertificate[]): Promise<string>
}

/** What a test may want of a leaf. */
export interface PkiLeaf {
  readonly use: 'server' | 'client' | 'peer'
  readonly san?: string
  readonly commonName?: string
  readonly keyKind?: KeyKind
  readonly notBefore?: Date
  readonly notAfter?: Date
}

/** Names for the certificates of `makePki`. */
export interface PkiOptions {
  /** Default `DNS:localhost,IP:127.0.0.1,IP:::1`. */
  readonly serverSan?: string
  /** Default `URI:spiffe://example.org/workload,DNS:workload.example.org`. */
  readonly clientSan?: string
  /** Validity of the server's and client's certificate; default now − 5 min … + 1 year. */
  readonly notBefore?: Date
  readonly notAfter?: Date
}

/** A small public-key infrastructure in one folder. */
export interface Pki {
  readonly ca: PkiAuthority
  readonly server: PkiPair
  readonly client: PkiPair
  /** A client of the same names from a CA that nobody trusts. */
  readonly strangerCa: PkiAuthority
  readonly stranger: PkiPair
  /** Expired yesterday. */
  readonly expiredServer: PkiPair
  readonly expiredClient: PkiPair
  /** Valid from tomorrow. */
  readonly futureClient: PkiPair
  /** A private key that belongs to no certificate here. */
  readonly strayKeyFile: string
}

const SERVER_SAN = 'DNS:localhost,IP:127.0.0.1,IP:::1'
const CLIENT_SAN = 'URI:spiffe://example.org/workload,DNS:workload.example.org'
const DAY_MS = 86_400_000

/** Makes a CA in `folder` (made if missing) with files `name`.pem and `name`-key.pem. */
export async function makeAuthority(
  folder: string,
  name = 'ca',
  commonName = 'authgw test CA',
): Promise<PkiAuthority> {
  mkdirSync(folder, { recursive: true })
  const issued = await issueCertificate({ use: 'ca', subject: `CN=${commonName}` })
  return {
    ...writePair(folder, name, issued),
    issue: async (leafName, leaf) => writePair(folder, leafName, await issueLeaf(issued, leafName, leaf)),
    revoke: async (listName, pairs) => {
      const file = join(folder, `${listName}.crl.pem`)
      writeFileSync(file, await issueRevocationList(issued, pairs))
      return file
    },
  }
}

/** Makes every certificate that tests commonly need in `folder`; ECDSA P-256, some ten milliseconds. */
export async function makePki(folder: string, options: PkiOptions = {}): Promise<Pki> {
  const { notBefore, notAfter, serverSan = SERVER_SAN, clientSan = CLIENT_SAN } = options
  const validity = { ...(notBefore && { notBefore }), ...(notAfter && { notAfter }) }
  const past = { notBefore: new Date(Date.now() - 9 * DAY_MS), notAfter: new Date(Date.now() - DAY_MS) }
  const future = { notBefore: new Date(Date.now() + DAY_MS), notAfter: new Date(Date.now() + 9 * DAY_MS) }
  const ca = await makeAuthority(folder)
  const strangerCa = await makeAuthority(folder, 'stranger-ca', 'CA that nobody trusts')
  const stranger = await strangerCa.issue('stranger', { use: 'client', san: clientSan })
  const stray = await strangerCa.issue('stray', { use: 'client' })
  return {
    ca,
    server: await ca.issue('server', { use: 'server', san: serverSan, ...validity }),
    client: await ca.issue('client', { use: 'client', san: clientSan, ...validity }),
    strangerCa,
    stranger,
    expiredServer: await ca.issue('expired-server', { use: 'server', san: serverSan, ...past }),
    expiredClient: await ca.issue('expired-client', { use: 'client', san: clientSan, ...past }),
    futureClient: await ca.issue('future-client', { use: 'client', san: clientSan, ...future }),
    strayKeyFile: stray.keyFile,
  }
}

async function issueLeaf(issuer: IssuedCertificate, name: string, leaf: PkiLeaf): Promise<IssuedCertificate> {
  const request: CertificateRequest = {
    use: leaf.use,
    subject: `CN=${leaf.commonName ?? name}`,
    altNames: parseSubjectAltNames(leaf.san ?? ''),
    issuer,
    ...(leaf.keyKind && { keyKind: leaf.keyKind }),
    ...(leaf.notBefore && { notBefore: leaf.notBefore }),
    ...(leaf.notAfter && { notAfter: leaf.notAfter }),
  }
  return issueCertificate(request)
}

function writePair(folder: string, name: string, issued: IssuedCertificate): PkiPair {
  const certFile = join(folder, `${name}.pem`)
  const keyFile = join(folder, `${name}-key.pem`)
  writeFileSync(certFile, issued.certificatePem)
  writeFileSync(keyFile, issued.keyPem, { mode: 0o600 })
  return { ...issued, certFile, keyFile }
}

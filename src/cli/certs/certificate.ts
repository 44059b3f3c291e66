/**
 * A request for a certificate into a key pair and a signed X.509 certificate, as PEM.
 * Floor 8; for development and tests: reads and writes no file. RFC 5280 §4.2.
 */
import 'reflect-metadata'
import { KeyObject, createPrivateKey, randomBytes, webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import type { SubjectAltName } from './subject-alt-name.ts'

/** What a certificate is for: it decides the extensions. `peer` is a client and a server in one. */
export type CertificateUse = 'ca' | 'server' | 'client' | 'peer'

/** The kinds of key that can be made. */
export type KeyKind = 'ecdsa-p256' | 'ecdsa-p384' | 'rsa-2048' | 'rsa-3072' | 'rsa-4096' | 'ed25519'

/** A certificate and its private key, both PEM (the key PKCS #8). The key is a secret: files of it are 0600. */
export interface IssuedCertificate {
  readonly certificatePem: string
  readonly keyPem: string
  /** Serial number as lower-case hexadecimal, for revocation lists. */
  readonly serialNumber: string
}

/** What to issue. */
export interface CertificateRequest {
  readonly use: CertificateUse
  /** Distinguished name in RFC 4514 form, such as `CN=workload,O=authgw`. */
  readonly subject: string
  readonly altNames?: readonly SubjectAltName[]
  /** Who signs; the certificate is self-signed when left out. */
  readonly issuer?: IssuedCertificate
  /** Default ecdsa-p256: what every TLS 1.3 peer speaks, and the cheapest to sign with. */
  readonly keyKind?: KeyKind
  /** Default: five minutes ago, so that a peer whose clock is a little behind accepts it. */
  readonly notBefore?: Date
  /** Default: notBefore + 365 days, ten years for a CA. */
  readonly notAfter?: Date
}

const DAY_MS = 86_400_000
const BACKDATE_MS = 5 * 60_000
const CA_USAGES = (x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign) as x509.KeyUsageFlags
const LEAF_USAGES = x509.KeyUsageFlags.digitalSignature
/** cRLNumber, which every list must carry (RFC 5280 §5.2.3). */
const CRL_NUMBER_OID = '2.5.29.20'

const KEY_ALGORITHMS: Record<KeyKind, webcrypto.EcKeyGenParams | webcrypto.RsaHashedKeyGenParams> = {
  'ecdsa-p256': { name: 'ECDSA', namedCurve: 'P-256' },
  'ecdsa-p384': { name: 'ECDSA', namedCurve: 'P-384' },
  'rsa-2048': rsa(2048),
  'rsa-3072': rsa(3072),
  'rsa-4096': rsa(4096),
  ed25519: { name: 'Ed25519', namedCurve: 'Ed25519' },
}

function rsa(modulusLength: number): webcrypto.RsaHashedKeyGenParams {
  return {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength,
    publicExponent: new Uint8Array([1, 0, 1]),
  }
}

/** Makes a key pair and a certificate for it. */
export async function issueCertificate(request: CertificateRequest): Promise<IssuedCertificate> {
  const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHMS[request.keyKind ?? 'ecdsa-p256'], true, [
    'sign',
    'verify',
  ])
  const notBefore = request.notBefore ?? new Date(Date.now() - BACKDATE_MS)
  const lifeMs = (request.use === 'ca' ? 3650 : 365) * DAY_MS
  const issuer = request.issuer === undefined ? null : new x509.X509Certificate(request.issuer.certificatePem)
  const signingKey = request.issuer === undefined ? keys.privateKey : signingKeyOf(request.issuer.keyPem)
  const serialNumber = newSerialNumber()
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber,
    subject: request.subject,
    issuer: issuer?.subjectName ?? request.subject,
    notBefore,
    notAfter: request.notAfter ?? new Date(notBefore.getTime() + lifeMs),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: signingAlgorithmOf(signingKey),
    extensions: [
      ...extensionsFor(request),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer?.publicKey ?? keys.publicKey),
    ],
  })
  return {
    certificatePem: `${certificate.toString('pem')}\n`,
    keyPem: KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }),
    serialNumber,
  }
}

/** Makes a revocation list (RFC 5280 §5) of `issuer` that names `revoked`, valid from `thisUpdate` for 7 days. PEM. */
export async function issueRevocationList(
  issuer: IssuedCertificate,
  revoked: readonly IssuedCertificate[],
  thisUpdate: Date = new Date(Date.now() - BACKDATE_MS),
): Promise<string> {
  const signingKey = signingKeyOf(issuer.keyPem)
  const certificate = new x509.X509Certificate(issuer.certificatePem)
  const crl = await x509.X509CrlGenerator.create({
    issuer: certificate.subjectName,
    thisUpdate,
    nextUpdate: new Date(thisUpdate.getTime() + 7 * DAY_MS),
    entries: revoked.map(({ serialNumber }) => ({
      serialNumber,
      revocationDate: thisUpdate,
      reason: x509.X509CrlReason.keyCompromise,
    })),
    extensions: [
      await x509.AuthorityKeyIdentifierExtension.create(certificate.publicKey),
      new x509.Extension(CRL_NUMBER_OID, false, Buffer.from([2, 1, 1])),
    ],
    signingAlgorithm: signingAlgorithmOf(signingKey),
    signingKey,
  })
  return `${x509.PemConverter.encode(crl.rawData, 'X509 CRL')}\n`
}

function extensionsFor(request: CertificateRequest): x509.Extension[] {
  const isCa = request.use === 'ca'
  const extensions: x509.Extension[] = [
    new x509.BasicConstraintsExtension(isCa, undefined, true),
    new x509.KeyUsagesExtension(isCa ? CA_USAGES : LEAF_USAGES, true),
  ]
  if (!isCa) extensions.push(new x509.ExtendedKeyUsageExtension(extendedUsages(request.use)))
  const names = request.altNames ?? []
  if (names.length > 0) extensions.push(new x509.SubjectAlternativeNameExtension([...names]))
  return extensions
}

function extendedUsages(use: CertificateUse): x509.ExtendedKeyUsage[] {
  if (use === 'server') return [x509.ExtendedKeyUsage.serverAuth]
  if (use === 'client') return [x509.ExtendedKeyUsage.clientAuth]
  return [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]
}

/** Sixteen random octets, positive and never zero (RFC 5280 §4.1.2.2). */
function newSerialNumber(): string {
  const octets = randomBytes(16)
  octets[0] = (octets[0]! & 0x7f) | 0x40
  return octets.toString('hex')
}

function signingKeyOf(keyPem: string): webcrypto.CryptoKey {
  const key = createPrivateKey(keyPem)
  const algorithm =
    key.asymmetricKeyType === 'ec'
      ? {
          name: 'ECDSA',
          namedCurve: key.asymmetricKeyDetails?.namedCurve === 'secp384r1' ? 'P-384' : 'P-256',
        }
      : key.asymmetricKeyType === 'ed25519'
        ? { name: 'Ed25519' }
        : { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
  return key.toCryptoKey(algorithm, false, ['sign'])
}

function signingAlgorithmOf(key: webcrypto.CryptoKey): { name: string; hash: string } {
  const { name, namedCurve } = key.algorithm as webcrypto.EcKeyAlgorithm
  return { name, hash: namedCurve === 'P-384' ? 'SHA-384' : 'SHA-256' }
}

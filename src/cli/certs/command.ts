/**
 * `authgw certs ca | server | client | peer`: development certificates into a folder.
 * Floor 8; loaded only by this command, since the certificate library takes longer to load than a gateway to start.
 */
import { readFileSync } from 'node:fs'
import { EXIT, UsageError } from '../io.ts'
import type { CliIo } from '../io.ts'
import { issueCertificate } from './certificate.ts'
import type { CertificateUse, KeyKind } from './certificate.ts'
import { pairFiles, readAuthority, writePair } from './files.ts'
import { escapeName, parseCsrProfile } from './profile.ts'
import { SubjectAltNameError, parseSubjectAltNames } from './subject-alt-name.ts'
import type { SubjectAltName } from './subject-alt-name.ts'

/** Options of `authgw certs`. */
export interface CertsOptions {
  readonly out: string
  readonly name?: string
  readonly cn?: string
  readonly san?: readonly string[]
  readonly profile?: string
  readonly ca?: string
  readonly caKey?: string
  readonly days?: number
  readonly force?: boolean
}

const DAY_MS = 86_400_000
const BACKDATE_MS = 5 * 60_000

/** Names that a server certificate gets when none are asked for. */
const LOCAL_NAMES = 'DNS:localhost,IP:127.0.0.1,IP:::1'

/** Makes one certificate. @throws UsageError */
export async function runCerts(use: CertificateUse, options: CertsOptions, io: CliIo): Promise<number> {
  const name = options.name ?? use
  const { subject, altNames, keyKind, lifeMs } = wanted(use, name, options)
  const authority = use === 'ca' ? null : pairFiles(options.out, 'ca')
  const issuer =
    authority === null
      ? null
      : readAuthority(options.ca ?? authority.certFile, options.caKey ?? authority.keyFile)
  const notBefore = new Date(io.nowMs() - BACKDATE_MS)
  const issued = await issueCertificate({
    use,
    subject,
    altNames,
    keyKind,
    notBefore,
    ...(issuer && { issuer }),
    ...(lifeMs !== null && { notAfter: new Date(io.nowMs() + lifeMs) }),
  })
  const files = writePair(options.out, name, issued, options.force === true)
  const names = altNames.map(({ type, value }) => `${type}:${value}`).join(', ')
  io.out(`${files.certFile}  ${subject}${names === '' ? '' : `  ${names}`}\n`)
  io.out(`${files.keyFile}  private key, 0600\n`)
  return EXIT.ok
}

interface Wanted {
  readonly subject: string
  readonly altNames: readonly SubjectAltName[]
  readonly keyKind: KeyKind
  readonly lifeMs: number | null
}

function wanted(use: CertificateUse, name: string, options: CertsOptions): Wanted {
  const profile =
    options.profile === undefined ? null : parseCsrProfile(readProfile(options.profile), options.profile)
  const asked = options.san?.join(',') ?? (profile === null && use === 'server' ? LOCAL_NAMES : '')
  const days = options.days === undefined ? null : options.days * DAY_MS
  return {
    subject:
      options.cn === undefined && profile !== null ? profile.subject : `CN=${escapeName(options.cn ?? name)}`,
    altNames: asked === '' ? (profile?.altNames ?? []) : readNames(asked),
    keyKind: profile?.keyKind ?? 'ecdsa-p256',
    lifeMs: days ?? (use === 'ca' ? (profile?.lifeMs ?? null) : null),
  }
}

function readNames(list: string): SubjectAltName[] {
  try {
    return parseSubjectAltNames(list)
  } catch (error) {
    if (error instanceof SubjectAltNameError) throw new UsageError(error.message, 'see authgw certs --help')
    throw error
  }
}

function readProfile(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    throw new UsageError(`${file} cannot be read`, 'name a file such as certs/control-plane.csr.json')
  }
}

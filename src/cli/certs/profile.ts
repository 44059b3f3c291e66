/**
 * A certificate request profile in cfssl's JSON into what `issueCertificate` takes.
 * Floor 8; reads no file.
 * @see https://github.com/cloudflare/cfssl/blob/master/doc/cmd/cfssl.txt
 */
import { z } from 'zod'
import { UsageError } from '../io.ts'
import type { KeyKind } from './certificate.ts'
import { parseSubjectAltNames } from './subject-alt-name.ts'
import type { SubjectAltName } from './subject-alt-name.ts'

/** What a profile says. */
export interface CsrProfile {
  /** Distinguished name in RFC 4514 form. */
  readonly subject: string
  readonly altNames: readonly SubjectAltName[]
  readonly keyKind: KeyKind
  /** Life of a CA, in ms; null when the profile does not say. */
  readonly lifeMs: number | null
}

const PROFILE = z.object({
  CN: z.string().min(1),
  hosts: z.array(z.string()).default([]),
  key: z.object({ algo: z.enum(['ecdsa', 'rsa', 'ed25519']), size: z.number().optional() }).optional(),
  names: z.array(z.record(z.string(), z.string())).default([]),
  ca: z.object({ expiry: z.string().optional() }).optional(),
})

const KEY_KINDS: Readonly<Record<string, KeyKind>> = {
  'ecdsa-256': 'ecdsa-p256',
  'ecdsa-384': 'ecdsa-p384',
  'rsa-2048': 'rsa-2048',
  'rsa-3072': 'rsa-3072',
  'rsa-4096': 'rsa-4096',
  'ed25519-0': 'ed25519',
}

const NAME_ORDER = ['O', 'OU', 'L', 'ST', 'C']

/** Reads a profile. @throws UsageError naming the field that is wrong */
export function parseCsrProfile(text: string, file: string): CsrProfile {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new UsageError(`${file} is not JSON`, 'name a file such as certs/control-plane.csr.json')
  }
  const parsed = PROFILE.safeParse(json)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!
    throw new UsageError(
      `${file}: ${issue.path.join('.')}: ${issue.message}`,
      'see certs/README.md for the form',
    )
  }
  const { CN, hosts, key = { algo: 'ecdsa', size: 256 }, names, ca } = parsed.data
  const keyKind = KEY_KINDS[`${key.algo}-${key.size ?? 0}`]
  if (keyKind === undefined) {
    const remedy = 'write ecdsa 256 or 384, rsa 2048, 3072 or 4096, or ed25519'
    throw new UsageError(`${file}: a key of ${key.algo} ${key.size ?? ''} cannot be made`, remedy)
  }
  const hours = /^(\d+)h$/.exec(ca?.expiry ?? '')
  return {
    subject: [`CN=${escapeName(CN)}`, ...NAME_ORDER.flatMap((type) => namesOf(type, names))].join(','),
    altNames: parseSubjectAltNames(hosts.join(',')),
    keyKind,
    lifeMs: hours === null ? null : Number(hours[1]) * 3_600_000,
  }
}

function namesOf(type: string, names: readonly Readonly<Record<string, string>>[]): string[] {
  return names.flatMap((name) => (name[type] === undefined ? [] : [`${type}=${escapeName(name[type])}`]))
}

/** Escapes a value for a distinguished name (RFC 4514 §2.4). */
export function escapeName(value: string): string {
  return value.replaceAll(/[,+"\\<>;=#]/g, (special) => `\\${special}`)
}

/**
 * Turns the text of a JWK set (or of PEM public keys) into the keys that signatures may be verified with.
 * Floor 2; knows neither where the text came from nor when. RFC 7517 §5, RFC 7518 §6, RFC 7638, RFC 8037.
 */
import { createPublicKey } from 'node:crypto'
import { calculateJwkThumbprint, importJWK, type JWK } from 'jose'
import { isSignatureAlgorithm, type SignatureAlgorithm } from '../../base/index.ts'
import { isJsonObject, ownMember, type JsonObject } from '../jwt/strict-json.ts'

/** A key set larger than this is not read, in octets. Real ones are a few KiB; with certificate chains tens. */
export const MAX_KEY_SET_BYTES = 1_048_576
/** A key set with more keys is refused: providers publish fewer than ten. */
export const MAX_KEYS = 64
const MIN_RSA_BITS = 2_048
/** A larger modulus makes every verification slow. */
const MAX_RSA_BITS = 8_192

/** One public key, as plain JSON: it crosses a process boundary. Only members that a verification needs. */
export interface PublicKey {
  readonly kty: 'RSA' | 'EC' | 'OKP'
  /** null when the set names none. */
  readonly kid: string | null
  /** The only algorithm it may be used with; null for any that fits. */
  readonly alg: string | null
  readonly crv: string | null
  readonly n: string | null
  readonly e: string | null
  readonly x: string | null
  readonly y: string | null
  /** RFC 7638, SHA-256, base64url. */
  readonly thumbprint: string
}

/** What a document held. */
export interface KeyDocument {
  readonly keys: readonly PublicKey[]
  /** Why other keys were left out, such as `kid "a": holds a private key`; for the log. */
  readonly leftOut: readonly string[]
}

const ALGORITHM_BY_CURVE: Readonly<Record<string, readonly SignatureAlgorithm[]>> = {
  'P-256': ['ES256'],
  'P-384': ['ES384'],
  'P-521': ['ES512'],
  Ed25519: ['EdDSA', 'Ed25519'],
}
const RSA_ALGORITHMS: readonly SignatureAlgorithm[] = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

/** Reads a key set: JWK JSON whatever it was labelled, or PEM. A string says why the document as a whole is no use. */
export async function readKeyDocument(text: string): Promise<KeyDocument | string> {
  if (text.includes('-----BEGIN ')) return readJwks(jwksOfPem(text))
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return 'it is not JSON'
  }
  return readJwks(parsed)
}

/** Whether `key` may verify a signature made with `alg`: type, curve and its own `alg` all agree. */
export function fitsAlgorithm(key: PublicKey, alg: string): boolean {
  if (key.alg !== null && key.alg !== alg && !(isEdwards(key.alg) && isEdwards(alg))) return false
  return algorithmsOf(key).includes(alg as SignatureAlgorithm)
}

/** The key in the form that jose imports. */
export function toJwk(key: PublicKey): JWK {
  return key.kty === 'RSA'
    ? { kty: 'RSA', n: key.n!, e: key.e! }
    : { kty: key.kty, crv: key.crv!, x: key.x!, ...(key.y === null ? {} : { y: key.y }) }
}

async function readJwks(document: unknown): Promise<KeyDocument | string> {
  const members = isJsonObject(document) ? ownMember(document, 'keys') : undefined
  if (!Array.isArray(members)) return 'it has no array "keys"'
  if (members.length > MAX_KEYS) return `it holds ${members.length} keys; at most ${MAX_KEYS} are read`
  const keys: PublicKey[] = []
  const leftOut: string[] = []
  for (const member of members as unknown[]) {
    const key = isJsonObject(member) ? await readKey(member) : 'not an object'
    if (typeof key !== 'string') keys.push(key)
    else leftOut.push(`${nameOf(member)}: ${key}`)
  }
  return keys.length === 0
    ? `it holds no usable key${leftOut.length === 0 ? '' : ` (${leftOut.slice(0, 4).join('; ')})`}`
    : { keys, leftOut }
}

async function readKey(jwk: JsonObject): Promise<PublicKey | string> {
  const kty = ownMember(jwk, 'kty')
  if (kty === 'oct') return 'a symmetric key'
  if (kty !== 'RSA' && kty !== 'EC' && kty !== 'OKP') return 'an unknown kty'
  if (PRIVATE_MEMBERS.some((name) => ownMember(jwk, name) !== undefined)) return 'holds a private key'
  const use = ownMember(jwk, 'use')
  const operations = ownMember(jwk, 'key_ops')
  if (use !== undefined && use !== 'sig') return 'not for signatures (use)'
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify')))
    return 'not for signatures (key_ops)'
  const alg = ownMember(jwk, 'alg')
  if (alg !== undefined && !(typeof alg === 'string' && isSignatureAlgorithm(alg)))
    return 'an algorithm that is not accepted'
  const kid = textMember(jwk, 'kid')
  const key = {
    kty,
    kid,
    alg: alg ?? null,
    crv: textMember(jwk, 'crv'),
    n: textMember(jwk, 'n'),
    e: textMember(jwk, 'e'),
    x: textMember(jwk, 'x'),
    y: textMember(jwk, 'y'),
    thumbprint: '',
  } as const
  return checkKey(key)
}

/** Size, curve and, by importing it, that the numbers make a key at all. */
async function checkKey(key: PublicKey): Promise<PublicKey | string> {
  if (key.kty === 'RSA') {
    const bits = modulusBits(key.n ?? '')
    if (bits < MIN_RSA_BITS) return `RSA with ${bits} bits; at least ${MIN_RSA_BITS} are asked for`
    if (bits > MAX_RSA_BITS) return `RSA with ${bits} bits; at most ${MAX_RSA_BITS} are taken`
  }
  const [alg] = algorithmsOf(key)
  if (alg === undefined) return 'an unknown curve'
  if (key.alg !== null && !fitsAlgorithm(key, key.alg)) return `alg ${key.alg} does not fit the key`
  try {
    await importJWK(toJwk(key), alg)
    return { ...key, thumbprint: await calculateJwkThumbprint(toJwk(key)) }
  } catch {
    return 'members that make no key'
  }
}

function algorithmsOf(key: PublicKey): readonly SignatureAlgorithm[] {
  if (key.kty === 'RSA') return RSA_ALGORITHMS
  const isEdwardsKey = key.crv === 'Ed25519'
  if (key.crv === null || (key.kty === 'OKP') !== isEdwardsKey || !Object.hasOwn(ALGORITHM_BY_CURVE, key.crv))
    return []
  return ALGORITHM_BY_CURVE[key.crv]!
}

function isEdwards(alg: string): boolean {
  return alg === 'EdDSA' || alg === 'Ed25519'
}

function modulusBits(n: string): number {
  const bytes = Buffer.from(n, 'base64url')
  const first = bytes.findIndex((byte) => byte !== 0)
  return first < 0 ? 0 : (bytes.length - first) * 8 - (Math.clz32(bytes[first]!) - 24)
}

function textMember(jwk: JsonObject, name: string): string | null {
  const value = ownMember(jwk, name)
  return typeof value === 'string' && value.length <= 4_096 ? value : null
}

function nameOf(member: unknown): string {
  const kid = isJsonObject(member) ? textMember(member, 'kid') : null
  return kid === null ? 'a key without kid' : `kid ${JSON.stringify(kid.slice(0, 64))}`
}

/** Public keys and certificates in PEM as a key set without kids. A private key becomes one that is refused. */
function jwksOfPem(text: string): { keys: unknown[] } {
  const blocks = text.match(/-----BEGIN ([A-Z ]+)-----[\s\S]*?-----END \1-----/g) ?? []
  return {
    keys: blocks.map((block) => {
      if (block.includes('PRIVATE KEY')) return { kty: 'RSA', d: '' }
      try {
        return createPublicKey(block).export({ format: 'jwk' })
      } catch {
        return {}
      }
    }),
  }
}

/**
 * Turns the claims of a verified token into fields that tell the collector who it was.
 * Floor 2; the relay strips the callers' own fields of these names before it adds ours. auth.md §5.
 */
import type { ConfigFault } from '../base/index.ts'
import type { TokenClaims } from './jwt/claims.ts'
import { claimAt } from './policy/match.ts'

/** A claim that is told to the collector under a field name, in Envoy's words. */
export interface ClaimHeader {
  /** The field's name; lower-cased. */
  readonly headerName: string
  /** The claim's name or dotted path, such as `realm_access.roles`. */
  readonly claimName: string
}

/** The namespace that is authgw's: callers' fields in it are always stripped. */
export const RESERVED_PREFIX = 'x-authgw-'
/** Fields of that kind which are set by default; low in cardinality, so that they can become metric attributes. */
export const IDENTITY_FIELDS = {
  subject: 'x-authgw-subject',
  client: 'x-authgw-client',
  issuer: 'x-authgw-issuer',
} as const
/** Other names that are always stripped from callers: what proxies before us may say is not ours to vouch for. */
const ALWAYS_STRIPPED = new Set(['x-forwarded-client-cert'])
/** The longest value, in octets: servers take header lists of 8 KiB in all. */
const MAX_VALUE_BYTES = 2_048

const REFUSED_NAMES = new Set([
  'te',
  'content-type',
  'content-length',
  'content-encoding',
  'host',
  'authorization',
  'user-agent',
  // RFC 9113 §8.2.2 and RFC 9110 §7.6.1: connection-specific.
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'transfer-encoding',
  'upgrade',
  'trailer',
  'authgw-reason',
  'x-authgw-hop',
  ...ALWAYS_STRIPPED,
])

/** A name in the form in which names are compared: lower case, `_` as `-`, since servers behind us fold them. */
export function foldFieldName(name: string): string {
  return name.toLowerCase().replaceAll('_', '-')
}

/** Loads `claim_to_headers`; faults name the place in the configuration under `path`. */
export function checkClaimHeaders(headers: readonly ClaimHeader[], path: string): ConfigFault[] {
  const seen = new Set<string>()
  const faults: ConfigFault[] = []
  for (const [index, { headerName, claimName }] of headers.entries()) {
    const name = foldFieldName(headerName)
    const problem = seen.has(name) ? 'is named twice ("_" equals "-")' : nameProblem(headerName.toLowerCase())
    seen.add(name)
    if (problem !== null)
      faults.push({
        path: `${path}[${index}].header_name`,
        position: null,
        problem: `"${headerName}" ${problem}.`,
        remedy: 'Choose another name, such as x-tenant.',
      })
    if (claimName === '')
      faults.push({
        path: `${path}[${index}].claim_name`,
        position: null,
        problem: 'The claim has no name.',
        remedy: 'Write the name of a claim, such as client_id or realm_access.roles.',
      })
  }
  return faults
}

function nameProblem(name: string): string | null {
  if (name.startsWith(':')) return 'is a pseudo-header'
  if (!/^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name)) return 'is no field name'
  const folded = foldFieldName(name)
  if (folded.startsWith('grpc-')) return 'belongs to gRPC'
  if (REFUSED_NAMES.has(folded)) return 'has a meaning of its own'
  // gRPC takes -bin values for base64 (gRPC over HTTP/2, Custom-Metadata).
  return folded.endsWith('-bin') ? 'is for binary values' : null
}

/** Puts a verified caller's identity into fields, and knows which names callers may not send. */
export class IdentityFields {
  readonly #headers: readonly ClaimHeader[]
  readonly #reserved: ReadonlySet<string>

  /** @param headers checked by `checkClaimHeaders` */
  constructor(headers: readonly ClaimHeader[]) {
    this.#headers = headers.map(({ headerName, claimName }) => ({
      headerName: headerName.toLowerCase(),
      claimName,
    }))
    this.#reserved = new Set([
      ...ALWAYS_STRIPPED,
      ...headers.map(({ headerName }) => foldFieldName(headerName)),
    ])
  }

  /** The names to strip besides the `x-authgw-` namespace, folded. */
  get reservedNames(): ReadonlySet<string> {
    return this.#reserved
  }

  /** Whether a caller's field of this name must not reach the collector, the claim being there or not. */
  isReserved(name: string): boolean {
    const folded = foldFieldName(name)
    return folded.startsWith(RESERVED_PREFIX) || this.#reserved.has(folded)
  }

  /** The fields for a caller. `onTooLong` is told of a claim that does not fit and is left out. */
  fieldsFor(
    claims: TokenClaims,
    onTooLong: (claimName: string) => void = () => {},
  ): readonly (readonly [name: string, value: string])[] {
    const { subject, client, issuer } = claims.principal
    const values: [string, string, string | null][] = [
      [IDENTITY_FIELDS.subject, 'sub', encodeValue(subject)],
      [IDENTITY_FIELDS.client, 'client', encodeValue(client)],
      [IDENTITY_FIELDS.issuer, 'iss', encodeValue(issuer)],
    ]
    for (const { headerName, claimName } of this.#headers) {
      const folded = foldFieldName(headerName)
      const place = values.findIndex(([name]) => name === folded)
      const value: [string, string, string | null] = [
        headerName,
        claimName,
        fieldValue(claimAt(claims.all, claimName)),
      ]
      if (place < 0) values.push(value)
      else values[place] = value
    }
    const fields: (readonly [string, string])[] = []
    for (const [name, claimName, value] of values) {
      if (value === null || value === '') continue
      if (value.length > MAX_VALUE_BYTES) onTooLong(claimName)
      else fields.push([name, value])
    }
    return fields
  }
}

/** A claim as a field value: scalars as text, arrays of scalars joined by comma; null for what has no such form. */
export function fieldValue(claim: unknown): string | null {
  if (Array.isArray(claim)) {
    const parts = (claim as unknown[]).map((item) => scalarText(item))
    return parts.every((part) => part !== null)
      ? parts.map((part) => encodeValue(part).replaceAll(',', '%2C')).join(',')
      : null
  }
  const text = scalarText(claim)
  return text === null ? null : encodeValue(text)
}

function scalarText(value: unknown): string | null {
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : null
}

/**
 * Percent-encodes what a field value cannot carry safely: controls, non-ASCII (as UTF-8), spaces at either end, and
 * `%` itself, so that decoding gives back exactly the claim.
 */
function encodeValue(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(/[^\x20-\x7e]+|%|^ +| +$/gu, (part) =>
      [...Buffer.from(part)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
    )
}

const NO_CLAIM_HEADERS = new IdentityFields([])

/** Whether `name` is stripped from callers whatever is configured: `x-authgw-*` and `x-forwarded-client-cert`. */
export function isReservedFieldName(name: string): boolean {
  return NO_CLAIM_HEADERS.isReserved(name)
}

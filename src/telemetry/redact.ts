/**
 * Turns fields and texts that are about to be written down into ones without secrets: the second net.
 * Floor 5; the first net is that no room gives a secret to its log. Knows shapes of secrets, not their owners.
 * RFC 6750 §2.1 (Bearer), RFC 7515 §3.1 (compact JWS), RFC 6749 §2.3 and §4 (token requests), RFC 7468 §10 (PEM keys).
 */
import { FAULTS } from '../base/index.ts'

/** What stands in place of a secret. */
export const REDACTED = '[redacted]'

/** A text is cut here, in characters: a log line is for reading. */
const MAX_TEXT_LENGTH = 8192
/** Claims of a token that did not verify are cut here, in characters. */
const MAX_UNVERIFIED_LENGTH = 64
const MAX_DEPTH = 6
const MAX_MEMBERS = 64

/** The end of a key, in lower case without `-` and `_`, whose string value is a secret. */
const SECRET_KEY =
  /(?:authorization|cookie|passw(?:or)?d|passphrase|secret|token|assertion|privatekey|keypem|apikey|jwt|credential)s?$/

/** Whether a text is worth the patterns below: one pass, most lines stop here. */
const SUSPECT = /eyJ|eyA|ew[ok0]|bearer|basic|dpop|PRIVATE KEY|:\/\/|token|secret|passw|assertion/i

/** `{"`, `{ "`, or `{` and a line end, in base64url, and what follows with its further segments. */
const JWT = /(?:eyJ|eyA|ewo|ewk|ew0)[\w-]{8,}(?:\.[\w-]*){0,4}/g
const AUTH_SCHEME = /\b(bearer|basic|dpop)((?:\s|%20)+)([\w.~+/=-]{8,})/gi
/** From its first line on, whole or cut off; not the first line by itself, which remedies name. */
const PEM_KEY =
  /-----BEGIN [A-Z ]*PRIVATE KEY-----(?!\s*(?:$|[,;.)"'\]]))[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g
const URL_USERINFO = /:\/\/[^\s/?#@]+@/g
const SECRET_PARAMETER = new RegExp(
  String.raw`((?:client_secret|client_assertion|assertion|password|(?:access|refresh|id|subject|actor)_token)` +
    String.raw`(?:=|\\*["']\s*:\s*\\*["']))[^\s&"'\\,;}]+`,
  'gi',
)

/** Gives `text` with everything that looks like a credential replaced by `[redacted]`, cut at 8192 characters. */
export function redactText(text: string): string {
  const cut = text.length > MAX_TEXT_LENGTH ? text.slice(0, MAX_TEXT_LENGTH) : text
  const clean = SUSPECT.test(cut) ? redactSuspect(cut) : cut
  return cut === text ? clean : `${clean}… (${text.length - MAX_TEXT_LENGTH} characters more)`
}

function redactSuspect(text: string): string {
  return text
    .replace(PEM_KEY, REDACTED)
    .replace(JWT, REDACTED)
    .replace(AUTH_SCHEME, (whole, scheme: string, space: string, credentials: string) =>
      looksRandom(credentials) ? scheme + space + REDACTED : whole,
    )
    .replace(SECRET_PARAMETER, `$1${REDACTED}`)
    .replace(URL_USERINFO, `://${REDACTED}@`)
}

/** Tells `Bearer 8xLOxBtZp8` from "bearer authentication". */
function looksRandom(text: string): boolean {
  return text.length >= 20 || /[0-9A-Z=+/]/.test(text)
}

/** Whether a value under `key` is a secret, unless it is a number or a boolean. */
function isSecretKey(key: string): boolean {
  return SECRET_KEY.test(key.toLowerCase().replace(/[-_]/g, ''))
}

/** Gives a copy of `fields` that may be written down. Deep, bounded, and safe with cycles. */
export function redactFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return redactMembers(fields, 0)
}

function redactMembers(members: object, depth: number): Record<string, unknown> {
  const clean: Record<string, unknown> = {}
  let count = 0
  for (const [key, value] of Object.entries(members)) {
    if (value === undefined || typeof value === 'function') continue
    if (++count > MAX_MEMBERS) {
      clean['omitted'] = true
      break
    }
    clean[key] = redactMember(key, value, depth)
  }
  return clean
}

function redactMember(key: string, value: unknown, depth: number): unknown {
  if (isSecretKey(key) && !isHarmless(value)) return REDACTED
  if (typeof value === 'string' && key.startsWith('unverified_'))
    return redactText(value.slice(0, MAX_UNVERIFIED_LENGTH))
  return redactValue(value, depth)
}

/** Numbers and switches tell no secret, and a fault token is a name of ours. */
function isHarmless(value: unknown): boolean {
  if (typeof value === 'string') return value === '' || Object.hasOwn(FAULTS, value)
  return value === null || typeof value === 'number' || typeof value === 'boolean'
}

function redactValue(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'string':
      return redactText(value)
    case 'number':
      return Number.isFinite(value) ? value : String(value)
    case 'bigint':
      return value.toString()
    case 'symbol':
    case 'function':
      return `[${typeof value}]`
    case 'object':
      return value === null ? null : redactObject(value, depth)
    default:
      return value
  }
}

function redactObject(value: object, depth: number): unknown {
  if (value instanceof Error) return describeError(value, depth)
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'invalid date' : value.toISOString()
  if (value instanceof URL) return redactText(value.href)
  if (depth >= MAX_DEPTH) return '[deeper]'
  if (value instanceof Map || value instanceof Set) return `[${value.size} entries]`
  if (!Array.isArray(value)) return redactMembers(value, depth + 1)
  const items = value.slice(0, MAX_MEMBERS).map((item) => redactValue(item, depth + 1))
  return value.length > MAX_MEMBERS ? [...items, `(${value.length - MAX_MEMBERS} more)`] : items
}

/** Members of an error that name a cause without carrying a peer's bytes. */
const ERROR_MEMBERS = ['code', 'errno', 'syscall', 'address', 'port', 'hostname', 'status'] as const

/**
 * Gives what an operator may know of an error: its class, message, codes and causes.
 * Other members are left out (an HTTP library hangs whole responses there). The stack is kept for surprises only:
 * an error with a code is a failure that somebody foresaw, and so is what caused it.
 */
function describeError(error: Error, depth: number, isCauseForeseen = false): Record<string, unknown> {
  const described: Record<string, unknown> = { type: error.name, message: redactText(error.message) }
  for (const member of ERROR_MEMBERS) {
    const value: unknown = Reflect.get(error, member)
    if (typeof value === 'string') described[member] = redactText(value)
    else if (typeof value === 'number') described[member] = value
  }
  const { code } = described
  const isForeseen = code === undefined ? isCauseForeseen : code !== 'invariant'
  if (!isForeseen) described['stack'] = redactText(error.stack ?? '')
  if (depth >= MAX_DEPTH) return described
  if (error.cause instanceof Error) described['cause'] = describeError(error.cause, depth + 1, isForeseen)
  if (error instanceof AggregateError) {
    const errors: unknown[] = error.errors.filter((one) => one instanceof Error).slice(0, 8)
    described['errors'] = errors.map((one) => redactValue(one, depth + 1))
  }
  return described
}

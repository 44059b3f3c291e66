/**
 * The kinds of key that a configuration is made of, each a zod schema that reads one scalar or list and says,
 * when it cannot, what is wrong and what to write instead.
 * Floor 1; knows no particular key. Numbers and booleans may be strings: that is what `${env:NAME}` gives.
 */
import { z } from 'zod'
import { parseDuration } from './duration.ts'
import { parseEndpoint } from './endpoint.ts'
import type { Endpoint } from './endpoint.ts'
import { parseSize } from './size.ts'
import { closestWord } from './suggest.ts'

declare const UNIT: unique symbol
/** Milliseconds; Infinity for "never". Its key gets the suffix Ms. */
export type DurationMs = number & { readonly [UNIT]: 'ms' }
/** Bytes. Its key gets the suffix Bytes. */
export type ByteCount = number & { readonly [UNIT]: 'bytes' }

/** What a key takes, for messages, masking and the generated pages. */
export interface FieldMeta {
  /** The type as the generated page names it. */
  readonly type: string
  /** What to write, as in "write a duration such as 30s". */
  readonly expects: string
  readonly unit?: 'Ms' | 'Bytes'
  /** Never shown. */
  readonly isSecret?: boolean
  /** A path, relative to the folder of the file that names it, and what must be there. */
  readonly pathKind?: 'file' | 'secret' | 'folder'
  /** Accepted, so that a collector's block can be pasted, and without effect: the reason. */
  readonly noEffect?: string
  /** A value that is accepted, to go on checking with where a required one is missing. */
  readonly sample?: unknown
  /** What holds when the key is left out and no value of its own stands for that: for the generated page. */
  readonly fallback?: string
  /** What an editor may check, as JSON Schema. */
  readonly json?: Readonly<Record<string, unknown>>
}

/** What every leaf takes. */
export const FIELDS = z.registry<FieldMeta>()

/** A value that a key cannot have. */
export interface Rejection {
  readonly problem: string
  readonly remedy: string
}

const isRejection = (value: unknown): value is Rejection =>
  typeof value === 'object' && value !== null && 'problem' in value && 'remedy' in value

/** User name and password in something like a URL. */
const USERINFO = /\/\/[^\s/?#]*@/g

/** A value as a message may quote it: without the user name and password of a URL. */
export function quote(value: unknown): string {
  if (typeof value === 'string') {
    const shown = value.replaceAll(USERINFO, '//…@')
    return JSON.stringify(shown.length > 60 ? `${shown.slice(0, 60)}…` : shown)
  }
  if (value === null) return 'empty'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' ? 'a section' : JSON.stringify(value)
}

/** Makes a schema for one key from a function that reads its value. */
export function leaf<T>(description: string, meta: FieldMeta, read: (value: unknown) => T | Rejection) {
  const schema = z.any().transform((value: unknown, context): T => {
    const result =
      value === undefined
        ? { problem: 'is required and missing', remedy: `add it: ${meta.expects}` }
        : read(value)
    if (!isRejection(result)) return result
    context.addIssue({ code: 'custom', message: result.problem, params: { remedy: result.remedy } })
    return z.NEVER
  })
  const described = schema.describe(description)
  described.register(FIELDS, meta)
  return described
}

/** Makes a key optional that something else stands in for: `fallback` says what, in the words of the generated page. */
export function orElse<S extends z.ZodType>(schema: S, fallback: string): z.ZodOptional<S> {
  FIELDS.add(schema, { ...FIELDS.get(schema)!, fallback })
  return schema.optional()
}

const mismatch = (value: unknown, meta: FieldMeta): Rejection => ({
  problem: meta.isSecret === true ? `is not ${meta.type}` : `is ${quote(value)}, not ${meta.type}`,
  remedy: `write ${meta.expects}`,
})

/** A string. A bare number is refused, since YAML may have changed it (`0123`). */
export function text(description: string, more: Partial<FieldMeta> = {}) {
  const meta: FieldMeta = {
    type: 'a string',
    expects: 'a string',
    json: { type: 'string' },
    sample: 'sample',
    ...more,
  }
  return leaf<string>(description, meta, (value) => {
    if (typeof value === 'number' || typeof value === 'boolean') {
      return { problem: mismatch(value, meta).problem, remedy: 'put it in quotes' }
    }
    return typeof value === 'string' && value !== '' ? value : mismatch(value, meta)
  })
}

/** The path of a file, made absolute against the folder of the configuration file that names it. */
export function path(description: string, more: Partial<FieldMeta> = {}) {
  return text(description, { type: 'a path', expects: 'a path such as ca.pem', pathKind: 'file', ...more })
}

/** A string that is never shown. */
export function secret(description: string) {
  return text(description, { isSecret: true, expects: 'a string, better the …_file key beside it' })
}

/** An absolute URL with http or https. */
export function url(description: string) {
  const meta: FieldMeta = {
    type: 'a URL',
    expects: 'a URL such as https://keycloak.example.com/realms/opentelemetry',
    json: { type: 'string', format: 'uri' },
    sample: 'https://sample.invalid',
  }
  return leaf<string>(description, meta, (value) => {
    if (typeof value !== 'string' || !URL.canParse(value)) return mismatch(value, meta)
    const parsed = new URL(value)
    if (!/^https?:$/.test(parsed.protocol)) return mismatch(value, meta)
    if (parsed.username !== '' || parsed.password !== '') {
      return { problem: 'holds a user name or password', remedy: 'write the URL without it' }
    }
    return value
  })
}

/** true or false. */
export function flag(description: string, more: Partial<FieldMeta> = {}) {
  const meta: FieldMeta = {
    type: 'a boolean',
    expects: 'true or false',
    json: { type: 'boolean' },
    ...more,
  }
  return leaf<boolean>(description, meta, (value) => {
    if (value === 'true' || value === 'false') return value === 'true'
    return typeof value === 'boolean' ? value : mismatch(value, meta)
  })
}

/** A number between two bounds, whole unless said otherwise. */
export function count(description: string, min: number, max = Number.MAX_SAFE_INTEGER, isWhole = true) {
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`
  const meta: FieldMeta = {
    type: isWhole ? 'a whole number' : 'a number',
    expects: `${isWhole ? 'a whole number' : 'a number'} ${range}`,
    json: {
      type: isWhole ? 'integer' : 'number',
      minimum: min,
      ...(max < Number.MAX_SAFE_INTEGER && { maximum: max }),
    },
  }
  return leaf<number>(description, meta, (value) => readNumber(value, min, max, isWhole, meta))
}

function readNumber(value: unknown, min: number, max: number, isWhole: boolean, meta: FieldMeta) {
  const number = typeof value === 'string' && /^-?\d+(?:\.\d+)?$/.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isFinite(number)) return mismatch(value, meta)
  if (isWhole && !Number.isInteger(number)) return mismatch(value, meta)
  if (number < min || number > max) {
    return { problem: `is ${number}, out of range`, remedy: `write ${meta.expects}` }
  }
  return number
}

/** One of a few words. */
export function choice<const T extends string>(description: string, words: readonly T[]) {
  const meta: FieldMeta = {
    type: `one of ${words.join(', ')}`,
    expects: words.length === 1 ? words[0]! : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`,
    json: { enum: words },
  }
  return leaf<T>(description, meta, (value) => {
    const word = words.find((known) => known === String(value))
    if (word !== undefined) return word
    const meant = typeof value === 'string' ? closestWord(value, words) : null
    const { problem, remedy } = mismatch(value, meta)
    return { problem, remedy: meant === null ? remedy : `did you mean ${meant}?` }
  })
}

/** A duration in Go's words, at least `minMs` and at most `maxMs`. `zeroIsNever`: 0 means that it never happens. */
export function duration(
  description: string,
  bounds: { readonly minMs?: number; readonly maxMs?: number; readonly zeroIsNever?: boolean } = {},
) {
  const { minMs = 0, maxMs = 10 * 365 * 86_400_000, zeroIsNever = false } = bounds
  const meta: FieldMeta = {
    type: 'a duration',
    expects: zeroIsNever ? 'a duration such as 30s, or 0 for never' : 'a duration such as 30s, 5m or 1h30m',
    unit: 'Ms',
    json: { type: 'string', pattern: '^(0|([0-9.]+(ns|us|µs|ms|s|m|h))+)$' },
  }
  return leaf<DurationMs>(description, meta, (value) => {
    const ms = typeof value === 'string' ? parseDuration(value) : value === 0 ? 0 : null
    if (ms === null) {
      const isBareNumber = typeof value === 'number' || /^\d+$/.test(String(value))
      const { problem, remedy } = mismatch(value, meta)
      return { problem, remedy: isBareNumber ? `write its unit: ${String(value)}s` : remedy }
    }
    if (ms === 0 && zeroIsNever) return Infinity as DurationMs
    if (ms < minMs) return { problem: `is ${quote(value)}, too short`, remedy: `write at least ${minMs}ms` }
    if (ms > maxMs)
      return { problem: `is ${quote(value)}, too long`, remedy: `write at most ${maxMs / 1000}s` }
    return ms as DurationMs
  })
}

/** A number of bytes, with a unit or without. */
export function size(description: string, minBytes = 1, maxBytes = 2 ** 40) {
  const meta: FieldMeta = {
    type: 'a size',
    expects: 'a size such as 64KiB or 4MiB',
    unit: 'Bytes',
    json: { type: ['string', 'integer'] },
  }
  return leaf<ByteCount>(description, meta, (value) => readSize(value, minBytes, maxBytes, meta))
}

/** The most that a key in MiB takes: no gRPC message is longer than 2 GiB. */
const MAX_MIB = 2048

/** A number of mebibytes, as configgrpc's `max_recv_msg_size_mib`. */
export function mebibytes(description: string) {
  const meta: FieldMeta = {
    type: 'a number of MiB',
    expects: 'a whole number, without a unit: 4 is 4 MiB',
    unit: 'Bytes',
    json: { type: 'integer', minimum: 1 },
  }
  return leaf<ByteCount>(description, meta, (value) => {
    const mib = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
    if (typeof mib !== 'number' || !Number.isInteger(mib)) return mismatch(value, meta)
    if (mib < 1 || mib > MAX_MIB)
      return { problem: `is ${mib} MiB, out of range`, remedy: `write 1 to ${MAX_MIB}` }
    return (mib * 2 ** 20) as ByteCount
  })
}

function readSize(value: unknown, minBytes: number, maxBytes: number, meta: FieldMeta) {
  const bytes = typeof value === 'string' ? parseSize(value) : value
  if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0) return mismatch(value, meta)
  if (bytes < minBytes || bytes > maxBytes) {
    return { problem: `is ${bytes} bytes, out of range`, remedy: `write ${minBytes} to ${maxBytes} bytes` }
  }
  return bytes as ByteCount
}

/** Where to listen or dial. */
export function endpoint(description: string) {
  const meta: FieldMeta = {
    type: 'an endpoint',
    expects: 'an endpoint such as localhost:4317 or unix:///run/authgw/otlp.sock',
    json: { type: 'string' },
    sample: 'localhost:1',
  }
  return leaf<Endpoint>(description, meta, (value) =>
    typeof value === 'string' ? parseEndpoint(value) : mismatch(value, meta),
  )
}

/** A list of strings; one string alone or several with commas between are taken too, as the collector does. */
export function words<const T extends string = string>(
  description: string,
  known?: readonly T[],
  more: Partial<FieldMeta> = {},
) {
  const meta: FieldMeta = {
    type: known === undefined ? 'a list of strings' : `a list of ${known.join(', ')}`,
    expects: known === undefined ? 'a list such as [a, b]' : `a list out of ${known.join(', ')}`,
    json: { type: 'array', items: known === undefined ? { type: 'string' } : { enum: known } },
    sample: ['sample'],
    ...more,
  }
  return leaf<T[]>(description, meta, (value) => {
    const items = typeof value === 'string' ? value.split(',').map((item) => item.trim()) : value
    if (!Array.isArray(items) || items.length === 0) return mismatch(value, meta)
    const wrong = items.find(
      (item) =>
        typeof item !== 'string' || item === '' || (known !== undefined && !known.includes(item as T)),
    ) as unknown
    if (wrong === undefined) return items as T[]
    const meant = typeof wrong === 'string' && known !== undefined ? closestWord(wrong, known) : null
    return {
      problem: `holds ${quote(wrong)}`,
      remedy: meant === null ? `write ${meta.expects}` : `did you mean ${meant}?`,
    }
  })
}

/** Names out of a long list. */
export function names<const T extends string>(description: string, known: readonly T[]) {
  return words(`${description} One or more of ${known.join(', ')}.`, known, { type: 'a list of names' })
}

/** A map of strings to strings. */
export function textMap(description: string, more: Partial<FieldMeta> = {}) {
  const meta: FieldMeta = {
    type: 'a map of strings',
    expects: 'a map such as {name: value}',
    json: { type: 'object', additionalProperties: { type: 'string' } },
    ...more,
  }
  return leaf<Readonly<Record<string, string>>>(description, meta, (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return mismatch(value, meta)
    const wrong = Object.entries(value).find(([, item]) => typeof item !== 'string')
    if (wrong !== undefined) return { problem: `${wrong[0]} is not a string`, remedy: 'put it in quotes' }
    return value as Record<string, string>
  })
}

/** The names of weakening words beside it that are meant. */
export function unsafeAllow<const T extends string>(names: readonly T[]) {
  return words('Weakening words beside this one that are meant, each by its name.', names).optional()
}

/** A key of a collector's block that has no effect here, so that the block can be pasted. Gives a warning. */
export function withoutEffect(reason: string) {
  return leaf<unknown>(
    `Accepted without effect: ${reason}.`,
    { type: 'anything', expects: 'nothing', noEffect: reason },
    (value) => value,
  ).optional()
}

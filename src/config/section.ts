/**
 * A section of the configuration: keys in `snake_case` with their schemas in, an object in `camelCase` out,
 * with the unit in the name of every number: `clock_skew: 30s` is read as `clockSkewMs: 30000`.
 * Floor 1; knows no particular key.
 */
import { z } from 'zod'
import { FIELDS } from './fields.ts'
import type { ByteCount, DurationMs, FieldMeta } from './fields.ts'

type Camel<S extends string> = S extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<Camel<Tail>>}`
  : S
type WithoutSize<S extends string> = S extends `${infer Head}_${'size_mib' | 'size'}` ? Head : S
type Named<K, V> = K extends string
  ? NonNullable<V> extends DurationMs
    ? `${Camel<K>}Ms`
    : NonNullable<V> extends ByteCount
      ? `${Camel<WithoutSize<K>>}Bytes`
      : Camel<K>
  : never
type Plain<V> = V extends DurationMs | ByteCount ? number : V
/** A section as the program reads it. */
export type Renamed<T> = { readonly [K in keyof T as Named<K, T[K]>]: Plain<T[K]> }

/** Makes a section. `source`: whose words these are, for the generated page; sections within inherit it. */
export function section<S extends z.core.$ZodLooseShape>(description: string, shape: S, source?: string) {
  const names = new Map(
    Object.keys(shape).map((key) => [key, renamedKey(key, shape[key] as z.core.$ZodType)]),
  )
  const schema = z
    .strictObject(shape)
    .transform((value): Renamed<z.output<z.ZodObject<S, z.core.$strict>>> => {
      const renamed: Record<string, unknown> = {}
      for (const [key, inner] of Object.entries(value)) renamed[names.get(key)!] = inner
      return renamed as never
    })
    .describe(description)
  if (source !== undefined) SOURCES.set(schema, source)
  return schema
}

/** Whose words the keys of a section are. */
export const SOURCES = new WeakMap<z.core.$ZodType, string>()

function renamedKey(key: string, schema: z.core.$ZodType): string {
  const unit = leafMeta(schema)?.unit
  const bare = unit === 'Bytes' ? key.replace(/_(?:size_mib|size)$/, '') : key
  return bare.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()) + (unit ?? '')
}

/** A schema under its wrappers: what it is made of, and what is known of it. */
export interface Shape {
  readonly kind: 'section' | 'list' | 'leaf'
  /** Keys of a section. */
  readonly keys: Readonly<Record<string, z.core.$ZodType>>
  /** Schema of a list's items. */
  readonly item: z.core.$ZodType | null
  readonly meta: FieldMeta | null
  readonly description: string
  readonly source: string | null
  /** As the operator would write it; undefined without one. */
  readonly defaultValue: unknown
  readonly isOptional: boolean
}

/** Looks under the wrappers of `schema` (optional, default, transform). */
export function shapeOf(schema: z.core.$ZodType): Shape {
  let current: z.core.$ZodType = schema
  let meta: FieldMeta | null = null
  let description = ''
  let source: string | null = null
  let defaultValue: unknown
  let isOptional = false
  for (;;) {
    meta ??= FIELDS.get(current) ?? null
    description ||= z.globalRegistry.get(current)?.description ?? ''
    source ??= SOURCES.get(current) ?? null
    const { def } = current._zod as unknown as { def: Definition }
    if (def.type === 'optional' || def.type === 'prefault') {
      if (def.type === 'optional') isOptional = true
      else defaultValue = def.defaultValue
      current = def.innerType!
    } else if (def.type === 'pipe') {
      current = def.in!
    } else {
      const kind = def.type === 'object' ? 'section' : def.type === 'array' ? 'list' : 'leaf'
      const found = {
        kind,
        keys: def.shape ?? {},
        item: def.element ?? null,
        meta,
        description,
        source,
      } as const
      return { ...found, defaultValue, isOptional }
    }
  }
}

interface Definition {
  readonly type: string
  readonly innerType?: z.core.$ZodType
  readonly in?: z.core.$ZodType
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>
  readonly element?: z.core.$ZodType
  readonly defaultValue?: unknown
}

function leafMeta(schema: z.core.$ZodType): FieldMeta | null {
  return shapeOf(schema).meta
}

/**
 * The static table, as fields that the whole process shares.
 * Floor 1; knows no rule of HTTP.
 * @see RFC 7541 Appendix A
 */
import { HeaderField } from './field.ts'

/** HeaderField.tableId of a field that equals a static entry; its tableIndex then is that entry's index. */
export const STATIC_TABLE_ID = -1
/** Entries of the static table, whose indices are 1 to 61; the dynamic table begins after them. */
export const STATIC_TABLE_LENGTH = 61

// prettier-ignore
const ENTRIES = [
  ':authority', ':method=GET', ':method=POST', ':path=/', ':path=/index.html', ':scheme=http', ':scheme=https',
  ':status=200', ':status=204', ':status=206', ':status=304', ':status=400', ':status=404', ':status=500',
  'accept-charset', 'accept-encoding=gzip, deflate', 'accept-language', 'accept-ranges', 'accept',
  'access-control-allow-origin', 'age', 'allow', 'authorization', 'cache-control', 'content-disposition',
  'content-encoding', 'content-language', 'content-length', 'content-location', 'content-range', 'content-type',
  'cookie', 'date', 'etag', 'expect', 'expires', 'from', 'host', 'if-match', 'if-modified-since', 'if-none-match',
  'if-range', 'if-unmodified-since', 'last-modified', 'link', 'location', 'max-forwards', 'proxy-authenticate',
  'proxy-authorization', 'range', 'referer', 'refresh', 'retry-after', 'server', 'set-cookie',
  'strict-transport-security', 'transfer-encoding', 'user-agent', 'vary', 'via', 'www-authenticate',
]

/** The entries by their index; 0, which no entry has, holds a field without name or value. */
export const STATIC_FIELDS: readonly HeaderField[] = ['', ...ENTRIES].map((entry, index) => {
  const [name, value = ''] = entry.split('=')
  const field = new HeaderField(name!, value)
  field.tableId = index === 0 ? 0 : STATIC_TABLE_ID
  field.tableIndex = index
  return field
})

const FIRST_INDICES: ReadonlyMap<string, number> = firstIndices()

function firstIndices(): Map<string, number> {
  const first = new Map<string, number>()
  for (let index = STATIC_TABLE_LENGTH; index > 0; index--) first.set(STATIC_FIELDS[index]!.name, index)
  return first
}

/** The first static index with this name, or 0. */
export function staticNameIndex(name: string): number {
  return FIRST_INDICES.get(name) ?? 0
}

/** The static index with this name and value, or 0. Entries of one name stand together. */
export function staticFieldIndex(name: string, value: string): number {
  let index = staticNameIndex(name)
  if (index === 0) return 0
  for (; index <= STATIC_TABLE_LENGTH && STATIC_FIELDS[index]!.name === name; index++) {
    if (STATIC_FIELDS[index]!.value === value) return index
  }
  return 0
}

/**
 * Turns the octets of a JWT segment into a JSON object, and refuses what two parsers could read differently.
 * Floor 2; knows no claim. RFC 8259, RFC 7515 §4 (duplicate names), RFC 8725 §2.4.
 */

/** A JSON object as a caller sent it. Members are read with `ownMember`, so that `__proto__` is a name like any other. */
export type JsonObject = Readonly<Record<string, unknown>>

/** The deepest nesting of a segment, the outer object counted; nobody's claims need more, and readers recurse. */
export const MAX_JSON_DEPTH = 8

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const COMMA = 0x2c

// A byte order mark is kept, so that JSON.parse refuses it (RFC 8259 §8.1).
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Parses one JSON object. Null for anything else: octets that are not UTF-8, text that is not JSON, another
 * type, a member name that occurs twice, nesting deeper than `MAX_JSON_DEPTH`.
 */
export function parseStrictObject(bytes: Uint8Array): JsonObject | null {
  let text: string
  let parsed: unknown
  try {
    text = strictUtf8.decode(bytes)
    parsed = JSON.parse(text)
  } catch {
    return null
  }
  if (!isJsonObject(parsed) || !isUnambiguous(text)) return null
  return parsed
}

/** Whether `value` is a JSON object: not null, not an array. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The member `name` of `object` itself, never of its prototype; undefined when absent. */
export function ownMember(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined
}

/** Whether valid JSON `text` names no member twice in one object and nests at most `MAX_JSON_DEPTH` deep. */
function isUnambiguous(text: string): boolean {
  /** The names seen in each open object; null for an open array. */
  const open: (Set<string> | null)[] = []
  let expectsName = false
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case OPEN_BRACE:
        open.push(new Set())
        expectsName = true
        break
      case OPEN_BRACKET:
        open.push(null)
        expectsName = false
        break
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        open.pop()
        expectsName = false
        break
      case COMMA:
        expectsName = open.at(-1) !== null
        break
      case QUOTE: {
        const end = endOfString(text, at)
        if (expectsName && !addName(open.at(-1)!, text.slice(at, end + 1))) return false
        expectsName = false
        at = end
        break
      }
      default:
    }
    if (open.length > MAX_JSON_DEPTH) return false
  }
  return true
}

/** The index of the quote that closes the string which opens at `at`. The text is known to be valid JSON. */
function endOfString(text: string, at: number): number {
  let end = at + 1
  while (text.charCodeAt(end) !== QUOTE) end += text.charCodeAt(end) === BACKSLASH ? 2 : 1
  return end
}

/** Adds the name that `quoted` spells, escapes resolved: `"a"` and `"\u0061"` are the same. False when it is there. */
function addName(names: Set<string> | null, quoted: string): boolean {
  const name = quoted.includes('\\') ? (JSON.parse(quoted) as string) : quoted.slice(1, -1)
  if (names === null || names.has(name)) return false
  names.add(name)
  return true
}

import { isDeepStrictEqual } from 'node:util'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { bearerToken, parseToken } from '../../src/auth/jwt/extract.ts'
import { MAX_JSON_DEPTH, parseStrictObject } from '../../src/auth/jwt/strict-json.ts'
import { REFUSAL_REASONS } from '../../src/auth/index.ts'

const RUNS = { numRuns: 5_000 }

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depthOf))
}

test('every object that a serializer writes is read back, unless it nests too deep', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (object) => {
      const text = JSON.stringify(object)
      const parsed = parseStrictObject(Buffer.from(text))
      if (depthOf(object) > MAX_JSON_DEPTH) expect(parsed).toBeNull()
      else expect(parsed).toEqual(JSON.parse(text))
    }),
    RUNS,
  )
})

test('an object with a member twice is refused, wherever it is and however its name is escaped', () => {
  const escaped = (name: string): string =>
    `"${[...Array(name.length).keys()].map((i) => `\\u${name.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')}"`
  fc.assert(
    fc.property(
      fc.string(),
      fc.jsonValue({ maxDepth: 2 }),
      fc.boolean(),
      fc.boolean(),
      (name, value, isInner, isEscaped) => {
        const first = JSON.stringify(name)
        const json = JSON.stringify(value)
        const twice = `{${first}:${json},${isEscaped ? escaped(name) : first}:${json}}`
        expect(parseStrictObject(Buffer.from(isInner ? `{"a":[1,${twice}]}` : twice))).toBeNull()
      },
    ),
    RUNS,
  )
})

test('no octets are read as anything but what JSON.parse reads', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const parsed = parseStrictObject(bytes)
      expect(parsed === null || isDeepStrictEqual(parsed, JSON.parse(Buffer.from(bytes).toString()))).toBe(
        true,
      )
    }),
    RUNS,
  )
})

test('no text makes the reader of tokens throw', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const parsed = parseToken(bearerToken(text) ?? text)
      expect(typeof parsed === 'string' ? Object.keys(REFUSAL_REASONS) : [parsed]).toContain(parsed)
    }),
    RUNS,
  )
})

test('no header and no payload make the reader throw', () => {
  const part = fc.oneof(fc.json(), fc.string()).map((text) => Buffer.from(text).toString('base64url'))
  fc.assert(
    fc.property(part, part, (header, payload) => {
      const parsed = parseToken(`${header}.${payload}.c2ln`)
      if (typeof parsed === 'string') expect(Object.keys(REFUSAL_REASONS)).toContain(parsed)
      else expect(typeof parsed.header.alg).toBe('string')
    }),
    RUNS,
  )
})

import { generateKeyPairSync } from 'node:crypto'
import { exportJWK, generateKeyPair, type JWK } from 'jose'
import { expect, test } from 'vitest'
import { findKeys, ImportedKeys } from '../../../src/auth/jwks/cache.ts'
import { fitsAlgorithm, readKeyDocument, type KeyDocument } from '../../../src/auth/jwks/document.ts'

const publicJwk = async (alg: string): Promise<JWK> => exportJWK((await generateKeyPair(alg)).publicKey)
const [rsa, ec, ed] = await Promise.all([publicJwk('RS256'), publicJwk('ES256'), publicJwk('EdDSA')])
const read = (document: unknown) => readKeyDocument(JSON.stringify(document))
const keysOf = async (...keys: unknown[]): Promise<KeyDocument> => (await read({ keys })) as KeyDocument

test('RSA, EC and Ed25519 keys are read, with the members that a verification needs and no other', async () => {
  const { keys, leftOut } = await keysOf(
    { ...rsa, kid: 'r', alg: 'RS256', use: 'sig', x5c: ['MIIB'], custom: 1 },
    { ...ec, kid: 'e' },
    { ...ed, kid: 'd', key_ops: ['verify'] },
  )
  expect(leftOut).toEqual([])
  expect(keys.map(({ kid, kty, alg, crv }) => [kid, kty, alg, crv])).toEqual([
    ['r', 'RSA', 'RS256', null],
    ['e', 'EC', null, 'P-256'],
    ['d', 'OKP', null, 'Ed25519'],
  ])
  expect(JSON.parse(JSON.stringify(keys))).toEqual(keys)
  expect(keys[0]).not.toHaveProperty('x5c')
  expect(new Set(keys.map((key) => key.thumbprint)).size).toBe(3)
})

const small = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' })

test.each<[string, unknown, string]>([
  ['a symmetric key', { kty: 'oct', k: 'c2VjcmV0', kid: 'x' }, 'kid "x": a symmetric key'],
  ['a private RSA key', { ...rsa, d: 'AQAB', kid: 'x' }, 'kid "x": holds a private key'],
  ['one private prime', { ...rsa, p: 'AQAB', kid: 'x' }, 'kid "x": holds a private key'],
  ['a private EC key', { ...ec, d: 'AQAB', kid: 'x' }, 'kid "x": holds a private key'],
  ['a key for encryption', { ...rsa, use: 'enc', kid: 'x' }, 'kid "x": not for signatures (use)'],
  ['a key that only signs', { ...rsa, key_ops: ['sign'], kid: 'x' }, 'kid "x": not for signatures (key_ops)'],
  [
    'key_ops that are no list',
    { ...rsa, key_ops: 'verify', kid: 'x' },
    'kid "x": not for signatures (key_ops)',
  ],
  ['a key for HS256', { ...rsa, alg: 'HS256', kid: 'x' }, 'kid "x": an algorithm that is not accepted'],
  ['a key for RSA-OAEP', { ...rsa, alg: 'RSA-OAEP', kid: 'x' }, 'kid "x": an algorithm that is not accepted'],
  ['an EC key for RS256', { ...ec, alg: 'RS256', kid: 'x' }, 'kid "x": alg RS256 does not fit the key'],
  ['RSA of 1024 bits', { ...small, kid: 'x' }, 'kid "x": RSA with 1024 bits; at least 2048 are asked for'],
  [
    'RSA without a modulus',
    { kty: 'RSA', e: 'AQAB', kid: 'x' },
    'kid "x": RSA with 0 bits; at least 2048 are asked for',
  ],
  [
    'RSA of 16384 bits',
    { ...rsa, n: Buffer.alloc(2048, 0xff).toString('base64url') },
    'a key without kid: RSA with 16384 bits; at most 8192 are taken',
  ],
  ['RSA without an exponent', { ...rsa, e: undefined, kid: 'x' }, 'kid "x": members that make no key'],
  ['a point that is not on the curve', { ...ec, y: ec.x, kid: 'x' }, 'kid "x": members that make no key'],
  ['secp256k1', { ...ec, crv: 'secp256k1', kid: 'x' }, 'kid "x": an unknown curve'],
  ['X25519', { ...ed, crv: 'X25519', kid: 'x' }, 'kid "x": an unknown curve'],
  ['a curve of another type', { ...ec, crv: 'Ed25519', kid: 'x' }, 'kid "x": an unknown curve'],
  [
    'a curve named after a member of every object',
    { ...ec, crv: 'constructor', kid: 'x' },
    'kid "x": an unknown curve',
  ],
  ['an unknown kty', { kty: 'AKP', kid: 'x' }, 'kid "x": an unknown kty'],
  ['no object', 'key', 'a key without kid: not an object'],
])('%s is left out, and the others stay', async (_what, key, complaint) => {
  const document = await keysOf(key, { ...ec, kid: 'good' })
  expect(document.leftOut).toEqual([complaint])
  expect(document.keys.map(({ kid }) => kid)).toEqual(['good'])
  expect(await read({ keys: [key] })).toBe(`it holds no usable key (${complaint})`)
})

test.each<[string, string, string]>([
  ['HTML', '<!doctype html><html></html>', 'it is not JSON'],
  ['an empty body', '', 'it is not JSON'],
  ['an array', '[]', 'it has no array "keys"'],
  ['an error object', '{"error":"x"}', 'it has no array "keys"'],
  ['keys that are no array', '{"keys":{}}', 'it has no array "keys"'],
  ['no keys', '{"keys":[]}', 'it holds no usable key'],
  [
    '65 keys',
    JSON.stringify({ keys: Array.from({ length: 65 }, () => ec) }),
    'it holds 65 keys; at most 64 are read',
  ],
])('%s is no key set', async (_what, text, complaint) => {
  expect(await readKeyDocument(text)).toBe(complaint)
})

test('64 keys are a key set', async () => {
  const document = await keysOf(...Array.from({ length: 64 }, (_, i) => ({ ...ec, kid: `k${i}` })))
  expect(document.keys).toHaveLength(64)
})

test('PEM public keys become a set without kids; a private key is refused', async () => {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const pem = pair.publicKey.export({ type: 'spki', format: 'pem' })
  const secret = pair.privateKey.export({ type: 'pkcs8', format: 'pem' })
  const document = (await readKeyDocument(`${pem}\n${pem.replace('MF', 'AA')}`)) as KeyDocument
  expect(document.keys.map(({ kid, kty }) => [kid, kty])).toEqual([[null, 'EC']])
  expect(document.leftOut).toEqual(['a key without kid: an unknown kty'])
  expect(await readKeyDocument(secret)).toContain('holds a private key')
})

test('a key fits an algorithm by type, curve and its own alg', async () => {
  const { keys } = await keysOf({ ...rsa, alg: 'RS256' }, rsa, ec, ed, { ...ed, alg: 'EdDSA' })
  const fits = (alg: string) => keys.map((key) => fitsAlgorithm(key, alg))
  expect(fits('RS256')).toEqual([true, true, false, false, false])
  expect(fits('PS512')).toEqual([false, true, false, false, false])
  expect(fits('ES256')).toEqual([false, false, true, false, false])
  expect(fits('ES384')).toEqual([false, false, false, false, false])
  expect(fits('EdDSA')).toEqual([false, false, false, true, true])
  expect(fits('Ed25519')).toEqual([false, false, false, true, true])
})

test('keys are found by kid and algorithm; a set that names no kid is tried key by key', async () => {
  const named = (await keysOf({ ...rsa, kid: 'a' }, { ...ec, kid: 'a' }, { ...ed, kid: 'b' }, rsa)).keys
  expect(findKeys(named, 'a', 'ES256')).toEqual([named[1]])
  expect(findKeys(named, 'a', 'RS256')).toEqual([named[0]])
  expect(findKeys(named, 'b', 'RS256')).toBe('unusable')
  expect(findKeys(named, 'c', 'RS256')).toBe('unknown')
  expect(findKeys(named, null, 'ES256')).toEqual([named[1]])
  expect(findKeys(named, null, 'RS256')).toBe('unusable')
  expect(findKeys([], 'a', 'RS256')).toBe('no_keys')
  const nameless = (await keysOf(rsa, ec, ...Array.from({ length: 6 }, () => rsa))).keys
  expect(findKeys(nameless, 'whatever', 'ES256')).toEqual([nameless[1]])
  expect(findKeys(nameless, 'whatever', 'RS256')).toHaveLength(4)
  expect(findKeys(nameless, null, 'EdDSA')).toBe('unusable')
})

test('a key is imported once for an algorithm, and forgotten with its set', async () => {
  const { keys } = await keysOf({ ...rsa, kid: 'a' }, { ...ec, kid: 'b' })
  const imported = new ImportedKeys()
  const [first, again] = await Promise.all([
    imported.import(keys[0]!, 'RS256'),
    imported.import(keys[0]!, 'RS256'),
  ])
  expect(first).toBe(again)
  await imported.import(keys[0]!, 'PS256')
  await imported.import(keys[1]!, 'ES256')
  expect(imported.size).toBe(3)
  imported.prune([keys[1]!])
  expect(imported.size).toBe(1)
})

import { expect, test } from 'vitest'
import { MAX_CACHED_TOKENS, TokenCaches, tokenHash } from '../../../src/auth/jwt/verified-cache.ts'
import type { VerifiedToken } from '../../../src/auth/jwt/verified-cache.ts'

const verified = (keptUntilMs: number): VerifiedToken => ({
  claims: {
    principal: { issuer: '', subject: '', client: '' },
    all: {},
    expiresAtMs: 0,
    startsAtMs: 0,
    lifetimeSeconds: 0,
  },
  kid: null,
  keyGeneration: 1,
  keptUntilMs,
})

test('each cache holds 4096 entries, and lets those go that were not used for longest', () => {
  const caches = new TokenCaches()
  for (let number = 0; number < MAX_CACHED_TOKENS; number++) {
    caches.keepVerified(`v${number}`, verified(1_000))
    caches.keepRejected(`r${number}`, { reason: 'token_signature', issuer: '', epoch: 1, keptUntilMs: 1_000 })
  }
  expect(MAX_CACHED_TOKENS).toBe(4_096)
  expect(caches.size).toBe(8_192)
  expect(caches.verified('v0', 0)).not.toBeNull()
  caches.keepVerified('one more', verified(1_000))
  caches.keepRejected('one more', { reason: 'token_alg', issuer: '', epoch: 1, keptUntilMs: 1_000 })
  expect(caches.size).toBe(8_192)
  expect(caches.verified('v0', 0)).not.toBeNull()
  expect(caches.verified('v1', 0)).toBeNull()
  expect(caches.rejected('r0', 1, 0)).toBeNull()
  expect(caches.rejected('r1', 1, 0)).toMatchObject({ reason: 'token_signature' })
})

test('an entry that has outlived itself is gone when it is met', () => {
  const caches = new TokenCaches()
  caches.keepVerified('token', verified(1_000))
  expect(caches.verified('token', 999)).not.toBeNull()
  expect(caches.verified('token', 1_000)).toBeNull()
  expect(caches.size).toBe(0)
})

test('a rejection says nothing once keys or policy have changed', () => {
  const caches = new TokenCaches()
  caches.keepRejected('token', { reason: 'token_audience', issuer: '', epoch: 7, keptUntilMs: 10_000 })
  expect(caches.rejected('token', 7, 0)).not.toBeNull()
  expect(caches.rejected('token', 8, 0)).toBeNull()
})

test('tokens are told apart to their last character, and not kept themselves', () => {
  const token = `${'a'.repeat(1_000)}.b.c`
  expect(tokenHash(token)).not.toBe(tokenHash(`${token.slice(0, -1)}d`))
  expect(tokenHash(token)).toHaveLength(43)
})

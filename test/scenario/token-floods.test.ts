/**
 * Floods of tokens with random key ids and of forged signatures: the provider is asked once in 10 s at most, honest callers
 * are served, memory stays. A small helping of what test/campaign/kids.ts does by the million.
 */
import { expect, test } from 'vitest'
import { floodLine, runFloods } from '../campaign/kids.ts'
import { Bed } from '../campaign/bed.ts'

test('random kids with the provider up and down, and forged signatures', async () => {
  const bed = new Bed()
  try {
    await bed.open()
    const size = { count: 6_000, perSecond: 2_000, honestPerSecond: 50, baseSeconds: 3 }
    const results = await runFloods(bed, size)
    process.stdout.write(`\n${results.map(floodLine).join('')}`)
    const floods = results.slice(2)
    expect(floods).toHaveLength(3)
    for (const result of floods) {
      expect(result.sent).toBe(6_000)
      // Nothing passes; forged tokens are final or put off, random kids are put off or refused after a fetch.
      expect(result.answers['0']).toBeUndefined()
      expect(Object.keys(result.answers).filter((status) => !['14', '16', 'cut'].includes(status))).toEqual(
        [],
      )
      expect(result.keyFetches).toBeLessThanOrEqual(2)
      expect(result.minKeyFetchGapSeconds ?? Infinity).toBeGreaterThan(9.8)
      expect(result.honestFailures).toBe(0)
      expect(result.honestCalls).toBeGreaterThan(100)
      expect(result.rssLateMib - result.rssEarlyMib).toBeLessThan(64)
    }
    for (const result of floods.slice(0, 2)) expect(result.signatureChecks).toBeLessThan(10)
  } finally {
    await bed.close()
  }
}, 120_000)

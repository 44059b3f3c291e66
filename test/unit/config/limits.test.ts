import { expect, test } from 'vitest'
import { CONFIG_SCHEMA } from '../../../src/config/schema.ts'
import { shapeOf } from '../../../src/config/section.ts'
import { LIMITS } from '../../../src/h2/index.ts'

test('the limits, their names and defaults are those of the HTTP/2 core', () => {
  const keys = shapeOf(shapeOf(CONFIG_SCHEMA).keys['limits']!).keys
  const { config } = { config: CONFIG_SCHEMA.parse({}) }
  const configured = config.limits as unknown as Record<string, number | undefined>
  for (const { key, unit, default: value } of Object.values(LIMITS)) {
    expect(keys).toHaveProperty(key)
    const name = key
      .replace(/_(size|bytes)$/, '')
      .replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
    const suffix = unit === 'bytes' ? 'Bytes' : unit === 'ms' ? 'Ms' : ''
    if (key !== 'max_concurrent_streams') expect([key, configured[name + suffix]]).toEqual([key, value])
  }
})

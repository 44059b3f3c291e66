import { expect, test } from 'vitest'
import { CONFIG_SCHEMA } from '../../../src/config/schema.ts'
import { shapeOf } from '../../../src/config/section.ts'
import { LIMITS } from '../../../src/h2/index.ts'
import { configName } from '../../../src/roles/index.ts'

test('the limits, their names and defaults are those of the HTTP/2 core', () => {
  const { keys } = shapeOf(shapeOf(CONFIG_SCHEMA).keys['limits']!)
  const configured = CONFIG_SCHEMA.parse({}).limits as unknown as Record<string, number | undefined>
  for (const entry of Object.values(LIMITS)) {
    expect(keys).toHaveProperty(entry.key)
    // Left out, it depends on the listener: 250, or 1000 for a collector beside us.
    if (entry.key === 'max_concurrent_streams') continue
    expect([entry.key, configured[configName(entry)]]).toEqual([entry.key, entry.default])
  }
})

test('a limit that is written reaches the core under the name it has there', () => {
  const { limits } = CONFIG_SCHEMA.parse({
    limits: { stall_bytes: '1KiB', max_header_list_size: 2_048, frame_timeout: '1s' },
  })
  const configured = limits as unknown as Record<string, number | undefined>
  expect(
    [LIMITS.stallBytes, LIMITS.maxHeaderListBytes, LIMITS.frameTimeoutMs].map(
      (entry) => configured[configName(entry)],
    ),
  ).toEqual([1_024, 2_048, 1_000])
})

import { expect, test } from 'vitest'
import { CONFIG_SCHEMA } from '../../../src/config/schema.ts'
import { shapeOf } from '../../../src/config/section.ts'
import { LIMITS } from '../../../src/h2/index.ts'
import { NO_CLIENT_LIMITS } from '../../../src/relay/index.ts'
import { configName } from '../../../src/roles/index.ts'
import { clientLimits } from '../../../src/roles/limits.ts'

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

test('limits of one client are off by default; those that are written reach the relay in its units', () => {
  const limitsOf = (perClient?: object) =>
    clientLimits(
      CONFIG_SCHEMA.parse({ limits: perClient === undefined ? {} : { per_client: perClient } }).limits,
    )
  expect(limitsOf()).toEqual(NO_CLIENT_LIMITS)
  expect(limitsOf({ calls_per_second: 0.5, size_per_second: '1MiB', concurrent_calls: 8 })).toEqual({
    callsPerSecond: 0.5,
    bytesPerSecond: 1_048_576,
    concurrentCalls: 8,
  })
})

import { defineConfig } from 'vitest/config'

const project = (
  name: string,
  testTimeout: number,
  options: { maxWorkers?: number; retry?: number } = {},
) => ({
  test: {
    ...options,
    name,
    include: [`test/${name}/**/*.test.ts`],
    pool: 'forks' as const,
    testTimeout,
    hookTimeout: testTimeout,
  },
})

export default defineConfig({
  test: {
    projects: [
      project('unit', 5_000),
      project('conformance', 10_000),
      project('fuzz', 60_000),
      project('integration', 60_000),
      // They mostly wait, for tokens to expire and cooldowns to end, by the real clock: a machine that is busy with
      // something else gets a second try, which the report shows. Not part of `npm test`: npm run test:scenario.
      project('scenario', 60_000, { maxWorkers: 4, retry: 1 }),
    ],
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      reporter: ['text-summary', 'json-summary'],
      thresholds: Object.fromEntries(
        ['frame', 'hpack', 'h2', 'relay', 'auth'].map((room) => [`src/${room}/**`, { lines: 90 }]),
      ),
    },
  },
})

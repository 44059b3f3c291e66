import { defineConfig } from 'vitest/config'

const project = (name: string, testTimeout: number) => ({
  test: {
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
      project('scenario', 60_000),
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

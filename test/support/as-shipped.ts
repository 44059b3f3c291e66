/**
 * How the image and the package start authgw (Dockerfile, rolldown.config.ts), for those who weigh it or measure its time.
 * test/unit/deploy/as-shipped.test.ts keeps the three the same.
 */

/** Node's own flags. A young generation of 4 MiB halves: next to nothing of a call outlives its turn. */
export const SHIPPED_FLAGS = ['--max-semi-space-size=4'] as const

/** Variables that have to be there before the process is: all threads share one heap of the C library (docs/adr/0019). */
export const SHIPPED_ENV = { MALLOC_ARENA_MAX: '1' } as const

/** Both as an environment, with further flags of Node. */
export const shippedEnv = (...flags: readonly string[]): NodeJS.ProcessEnv => ({
  ...SHIPPED_ENV,
  NODE_OPTIONS: [...SHIPPED_FLAGS, ...flags].join(' '),
})

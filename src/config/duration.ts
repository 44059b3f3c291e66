/**
 * Durations as Go writes them (`1h30m`, `300ms`, `0`) into milliseconds and back.
 * Floor 1; knows no key. The same words as Go's time.ParseDuration, since users paste them from a collector.
 */

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
}

const WHOLE = /^(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/
const PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g

/** Milliseconds, fraction allowed; null when `text` is no duration. Negative durations are none. */
export function parseDuration(text: string): number | null {
  if (text === '0') return 0
  if (!WHOLE.test(text)) return null
  let totalMs = 0
  for (const [, amount, unit] of text.matchAll(PART)) totalMs += Number(amount) * UNIT_MS[unit!]!
  return totalMs
}

/** Writes `ms` in the largest units that fit, such as `1h30m`. Infinity is `0`, as in gRPC's keepalive words. */
export function formatDuration(ms: number): string {
  if (ms === 0 || ms === Infinity) return '0'
  if (ms % 1_000 !== 0) return `${ms}ms`
  const hours = Math.floor(ms / 3_600_000)
  const minutes = Math.floor((ms % 3_600_000) / 60_000)
  const seconds = (ms % 60_000) / 1_000
  return `${hours > 0 ? `${hours}h` : ''}${minutes > 0 ? `${minutes}m` : ''}${seconds > 0 ? `${seconds}s` : ''}`
}

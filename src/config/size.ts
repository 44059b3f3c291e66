/**
 * Sizes (`64KiB`, `4MiB`, `1000`) into bytes and back.
 * Floor 1; knows no key.
 */

const UNIT_BYTES: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
}

/** Whole bytes; null when `text` is no size. Units in any case; without one, bytes. */
export function parseSize(text: string): number | null {
  const parts = /^(\d+(?:\.\d+)?)\s*([kmg]?i?b)?$/i.exec(text)
  const unitBytes = UNIT_BYTES[(parts?.[2] ?? '').toLowerCase()]
  if (parts === null || unitBytes === undefined) return null
  const bytes = Number(parts[1]) * unitBytes
  return Number.isSafeInteger(bytes) ? bytes : null
}

/** Writes `bytes` in the largest binary unit that divides it, such as `64KiB`. */
export function formatSize(bytes: number): string {
  for (const [unit, unitBytes] of [
    ['GiB', 2 ** 30],
    ['MiB', 2 ** 20],
    ['KiB', 2 ** 10],
  ] as const) {
    if (bytes >= unitBytes && bytes % unitBytes === 0) return `${bytes / unitBytes}${unit}`
  }
  return String(bytes)
}

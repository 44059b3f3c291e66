/** What a process holds, read from outside, and what becomes of that over time. */
import { readdirSync, readFileSync } from 'node:fs'

export const MIB = 1024 * 1024

/** Resident octets of a process. */
export function rssOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1')
  return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0)
}

/** Open file descriptors of a process. */
export const fileCount = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length

/** One look at memory. */
export interface MemorySample {
  readonly atSeconds: number
  readonly rssBytes: number
}

/** Least squares, in MiB per ten minutes; 0 for fewer than two samples. */
export function slopeOf(samples: readonly MemorySample[]): number {
  const count = samples.length
  if (count < 2) return 0
  const meanS = samples.reduce((sum, { atSeconds }) => sum + atSeconds, 0) / count
  const meanBytes = samples.reduce((sum, { rssBytes }) => sum + rssBytes, 0) / count
  let above = 0
  let below = 0
  for (const { atSeconds, rssBytes } of samples) {
    above += (atSeconds - meanS) * (rssBytes - meanBytes)
    below += (atSeconds - meanS) ** 2
  }
  return Math.round((above / below / MIB) * 600 * 100) / 100
}

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

/**
 * Makes a process that was started with `--inspect=127.0.0.1:port` collect its garbage; gives the octets of its JavaScript
 * heap that are in use then.
 * @throws Error when nobody answers there
 */
export async function collectGarbage(port: number): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${port}/json/list`)
  const [target] = (await answer.json()) as { readonly webSocketDebuggerUrl: string }[]
  const socket = new WebSocket(target!.webSocketDebuggerUrl)
  const usage = { method: 'Runtime.evaluate', params: { expression: 'process.memoryUsage().heapUsed' } }
  return new Promise<number>((done, fail) => {
    socket.onopen = () => {
      socket.send(JSON.stringify({ id: 1, method: 'HeapProfiler.collectGarbage' }))
      socket.send(JSON.stringify({ id: 2, ...usage }))
    }
    socket.onmessage = ({ data }) => {
      const { id, result } = JSON.parse(String(data)) as InspectorAnswer
      if (id === 2) done(result.result.value)
    }
    socket.onerror = () => fail(new Error(`no inspector at port ${port}`))
  }).finally(() => socket.close())
}

interface InspectorAnswer {
  readonly id?: number
  readonly result: { readonly result: { readonly value: number } }
}

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

/**
 * A process with the honest client: grpc-js, so many unary calls a second on one connection, whatever else goes on;
 * and a look at the gateway's memory every 25 ms. Told its HonestOptions first, then `start` and `stop`; after `stop` it sends an HonestReport.
 */
import { readFileSync } from 'node:fs'
import { connectGrpcJs } from '../support/grpc-js-kit.ts'
import type { PairIngress } from '../support/gateway-pair.ts'
import { EXPORT_PATH } from './attack.ts'

/** What the client is given. */
export interface HonestOptions {
  readonly ingress: PairIngress
  readonly callsPerSecond: number
  /** Process whose memory is watched. */
  readonly pid: number
}

/** What it found between `start` and `stop`. */
export interface HonestReport {
  readonly calls: number
  /** Status → number, for those that were not OK. */
  readonly failures: Readonly<Record<string, number>>
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxRssBytes: number
}

const { ingress, callsPerSecond, pid } = await new Promise<HonestOptions>((done) => {
  process.once('message', done)
})
const caller = connectGrpcJs({ ...ingress, tls: ingress.tls === null ? null : asBuffers(ingress.tls) })
const body = Buffer.alloc(1024)
const BURST_MS = 5
let times: number[] = []
let failures: Record<string, number> = {}
let maxRssBytes = 0
const calls = { open: 0 }
let isRunning = false
let owed = 0

setInterval(() => {
  maxRssBytes = Math.max(maxRssBytes, rssBytes())
}, 25)

setInterval(() => {
  if (!isRunning) return
  owed += (callsPerSecond * BURST_MS) / 1000
  for (; owed >= 1; owed--) void call()
}, BURST_MS)

process.once('disconnect', () => process.exit())
process.on('message', (what: 'start' | 'stop') => {
  if (what === 'start') {
    times = []
    failures = {}
    maxRssBytes = 0
    isRunning = true
  } else void report()
})

async function call(): Promise<void> {
  const startedMs = performance.now()
  calls.open++
  const { status, message } = await caller.unary(body, { path: EXPORT_PATH, timeoutMs: 10_000 })
  calls.open--
  times.push(performance.now() - startedMs)
  if (status !== 0) failures[`${status} ${message}`] = (failures[`${status} ${message}`] ?? 0) + 1
}

async function report(): Promise<void> {
  isRunning = false
  while (calls.open > 0) await new Promise((done) => void setTimeout(done, 5))
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? NaN
  const found: HonestReport = {
    calls: sorted.length,
    failures,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxRssBytes,
  }
  process.send!(found)
}

/** Buffers cross processes as Uint8Arrays. */
function asBuffers({ ca, cert, key }: NonNullable<PairIngress['tls']>): NonNullable<PairIngress['tls']> {
  return { ca: Buffer.from(ca), cert: Buffer.from(cert), key: Buffer.from(key) }
}

function rssBytes(): number {
  try {
    return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0)
  } catch {
    return 0
  }
}

/**
 * Turns a port into the load of ordinary @grpc/grpc-js clients, which never index their token: one channel a connection,
 * a deadline on every call. Bounded in time, loopback only. Prints one JSON object.
 */
import { readFileSync } from 'node:fs'
import { createHistogram } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { Client, Metadata, credentials } from '@grpc/grpc-js'

const { values: flags } = parseArgs({
  options: {
    port: { type: 'string' },
    connections: { type: 'string', default: '8' },
    concurrency: { type: 'string', default: '25' },
    seconds: { type: 'string', default: '2' },
    size: { type: 'string', default: '1024' },
    method: { type: 'string', default: '' },
    'token-file': { type: 'string', default: '' },
  },
})

const MAX_SECONDS = 120
const DEADLINE_MS = 10_000

const metadata = new Metadata()
metadata.set('authorization', `Bearer ${readFileSync(flags['token-file'], 'utf8').trim()}`)
const body = Buffer.alloc(Number(flags.size))
const octets = (value: Buffer): Buffer => value
const histogram = createHistogram()
const found = { calls: 0, failed: 0, firstFailure: undefined as string | undefined }
const beganMs = performance.now()
const endMs = beganMs + Math.min(Number(flags.seconds), MAX_SECONDS) * 1000
let sumMs = 0

/** One call after the other until the time is over. */
async function callOn(client: Client): Promise<void> {
  while (performance.now() < endMs) {
    const startedMs = performance.now()
    const error = await new Promise<Error | null>((resolve) => {
      const deadline = Date.now() + DEADLINE_MS
      client.makeUnaryRequest(flags.method, octets, octets, body, metadata, { deadline }, resolve)
    })
    const tookMs = performance.now() - startedMs
    sumMs += tookMs
    histogram.record(Math.max(1, Math.round(tookMs * 1000)))
    found.calls++
    if (error !== null) {
      found.failed++
      found.firstFailure ??= error.message
    }
  }
}

const clients = Array.from(
  { length: Number(flags.connections) },
  () =>
    new Client(`127.0.0.1:${flags.port}`, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    }),
)
await Promise.all(
  clients.flatMap((client) => Array.from({ length: Number(flags.concurrency) }, () => callOn(client))),
)
const figures = {
  ...found,
  elapsedSeconds: (performance.now() - beganMs) / 1000,
  meanMicros: (sumMs / Math.max(1, found.calls)) * 1000,
  p50Micros: histogram.percentile(50),
  p99Micros: histogram.percentile(99),
}
process.stdout.write(`${JSON.stringify(figures)}\n`)
for (const client of clients) client.close()

/**
 * One client over mTLS that opens a connection again when it is closed on it; as a worker, an honest caller at a steady
 * pace, so that its times are its own and not those of the flood beside it.
 */
import { readFileSync } from 'node:fs'
import { connect } from 'node:http2'
import type { ClientHttp2Session, IncomingHttpHeaders } from 'node:http2'
import { setTimeout as sleep } from 'node:timers/promises'
import type { MessagePort } from 'node:worker_threads'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { exportPath } from '../support/otlp-proto.ts'

const GRPC_FRAME = Buffer.alloc(5)
const PATH = exportPath('traces')

/** Where a client finds the gateway and its certificates. */
export interface FloodTarget {
  readonly port: number
  readonly folder: string
}

/** The client. */
export class FloodClient {
  #session: ClientHttp2Session | null = null
  readonly #target: FloodTarget

  constructor(target: FloodTarget) {
    this.#target = target
  }

  /** Ends with the grpc-status, or `cut` when the connection was closed on the call. */
  call(token: string): Promise<string> {
    const session = this.#open()
    return new Promise((resolve) => {
      let status = 'cut'
      const stream = session.request({
        ':method': 'POST',
        ':path': PATH,
        'content-type': 'application/grpc',
        te: 'trailers',
        authorization: `Bearer ${token}`,
      })
      const read = (fields: IncomingHttpHeaders): void => {
        const found = fields['grpc-status']
        if (typeof found === 'string') status = found
      }
      stream.on('response', read)
      stream.on('trailers', read)
      stream.on('error', () => {})
      stream.on('close', () => resolve(status))
      stream.resume()
      stream.end(GRPC_FRAME)
    })
  }

  close(): void {
    this.#session?.destroy()
  }

  #open(): ClientHttp2Session {
    if (this.#session !== null && !this.#session.closed && !this.#session.destroyed) return this.#session
    const file = (name: string): Buffer => readFileSync(`${this.#target.folder}/${name}`)
    const session = connect(`https://localhost:${this.#target.port}`, {
      ca: file('ca.pem'),
      cert: file('client.pem'),
      key: file('client-key.pem'),
    })
    session.on('error', () => {})
    session.on('goaway', () => session.close())
    this.#session = session
    return session
  }
}

/** What an honest caller is told. */
interface HonestTerms {
  readonly target: FloodTarget
  readonly token: string
  readonly perSecond: number
}

/** What it has seen. */
export interface HonestReport {
  /** Ascending. */
  readonly timesMs: readonly number[]
  readonly failures: number
}

/** Starts honest calls on a thread of their own; `stop` gives what they saw. */
export async function startHonest(terms: HonestTerms): Promise<{ stop(): Promise<HonestReport> }> {
  const worker = new Worker(new URL(import.meta.url), { workerData: terms })
  await new Promise<void>((resolve, reject) => {
    worker.once('message', () => resolve())
    worker.once('error', reject)
  })
  return {
    stop() {
      say(worker, 'stop')
      return new Promise((resolve) => worker.once('message', (report: HonestReport) => resolve(report)))
    },
  }
}

/** Threads have no origin to name. */
function say(port: Worker | MessagePort, message: unknown): void {
  port.postMessage(message, [])
}

async function runWorker({ target, token, perSecond }: HonestTerms): Promise<void> {
  const client = new FloodClient(target)
  const timesMs: number[] = []
  let failures = 0
  for (let count = 0; count < 20; count++) await client.call(token)
  say(parentPort!, 'warm')
  const timer = setInterval(() => {
    const startMs = performance.now()
    const note = (status: string): void => {
      timesMs.push(performance.now() - startMs)
      if (status !== '0') failures++
    }
    void client.call(token).then(note)
  }, 1_000 / perSecond)
  await new Promise((resolve) => parentPort!.once('message', resolve))
  clearInterval(timer)
  await sleep(300)
  client.close()
  say(parentPort!, { timesMs: timesMs.sort((a, b) => a - b), failures } satisfies HonestReport)
}

if (!isMainThread && workerData !== null && 'perSecond' in (workerData as object))
  await runWorker(workerData as HonestTerms)

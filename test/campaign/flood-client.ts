/**
 * Callers over mTLS on threads of their own, so that their times are theirs and not those of what else the process does:
 * loud ones that attack or are merely many, and a quiet honest one whose answers are timed.
 */
import { randomUUID } from 'node:crypto'
import { connect } from 'node:http2'
import type { ClientHttp2Session, IncomingHttpHeaders } from 'node:http2'
import { setTimeout as sleep } from 'node:timers/promises'
import type { MessagePort } from 'node:worker_threads'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { CUT, GRPC_FRAME, LeanClient, PATH, readTls } from './lean-client.ts'
import type { FloodClient, FloodTarget, OnEnd } from './lean-client.ts'

const TICK_MS = 5

/** What the tokens of a caller are made of: one good token, used as it is, under a random key id, or with another signature. */
export interface TokenRecipe {
  readonly kind: 'as it is' | 'random kid' | 'forged signature'
  readonly token: string
}

/** One caller. */
export interface CallerTerms {
  readonly target: FloodTarget
  readonly tokens: TokenRecipe
  readonly perSecond: number
  /** Calls in all; Infinity until it is stopped. */
  readonly count: number
  readonly connections: number
  /** Whether it is to send at little cost, on authgw's own core, or as stock clients do. */
  readonly isLean: boolean
  /** Calls in flight at most: an attacker does not wait, but sockets have ends. */
  readonly maxInFlight: number
}

/** What it has seen. */
export interface CallerReport {
  readonly sent: number
  readonly seconds: number
  /** Answers by grpc-status; `cut` for calls whose connection was closed on them. */
  readonly answers: Readonly<Record<string, number>>
  /** Of the calls with a good token, ascending; the first second is left out. */
  readonly timesMs: readonly number[]
}

/** An honest caller's, on the runtime's own HTTP/2. */
class PlainClient implements FloodClient {
  #session: ClientHttp2Session | null = null
  readonly #target: FloodTarget

  constructor(target: FloodTarget) {
    this.#target = target
  }

  call(token: string, onEnd: OnEnd): void {
    let status = CUT
    const stream = this.#open().request({
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
    stream.on('close', () => onEnd(status))
    stream.resume()
    stream.end(GRPC_FRAME)
  }

  close(): void {
    this.#session?.destroy()
  }

  #open(): ClientHttp2Session {
    if (this.#session !== null && !this.#session.closed && !this.#session.destroyed) return this.#session
    const session = connect(`https://localhost:${this.#target.port}`, readTls(this.#target))
    session.on('error', () => {})
    session.on('goaway', () => session.close())
    this.#session = session
    return session
  }
}

function tokenMaker({ kind, token }: TokenRecipe): (number: number) => string {
  const [header, claims, signature] = token.split('.') as [string, string, string]
  if (kind === 'as it is') return () => token
  if (kind === 'forged signature')
    return (number) => `${header}.${claims}.${number.toString(36).padStart(8, 'A')}${signature.slice(8)}`
  const decoded = JSON.parse(Buffer.from(header, 'base64url').toString()) as object
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  return () => `${encode({ ...decoded, kid: randomUUID() })}.${claims}.${signature}`
}

/** A caller that runs. */
export interface RunningCaller {
  /** Resolves when it has made all its calls, or was stopped, and each was answered. */
  readonly ended: Promise<CallerReport>
  stop(): Promise<CallerReport>
}

/** Starts a caller on a thread of its own; resolves when it is connected. */
export async function startCaller(terms: CallerTerms): Promise<RunningCaller> {
  const worker = new Worker(new URL(import.meta.url), { workerData: terms })
  const failed = new Promise<never>((_, reject) => worker.once('error', reject))
  await Promise.race([new Promise((resolve) => worker.once('message', resolve)), failed])
  const report = new Promise<CallerReport>((resolve) => worker.once('message', resolve))
  const ended = Promise.race([report, failed])
  return {
    ended,
    stop() {
      say(worker, 'stop')
      return ended
    },
  }
}

/** Threads have no origin to name. */
function say(port: Worker | MessagePort, message: unknown): void {
  port.postMessage(message, [])
}

/** What a caller has under way and behind it. */
class Tally {
  readonly answers: Record<string, number> = {}
  readonly timesMs: number[] = []
  sent = 0
  inFlight = 0
  isStopped = false
}

async function runCaller(terms: CallerTerms): Promise<void> {
  const { target, tokens, perSecond, count, connections, isLean, maxInFlight } = terms
  const makeClient = (): FloodClient => (isLean ? new LeanClient(target) : new PlainClient(target))
  const clients = Array.from({ length: connections }, makeClient)
  const makeToken = tokenMaker(tokens)
  const tally = new Tally()
  for (const client of clients) await new Promise<string>((resolve) => client.call(makeToken(0), resolve))
  parentPort!.once('message', () => (tally.isStopped = true))
  say(parentPort!, 'warm')
  const startMs = performance.now()
  const call = (): void => {
    const number = tally.sent++
    const calledMs = performance.now()
    tally.inFlight++
    clients[number % connections]!.call(makeToken(number + connections), (status) => {
      tally.inFlight--
      tally.answers[status] = (tally.answers[status] ?? 0) + 1
      if (tokens.kind === 'as it is' && calledMs - startMs > 1_000)
        tally.timesMs.push(performance.now() - calledMs)
    })
  }
  while (tally.sent < count && !tally.isStopped) {
    const due = Math.min(count, Math.floor(((performance.now() - startMs) * perSecond) / 1_000))
    while (tally.sent < due && tally.inFlight < maxInFlight) call()
    await sleep(TICK_MS)
  }
  const seconds = (performance.now() - startMs) / 1_000
  while (tally.inFlight > 0) await sleep(TICK_MS)
  for (const client of clients) client.close()
  const { sent, answers, timesMs } = tally
  const report: CallerReport = { sent, seconds, answers, timesMs: timesMs.sort((a, b) => a - b) }
  say(parentPort!, report)
}

if (!isMainThread && workerData !== null && 'maxInFlight' in (workerData as object)) {
  await runCaller(workerData as CallerTerms)
  parentPort!.close()
}

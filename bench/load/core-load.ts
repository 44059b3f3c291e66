/**
 * Turns a port into load, or into a server that answers every call, on authgw's own HTTP/2 core: the load client that
 * stands where h2load does not, and whose head of each call can be like any client's. Checked against h2load by
 * `npm run bench`. Bounded in time, and loopback only. `node bench/load/core-load.ts load|serve [flags]`.
 */
import { readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { parseArgs } from 'node:util'
import { createHistogram } from 'node:perf_hooks'
import { NetStats, Pump, SystemClock, createTurn, createWheel } from '../../src/net/index.ts'
import { ByteBudget, DEFAULT_H2_LIMITS, H2Connection, H2Stats } from '../../src/h2/index.ts'
import type { H2Handler, H2Stream } from '../../src/h2/index.ts'
import {
  HeaderField,
  HeaderList,
  INDEXED_FIELD,
  NEVER_INDEXED_FIELD,
  UNINDEXED_FIELD,
} from '../../src/hpack/index.ts'

const METHOD = '/opentelemetry.proto.collector.trace.v1.TraceService/Export'
const MAX_SECONDS = 120

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    port: { type: 'string' },
    connections: { type: 'string', default: '8' },
    concurrency: { type: 'string', default: '50' },
    seconds: { type: 'string', default: '2' },
    size: { type: 'string', default: '1024' },
    'token-file': { type: 'string' },
    head: { type: 'string', default: 'constant' },
    ca: { type: 'string' },
    cert: { type: 'string' },
    key: { type: 'string' },
  },
})

const clock = new SystemClock()
const turn = createTurn(clock)
const wheel = createWheel({ clock, turn })
const stats = new H2Stats()
const held = new ByteBudget(Infinity)
const netStats = new NetStats()
// The far side of a proxy under test limits nothing that the proxy should limit.
const limits = {
  ...DEFAULT_H2_LIMITS,
  maxConcurrentStreams: 10_000,
  initialStreamWindowBytes: 1_048_575,
  streamWindowBytes: 1_048_575,
  maxStreamWindowBytes: 1_048_575,
  idleTimeoutMs: Infinity,
  maxAgeMs: Infinity,
}

/** Puts one connection on a socket. */
function attach(socket: Socket, isServer: boolean, handler: H2Handler): H2Connection {
  const connection = new H2Connection({ isServer, handler, turn, wheel, limits, stats, held })
  connection.start()
  socket.setNoDelay(true)
  const pump = new Pump({
    socket,
    connection,
    turn,
    clock,
    stats: netStats,
    isIngress: isServer,
    peerName: 'bench',
  })
  return pump.connection as H2Connection
}

const nothing = (): void => {}
const IDLE: H2Handler = {
  onRequest: nothing,
  onResponse: nothing,
  onTrailers: nothing,
  onData: (stream, payload) => stream.credit(payload.length),
  onDataSent: nothing,
  onStreamReset: nothing,
  onStreamClosed: nothing,
  onCapacity: nothing,
  onGoaway: nothing,
  onClosed: nothing,
}

// ---- the server -------------------------------------------------------------------------------------------------

const ANSWER_HEAD = new HeaderList([
  new HeaderField(':status', '200'),
  new HeaderField('content-type', 'application/grpc'),
])
const ANSWER = Buffer.alloc(5)
const TRAILERS = new HeaderList([new HeaderField('grpc-status', '0')])

function answer(stream: H2Stream): void {
  stream.sendHeaders(ANSWER_HEAD, false)
  stream.sendData(ANSWER, false)
  stream.sendTrailers(TRAILERS)
}

function serve(port: number): void {
  const handler: H2Handler = {
    ...IDLE,
    onRequest(stream, _head, isEnd) {
      stream.admit()
      if (isEnd) answer(stream)
    },
    onData(stream, payload, isEnd) {
      stream.credit(payload.length)
      if (isEnd) answer(stream)
    },
  }
  createServer({ allowHalfOpen: true }, (socket) => attach(socket, true, handler)).listen(port, '127.0.0.1')
}

// ---- the client -------------------------------------------------------------------------------------------------

/** Heads as clients send them: what is indexed decides what a proxy's header compression can do. */
function makeHead(kind: string, token: string | null): HeaderList {
  const fields = [
    new HeaderField(':method', 'POST'),
    new HeaderField(':scheme', flags.ca === undefined ? 'http' : 'https'),
    new HeaderField(':path', METHOD),
    new HeaderField(':authority', `127.0.0.1:${flags.port}`),
    new HeaderField('content-type', 'application/grpc'),
    new HeaderField('te', 'trailers'),
  ]
  const indexing = kind === 'grpc-js' ? NEVER_INDEXED_FIELD : INDEXED_FIELD
  if (token !== null) fields.push(new HeaderField('authorization', `Bearer ${token}`, indexing))
  return new HeaderList(fields)
}

/** The remaining deadline of one call, in the form in which the client of that kind sends it; null for none. */
function timeoutField(kind: string, count: number): HeaderField | null {
  if (kind === 'constant') return null
  if (kind === 'grpc-js') return new HeaderField('grpc-timeout', `${9900 + (count % 100)}m`, UNINDEXED_FIELD)
  return new HeaderField('grpc-timeout', `${9_999_000 + (count % 1000)}u`, INDEXED_FIELD)
}

interface Call {
  beganMs: number
  isOk: boolean
  connection: Client
}

interface Client {
  connection: H2Connection | null
  openCount: number
}

async function load(port: number): Promise<void> {
  const kind = flags.head
  const token = flags['token-file'] === undefined ? null : readFileSync(flags['token-file'], 'utf8').trim()
  const head = makeHead(kind, token)
  const size = Number(flags.size)
  const body = Buffer.alloc(5 + size)
  body.writeUInt32BE(size, 1)
  const histogram = createHistogram()
  const found = { calls: 0, failed: 0 }
  const concurrency = Number(flags.concurrency)
  const beganMs = performance.now()
  const endMs = beganMs + Math.min(Number(flags.seconds), MAX_SECONDS) * 1000
  let count = 0
  let sumMs = 0

  const fill = (client: Client): void => {
    const connection = client.connection
    if (connection === null) return
    while (client.openCount < concurrency && connection.canOpenStream && turn.nowMs < endMs) {
      const call: Call = { beganMs: performance.now(), isOk: false, connection: client }
      const stream = connection.openStream(head, timeoutField(kind, count++), false, call)
      client.openCount++
      stream.sendData(body, true)
    }
  }
  const end = (stream: H2Stream, isOk: boolean): void => {
    const call = stream.attachment as Call
    const tookMs = performance.now() - call.beganMs
    sumMs += tookMs
    histogram.record(Math.max(1, Math.round(tookMs * 1000)))
    found.calls++
    if (!isOk) found.failed++
    call.connection.openCount--
    fill(call.connection)
  }
  const handlerOf = (client: Client): H2Handler => ({
    ...IDLE,
    onTrailers(stream, trailers) {
      ;(stream.attachment as Call).isOk = trailers.first('grpc-status') === '0'
    },
    onStreamReset: (stream) => end(stream, false),
    onStreamClosed: (stream) => end(stream, (stream.attachment as Call).isOk),
    onCapacity: () => fill(client),
  })
  const sockets: Socket[] = []
  for (let index = 0; index < Number(flags.connections); index++) {
    const socket = await open(port)
    const client: Client = { connection: null, openCount: 0 }
    client.connection = attach(socket, false, handlerOf(client))
    sockets.push(socket)
  }
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, endMs - performance.now()) + 100))
  const micros = (share: number): number => histogram.percentile(share)
  const elapsedSeconds = (endMs - beganMs) / 1000
  const p50Micros = micros(50)
  const meanMicros = (sumMs / Math.max(1, found.calls)) * 1000
  process.stdout.write(
    `${JSON.stringify({ ...found, elapsedSeconds, meanMicros, p50Micros, p99Micros: micros(99) })}\n`,
  )
  for (const socket of sockets) socket.destroy()
}

function open(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const where = { host: '127.0.0.1', port, allowHalfOpen: true }
    const file = (name: string | undefined): Buffer | undefined =>
      name === undefined ? undefined : readFileSync(name)
    const socket =
      flags.ca === undefined
        ? connect(where, () => resolve(socket))
        : connectTls(
            {
              ...where,
              ca: file(flags.ca),
              cert: file(flags.cert),
              key: file(flags.key),
              servername: 'localhost',
              ALPNProtocols: ['h2'],
            },
            () => resolve(socket),
          )
    socket.once('error', reject)
  })
}

const port = Number(flags.port)
if (positionals[0] === 'serve') serve(port)
else if (positionals[0] === 'load') await load(port)
else {
  console.error('usage: node bench/load/core-load.ts load|serve --port N [flags]')
  process.exitCode = 2
}

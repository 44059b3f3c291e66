import type { ClientHttp2Stream, ServerHttp2Stream } from 'node:http2'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startGateway } from '../../support/gateway-process.ts'
import { parsePrometheusText } from '../../support/prometheus-text.ts'
import { prepareGround, SHAPES, startPair, TEST_SERVICE, waitFor } from '../../support/gateway-pair.ts'
import type { GatewayPair, PairGround } from '../../support/gateway-pair.ts'
import type { GrpcCaller } from '../../support/grpc-peer.ts'
import {
  connectNodeHttp2,
  dial,
  framed,
  headOf,
  MessageReader,
  serveRaw,
} from '../../support/node-http2-kit.ts'
import type { RawServed } from '../../support/node-http2-kit.ts'

const MIB = 1024 * 1024
const ATTEMPT_BYTES = 64 * MIB
const PIECE_BYTES = 256 * 1024
/** limits.max_stream_window: what one stalled stream may make a gateway hold in one direction. */
const STREAM_WINDOW_BYTES = MIB
/** What node:http2 and the kernel buffer at each hop, beyond what a gateway holds. */
const SOCKET_BYTES = 8 * MIB
const HEAD = { ':status': 200, 'content-type': 'application/grpc' }

/** Writes until nothing has moved for a while, or all is out. Gives the octets that the stream has taken. */
async function pour(stream: ClientHttp2Stream | ServerHttp2Stream): Promise<number> {
  const piece = framed(Buffer.alloc(PIECE_BYTES - 5, 7))
  let takenBytes = 0
  while (takenBytes < ATTEMPT_BYTES && !stream.destroyed) {
    takenBytes += piece.length
    if (stream.write(piece)) continue
    const drained = new Promise((resolve) => stream.once('drain', () => resolve(true)))
    if (!(await Promise.race([drained, sleep(400).then(() => false)]))) break
  }
  return takenBytes
}

/** Echoes one message. */
async function answer(stream: ServerHttp2Stream): Promise<void> {
  const message = await new MessageReader(stream).next()
  stream.respond(HEAD, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
  stream.end(framed(message ?? Buffer.alloc(0)))
}

let ground: PairGround
beforeAll(async () => {
  ground = await prepareGround()
})
afterAll(() => ground.close())

describe.each(SHAPES)('%s', (shape) => {
  let served: RawServed
  let pair: GatewayPair
  let caller: GrpcCaller
  let respond: (stream: ServerHttp2Stream) => unknown = answer
  const gatewayCount = shape === 'both' ? 2 : 1
  beforeAll(async () => {
    served = await serveRaw((stream) => {
      // Streams that are not read must not stall the others for want of connection window.
      stream.session!.setLocalWindowSize(16 * MIB)
      void respond(stream)
    })
    pair = await startPair(ground, shape, served.port)
    caller = connectNodeHttp2(pair.ingress)
    expect((await caller.unary(Buffer.from('warm'))).status).toBe(0)
  })
  afterAll(async () => {
    await pair.checkAtRest()
    caller.close()
    await pair.close()
    await served.close()
  })

  test('a server that never reads: of 64 MiB no more is taken than the windows, and a cancel frees it', async () => {
    respond = () => {}
    const session = dial(pair.ingress)
    const before = await pair.metric('authgw_io_bytes_total')
    const stream = session.request(headOf(pair.ingress))
    stream.on('error', () => {})
    const takenBytes = await pour(stream)
    expect(takenBytes).toBeLessThan(ATTEMPT_BYTES / 4)
    const held = await pair.metric('authgw_held_bytes')
    expect(held).toBeGreaterThan(0)
    expect(held).toBeLessThanOrEqual(gatewayCount * STREAM_WINDOW_BYTES)
    // Each gateway counts what it reads and what it writes.
    const movedBytes = (await pair.metric('authgw_io_bytes_total')) - before
    expect(movedBytes).toBeLessThanOrEqual(2 * gatewayCount * (gatewayCount * STREAM_WINDOW_BYTES + MIB))
    stream.close(8)
    await pair.checkAtRest()
    session.destroy()
  })

  test('a caller that never reads: of 64 MiB no more is taken than the windows, and a cancel frees it', async () => {
    let pouring: Promise<number> | null = null
    respond = (stream) => {
      stream.on('error', () => {})
      stream.respond(HEAD)
      pouring = pour(stream)
    }
    const session = dial(pair.ingress)
    const stream = session.request(headOf(pair.ingress), { endStream: true })
    stream.on('error', () => {})
    await waitFor(() => pouring !== null, 2000, 'the server has begun')
    expect(await pouring!).toBeLessThan(ATTEMPT_BYTES / 4)
    const held = await pair.metric('authgw_held_bytes')
    expect(held).toBeGreaterThan(0)
    expect(held).toBeLessThanOrEqual(gatewayCount * STREAM_WINDOW_BYTES)
    stream.close(8)
    await pair.checkAtRest()
    session.destroy()
  })

  test('eight stalled calls do not slow a ninth on the same connections', async () => {
    respond = () => {}
    const session = dial(pair.ingress)
    const stalled = Array.from({ length: 8 }, () => {
      const stream = session.request(headOf(pair.ingress))
      stream.on('error', () => {})
      stream.write(framed(Buffer.alloc(500_000)))
      return stream
    })
    await sleep(200)
    respond = answer
    const startMs = performance.now()
    for (let i = 0; i < 50; i++) expect((await caller.unary(Buffer.alloc(10_000))).status).toBe(0)
    expect(performance.now() - startMs).toBeLessThan(2000)
    for (const stream of stalled) stream.close(8)
    await pair.checkAtRest()
    session.destroy()
  })

  test('a server that reads again gets everything, in order', async () => {
    const TOTAL = 8
    let wake = (): void => {}
    const woken = new Promise<void>((resolve) => (wake = resolve))
    const received: number[] = []
    respond = async (stream) => {
      await woken
      const reader = new MessageReader(stream)
      for (let m = await reader.next(); m !== null; m = await reader.next()) {
        expect(m.equals(Buffer.alloc(MIB, m[0]))).toBe(true)
        received.push(m[0]!)
      }
      stream.respond({ ...HEAD, 'grpc-status': '0' }, { endStream: true })
    }
    const call = caller.open()
    const sending = (async () => {
      for (let i = 0; i < TOTAL; i++) await call.send(Buffer.alloc(MIB, i))
      call.end()
    })()
    await sleep(300)
    expect(received).toEqual([])
    wake()
    await sending
    expect((await call.outcome).status).toBe(0)
    expect(received).toEqual(Array.from({ length: TOTAL }, (_, i) => i))
  })
})

test('the memory of a gateway process grows by no more than the windows while 16 callers try 64 MiB each', async () => {
  const served = await serveRaw(() => {})
  const { pki, provider } = ground
  const gateway = await startGateway(`
workload:
  listen: {endpoint: 127.0.0.1:%ingress%}
  upstream: {endpoint: 127.0.0.1:${served.port}}
  oauth2client: {issuer_url: ${provider.issuer}, client_id: workload, client_secret: ${ground.clientSecret}, tls: {ca_file: ${pki.ca.certFile}}}
  allow_methods: [${TEST_SERVICE}]
`)
  const ingress = { port: gateway.ports['ingress']!, tls: null, token: null }
  const warm = connectNodeHttp2(ingress)
  await warm.unary(Buffer.alloc(MIB), { timeoutMs: 300 })
  const residentBytes = async (): Promise<number> => {
    const answer = await fetch(`http://127.0.0.1:${gateway.ports['admin']}/metrics`)
    return parsePrometheusText(await answer.text()).get('process_resident_memory_bytes')!.samples[0]!.value
  }
  const beforeBytes = await residentBytes()
  const session = dial(ingress)
  const streams = Array.from({ length: 16 }, () => session.request(headOf(ingress)))
  for (const stream of streams) stream.on('error', () => {})
  const taken = await Promise.all(streams.map(pour))
  // http2.md §4: a connection's window is 4 MiB; what V8 and the sockets keep beside it comes on top.
  expect((await residentBytes()) - beforeBytes).toBeLessThan(4 * MIB + 24 * MIB)
  expect(taken.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThan(
    16 * (SOCKET_BYTES / 4) + 2 * SOCKET_BYTES,
  )
  session.destroy()
  warm.close()
  await gateway.stop()
  await served.close()
})

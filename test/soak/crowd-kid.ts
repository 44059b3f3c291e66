/**
 * The processes beside the gateway in `crowd.ts`, by their first argument: `upstream` echoes calls, `bare` is a node:tls
 * server that does nothing but ask for a certificate, `clients` opens connections and calls as it is told.
 */
import http2 from 'node:http2'
import type { ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, createSecureContext, createServer } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { ProcessMemory } from '../../src/net/index.ts'
import { frame, frames } from '../support/frame-factory.ts'
import { connectGrpcJs } from '../support/grpc-js-kit.ts'
import type { GrpcCaller } from '../support/grpc-peer.ts'
import { exportPath } from '../support/otlp-proto.ts'

/** Certificates of one side, as PEM. */
export interface KidTls {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

/** What `clients` may be told, and `bare` the last of it. */
export type KidOrder =
  | { readonly do: 'open'; readonly port: number; readonly count: number }
  | { readonly do: 'close' }
  | { readonly do: 'busy'; readonly port: number; readonly connections: number; readonly streams: number }
  | { readonly do: 'rest' }
  | { readonly do: 'churn'; readonly port: number; readonly perSecond: number; readonly seconds: number }
  | { readonly do: 'give back' }

/** What it answers, once the order is carried out. */
export interface KidReport {
  /** Connections that stand. */
  readonly open: number
  readonly opened: number
  readonly failed: number
  /** Messages that came back to busy streams, and streams that ended of themselves. */
  readonly messages: number
  readonly broken: number
}

/** What a kid is given first. */
export interface KidStart {
  readonly tls: KidTls
  readonly token: string
}

const PATH = exportPath('traces')
/** Fewer than the handshakes that a gateway lets be under way. */
const HANDSHAKES_AT_ONCE = 40
const HANDSHAKE_MS = 20_000
const MESSAGE = Buffer.alloc(512)
const MESSAGE_PAUSE_MS = 500
/** Source addresses: one alone has ports for some 28,000 connections, those that have just ended counted. */
const SOURCES = 8
const HELLO = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1'),
  frame({ type: 'SETTINGS' }),
])
const SETTINGS_ACK = frame({ type: 'SETTINGS', flags: ['ACK'] })

const role = process.argv[2]
process.once('disconnect', () => process.exit())
const start = await new Promise<KidStart>((done) => process.once('message', done))
if (role === 'upstream') serveEcho()
else if (role === 'bare') serveBare(start.tls)
else takeOrders(start)

function serveEcho(): void {
  const server = http2.createServer({ settings: { maxConcurrentStreams: 1000 } })
  server.on('sessionError', () => {})
  server.on('stream', (stream: ServerHttp2Stream) => {
    stream.on('error', () => {})
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.pipe(stream)
  })
  server.listen(0, '127.0.0.1', () => process.send!((server.address() as AddressInfo).port))
}

/** As little as a server with TLS can do that says SETTINGS and reads what comes. */
function serveBare({ ca, cert, key }: KidTls): void {
  const server = createServer({
    ca,
    cert,
    key,
    requestCert: true,
    rejectUnauthorized: true,
    ALPNProtocols: ['h2'],
  })
  server.on('tlsClientError', () => {})
  server.on('secureConnection', (socket) => {
    socket.on('error', () => {})
    socket.on('data', () => {})
    socket.write(frame({ type: 'SETTINGS' }))
  })
  server.listen(0, '127.0.0.1', () => process.send!((server.address() as AddressInfo).port))
  process.on('message', () => void giveBack())
}

/** As the gateway does it after a crowd. */
async function giveBack(): Promise<void> {
  const memory = new ProcessMemory()
  memory.collect()
  await sleep(1_000)
  memory.trim()
  process.send!('given')
}

function takeOrders({ tls, token }: KidStart): void {
  const secureContext = createSecureContext({ ...tls })
  const standing = new Set<TLSSocket>()
  let dials = 0

  /** A connection that has said its preface; false when it does not come about. */
  const dial = (port: number): Promise<TLSSocket | null> =>
    new Promise((done) => {
      const localAddress = `127.0.0.${2 + (dials++ % SOURCES)}`
      const options = {
        host: '127.0.0.1',
        port,
        localAddress,
        servername: 'localhost',
        ALPNProtocols: ['h2'],
      }
      const socket = connect({ ...options, secureContext, ca: tls.ca })
      const timer = setTimeout(() => socket.destroy(), HANDSHAKE_MS)
      socket.on('error', () => {})
      socket.once('secureConnect', () => socket.write(HELLO))
      socket.once('data', () => {
        clearTimeout(timer)
        socket.write(SETTINGS_ACK)
        socket.resume()
        standing.add(socket)
        done(socket)
      })
      socket.once('close', () => {
        clearTimeout(timer)
        standing.delete(socket)
        done(null)
      })
    })

  const open = async (port: number, count: number): Promise<number> => {
    let left = count
    let failed = 0
    const work = async (): Promise<void> => {
      while (left-- > 0) if ((await dial(port)) === null) failed++
    }
    await Promise.all(Array.from({ length: HANDSHAKES_AT_ONCE }, work))
    return failed
  }

  const churn = async (
    port: number,
    perSecond: number,
    seconds: number,
  ): Promise<[opened: number, failed: number]> => {
    const beganMs = performance.now()
    const under = new Set<Promise<void>>()
    let [begun, opened, failed] = [0, 0, 0]
    const once = async (): Promise<void> => {
      const socket = await dial(port)
      if (socket === null) failed++
      else {
        opened++
        socket.end(frames({ type: 'GOAWAY', payload: Buffer.alloc(8) }))
      }
    }
    for (;;) {
      const passedS = (performance.now() - beganMs) / 1000
      if (passedS >= seconds) break
      for (; begun < passedS * perSecond && under.size < HANDSHAKES_AT_ONCE; begun++) {
        const one = once().finally(() => under.delete(one))
        under.add(one)
      }
      await sleep(5)
    }
    await Promise.all(under)
    return [opened, failed]
  }

  let callers: GrpcCaller[] = []
  let loops: Promise<void>[] = []
  const busy = { isOn: false, messages: 0, broken: 0 }
  const stream = async (caller: GrpcCaller): Promise<void> => {
    const call = caller.open({ path: PATH })
    await sleep(MESSAGE_PAUSE_MS * Math.random())
    while (busy.isOn) {
      await call.send(MESSAGE)
      if ((await call.next()) === null) {
        busy.broken++
        return
      }
      busy.messages++
      await sleep(MESSAGE_PAUSE_MS)
    }
    call.end()
    if ((await call.outcome).status !== 0) busy.broken++
  }

  const carryOut = async (order: KidOrder): Promise<Partial<KidReport>> => {
    if (order.do === 'open') return { failed: await open(order.port, order.count) }
    if (order.do === 'churn') {
      const [opened, failed] = await churn(order.port, order.perSecond, order.seconds)
      return { opened, failed }
    }
    if (order.do === 'close') {
      for (const socket of standing) socket.destroy()
      while (standing.size > 0) await sleep(10)
      return {}
    }
    if (order.do === 'busy') {
      Object.assign(busy, { isOn: true, messages: 0, broken: 0 })
      const own = { ca: Buffer.from(tls.ca), cert: Buffer.from(tls.cert), key: Buffer.from(tls.key) }
      callers = Array.from({ length: order.connections }, () =>
        connectGrpcJs({ port: order.port, tls: own, token }),
      )
      loops = Array.from({ length: order.streams }, (_, n) => stream(callers[n % callers.length]!))
      return {}
    }
    if (order.do === 'give back') return {}
    busy.isOn = false
    await Promise.all(loops)
    for (const caller of callers) caller.close()
    return { messages: busy.messages, broken: busy.broken }
  }

  process.on('message', (order: KidOrder) => {
    void (async () => {
      const done = await carryOut(order)
      const report: KidReport = { open: standing.size, opened: 0, failed: 0, messages: 0, broken: 0, ...done }
      process.send!(report)
    })()
  })
  process.send!('ready')
}

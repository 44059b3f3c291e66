/**
 * A client on authgw's own core that sends calls at little cost: a flood that costs more to send than to take would starve
 * what it is to try, on a machine that both share.
 */
import { readFileSync } from 'node:fs'
import { connect as connectTls, createSecureContext } from 'node:tls'
import type { SecureContext, TLSSocket } from 'node:tls'
import { ByteBudget, DEFAULT_H2_LIMITS, H2Connection, H2Stats } from '../../src/h2/index.ts'
import type { H2Handler, H2Stream } from '../../src/h2/index.ts'
import { HeaderField, HeaderList, UNINDEXED_FIELD } from '../../src/hpack/index.ts'
import { createTurn, createWheel, NetStats, Pump, SystemClock } from '../../src/net/index.ts'
import { exportPath } from '../support/otlp-proto.ts'

/** An empty message. */
export const GRPC_FRAME = Buffer.alloc(5)
/** The method that is called. */
export const PATH = exportPath('traces')
/** The end of a call whose connection was closed on it. */
export const CUT = 'cut'

/** Where a client finds the gateway and its certificates. */
export interface FloodTarget {
  readonly port: number
  readonly folder: string
}

/** Told what a call has ended with: its grpc-status, or `CUT`. */
export type OnEnd = (status: string) => void

/** One connection, opened again when it is closed on its calls. */
export interface FloodClient {
  call(token: string, onEnd: OnEnd): void
  close(): void
}

/** Certificates of the caller. */
export function readTls({ folder }: FloodTarget): { ca: Buffer; cert: Buffer; key: Buffer } {
  const file = (name: string): Buffer => readFileSync(`${folder}/${name}`)
  return { ca: file('ca.pem'), cert: file('client.pem'), key: file('client-key.pem') }
}

interface LeanCall {
  readonly onEnd: OnEnd
  status: string
}

const CLOCK = new SystemClock()
const TURN = createTurn(CLOCK)
const WHEEL = createWheel({ clock: CLOCK, turn: TURN })
const HELD = new ByteBudget(Infinity)
const STATS = new H2Stats()
const NET_STATS = new NetStats()
const HEAD = [
  new HeaderField(':method', 'POST'),
  new HeaderField(':scheme', 'https'),
  new HeaderField(':path', PATH),
  new HeaderField(':authority', 'localhost'),
  new HeaderField('content-type', 'application/grpc'),
  new HeaderField('te', 'trailers'),
]
const nothing = (): void => {}

/** One connection on the core. */
export class LeanClient implements FloodClient {
  readonly #port: number
  readonly #context: SecureContext
  readonly #waiting: { readonly token: string; readonly onEnd: OnEnd }[] = []
  #socket: TLSSocket | null = null
  #connection: H2Connection | null = null

  constructor(target: FloodTarget) {
    this.#port = target.port
    this.#context = createSecureContext(readTls(target))
  }

  call(token: string, onEnd: OnEnd): void {
    this.#waiting.push({ token, onEnd })
    if (this.#connection?.isRetired === true) this.#socket = null
    if (this.#socket === null) this.#open()
    else this.#send()
  }

  close(): void {
    this.#socket?.destroy()
  }

  #send(): void {
    const connection = this.#connection
    if (connection === null) return
    while (this.#waiting.length > 0 && connection.canOpenStream) {
      const next = this.#waiting.shift()!
      const call: LeanCall = { onEnd: next.onEnd, status: CUT }
      const head = new HeaderList([
        ...HEAD,
        new HeaderField('authorization', `Bearer ${next.token}`, UNINDEXED_FIELD),
      ])
      connection.openStream(head, null, false, call).sendData(GRPC_FRAME, true)
    }
  }

  #open(): void {
    this.#connection = null
    const where = { host: '127.0.0.1', port: this.#port, servername: 'localhost', allowHalfOpen: true }
    const socket = connectTls({ ...where, ALPNProtocols: ['h2'], secureContext: this.#context })
    this.#socket = socket
    socket.on('error', () => {})
    socket.once('secureConnect', () => this.#attach(socket))
    // One that is closed before it stands takes with it what waited for it.
    socket.once('close', () => {
      if (this.#socket !== socket) return
      this.#socket = null
      for (const { onEnd } of this.#waiting.splice(0)) onEnd(CUT)
    })
  }

  #attach(socket: TLSSocket): void {
    const connection = new H2Connection({
      isServer: false,
      handler: this.#handler(),
      turn: TURN,
      wheel: WHEEL,
      limits: DEFAULT_H2_LIMITS,
      stats: STATS,
      held: HELD,
    })
    connection.start()
    socket.setNoDelay(true)
    const pump = new Pump({
      socket,
      connection,
      turn: TURN,
      clock: CLOCK,
      stats: NET_STATS,
      isIngress: false,
      peerName: 'gateway',
    })
    this.#connection = pump.connection as H2Connection
  }

  #handler(): H2Handler {
    const note = (stream: H2Stream, list: HeaderList): void => {
      const status = list.first('grpc-status')
      if (status !== null) (stream.attachment as LeanCall).status = status
    }
    const end = (stream: H2Stream): void => {
      const call = stream.attachment as LeanCall
      call.onEnd(call.status)
    }
    return {
      onRequest: nothing,
      onResponse: note,
      onTrailers: note,
      onData: (stream, payload) => stream.credit(payload.length),
      onDataSent: nothing,
      onStreamReset: end,
      onStreamClosed: end,
      onCapacity: () => this.#send(),
      onGoaway: nothing,
      onClosed: nothing,
    }
  }
}

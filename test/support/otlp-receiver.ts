/**
 * The collector behind the control plane, in this process: a grpc-js server with OTLP's three services that decodes
 * every request and tallies its items by the number they carry.
 *
 * ```ts
 * const receiver = await startOtlpReceiver()
 * receiver.endpoint                        // 127.0.0.1:40123
 * receiver.arrived.traces.missing(500)     // the numbers of 0 … 499 that never came
 * receiver.fault = { code: status.UNAVAILABLE }
 * await receiver.stop(); await receiver.start()   // same port
 * ```
 */
import { Metadata, Server, ServerCredentials } from '@grpc/grpc-js'
import type { sendUnaryData, ServerUnaryCall, status } from '@grpc/grpc-js'
import { NumberTally } from './number-tally.ts'
import { itemsOf, otlpService, SIGNALS } from './otlp-proto.ts'
import type { ExportRequest, Signal } from './otlp-proto.ts'

/** The attribute that numbers an item. */
export const NUMBER_ATTRIBUTE = 'authgw.test.number'

/** One request that was accepted. */
export interface ArrivedRequest {
  readonly signal: Signal
  /** How many spans, data points or log records it held. */
  readonly itemCount: number
  /** What the caller sent beside it. */
  readonly metadata: Metadata
}

/** How the receiver answers while it is set. */
export interface ReceiverFault {
  readonly code: status
  readonly details?: string
  readonly metadata?: Metadata
}

/** What to start. */
export interface OtlpReceiverOptions {
  /** `host:port` or `unix:///path`; default a free port of 127.0.0.1. */
  readonly endpoint?: string
  /** Told of every request that was accepted. */
  readonly onArrival?: (request: ArrivedRequest) => void
}

/** A receiver that was started. */
export interface OtlpReceiver {
  /** `127.0.0.1:port`, or as in the options. */
  readonly endpoint: string
  /** 0 on a UNIX socket. */
  readonly port: number
  /** Items by number. Repeats are no fault: OTLP accepts duplicates. */
  readonly arrived: Readonly<Record<Signal, NumberTally>>
  /** Items without a number. */
  readonly unnumberedCount: number
  /** Requests accepted. */
  readonly requestCount: number
  /** Answers every request with this status; null accepts. */
  fault: ReceiverFault | null
  /** Closes the port and every connection. */
  stop(): void
  /** Listens again at the same endpoint. */
  start(): Promise<void>
}

/** Starts a receiver. Rejects when the endpoint cannot be bound. */
export async function startOtlpReceiver(options: OtlpReceiverOptions = {}): Promise<OtlpReceiver> {
  const arrived = { traces: new NumberTally(), metrics: new NumberTally(), logs: new NumberTally() }
  let endpoint = options.endpoint ?? '127.0.0.1:0'
  let server: Server | null = null

  const accept =
    (signal: Signal) =>
    (call: ServerUnaryCall<ExportRequest, object>, answer: sendUnaryData<object>): void => {
      if (receiver.fault !== null) {
        const { code, details = 'the test says so', metadata = new Metadata() } = receiver.fault
        return answer({ code, details, metadata })
      }
      const items = itemsOf(call.request)
      for (const { attributes } of items) {
        const number = attributes.find(({ key }) => key === NUMBER_ATTRIBUTE)?.value?.intValue
        if (number === undefined) receiver.unnumberedCount++
        else arrived[signal].add(number)
      }
      receiver.requestCount++
      options.onArrival?.({ signal, itemCount: items.length, metadata: call.metadata })
      answer(null, {})
    }

  const receiver = {
    arrived,
    unnumberedCount: 0,
    requestCount: 0,
    fault: null as ReceiverFault | null,
    get endpoint() {
      return endpoint
    },
    get port() {
      return endpoint.startsWith('unix:') ? 0 : Number(endpoint.split(':').at(-1))
    },
    stop() {
      server?.forceShutdown()
      server = null
    },
    async start() {
      if (server !== null) return
      const starting = new Server({ 'grpc.max_receive_message_length': 64 * 1024 * 1024 })
      for (const signal of SIGNALS) starting.addService(otlpService(signal), { Export: accept(signal) })
      const port = await bind(starting, endpoint)
      if (!endpoint.startsWith('unix:')) endpoint = endpoint.replace(/:\d+$/, `:${port}`)
      server = starting
    },
  }
  await receiver.start()
  return receiver
}

function bind(server: Server, endpoint: string): Promise<number> {
  return new Promise((done, fail) => {
    server.bindAsync(endpoint, ServerCredentials.createInsecure(), (error, port) =>
      error === null ? done(port) : fail(error),
    )
  })
}

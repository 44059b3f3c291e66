/** `@grpc/grpc-js` as a client and a server of octets. */
import grpc from '@grpc/grpc-js'
import { TEST_SERVICE } from './gateway-pair.ts'
import type { PairIngress } from './gateway-pair.ts'
import type {
  CallOptions,
  ClientCall,
  GrpcCaller,
  GrpcKit,
  GrpcServed,
  Metadata,
  Outcome,
  ServedCall,
} from './grpc-peer.ts'

const same = (octets: Buffer): Buffer => octets
const DEFAULT_PATH = `/${TEST_SERVICE}/Call`
const LARGEST_BYTES = 128 * 1024 * 1024

/** Options that a test may give to grpc-js. */
export type ChannelOptions = grpc.ChannelOptions

export const grpcJs: GrpcKit = { name: 'grpc-js', connect: connectGrpcJs, serve: serveGrpcJs }

/** Connects a client, with further options for its channel. */
export function connectGrpcJs(ingress: PairIngress, options: ChannelOptions = {}): GrpcCaller {
  const { tls, token, port } = ingress
  const credentials =
    tls === null ? grpc.credentials.createInsecure() : grpc.credentials.createSsl(tls.ca, tls.key, tls.cert)
  const client = new grpc.Client(`127.0.0.1:${port}`, credentials, {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.ssl_target_name_override': 'localhost',
    'grpc.enable_retries': 0,
    'grpc.max_receive_message_length': LARGEST_BYTES,
    'grpc.initial_reconnect_backoff_ms': 100,
    ...options,
  })
  const settings = ({ metadata, timeoutMs }: CallOptions): [grpc.Metadata, grpc.CallOptions] => [
    toMetadata({ ...metadata, ...(token !== null && { authorization: [`Bearer ${token}`] }) }),
    timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs },
  ]
  return {
    open: (own = {}) =>
      openCall(client.makeBidiStreamRequest(own.path ?? DEFAULT_PATH, same, same, ...settings(own))),
    unary: (message, own = {}) =>
      new Promise((resolve) => {
        const [metadata, callOptions] = settings(own)
        const replies: Buffer[] = []
        let head: Metadata = {}
        const call = client.makeUnaryRequest(
          own.path ?? DEFAULT_PATH,
          same,
          same,
          message,
          metadata,
          callOptions,
          (_error, reply) => {
            if (reply !== undefined) replies.push(reply)
          },
        )
        call.on('metadata', (fields) => (head = fromMetadata(fields)))
        call.on('status', (status) => {
          // The reply comes in the same turn, after the status.
          setImmediate(() => resolve(outcomeOf(status, head, replies)))
        })
      }),
    close: () => client.close(),
  }
}

function openCall(call: grpc.ClientDuplexStream<Buffer, Buffer>): ClientCall {
  const replies: Buffer[] = []
  let head: Metadata = {}
  call.on('metadata', (fields) => (head = fromMetadata(fields)))
  call.on('error', () => {})
  const reader = readerOf(call)
  const outcome = new Promise<Outcome>((resolve) => {
    call.on('status', (status) => resolve(outcomeOf(status, head, replies)))
  })
  return {
    send: (message) => writeTo(call, message),
    end: () => call.end(),
    cancel: () => call.cancel(),
    next: async () => {
      const message = await reader()
      if (message !== null) replies.push(message)
      return message
    },
    get outcome() {
      // Reading to the end is what makes grpc-js give the status.
      void (async () => {
        for (let message = await reader(); message !== null; message = await reader()) replies.push(message)
      })()
      return outcome
    },
  }
}

async function serveGrpcJs(): Promise<GrpcServed> {
  const server = new grpc.Server({
    'grpc.max_receive_message_length': LARGEST_BYTES,
    'grpc.max_concurrent_streams': 1000,
  })
  const method = {
    path: DEFAULT_PATH,
    requestStream: true,
    responseStream: true,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  } as const
  server.addService(
    { Call: method },
    {
      Call: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
        // A throw of the responder is the test's own fault: it shows as UNKNOWN.
        void (async () => served.respond(servedCall(call)))().catch((error: unknown) => {
          call.emit('error', { code: grpc.status.UNKNOWN, details: String(error) })
        })
      },
    },
  )
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound)
      else reject(error)
    })
  })
  const served: GrpcServed = {
    port,
    respond: () => {},
    cutConnections: () => server.drain(`127.0.0.1:${port}`, 0),
    close: () => {
      server.forceShutdown()
      return Promise.resolve()
    },
  }
  return served
}

function servedCall(call: grpc.ServerDuplexStream<Buffer, Buffer>): ServedCall {
  const deadline = call.getDeadline()
  const reader = readerOf(call)
  const cancelled = new Promise<void>((resolve) => void call.on('cancelled', () => resolve()))
  return {
    path: call.getPath(),
    metadata: fromMetadata(call.metadata),
    timeoutMs: deadline instanceof Date ? deadline.getTime() - Date.now() : deadline - Date.now(),
    next: () => Promise.race([reader(), cancelled.then(() => null)]),
    sendHead: (metadata) => call.sendMetadata(toMetadata(metadata)),
    send: (message) => writeTo(call, message),
    finish: (code = 0, details = '', trailers = {}) => {
      const metadata = toMetadata(trailers)
      if (code === 0) call.end(metadata)
      else call.emit('error', { code, details, metadata })
    },
    cancelled,
  }
}

/** Asks a stream of messages for the next one; null at its end, in good order or not. */
function readerOf(stream: NodeJS.ReadableStream): () => Promise<Buffer | null> {
  let isOver = false
  for (const event of ['end', 'close', 'error', 'cancelled']) stream.on(event, () => (isOver = true))
  return () =>
    new Promise((resolve) => {
      const look = (): void => {
        const message = stream.read() as unknown as Buffer | null
        if (message === null && !isOver) return
        for (const event of LOOK_AGAIN) stream.off(event, look)
        resolve(message)
      }
      for (const event of LOOK_AGAIN) stream.on(event, look)
      look()
    })
}

const LOOK_AGAIN = ['readable', 'end', 'close', 'error', 'cancelled']

/** What both sides' streams have in common for writing. */
interface MessageSink {
  write(message: Buffer): boolean
  once(event: string, listener: () => void): unknown
}

function writeTo(stream: MessageSink, message: Buffer): Promise<void> {
  return new Promise((resolve) => {
    if (stream.write(message)) return resolve()
    for (const event of ['drain', 'close', 'error']) stream.once(event, () => resolve())
  })
}

function outcomeOf(status: grpc.StatusObject, head: Metadata, replies: readonly Buffer[]): Outcome {
  return {
    status: status.code,
    message: status.details,
    head,
    trailers: fromMetadata(status.metadata),
    replies,
  }
}

function toMetadata(metadata: Metadata): grpc.Metadata {
  const made = new grpc.Metadata()
  for (const [name, values] of Object.entries(metadata)) for (const value of values) made.add(name, value)
  return made
}

function fromMetadata(metadata: grpc.Metadata): Metadata {
  const names = Object.keys(metadata.getMap())
  return Object.fromEntries(names.map((name) => [name, metadata.get(name)]))
}

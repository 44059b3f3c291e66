/**
 * What interop tests ask of a gRPC client and of a gRPC server, whatever library it stands on. Messages are octets;
 * metadata is a list of values for each name, `-bin` values as octets.
 */
import type { PairIngress } from './gateway-pair.ts'

/** Metadata: name (lower case) → values in their order. */
export type Metadata = Readonly<Record<string, readonly (string | Buffer)[]>>

/** How a call ended, as the caller sees it. */
export interface Outcome {
  readonly status: number
  /** Decoded. */
  readonly message: string
  /** What came before the first message; empty when the answer was trailers-only. */
  readonly head: Metadata
  readonly trailers: Metadata
  readonly replies: readonly Buffer[]
}

/** What a call is begun with. */
export interface CallOptions {
  /** Default `/authgw.test.Interop/Call`. */
  readonly path?: string
  readonly metadata?: Metadata
  /** Default none. */
  readonly timeoutMs?: number
}

/** A call that is open. */
export interface ClientCall {
  /** Resolves when more may be sent. */
  send(message: Buffer): Promise<void>
  end(): void
  cancel(): void
  /** The next message; null after the last one. Messages that nobody asks for are left unread. */
  next(): Promise<Buffer | null>
  /** Resolves when the call has ended; the messages not taken by `next` are read for it. Never rejects. */
  readonly outcome: Promise<Outcome>
}

/** A client with one connection. */
export interface GrpcCaller {
  open(options?: CallOptions): ClientCall
  /** One message out, and what comes back. */
  unary(message: Buffer, options?: CallOptions): Promise<Outcome>
  close(): void
}

/** A call as the server sees it. */
export interface ServedCall {
  readonly path: string
  readonly metadata: Metadata
  /** Ms that the caller gave, as the server reads them; Infinity without a deadline. */
  readonly timeoutMs: number
  /** The next message; null after the last one, and when the call was cancelled. */
  next(): Promise<Buffer | null>
  sendHead(metadata: Metadata): void
  /** Resolves when more may be sent. */
  send(message: Buffer): Promise<void>
  finish(status?: number, message?: string, trailers?: Metadata): void
  /** Resolves when the caller has gone. */
  readonly cancelled: Promise<void>
}

/** A server on a free loopback port, in plaintext. */
export interface GrpcServed {
  readonly port: number
  /** Answers calls; a test puts its own here. */
  respond: (call: ServedCall) => void | Promise<void>
  /** Breaks every connection, without a word. */
  cutConnections(): void
  close(): Promise<void>
}

/** A library. */
export interface GrpcKit {
  readonly name: string
  connect(ingress: PairIngress): GrpcCaller
  serve(): Promise<GrpcServed>
}

/** Sends back each message, the call's own metadata first, and ends with OK. */
export async function echo(call: ServedCall): Promise<void> {
  for (let message = await call.next(); message !== null; message = await call.next())
    await call.send(message)
  call.finish()
}

/** A list of values as one text, the way that HTTP joins equal names (RFC 9110 §5.3). */
export const joined = (values: readonly (string | Buffer)[] | undefined): string => (values ?? []).join(', ')

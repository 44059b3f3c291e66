/**
 * Stream events of both legs to the calls that they belong to, and events of connections to the relay and its pool.
 * Floor 3; decides nothing. An exception on the way is a bug of ours and ends one call (no-loss.md row 28).
 */
import type { FaultToken, TransportError } from '../base/index.ts'
import type { H2Connection, H2Handler, H2Stream, ResetCause } from '../h2/index.ts'
import type { HeaderList } from '../hpack/index.ts'
import type { Call } from './call.ts'
import type { EgressPool } from './egress-pool.ts'

/** The call of a stream; null before one was made, and for heads that were refused. */
export function callOf(stream: H2Stream): Call | null {
  return stream.attachment as Call | null
}

/** What ingress events reach besides calls. */
export interface IngressOwner {
  onRequest(stream: H2Stream, head: HeaderList, isEnd: boolean): void
  onIngressClosed(connection: H2Connection): void
}

/** Events of ingress connections. */
export class IngressHandler implements H2Handler {
  readonly #owner: IngressOwner
  constructor(owner: IngressOwner) {
    this.#owner = owner
  }
  onRequest(stream: H2Stream, head: HeaderList, isEnd: boolean): void {
    this.#owner.onRequest(stream, head, isEnd)
  }
  onResponse(): void {}
  onTrailers(stream: H2Stream): void {
    const call = callOf(stream)
    if (call === null) return
    try {
      call.onIngressTrailers()
    } catch (error) {
      call.onBug(error)
    }
  }
  onData(stream: H2Stream, payload: Buffer, isEnd: boolean): void {
    const call = callOf(stream)
    if (call === null) return stream.credit(payload.length)
    try {
      call.onIngressData(payload, isEnd)
    } catch (error) {
      call.onBug(error)
    }
  }
  onDataSent(stream: H2Stream, bytes: number): void {
    callOf(stream)?.onIngressSent(bytes)
  }
  onStreamReset(stream: H2Stream): void {
    const call = callOf(stream)
    if (call === null) return
    try {
      call.onIngressReset()
    } catch (error) {
      call.onBug(error)
    }
  }
  onStreamClosed(stream: H2Stream): void {
    const call = callOf(stream)
    if (call === null) return
    try {
      call.onIngressClosed()
    } catch (error) {
      call.onBug(error)
    }
  }
  onCapacity(): void {}
  onGoaway(): void {}
  onClosed(connection: H2Connection): void {
    this.#owner.onIngressClosed(connection)
  }
}

/** What egress events reach besides calls. */
export interface EgressOwner {
  readonly pool: EgressPool
  /** The upstream finds our keepalive too fast. */
  onTooManyPings(): void
}

/** Events of egress connections. Their streams are opened by calls, so each has one. */
export class EgressHandler implements H2Handler {
  readonly #owner: EgressOwner
  constructor(owner: EgressOwner) {
    this.#owner = owner
  }
  onRequest(): void {}
  onResponse(stream: H2Stream, head: HeaderList, isEnd: boolean): void {
    const call = callOf(stream)!
    try {
      call.onEgressResponse(head, isEnd)
    } catch (error) {
      call.onBug(error)
    }
  }
  onTrailers(stream: H2Stream, trailers: HeaderList): void {
    const call = callOf(stream)!
    try {
      call.onEgressTrailers(trailers)
    } catch (error) {
      call.onBug(error)
    }
  }
  onData(stream: H2Stream, payload: Buffer, isEnd: boolean): void {
    const call = callOf(stream)!
    try {
      call.onEgressData(payload, isEnd)
    } catch (error) {
      call.onBug(error)
    }
  }
  onDataSent(stream: H2Stream, bytes: number): void {
    callOf(stream)!.onEgressSent(bytes)
  }
  onStreamReset(stream: H2Stream, code: number, cause: ResetCause, _token: FaultToken | null): void {
    const call = callOf(stream)!
    try {
      call.onEgressReset(code, cause)
    } catch (error) {
      call.onBug(error)
    }
  }
  onStreamClosed(): void {}
  onCapacity(connection: H2Connection): void {
    this.#owner.pool.onCapacity(connection)
  }
  onGoaway(connection: H2Connection, _lastStreamId: number, _code: number, isTooManyPings: boolean): void {
    if (isTooManyPings) this.#owner.onTooManyPings()
    this.#owner.pool.onRetired(connection)
  }
  onClosed(connection: H2Connection, error: TransportError | null): void {
    this.#owner.pool.onClosed(connection, error)
  }
}

/**
 * The request of one call: the caller's octets in, what the egress stream sends out. They wait until there is such a
 * stream, are kept as long as they may have to be sent again, and are credited as they leave.
 * Floor 3; knows no state of the call and decides nothing.
 */
import { Chunk, ChunkQueue, detached, NO_BYTES } from '../base/index.ts'
import { MessageLengthFollower } from '../grpc/index.ts'
import type { H2Stream } from '../h2/index.ts'
import type { RelayContext } from './context.ts'
import { ReplayHold } from './replay.ts'

/** Where the octets of one request are. */
export class CallRequest {
  /** Whether the caller has ended its side. */
  isEnded = false
  readonly #relay: RelayContext
  readonly #ingress: H2Stream
  /** Octets that wait for a decision or a connection. Their credit is withheld. */
  #early: ChunkQueue | null = null
  #hold: ReplayHold | null = null
  /** Octets that are credited to ingress already. */
  #creditedBytes = 0
  /** Octets to be sent again, whose credit ingress has had. */
  #replayedBytes = 0
  #messages: MessageLengthFollower | null = null

  constructor(relay: RelayContext, ingress: H2Stream) {
    this.#relay = relay
    this.#ingress = ingress
  }

  /** Octets that wait. */
  get earlyBytes(): number {
    return this.#early === null ? 0 : this.#early.bytes
  }

  /** Whether the head is all that there is to send. */
  get isBare(): boolean {
    return this.isEnded && this.earlyBytes === 0
  }

  /** Whether all that was sent is here and can be sent again. */
  get isReplayable(): boolean {
    return this.#hold !== null && this.#hold.isActive
  }

  /** Follows the 5-octet prefixes: false when a message is too long. One that lies whole in its piece needs no state. */
  isMessageSmall(payload: Buffer): boolean {
    const { maxMessageBytes, isGrpcOnly } = this.#relay
    if (!isGrpcOnly) return true
    const isAtBoundary = this.#messages === null || this.#messages.isAtMessageBoundary
    if (isAtBoundary && payload.length >= 5 && payload.readUInt32BE(1) === payload.length - 5)
      return payload.length - 5 <= maxMessageBytes
    this.#messages ??= new MessageLengthFollower()
    return this.#messages.push(payload, maxMessageBytes)
  }

  /** Lets `payload` (not empty) wait for an egress stream: a small view of a large chunk is copied. */
  await(payload: Buffer): void {
    const view = detached(payload)
    this.#keep(view, view === payload ? this.#ingress.connection.chunk : new Chunk(view.length))
    this.#early ??= new ChunkQueue()
    this.#early.push(view)
    this.#early.detach(this.#ingress.connection.held.pins)
  }

  /** Sends `payload`, which may be empty at the end. */
  forward(payload: Buffer, isEnd: boolean, egress: H2Stream): void {
    if (payload.length > 0) this.#keep(payload, this.#ingress.connection.chunk)
    egress.sendData(payload, isEnd)
  }

  /** Sends what has waited on a new stream, whose head went out with END_STREAM if `isBare`. */
  begin(egress: H2Stream, isBare: boolean): void {
    this.#hold ??= new ReplayHold(this.#relay.replayBudget)
    const early = this.#early
    if (early !== null) {
      this.#early = null
      for (let view = early.take(Infinity); view !== null; view = early.take(Infinity))
        egress.sendData(view, false)
    }
    if (this.isEnded && !isBare) egress.sendData(NO_BYTES, true)
  }

  /** Everything that was sent waits again. Only while `isReplayable`. */
  rewind(): void {
    const early = new ChunkQueue()
    this.#hold!.replayInto(early)
    early.detach(this.#ingress.connection.held.pins)
    this.#early = early
    this.#replayedBytes = this.#creditedBytes
  }

  /** Egress has taken octets: ingress gets its credit, unless it has had it before a replay. */
  onSent(bytes: number): void {
    const againBytes = Math.min(bytes, this.#replayedBytes)
    this.#replayedBytes -= againBytes
    this.#creditedBytes += bytes - againBytes
    this.#ingress.credit(bytes - againBytes)
  }

  /** The answer has begun: nothing will be sent again. */
  stopKeeping(): void {
    this.#hold?.giveUp()
  }

  /** Nobody will take the octets that are still here: their credit goes back at once. */
  drop(): void {
    this.#hold?.giveUp()
    this.#early?.clear()
    this.#early = null
    this.#ingress.release()
  }

  #keep(view: Buffer, chunk: Chunk): void {
    this.#hold ??= new ReplayHold(this.#relay.replayBudget)
    if (this.#hold.isActive && !this.#hold.keep(view, chunk)) this.#relay.stats.unheldCalls++
  }
}

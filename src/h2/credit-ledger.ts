/**
 * What the peer may still send on a connection: octets received, held and given back in, WINDOW_UPDATEs out.
 * Floor 2; knows no frame but that one. Every octet is somewhere: still to come, held by an owner, or about to be announced.
 * @see RFC 9113 §5.2, §6.9
 */
import { invariant } from '../base/index.ts'
import { DEFAULT_INITIAL_WINDOW_SIZE } from '../frame/index.ts'
import type { H2Connection } from './connection.ts'
import { RecvWindow } from './recv-window.ts'
import { isPeerOpen } from './stream-state.ts'
import type { H2Stream } from './stream.ts'

/** Keeps account of the octets that one connection and its streams have received. */
export class CreditLedger {
  /** The window of the connection; each stream has its own. */
  readonly window = new RecvWindow(DEFAULT_INITIAL_WINDOW_SIZE)
  readonly #connection: H2Connection
  /** Streams whose windows are looked at before the next write. */
  readonly #dueStreams: H2Stream[] = []
  /** Octets of streams that ended in good order and whose owners still hold them. */
  #orphanHeldBytes = 0

  constructor(connection: H2Connection) {
    this.#connection = connection
  }

  /** Lifts the connection window from the protocol's default to ours. Once, after our SETTINGS. */
  open(): void {
    const { limits, writer } = this.#connection
    this.window.grow(limits.connectionWindowBytes)
    if (this.window.pendingBytes > 0) writer.windowUpdate(0, this.window.announce())
  }

  /** Whether `announce` may have something to say. */
  get isDue(): boolean {
    return this.#dueStreams.length > 0 || this.window.isUpdateDue
  }

  /** Counts `bytes` of DATA against the connection; false when the peer may not send so many. */
  receive(bytes: number): boolean {
    const { window } = this
    if (!window.receive(bytes)) return false
    this.#connection.held.usedBytes += bytes
    this.#makeRoom()
    // Where others hold the rest of the window, no credit may follow that would announce what came back before.
    if (window.isUpdateDue) this.#connection.markDirty()
    return true
  }

  /** Credits up to `wantedBytes` of what `stream` holds. What an orderly end left held is credited as it is taken. */
  credit(stream: H2Stream, wantedBytes: number): void {
    // A reset has credited it already.
    const bytes = Math.min(wantedBytes, stream.recvWindow.heldBytes)
    if (bytes <= 0) return
    this.#releaseOverhead(stream, bytes)
    stream.recvWindow.credit(bytes)
    this.creditConnection(bytes)
    if (stream.isOver) this.#orphanHeldBytes -= bytes
    else if (isPeerOpen(stream.state) && stream.recvWindow.isUpdateDue && !stream.isCreditListed) {
      stream.isCreditListed = true
      this.#dueStreams.push(stream)
      this.#connection.markDirty()
    }
  }

  /** Credits octets that no stream holds. */
  creditConnection(bytes: number): void {
    const connection = this.#connection
    const { window } = this
    connection.held.usedBytes -= bytes
    window.credit(bytes)
    if (!connection.isServer) window.shrink(connection.limits.connectionWindowBytes + window.heldBytes)
    if (window.isUpdateDue) connection.markDirty()
  }

  /**
   * A stream is over. What it holds is credited, unless it has ended in good order: then its owner still has the octets,
   * and credits them as the other leg takes them.
   */
  closeStream(stream: H2Stream, isOrderly: boolean): void {
    const heldBytes = stream.recvWindow.heldBytes
    if (isOrderly) this.#orphanHeldBytes += heldBytes
    else if (heldBytes > 0) {
      this.#releaseOverhead(stream, heldBytes)
      stream.recvWindow.credit(heldBytes)
      this.creditConnection(heldBytes)
    }
  }

  /** WINDOW_UPDATEs for what was credited since the last turn: one per window at most. */
  announce(): void {
    const connection = this.#connection
    const { held, limits, writer } = connection
    if (this.window.isUpdateDue) writer.windowUpdate(0, this.window.announce())
    if (this.#dueStreams.length === 0) return
    for (const stream of this.#dueStreams) {
      stream.isCreditListed = false
      const window = stream.recvWindow
      if (!isPeerOpen(stream.state) || !window.isUpdateDue) continue
      if (held.isSpent) {
        // The process holds too much already: what was credited is kept back, down to what an unchecked stream has.
        window.shrink(limits.initialStreamWindowBytes)
        if (!window.isUpdateDue) continue
      } else if (stream.isAdmitted && window.drainedBytes >= window.targetBytes) {
        // The other leg has taken a whole window since it last grew: it drains, so the window may double.
        window.grow(Math.min(window.targetBytes * 2, limits.maxStreamWindowBytes))
      }
      writer.windowUpdate(stream.id, window.announce())
    }
    this.#dueStreams.length = 0
  }

  /** Throws unless every octet is accounted for: on the connection and on each of its live streams. */
  check(streams: Iterable<H2Stream>): void {
    let streamHeldBytes = 0
    for (const { id, recvWindow } of streams) {
      streamHeldBytes += recvWindow.heldBytes
      checkWindow(recvWindow, `window of stream ${id}`)
    }
    checkWindow(this.window, 'connection window')
    invariant(
      this.window.heldBytes === streamHeldBytes + this.#orphanHeldBytes,
      'the connection holds what its streams hold',
    )
  }

  /**
   * Client: what callers that read slowly make us hold is no window less for the answers of others, as long as the
   * process may hold more: the connection's window stands beside what is held.
   */
  #makeRoom(): void {
    const { isServer, held, limits } = this.#connection
    const { window } = this
    if (isServer || held.isSpent || window.remainingBytes * 2 > limits.connectionWindowBytes) return
    window.grow(limits.connectionWindowBytes + window.heldBytes)
  }

  /** Gives back the overhead of `bytes` about to be credited: all of it with the last octet. */
  #releaseOverhead(stream: H2Stream, bytes: number): void {
    if (stream.overheadBytes === 0) return
    const share = Math.floor((stream.overheadBytes * bytes) / stream.recvWindow.heldBytes)
    stream.overheadBytes -= share
    this.#connection.budget.releaseOverhead(share)
  }
}

function checkWindow(window: RecvWindow, name: string): void {
  const { remainingBytes, heldBytes, pendingBytes, targetBytes } = window
  invariant(
    remainingBytes + heldBytes + pendingBytes === targetBytes,
    `credits outstanding + octets held = ${name}`,
  )
}

/**
 * What views that wait pin besides themselves: the rest of the chunks they came in, counted once a chunk.
 * Floor 0; holds no octets. The account lies on the chunk's own memory: no map under churn (ADR 0010).
 */

/** Chunks up to this size have no account: a view that is not copied out of one is at least half of it. */
export const MAX_UNCOUNTED_CHUNK_BYTES = 8_192

const ACCOUNT = Symbol('account')

/** One chunk, as long as views of it wait. */
interface Account {
  /** Where the chunk is counted. */
  pins: ChunkPins
  viewCount: number
}
type Accounted = ArrayBufferLike & { [ACCOUNT]?: Account }

/** The account of a process. Each octet of a pinned chunk is in a view that waits, or counted here. */
export class ChunkPins {
  /** Octets of pinned chunks that are in no view that waits. `idleBytes >= 0`; 0 when nothing waits. */
  idleBytes = 0

  /** `view` waits from now on; no other that waits has an octet of it. */
  pin(view: Buffer): void {
    const chunk: Accounted = view.buffer
    if (chunk.byteLength <= MAX_UNCOUNTED_CHUNK_BYTES) return
    const account = (chunk[ACCOUNT] ??= { pins: this, viewCount: 0 })
    if (account.viewCount++ === 0) {
      account.pins = this
      this.idleBytes += chunk.byteLength
    }
    account.pins.idleBytes -= view.length
  }

  /** `bytes` of a view that was pinned wait no more. */
  cut(view: Buffer, bytes: number): void {
    const account = (view.buffer as Accounted)[ACCOUNT]
    if (account !== undefined) account.pins.idleBytes += bytes
  }

  /** What is left of a view that was pinned waits no more. */
  unpin(view: Buffer): void {
    const chunk: Accounted = view.buffer
    const account = chunk[ACCOUNT]
    if (account === undefined) return
    account.pins.idleBytes += view.length
    if (--account.viewCount === 0) account.pins.idleBytes -= chunk.byteLength
  }
}

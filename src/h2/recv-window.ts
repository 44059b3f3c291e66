/**
 * What a peer may send us, and where the octets are that it has sent: the receiving half of flow control.
 * Floor 2; knows no frame. One for each stream, one for the connection.
 * @see RFC 9113 §5.2, §6.9
 */

/**
 * Invariant, after every call: `remainingBytes + heldBytes + pendingBytes === targetBytes`, and none but
 * `remainingBytes` is ever negative (a lowered SETTINGS_INITIAL_WINDOW_SIZE may take that below zero).
 */
export class RecvWindow {
  /** The window that we stand for. */
  targetBytes: number
  /** What the peer may still send. */
  remainingBytes: number
  /** Received and not yet credited: somebody still holds it. */
  heldBytes = 0
  /** Credited and not yet announced by WINDOW_UPDATE. */
  pendingBytes = 0
  /** Credited since the target last grew: the measure of whether whoever takes the octets keeps up. */
  drainedBytes = 0

  constructor(bytes: number) {
    this.targetBytes = bytes
    this.remainingBytes = bytes
  }

  /** Counts `bytes` received; false when the peer may not send so many. */
  receive(bytes: number): boolean {
    if (bytes > this.remainingBytes) return false
    this.remainingBytes -= bytes
    this.heldBytes += bytes
    return true
  }

  /** Gives back `bytes` that nobody holds any more; `bytes <= heldBytes`. */
  credit(bytes: number): void {
    this.heldBytes -= bytes
    this.pendingBytes += bytes
    this.drainedBytes += bytes
  }

  /** Lifts the target; the difference is announced with the next update. */
  grow(targetBytes: number): void {
    if (targetBytes <= this.targetBytes) return
    this.pendingBytes += targetBytes - this.targetBytes
    this.targetBytes = targetBytes
    this.drainedBytes = 0
  }

  /** Lowers the target as far as credit is pending: what was announced cannot be taken back. */
  shrink(targetBytes: number): void {
    const cutBytes = Math.min(this.pendingBytes, this.targetBytes - targetBytes)
    if (cutBytes <= 0) return
    this.pendingBytes -= cutBytes
    this.targetBytes -= cutBytes
  }

  /**
   * Whether an update is worth a frame: half of what is in play has come back. What is held is not in play: streams that
   * stall may hold most of a connection's window for long, and the others live on what they leave.
   */
  get isUpdateDue(): boolean {
    return this.pendingBytes > 0 && this.pendingBytes >= this.remainingBytes
  }

  /** Takes what is pending as an increment for WINDOW_UPDATE. */
  announce(): number {
    const increment = this.pendingBytes
    this.remainingBytes += increment
    this.pendingBytes = 0
    return increment
  }
}

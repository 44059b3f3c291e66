/**
 * What we may send a peer: the sending half of flow control, where overflow is the peer's fault.
 * Floor 2; knows no frame.
 * @see RFC 9113 §6.9.1, §6.9.2
 */
import { MAX_WINDOW_SIZE } from '../frame/index.ts'

/** The result of adding an increment to a window; null when it would be above 2^31−1. A window may be negative (§6.9.2). */
export function widened(windowBytes: number, increment: number): number | null {
  const sum = windowBytes + increment
  return sum > MAX_WINDOW_SIZE ? null : sum
}

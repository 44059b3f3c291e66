/**
 * Makes room when memory is short: the caller that leaves most of its answers unread loses those.
 * Floor 3; looks at connections only. What requests hold is not counted: those wait for the upstream.
 */
import type { H2Connection } from '../h2/index.ts'

/**
 * From this share of what the process may hold, memory counts as short: the rest is for requests that wait for the upstream.
 * A third of 48 MiB: a few hundred KiB of requests, for answers that nobody takes, must not cost a hundred times as much.
 */
export const SHORT_SHARE = 1 / 3
/** A caller with less than this unread is not worth it, in octets. */
const MIN_UNREAD_BYTES = 256 * 1024

/** Ends the calls of the connection with most unread whose answers wait there; false when none has much. */
export function shedSlowest(connections: Iterable<H2Connection>): boolean {
  let slowest: H2Connection | null = null
  let mostBytes = MIN_UNREAD_BYTES
  for (const connection of connections) {
    const { queuedBytes } = connection.sendQueue
    if (queuedBytes < mostBytes) continue
    mostBytes = queuedBytes
    slowest = connection
  }
  if (slowest === null) return false
  for (const stream of slowest.streams.live()) if (stream.queue.bytes > 0) stream.fail('stalled')
  return true
}

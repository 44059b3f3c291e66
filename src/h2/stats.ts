/**
 * What a room of connections has counted: plain number fields, read at scrape.
 * Floor 2; knows no metric names.
 */
import { FAULTS, type FaultToken } from '../base/index.ts'

/** Counters of all connections on one leg. They only grow, except those that say "now". */
export class H2Stats {
  connectionsOpened = 0
  /** Connections open now. */
  connectionsOpen = 0
  streamsOpened = 0
  /** Streams open now. */
  streamsOpen = 0
  /** DATA payload octets received and sent, padding included. */
  dataBytesIn = 0
  dataBytesOut = 0
  headerBlocksIn = 0
  headerBlocksOut = 0
  resetsIn = 0
  resetsOut = 0
  pingsIn = 0
  goawaysIn = 0
  goawaysOut = 0
  /** Breaches by token. */
  readonly faults: Record<FaultToken, number> = Object.fromEntries(
    Object.keys(FAULTS).map((token) => [token, 0]),
  ) as Record<FaultToken, number>
}

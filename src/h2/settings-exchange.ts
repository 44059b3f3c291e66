/**
 * The exchange of SETTINGS: the peer's frames in, what follows from them for windows, tables and time-outs out.
 * Floor 2; knows no call. What an entry means is settings.ts.
 * @see RFC 9113 §3.4, §6.5
 */
import type { FaultToken } from '../base/index.ts'
import type { H2Connection } from './connection.ts'
import { widened } from './send-window.ts'
import { localSettings, PeerSettings } from './settings.ts'

/** Which SETTINGS are in force on one connection, in either direction. */
export class SettingsExchange {
  /** What the peer has announced. */
  readonly peer = new PeerSettings()
  /** Whether the peer's first SETTINGS have come. */
  isPeerKnown = false
  /** SETTINGS of ours that the peer has not acknowledged. */
  unackedCount = 0
  readonly #connection: H2Connection

  constructor(connection: H2Connection) {
    this.#connection = connection
  }

  /** Sends ours. */
  announce(): void {
    const { writer, isServer, limits } = this.#connection
    writer.settings(localSettings(isServer, limits))
    this.unackedCount++
  }

  /** SETTINGS of the peer's: in force as soon as we acknowledge them. */
  onSettings(payload: Buffer): void {
    const connection = this.#connection
    const { limits, turn } = connection
    if (payload.length / 6 > limits.maxSettingsEntries || !connection.budget.settingsFrame(turn.nowMs)) {
      return connection.fail('settings_flood')
    }
    const { peer } = this
    const windowBefore = peer.initialWindowBytes
    const fault =
      peer.apply(payload, !connection.isServer) ?? this.#moveWindows(peer.initialWindowBytes - windowBefore)
    if (fault !== null) return connection.fail(fault)
    // RFC 7541 §4.2: the lowest size in between is to be told as well.
    connection.onPeerTableBytes(peer.lowestHeaderTableBytes, peer.headerTableBytes)
    connection.writer.settingsAck()
    connection.outbound.countControl()
    if (connection.isFinished) return
    if (!this.isPeerKnown) connection.timers.onPeerSettings()
    this.isPeerKnown = true
    if (!connection.isServer) connection.handler.onCapacity(connection)
  }

  /** The peer has acknowledged ours: they are in force. */
  onAck(): void {
    const connection = this.#connection
    if (this.unackedCount === 0) return connection.fail('settings_ack_unexpected')
    this.unackedCount--
    connection.onTableBytesAcked()
    connection.timers.onSettingsAck()
  }

  /** RFC 9113 §6.9.2: a new initial window moves every stream's window by the difference; it may become negative. */
  #moveWindows(difference: number): FaultToken | null {
    if (difference === 0) return null
    const connection = this.#connection
    for (const stream of connection.streams.live()) {
      const moved = widened(stream.sendWindowBytes, difference)
      if (moved === null) return 'initial_window_overflow'
      stream.sendWindowBytes = moved
      connection.sendQueue.schedule(stream)
    }
    connection.markDirty()
    return null
  }
}

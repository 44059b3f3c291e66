/**
 * SETTINGS of both sides: a payload in, values or a fault token out; our own limits in, entries out.
 * Floor 2; knows no stream.
 * @see RFC 9113 §6.5
 */
import { readUint32, type FaultToken } from '../base/index.ts'
import {
  DEFAULT_HEADER_TABLE_SIZE,
  DEFAULT_INITIAL_WINDOW_SIZE,
  DEFAULT_MAX_FRAME_SIZE,
  LARGEST_MAX_FRAME_SIZE,
  MAX_WINDOW_SIZE,
  SettingId,
} from '../frame/index.ts'
import type { H2Limits } from './limits.ts'

/** What the peer has announced. Starts with the protocol's defaults. @see RFC 9113 §6.5.2 */
export class PeerSettings {
  headerTableBytes: number = DEFAULT_HEADER_TABLE_SIZE
  /** The lowest of the sizes in the last SETTINGS frame. */
  lowestHeaderTableBytes: number = DEFAULT_HEADER_TABLE_SIZE
  /** Streams we may have open towards it; no limit until it says so. */
  maxConcurrentStreams = Infinity
  initialWindowBytes: number = DEFAULT_INITIAL_WINDOW_SIZE
  maxFrameBytes: number = DEFAULT_MAX_FRAME_SIZE
  /** Largest header list it takes; advisory. */
  maxHeaderListBytes = Infinity

  /** Applies a SETTINGS payload (a multiple of 6 octets) entry by entry; stops at the first fault. */
  apply(payload: Buffer, isPeerServer: boolean): FaultToken | null {
    this.lowestHeaderTableBytes = Infinity
    for (let at = 0; at < payload.length; at += 6) {
      const id = (payload[at]! << 8) | payload[at + 1]!
      const fault = this.#applyOne(id, readUint32(payload, at + 2), isPeerServer)
      if (fault !== null) return fault
    }
    this.lowestHeaderTableBytes = Math.min(this.lowestHeaderTableBytes, this.headerTableBytes)
    return null
  }

  #applyOne(id: number, value: number, isPeerServer: boolean): FaultToken | null {
    switch (id) {
      case SettingId.HEADER_TABLE_SIZE:
        this.headerTableBytes = value
        this.lowestHeaderTableBytes = Math.min(this.lowestHeaderTableBytes, value)
        return null
      case SettingId.ENABLE_PUSH:
        // RFC 9113 §6.5.2: a server must not send 1; we never push, so 0 and 1 from a client are alike.
        return value > 1 || (isPeerServer && value === 1) ? 'settings_bad_enable_push' : null
      case SettingId.MAX_CONCURRENT_STREAMS:
        this.maxConcurrentStreams = value
        return null
      case SettingId.INITIAL_WINDOW_SIZE:
        if (value > MAX_WINDOW_SIZE) return 'settings_bad_window'
        this.initialWindowBytes = value
        return null
      case SettingId.MAX_FRAME_SIZE:
        if (value < DEFAULT_MAX_FRAME_SIZE || value > LARGEST_MAX_FRAME_SIZE) return 'settings_bad_frame_size'
        this.maxFrameBytes = value
        return null
      case SettingId.MAX_HEADER_LIST_SIZE:
        this.maxHeaderListBytes = value
        return null
      default:
        // RFC 9113 §6.5.2: unknown settings are ignored.
        return null
    }
  }
}

/** Our own SETTINGS. MAX_FRAME_SIZE stays at its default, so that DATA forwards one to one. */
export function localSettings(isServer: boolean, limits: H2Limits): (readonly [number, number])[] {
  const entries: (readonly [number, number])[] = [
    [SettingId.INITIAL_WINDOW_SIZE, limits.initialStreamWindowBytes],
    [SettingId.MAX_HEADER_LIST_SIZE, limits.maxHeaderListBytes],
  ]
  if (limits.headerTableBytes !== 4096) entries.push([SettingId.HEADER_TABLE_SIZE, limits.headerTableBytes])
  if (isServer) entries.push([SettingId.MAX_CONCURRENT_STREAMS, limits.maxConcurrentStreams])
  else entries.push([SettingId.ENABLE_PUSH, 0])
  return entries
}

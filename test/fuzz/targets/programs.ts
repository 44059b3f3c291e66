/**
 * Turns the octets of an input into what a peer sends: frames of any type with any flags, on few streams, and heads and
 * trailers that pass every check, so that programs get far.
 */
import { frame, goawayPayload, pattern, settingsPayload, uint32 } from '../../support/frame-factory.ts'
import { literals, REQUEST, RESPONSE, TRAILERS, type Fields } from '../../support/h2-pair.ts'
import type { Cursor } from './cursor.ts'

/** Steps of a peer are below this. */
export const PEER_STEPS = 16

const HEADS: readonly Fields[] = [
  REQUEST,
  RESPONSE,
  TRAILERS,
  [...REQUEST, ['content-length', '10']],
  [...RESPONSE, ['content-length', '10']],
  [[':status', '100']],
  [...REQUEST, ['grpc-timeout', '200m']],
  [[':status', '503']],
]
const BLOCKS: readonly Buffer[] = HEADS.map((fields) => literals(fields))

/** Stream identifiers are few, or any. */
function streamOf(cursor: Cursor): number {
  const octet = cursor.octet()
  return octet < 0xf0 ? octet & 0x0f : (cursor.octet() << 24) | (octet << 16) | cursor.octet()
}

/** The octets of one step; `step` is below PEER_STEPS. */
export function peerOctets(step: number, cursor: Cursor): Buffer {
  if (step < 10) {
    const flags = cursor.octet()
    const stream = streamOf(cursor) >>> 0
    return frame({ type: step, flags, stream, payload: cursor.take(cursor.length()) })
  }
  const stream = streamOf(cursor) & 0x7fffffff
  switch (step) {
    case 10: {
      const choice = cursor.octet()
      const payload = BLOCKS[choice % BLOCKS.length]!
      return frame({ type: 'HEADERS', stream, flags: 4 | ((choice >> 3) & 1), payload })
    }
    case 11: {
      const choice = cursor.octet()
      const payload = pattern((choice & 0x3f) * 256)
      return frame({ type: 'DATA', stream, flags: (choice >> 6) & 1, payload })
    }
    case 12:
      return frame({ type: 'WINDOW_UPDATE', stream, payload: uint32(cursor.octet() * 8_422_400) })
    case 13: {
      // A setting by its number, small or at the edge of what is allowed.
      const value = cursor.octet()
      const number = value < 0xf0 ? value * 300 : 2 ** (value & 0x1f)
      return frame({ type: 'SETTINGS', payload: settingsPayload([[stream & 7, number]]) })
    }
    case 14:
      return frame({ type: 'GOAWAY', payload: goawayPayload(stream, cursor.octet() & 0x0f) })
    default:
      return cursor.take(cursor.length())
  }
}

/** Attacks by number: resets, control frames, small and empty frames. */
import { frame, frames, settingsPayload, uint32 } from '../support/frame-factory.ts'
import type { FrameSpec } from '../support/frame-factory.ts'
import { block, head, inserting, message } from './attack.ts'
import type { Attack, AttackGround } from './attack.ts'
import type { HostilePeer } from './hostile-peer.ts'

const END = ['END_HEADERS', 'END_STREAM'] as const
const OPEN = ['END_HEADERS'] as const
const CANCEL = uint32(8)

/** A head whose block leaves everything in the table, and one octet a field for every later call. */
function primed(token: string | null): { first: Buffer; later: Buffer } {
  const fields = head(token)
  const count = fields.length
  // The newest entry is 62: the last field inserted.
  return {
    first: inserting(fields),
    later: Buffer.from(fields.map((_field, place) => 0x80 | (62 + count - 1 - place))),
  }
}

/** Calls opened and reset at once, `count` of them. */
function resetStorm(peer: HostilePeer, token: string | null, count: number): Buffer {
  const { first, later } = primed(token)
  return Buffer.concat(
    Array.from({ length: count }, (_, place) => {
      const stream = peer.nextStream()
      return frames(
        { type: 'HEADERS', stream, flags: OPEN, payload: place === 0 ? first : later },
        { type: 'RST_STREAM', stream, payload: CANCEL },
      )
    }),
  )
}

/** Opens a call that stays open: a head, no end. */
function hold(peer: HostilePeer, token: string): number {
  const stream = peer.nextStream()
  peer.send({ type: 'HEADERS', stream, flags: OPEN, payload: block(head(token)) })
  return stream
}

/** MadeYouReset: one variant, once on a call that is open. What makes us reset ends the connection. */
function madeYouReset(
  name: string,
  title: string,
  trick: (stream: number, peer: HostilePeer) => FrameSpec[],
  isEnded = false,
): Attack {
  return {
    name: `made-you-reset-${name}`,
    title: `MadeYouReset, ${title} (CVE-2025-8671)`,
    outcome: 'closed',
    async run(ground) {
      const peer = await ground.open()
      const stream = peer.nextStream()
      peer.send({
        type: 'HEADERS',
        stream,
        flags: isEnded ? END : OPEN,
        payload: block(head(ground.token)),
      })
      if (!isEnded) await ground.pause(10)
      peer.send(...trick(stream, peer))
      peer.cross()
      await peer.closed(1_500)
    },
  }
}

/** Sends the same octets again and again until the connection is gone, or they were sent `count` times. */
async function repeat(peer: HostilePeer, octets: Buffer, count: number): Promise<void> {
  for (let sent = 0; sent < count && !peer.isGone; sent++) await peer.push(octets)
}

const many = (count: number, spec: FrameSpec): Buffer =>
  Buffer.concat(Array.from({ length: count }, () => frame(spec)))

export const FLOODS: readonly Attack[] = [
  {
    name: 'rapid-reset',
    title: 'calls opened and reset at once, with a valid token (CVE-2023-44487)',
    outcome: 'closed',
    rounds: 3,
    async run(ground) {
      const peer = await ground.open()
      for (let sent = 0; sent < 20 && !peer.isGone; sent++) {
        if (sent === 10) peer.cross()
        await peer.push(resetStorm(peer, ground.token, 110))
        await ground.pause(5)
      }
      await peer.closed(1_500)
    },
  },
  {
    name: 'rapid-reset-anonymous',
    title: 'the same without a token',
    outcome: 'served',
    rounds: 10,
    async run(ground) {
      const peer = await ground.open()
      for (let sent = 0; sent < 20 && !peer.isGone; sent++) {
        await peer.push(resetStorm(peer, null, 110))
        await ground.pause(10)
      }
    },
  },
  {
    name: 'rapid-reset-many',
    title: 'rapid reset below the limit of each of eight connections at once',
    outcome: 'served',
    rounds: 1,
    async run(ground) {
      const peers = await Promise.all(Array.from({ length: 8 }, () => ground.open()))
      for (let sent = 0; sent < 8; sent++) {
        for (const peer of peers) {
          await peer.push(resetStorm(peer, ground.token, 100))
          await ground.pause(5)
        }
      }
      if (peers.some((peer) => peer.isGone)) ground.fault('a peer below the limit was cut')
    },
  },
  madeYouReset('window-zero', 'WINDOW_UPDATE of 0', (stream) => [
    { type: 'WINDOW_UPDATE', stream, payload: uint32(0) },
  ]),
  madeYouReset('window-overflow', 'WINDOW_UPDATE past 2^31−1', (stream) => [
    { type: 'WINDOW_UPDATE', stream, payload: uint32(2 ** 31 - 1) },
  ]),
  madeYouReset('priority-length', 'PRIORITY of four octets', (stream) => [
    { type: 'PRIORITY', stream, payload: '00 00 00 00' },
  ]),
  madeYouReset('priority-self', 'a stream that depends on itself', (stream) => [
    { type: 'PRIORITY', stream, dependsOn: stream },
  ]),
  madeYouReset(
    'headers-after-end',
    'HEADERS after END_STREAM',
    (stream) => [{ type: 'HEADERS', stream, flags: END, payload: block([['x', 'y']]) }],
    true,
  ),
  madeYouReset(
    'data-after-end',
    'DATA after END_STREAM',
    (stream) => [{ type: 'DATA', stream, flags: ['END_STREAM'], payload: message(8) }],
    true,
  ),
  {
    name: 'made-you-reset-malformed',
    title: 'MadeYouReset, malformed heads and trailers at will',
    outcome: 'closed',
    async run(ground) {
      const peer = await ground.open()
      const upper = block([...head(ground.token), ['X-Upper', 'case']])
      for (let sent = 0; sent < 60 && !peer.isGone; sent++) {
        if (sent === 50) peer.cross()
        peer.send(
          ...Array.from({ length: 5 }, () => ({
            type: 'HEADERS' as const,
            stream: peer.nextStream(),
            flags: END,
            payload: upper,
          })),
        )
        await ground.pause(2)
      }
      await peer.closed(1_500)
    },
  },
  {
    name: 'made-you-reset-message',
    title: 'MadeYouReset towards the upstream: messages that announce 4 GiB',
    outcome: 'closed',
    rounds: 3,
    run: (ground) =>
      makeUsReset(ground, (peer) => {
        const stream = peer.nextStream()
        return frames(
          { type: 'HEADERS', stream, flags: OPEN, payload: block(head(ground.token)) },
          { type: 'DATA', stream, payload: 'ff ff ff ff ff' },
        )
      }),
  },
  {
    name: 'made-you-reset-deadline',
    title: 'MadeYouReset towards the upstream: calls whose time is over as they come',
    outcome: 'closed',
    rounds: 3,
    run: (ground) =>
      makeUsReset(ground, (peer) =>
        frame({
          type: 'HEADERS',
          stream: peer.nextStream(),
          flags: OPEN,
          payload: block(head(ground.token, [['grpc-timeout', '1m']])),
        }),
      ),
  },
  {
    name: 'continuation-flood',
    title: 'a header block that never ends (CVE-2024-27316, -27983, -28182, -30255, CVE-2023-45288)',
    outcome: 'closed',
    async run(ground) {
      const peer = await ground.open()
      const stream = peer.nextStream()
      peer.send({ type: 'HEADERS', stream, payload: block(head(ground.token)) })
      const field = block([['x-more', 'y'.repeat(1000)]])
      peer.cross()
      for (let sent = 0; sent < 2_000 && !peer.isGone; sent++) {
        await peer.push(frame({ type: 'CONTINUATION', stream, payload: field }))
        if (sent % 50 === 0) await ground.pause(1)
      }
      await peer.closed(1_500)
    },
  },
  {
    name: 'continuation-empty',
    title: 'empty CONTINUATION frames',
    outcome: 'closed',
    async run(ground) {
      const peer = await ground.open()
      const stream = peer.nextStream()
      peer.send({ type: 'HEADERS', stream, payload: block(head(ground.token)) })
      peer.cross()
      await repeat(peer, many(100, { type: 'CONTINUATION', stream }), 50)
      await peer.closed(1_500)
    },
  },
  {
    name: 'ping-flood',
    title: 'PINGs without work (CVE-2019-9512)',
    outcome: 'closed',
    async run(ground) {
      const peer = await ground.open()
      for (let sent = 0; sent < 100 && !peer.isGone; sent++) {
        if (sent === 20) peer.cross()
        await peer.push(many(20, { type: 'PING', payload: Buffer.alloc(8) }))
        await ground.pause(2)
      }
      await peer.closed(1_500)
    },
  },
  {
    name: 'settings-flood',
    title: 'SETTINGS frames (CVE-2019-9515)',
    outcome: 'closed',
    async run(ground) {
      const peer = await ground.open()
      const settings = {
        type: 'SETTINGS',
        payload: settingsPayload([
          [1, 0],
          [4, 70_000],
          [1, 4096],
        ]),
      } as const
      for (let sent = 0; sent < 60 && !peer.isGone; sent++) {
        if (sent === 12) peer.cross()
        await peer.push(many(10, settings))
        await ground.pause(2)
      }
      await peer.closed(1_500)
    },
  },
  {
    name: 'settings-entries',
    title: 'SETTINGS with thousands of entries',
    outcome: 'closed',
    async run(ground) {
      const peer = await ground.open()
      const entries = Array.from({ length: 2_700 }, (_, place) => [4, 65_535 + place] as const)
      peer.cross()
      peer.send({ type: 'SETTINGS', payload: settingsPayload(entries) })
      await peer.closed(1_500)
    },
  },
  {
    name: 'reset-flood',
    title: 'frames that make us answer with RST_STREAM, on streams that are over (CVE-2019-9514)',
    outcome: 'closed',
    async run(ground) {
      const peer = await ground.open()
      const stream = peer.nextStream()
      peer.send({ type: 'HEADERS', stream, flags: OPEN, payload: block(head(null)) })
      await peer.until(() => peer.ended.has(stream), 1_000)
      for (let sent = 0; sent < 60 && !peer.isGone; sent++) {
        if (sent === 30) peer.cross()
        await peer.push(many(10, { type: 'HEADERS', stream, flags: OPEN, payload: block([['x', 'y']]) }))
        await ground.pause(2)
      }
      await peer.closed(1_500)
    },
  },
  {
    name: 'priority-flood',
    title: 'PRIORITY frames on idle streams (CVE-2019-9513)',
    outcome: 'closed',
    async run(ground) {
      const peer = await ground.open()
      for (let sent = 0; sent < 60 && !peer.isGone; sent++) {
        if (sent === 10) peer.cross()
        const specs = Array.from({ length: 20 }, (_, place) => ({
          type: 'PRIORITY' as const,
          stream: 1001 + 2 * (sent * 20 + place),
          dependsOn: 1,
        }))
        await peer.push(frames(...specs))
        await ground.pause(2)
      }
      await peer.closed(1_500)
    },
  },
  {
    name: 'unknown-frames',
    title: 'frames of a type that nobody knows',
    outcome: 'closed',
    async run(ground) {
      const peer = await ground.open()
      for (let sent = 0; sent < 60 && !peer.isGone; sent++) {
        if (sent === 30) peer.cross()
        await peer.push(many(10, { type: 0xbe, payload: Buffer.alloc(100) }))
        await ground.pause(2)
      }
      await peer.closed(1_500)
    },
  },
  {
    name: 'window-update-flood',
    title: 'WINDOW_UPDATEs that no data explains',
    outcome: 'closed',
    async run(ground) {
      const peer = await ground.open()
      peer.cross()
      await repeat(peer, many(50, { type: 'WINDOW_UPDATE', payload: uint32(1) }), 20)
      await peer.closed(1_500)
    },
  },
  {
    name: 'empty-frames',
    title: 'empty DATA frames that end nothing (CVE-2019-9518)',
    outcome: 'closed',
    async run(ground) {
      const peer = await ground.open()
      const stream = hold(peer, ground.token)
      for (let sent = 0; sent < 40 && !peer.isGone; sent++) {
        if (sent === 12) peer.cross()
        await peer.push(many(10, { type: 'DATA', stream }))
        await ground.pause(2)
      }
      await peer.closed(1_500)
    },
  },
  {
    name: 'zero-length-headers',
    title: 'fields without name and value (CVE-2019-9516)',
    outcome: 'closed',
    async run(ground) {
      const peer = await ground.open()
      const nothing = Buffer.concat(Array.from({ length: 100 }, () => Buffer.of(0, 0, 0)))
      for (let sent = 0; sent < 60 && !peer.isGone; sent++) {
        if (sent === 50) peer.cross()
        peer.send(
          ...Array.from({ length: 5 }, () => ({
            type: 'HEADERS' as const,
            stream: peer.nextStream(),
            flags: END,
            payload: Buffer.concat([block(head(null)), nothing]),
          })),
        )
        await ground.pause(2)
      }
      await peer.closed(1_500)
    },
  },
  {
    name: 'small-data',
    title: 'a large message in frames of one octet, each padded or not (CVE-2019-9511, data dribble)',
    outcome: 'served',
    rounds: 4,
    async run(ground) {
      const peer = await ground.open()
      const stream = hold(peer, ground.token)
      peer.send({ type: 'DATA', stream, payload: message(60_000).subarray(0, 5) })
      const octets = many(500, { type: 'DATA', stream, payload: Buffer.of(7) })
      for (let sent = 0; sent < 100 && !peer.isGone; sent++) {
        await peer.push(octets)
        await ground.pause(5)
      }
    },
  },
  {
    name: 'stray-data',
    title: 'DATA of one octet on a call that was refused long ago',
    outcome: 'closed',
    async run(ground) {
      const peer = await ground.open()
      const stream = peer.nextStream()
      peer.send({ type: 'HEADERS', stream, flags: OPEN, payload: block(head(null)) })
      await peer.until(() => peer.ended.has(stream), 1_000)
      const octets = many(1000, { type: 'DATA', stream, payload: Buffer.of(7) })
      for (let sent = 0; sent < 150 && !peer.isGone; sent++) {
        if (sent === 75) peer.cross()
        await peer.push(octets)
        await ground.pause(2)
      }
      await peer.closed(1_500)
    },
  },
]

/** Sends calls that end by our doing until far more were reset than early resets are allowed. */
async function makeUsReset(ground: AttackGround, call: (peer: HostilePeer) => Buffer): Promise<void> {
  const peer = await ground.open()
  for (let sent = 0; sent < 60 && !peer.isGone; sent++) {
    if (sent === 35) peer.cross()
    await peer.push(Buffer.concat(Array.from({ length: 50 }, () => call(peer))))
    await ground.pause(10)
  }
  await peer.closed(1_500)
}

/** Attacks on header compression and on what a head may cost. */
import { frame, frames, settingsPayload } from '../support/frame-factory.ts'
import { block, head, inserting, message } from './attack.ts'
import type { Attack, AttackGround } from './attack.ts'
import type { HostilePeer } from './hostile-peer.ts'

const END = ['END_HEADERS', 'END_STREAM'] as const
const OPEN = ['END_HEADERS'] as const
const MAX_FRAME_BYTES = 16_384
/** The newest entry of the dynamic table, as one octet. */
const NEWEST = 0x80 | 62

/** A head of any size as HEADERS and CONTINUATION. */
function largeHead(stream: number, octets: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at === 0 || at < octets.length; at += MAX_FRAME_BYTES) {
    const isLast = at + MAX_FRAME_BYTES >= octets.length
    parts.push(
      frame({
        type: at === 0 ? 'HEADERS' : 'CONTINUATION',
        stream,
        flags: (isLast ? 4 : 0) | (at === 0 ? 1 : 0),
        payload: octets.subarray(at, at + MAX_FRAME_BYTES),
      }),
    )
  }
  return Buffer.concat(parts)
}

/** A head with `count` references of one octet to an entry of `entryBytes`. */
function referring(token: string | null, count: number): Buffer {
  return Buffer.concat([block(head(token)), Buffer.alloc(count, NEWEST)])
}

/** Puts one field of `valueBytes` into the table. */
function plant(peer: HostilePeer, name: string, valueBytes: number): void {
  peer.send({
    type: 'HEADERS',
    stream: peer.nextStream(),
    flags: END,
    payload: Buffer.concat([block(head(null)), inserting([[name, 'v'.repeat(valueBytes)]])]),
  })
}

/** One HEADERS frame with a block that no decoder may take. */
async function sendIllegalBlock(ground: AttackGround, payload: Buffer): Promise<void> {
  const peer = await ground.open()
  peer.cross()
  peer.send({ type: 'HEADERS', stream: peer.nextStream(), flags: END, payload })
  await peer.closed(1_500)
}

export const HEADERS: readonly Attack[] = [
  {
    name: 'hpack-bomb',
    title: 'one entry of 4 KiB, referred to 16,000 times in a head (CVE-2016-6581)',
    outcome: 'closed',
    async run(ground) {
      const peer = await ground.open()
      plant(peer, 'x-bomb', 4_000)
      peer.cross()
      peer.send({
        type: 'HEADERS',
        stream: peer.nextStream(),
        flags: END,
        payload: referring(null, 16_000),
      })
      await peer.closed(1_500)
    },
  },
  {
    name: 'hpack-bomb-below',
    title: 'the same just below the limit, call after call',
    outcome: 'served',
    rounds: 6,
    async run(ground) {
      const peer = await ground.open()
      plant(peer, 'x-bomb', 4_000)
      for (let sent = 0; sent < 20 && !peer.isGone; sent++) {
        const calls = Array.from({ length: 20 }, () =>
          frame({
            type: 'HEADERS',
            stream: peer.nextStream(),
            flags: END,
            payload: referring(ground.token, 14),
          }),
        )
        await peer.push(Buffer.concat(calls))
        await ground.pause(5)
      }
    },
  },
  {
    name: 'http2-bomb',
    title:
      'the HTTP/2 bomb of 2026: references of one octet, calls held open, and a window of 0 for the answers',
    outcome: 'served',
    rounds: 3,
    async run(ground) {
      const peer = await ground.open({ settings: [[4, 0]] })
      plant(peer, 'x-bomb', 450)
      const payload = referring(ground.token, 100)
      for (let sent = 0; sent < 20 && !peer.isGone; sent++) {
        const calls = Array.from({ length: 45 }, () =>
          frame({ type: 'HEADERS', stream: peer.nextStream(), flags: sent % 2 === 0 ? OPEN : END, payload }),
        )
        await peer.push(Buffer.concat(calls))
        await ground.pause(10)
      }
      await ground.pause(300)
    },
  },
  {
    name: 'cookie-crumbs',
    title: 'a thousand crumbs of a cookie, one octet each, in calls that are held',
    outcome: 'served',
    rounds: 4,
    async run(ground) {
      const peer = await ground.open({ settings: [[4, 0]] })
      plant(peer, 'cookie', 10)
      for (let sent = 0; sent < 40 && !peer.isGone; sent++) {
        const calls = Array.from({ length: 10 }, () =>
          frame({
            type: 'HEADERS',
            stream: peer.nextStream(),
            flags: OPEN,
            payload: referring(ground.token, sent % 2 === 0 ? 1_000 : 110),
          }),
        )
        await peer.push(Buffer.concat(calls))
        await ground.pause(5)
      }
    },
  },
  {
    name: 'hpack-table-size',
    title: 'table sizes up and down in each block, and entries that push each other out',
    outcome: 'served',
    rounds: 6,
    async run(ground) {
      const peer = await ground.open()
      for (let sent = 0; sent < 100 && !peer.isGone; sent++) {
        const calls = Array.from({ length: 10 }, (_, place) =>
          frame({
            type: 'HEADERS',
            stream: peer.nextStream(),
            flags: END,
            payload: Buffer.concat([
              Buffer.from([0x20, 0x3f, 0xe1, 0x1f]),
              inserting(head(null, [[`x-${sent}-${place}`, 'v'.repeat(3_000)]])),
            ]),
          }),
        )
        await peer.push(Buffer.concat(calls))
        await ground.pause(5)
      }
      if (peer.isGone) ground.fault(`legal table sizes were refused: ${peer.goawayText}`)
    },
  },
  {
    name: 'hpack-table-illegal',
    title: 'a table larger than we allow',
    outcome: 'closed',
    run: (ground) =>
      sendIllegalBlock(
        ground,
        Buffer.concat([Buffer.from([0x3f, 0xe1, 0xff, 0xff, 0x7f]), block(head(null))]),
      ),
  },
  {
    name: 'hpack-integer',
    title: 'an integer of a thousand octets',
    outcome: 'closed',
    run: (ground) =>
      sendIllegalBlock(
        ground,
        Buffer.concat([Buffer.from([0x7f]), Buffer.alloc(1_000, 0x80), Buffer.from([1])]),
      ),
  },
  {
    name: 'hpack-encoder-churn',
    title: 'our own table set to 0 and back with every SETTINGS that are allowed',
    outcome: 'served',
    rounds: 4,
    async run(ground) {
      const peer = await ground.open()
      const call = (): Buffer =>
        frame({ type: 'HEADERS', stream: peer.nextStream(), flags: END, payload: block(head(null)) })
      for (let sent = 0; sent < 90 && !peer.isGone; sent++) {
        const settings = frame({
          type: 'SETTINGS',
          payload: settingsPayload([
            [1, 0],
            [1, sent % 2 === 0 ? 2 ** 31 : 100],
          ]),
        })
        await peer.push(Buffer.concat([settings, call(), call(), call()]))
        await ground.pause(3)
      }
      if (peer.isGone) ground.fault(`legal SETTINGS were refused: ${peer.goawayText}`)
    },
  },
  {
    name: 'header-hoard',
    title: 'heads of 60 KiB, each another one, on twenty connections that stay: memory for strangers',
    outcome: 'served',
    rounds: 1,
    async run(ground) {
      const peers = await Promise.all(Array.from({ length: 20 }, () => ground.open()))
      for (let sent = 0; sent < 20; sent++) {
        for (const [place, peer] of peers.entries()) {
          const value = `${place}-${sent}-`.padEnd(20_000, 'y')
          const fields = head(
            null,
            [
              ['x-1', value],
              ['x-2', value],
              ['x-3', value.slice(0, 19_000)],
            ],
            `/s/M${sent}`,
          )
          await peer.push(largeHead(peer.nextStream(), block(fields)))
          await ground.pause(4)
        }
      }
    },
  },
  {
    name: 'header-list-large',
    title: 'heads above the limit, which are refused and not remembered, 64 to 128 KiB each',
    outcome: 'served',
    rounds: 3,
    async run(ground) {
      const peer = await ground.open()
      const fields = head(
        ground.token,
        [1, 2, 3, 4, 5].map((place) => [`x-${place}`, 'z'.repeat(20_000)] as const),
      )
      for (let sent = 0; sent < 30 && !peer.isGone; sent++) {
        await peer.push(largeHead(peer.nextStream(), block(fields)))
        await ground.pause(10)
      }
      if (peer.isGone) ground.fault(`heads above the limit ended the connection: ${peer.goawayText}`)
    },
  },
  {
    name: 'metadata-churn',
    title: 'a valid token with other metadata in every call: memos and tables are of no use',
    outcome: 'served',
    rounds: 4,
    async run(ground) {
      const peer = await ground.open()
      for (let sent = 0; sent < 60 && !peer.isGone; sent++) {
        const calls = Array.from({ length: 10 }, (_, place) => {
          const stream = peer.nextStream()
          const fields = head(ground.token, [[`x-${sent % 50}`, `${sent}-${place}`.padEnd(1_500, 'm')]])
          return frames(
            { type: 'HEADERS', stream, flags: OPEN, payload: block(fields) },
            { type: 'DATA', stream, flags: ['END_STREAM'], payload: message(10) },
          )
        })
        await peer.push(Buffer.concat(calls))
        await ground.pause(10)
      }
      if (peer.isGone) ground.fault(`calls that differ ended the connection: ${peer.goawayText}`)
    },
  },
]

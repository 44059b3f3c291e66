/** Attacks on flow control, and on whoever waits for a slow peer. */
import { frame, frames, settingsPayload, uint32 } from '../support/frame-factory.ts'
import { block, head, message } from './attack.ts'
import type { Attack, AttackGround } from './attack.ts'
import type { HostilePeer } from './hostile-peer.ts'

const OPEN = ['END_HEADERS'] as const
const END = ['END_HEADERS', 'END_STREAM'] as const
const MAX_FRAME_BYTES = 16_384

/** A call whose answer has `answerBytes`. */
function ask(peer: HostilePeer, ground: AttackGround, answerBytes: number): number {
  const stream = peer.nextStream()
  const fields = head(ground.token, [['answer-bytes', String(answerBytes)]])
  peer.write(
    frames(
      { type: 'HEADERS', stream, flags: OPEN, payload: block(fields) },
      { type: 'DATA', stream, flags: ['END_STREAM'], payload: message(10) },
    ),
  )
  return stream
}

/** Sixty calls of each peer, whose answers nobody will take; slowly, so that making the answers is no load of its own. */
async function askMuch(peers: readonly HostilePeer[], ground: AttackGround): Promise<void> {
  for (let call = 0; call < 60; call++) {
    for (const peer of peers) ask(peer, ground, 200_000)
    await ground.pause(15)
  }
}

/** One frame that breaks a rule at once. */
const once = (
  name: string,
  title: string,
  act: (peer: HostilePeer, ground: AttackGround) => void,
): Attack => ({
  name,
  title,
  outcome: 'closed',
  async run(ground) {
    const peer = await ground.open()
    act(peer, ground)
    peer.cross()
    await peer.closed(1_500)
  },
})

export const WINDOWS: readonly Attack[] = [
  once('window-overflow', 'the window of the connection past 2^31−1', (peer) => {
    peer.send({ type: 'WINDOW_UPDATE', payload: uint32(2 ** 31 - 1) })
  }),
  once('window-settings-overflow', 'SETTINGS that take a widened stream past 2^31−1', (peer, ground) => {
    const stream = ask(peer, ground, 1_000_000)
    peer.send(
      { type: 'WINDOW_UPDATE', stream, payload: uint32(2 ** 31 - 1 - 65_535) },
      { type: 'SETTINGS', payload: settingsPayload([[4, 2 ** 31 - 1]]) },
    )
  }),
  once('window-exceeded', 'more DATA than the window of a stream', (peer, ground) => {
    const stream = peer.nextStream()
    peer.send({ type: 'HEADERS', stream, flags: OPEN, payload: block(head(ground.token)) })
    const data = frame({ type: 'DATA', stream, payload: message(MAX_FRAME_BYTES - 5) })
    peer.write(Buffer.concat(Array.from({ length: 80 }, () => data)))
  }),
  {
    name: 'window-negative',
    title: 'windows made negative and 0 while answers are under way, and given back in single octets',
    outcome: 'served',
    rounds: 6,
    async run(ground) {
      const peer = await ground.open()
      for (let turn = 0; turn < 20 && !peer.isGone; turn++) {
        const stream = ask(peer, ground, 100_000)
        peer.send({ type: 'SETTINGS', payload: settingsPayload([[4, turn % 2 === 0 ? 0 : 200]]) })
        await ground.pause(10)
        peer.send({ type: 'WINDOW_UPDATE', stream, payload: uint32(1) })
        peer.send({ type: 'SETTINGS', payload: settingsPayload([[4, 65_535]]) })
      }
    },
  },
  {
    name: 'slow-reader-window',
    title: 'answers of 1 MiB asked for, and no window to send them (CVE-2019-9511, CVE-2019-9517)',
    outcome: 'served',
    rounds: 1,
    async run(ground) {
      const peers = await Promise.all(Array.from({ length: 8 }, () => ground.open({ settings: [[4, 0]] })))
      await askMuch(peers, ground)
      await ground.pause(1_500)
      for (const peer of peers) if (peer.isGone) ground.fault('a slow reader was cut before its time')
    },
  },
  {
    name: 'slow-reader-stalled',
    title: 'the same for longer than stall_timeout: the calls end, and the credit of their octets comes back',
    outcome: 'served',
    rounds: 1,
    stage: { limits: 'stall_timeout: 1s' },
    async run(ground) {
      const peer = await ground.open({ settings: [[4, 1]] })
      const streams = Array.from({ length: 40 }, () => ask(peer, ground, 300_000))
      await peer.until(() => streams.every((stream) => peer.resets.has(stream)), 6_000)
      if (!streams.every((stream) => peer.resets.has(stream)) && !peer.isGone)
        ground.fault('stalled calls were not ended')
      await ground.pause(200)
      const heldBytes = await ground.metric('authgw_held_bytes')
      if (heldBytes > 100_000) ground.fault(`${heldBytes} octets of stalled calls are held still`)
    },
  },
  {
    name: 'internal-buffering',
    title: 'windows wide open, a socket that is not read (CVE-2019-9517)',
    outcome: 'served',
    rounds: 1,
    async run(ground) {
      const peers = await Promise.all(
        Array.from({ length: 8 }, () => ground.open({ settings: [[4, 2 ** 31 - 1]] })),
      )
      for (const peer of peers) {
        peer.send({ type: 'WINDOW_UPDATE', payload: uint32(2 ** 30) })
        peer.stopReading()
      }
      await askMuch(peers, ground)
      await ground.pause(2_000)
    },
  },
  {
    name: 'unread-answers',
    title: 'refusals, PING answers and resets by the thousand, none of them read',
    outcome: 'closed',
    rounds: 1,
    stage: { limits: 'stall_timeout: 1s' },
    async run(ground) {
      const peers = await Promise.all(Array.from({ length: 3 }, () => ground.open({ settings: [[1, 0]] })))
      for (const peer of peers) peer.stopReading()
      const call = block(head(null))
      // What the kernel holds for us and for a peer that does not read is megabytes.
      for (let sent = 0; sent < 600; sent++) {
        for (const peer of peers) {
          if (peer.socket.writableLength > 1_000_000) continue
          const calls = Array.from({ length: 100 }, () =>
            frames(
              { type: 'HEADERS', stream: peer.nextStream(), flags: END, payload: call },
              { type: 'PING', payload: Buffer.alloc(8) },
            ),
          )
          peer.write(Buffer.concat(calls))
        }
        await ground.pause(3)
      }
      await ground.pause(2_500)
      // Whoever does not read learns of the end by what he sends.
      for (const peer of peers) {
        peer.cross()
        peer.socket.resume()
      }
      for (const peer of peers) await peer.closed(1_000)
    },
  },
  {
    name: 'slow-writer',
    title: 'frames and header blocks that come octet by octet',
    outcome: 'closed',
    rounds: 1,
    stage: { limits: 'frame_timeout: 500ms, header_block_timeout: 500ms' },
    async run(ground) {
      const peers = await Promise.all(Array.from({ length: 30 }, () => ground.open()))
      const octets = block(head(ground.token))
      for (const [place, peer] of peers.entries()) {
        const stream = peer.nextStream()
        if (place % 3 === 0) peer.send({ type: 'HEADERS', stream, payload: octets.subarray(0, 20) })
        else if (place % 3 === 1)
          peer.write(frame({ type: 'HEADERS', stream, flags: END, payload: octets }).subarray(0, 30))
        else {
          peer.send({ type: 'HEADERS', stream, flags: OPEN, payload: octets })
          peer.write(frame({ type: 'DATA', stream, payload: message(1_000) }).subarray(0, 20))
        }
      }
      // Octets that come drop by drop do not buy time.
      for (let drop = 0; drop < 12; drop++) {
        await ground.pause(100)
        for (const [place, peer] of peers.entries()) if (place % 3 !== 0) peer.write(Buffer.of(0))
        if (drop === 4) for (const peer of peers) peer.cross()
      }
      for (const peer of peers) await peer.closed(1_000)
    },
  },
  {
    name: 'slow-preface',
    title: 'connections that say nothing, or half a preface',
    outcome: 'closed',
    rounds: 1,
    stage: { limits: 'preface_timeout: 500ms, settings_ack_timeout: 500ms' },
    async run(ground) {
      const peers = await Promise.all(Array.from({ length: 60 }, () => ground.open({ settings: null })))
      for (const [place, peer] of peers.entries()) {
        if (place % 3 === 1) peer.write(Buffer.from('PRI * HTTP/2.0\r\n'))
        if (place % 3 === 2) {
          peer.isPolite = false
          peer.hello()
        }
      }
      await ground.pause(500)
      for (const peer of peers) peer.cross()
      for (const peer of peers) await peer.closed(1_200)
    },
  },
  {
    name: 'cancel-while-waiting',
    title: 'answers that wait for a window, cancelled, asked for again: credit must not leak',
    outcome: 'served',
    rounds: 4,
    async run(ground) {
      const peer = await ground.open({ settings: [[4, 100]] })
      for (let turn = 0; turn < 15 && !peer.isGone; turn++) {
        const streams = Array.from({ length: 10 }, () => ask(peer, ground, 60_000))
        await ground.pause(15)
        for (const stream of streams) peer.send({ type: 'RST_STREAM', stream, payload: uint32(8) })
      }
      await ground.pause(200)
      peer.end()
      await ground.pause(200)
      const heldBytes = await ground.metric('authgw_held_bytes')
      if (heldBytes > 50_000) ground.fault(`${heldBytes} octets are held for calls that were cancelled`)
    },
  },
]

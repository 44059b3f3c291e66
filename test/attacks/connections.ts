/** Attacks by connecting: many at once, half a handshake, and sockets that break in the middle of everything. */
import { connect } from 'node:net'
import { frame, frames, uint32 } from '../support/frame-factory.ts'
import { block, head, message } from './attack.ts'
import type { Attack } from './attack.ts'
import type { HostilePeer } from './hostile-peer.ts'

const OPEN = ['END_HEADERS'] as const

/** Whether the gateway has served a call of a new connection. */
async function serves(peer: HostilePeer, token: string): Promise<boolean> {
  const stream = peer.nextStream()
  peer.send(
    { type: 'HEADERS', stream, flags: OPEN, payload: block(head(token)) },
    { type: 'DATA', stream, flags: ['END_STREAM'], payload: message(3) },
  )
  await peer.until(() => peer.ended.has(stream), 2_000)
  return (peer.blocks.get(stream)?.length ?? 0) === 2
}

export const CONNECTIONS: readonly Attack[] = [
  {
    name: 'connections-per-address',
    title: '300 connections without a certificate from one address: 256 are let in',
    outcome: 'served',
    rounds: 1,
    stage: { tls: 'optional' },
    async run(ground) {
      const { ca } = ground.tls!
      const peers: HostilePeer[] = []
      for (let batch = 0; batch < 30; batch++) {
        const more = await Promise.all(
          Array.from({ length: 10 }, () => ground.open({ tls: { ca }, settings: null })),
        )
        for (const peer of more) peer.hello()
        peers.push(...more)
        await ground.pause(20)
      }
      await ground.pause(500)
      const openCount = peers.filter((peer) => !peer.isGone).length
      if (openCount > 256) ground.fault(`${openCount} connections of one address are open`)
      if (openCount < 200) ground.fault(`only ${openCount} connections were let in`)
      const other = await ground.open({ tls: { ca }, localAddress: '127.0.0.2' })
      if (!(await serves(other, ground.token))) ground.fault('another address is not served')
    },
  },
  {
    name: 'connection-churn',
    title: 'connections opened and cut at once, hundreds a second',
    outcome: 'served',
    rounds: 1,
    async run(ground) {
      for (let batch = 0; batch < 60 && !ground.isOver; batch++) {
        const peers = await Promise.all(Array.from({ length: 10 }, () => ground.open({ settings: null })))
        for (const peer of peers) {
          peer.hello()
          peer.cut()
        }
        await ground.pause(20)
      }
      await ground.pause(300)
      const openCount = await ground.metric('authgw_ingress_connections')
      if (openCount > 5) ground.fault(`${openCount} connections are open still`)
    },
  },
  {
    name: 'slow-handshake',
    title: '200 TLS handshakes that are never finished: 128 are under way at most, and others get through',
    outcome: 'closed',
    rounds: 1,
    stage: { tls: 'require', limits: 'handshake_timeout: 2s' },
    async run(ground) {
      const hello = Buffer.from('160301020001000', 'hex')
      const peers = await Promise.all(
        Array.from({ length: 200 }, () => ground.open({ tls: null, settings: null })),
      )
      for (const peer of peers) peer.write(hello)
      await ground.pause(1_200)
      const honest = await ground.open()
      if (!(await serves(honest, ground.token))) ground.fault('no honest handshake gets through')
      honest.end()
      await ground.pause(900)
      for (const peer of peers) peer.cross()
      for (const peer of peers) await peer.closed(1_500)
    },
  },
  {
    name: 'tls-noise',
    title: 'plaintext, noise, other protocols and no certificate on the TLS port',
    outcome: 'closed',
    rounds: 4,
    stage: { tls: 'require' },
    async run(ground) {
      const { ca } = ground.tls!
      const noises = [
        'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
        'GET / HTTP/1.1\r\n\r\n',
        '\x16\x03\x01\xff\xff',
        '\0'.repeat(64),
      ]
      const peers = await Promise.all(noises.map(() => ground.open({ tls: null, settings: null })))
      for (const [place, peer] of peers.entries()) {
        peer.write(Buffer.from(noises[place]!, 'latin1'))
        if (place !== 2) peer.cross()
      }
      for (const [place, peer] of peers.entries()) if (place !== 2) await peer.closed(1_200)
      peers[2]!.end()
      const stranger = await ground.open({ tls: { ca }, settings: null })
      stranger.hello()
      stranger.cross()
      await stranger.closed(1_200)
    },
  },
  {
    name: 'broken-sockets',
    title: 'RST in the middle of everything: TLS hello, preface, head, message, answer, GOAWAY',
    outcome: 'served',
    rounds: 8,
    stage: { tls: 'optional' },
    async run(ground) {
      const plain = await Promise.all(
        Array.from({ length: 6 }, () => ground.open({ tls: null, settings: null })),
      )
      for (const [place, peer] of plain.entries()) {
        peer.write(Buffer.from('16030100050100000100', 'hex').subarray(0, 2 * place))
        peer.cut()
      }
      const acts: ((peer: HostilePeer, stream: number) => void)[] = [
        () => {},
        (peer) => peer.write(Buffer.from('PRI * HT')),
        (peer) => peer.hello(),
        (peer, stream) => {
          peer.hello()
          peer.write(
            frame({ type: 'HEADERS', stream, flags: OPEN, payload: block(head(ground.token)) }).subarray(
              0,
              40,
            ),
          )
        },
        (peer, stream) => {
          peer.hello()
          peer.write(
            frames(
              { type: 'HEADERS', stream, flags: OPEN, payload: block(head(ground.token)) },
              { type: 'DATA', stream, payload: message(10_000).subarray(0, 5_000) },
            ),
          )
        },
        (peer, stream) => {
          peer.hello()
          peer.write(
            frames(
              {
                type: 'HEADERS',
                stream,
                flags: OPEN,
                payload: block(head(ground.token, [['answer-bytes', '500000']])),
              },
              { type: 'DATA', stream, flags: ['END_STREAM'], payload: message(1) },
            ),
          )
        },
        (peer) => {
          peer.hello()
          peer.write(frame({ type: 'WINDOW_UPDATE', payload: uint32(0) }))
        },
        (peer) => {
          peer.hello()
          peer.socket.end()
        },
      ]
      for (const wait of [0, 2, 10]) {
        const peers = await Promise.all(acts.map(() => ground.open({ settings: null })))
        for (const [place, act] of acts.entries()) {
          const peer = peers[place]!
          act(peer, peer.nextStream())
        }
        await ground.pause(wait)
        for (const peer of peers) peer.cut()
      }
      const last = await ground.open()
      if (!(await serves(last, ground.token))) ground.fault('a new connection is not served')
    },
  },
  {
    name: 'admin-noise',
    title: 'noise, slow and broken requests at the admin endpoint',
    outcome: 'served',
    rounds: 4,
    async run(ground) {
      for (const noise of [
        'GET /metrics HTTP/1.1\r\n',
        'POST /../../etc/passwd HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n',
        `GET /${'a'.repeat(70_000)} HTTP/1.1\r\n\r\n`,
        '\0\0\0\0\r\n\r\n',
        'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\xff\x04\0\0\0\0\0',
      ]) {
        const socket = connect(ground.adminPort, '127.0.0.1')
        socket.on('error', () => {})
        socket.write(Buffer.from(noise, 'latin1'))
        await ground.pause(20)
        socket.resetAndDestroy()
      }
      if (!((await ground.metric('authgw_ready')) === 1)) ground.fault('the admin endpoint does not answer')
    },
  },
]

/**
 * Attacks by an upstream: what it answers to the calls of a workload role, while honest calls pass through the control plane
 * role of the same process. A caller behind it must get an answer that its exporter tries again, whatever the upstream does.
 */
import { literals } from '../support/h2-pair.ts'
import type { Fields } from '../support/h2-pair.ts'
import { frame, frames, goawayPayload, settingsPayload, uint32 } from '../support/frame-factory.ts'
import type { FrameSpec } from '../support/frame-factory.ts'
import { inserting, message } from './attack.ts'
import type { Attack, AttackGround, AttackStage } from './attack.ts'
import type { HostilePeer } from './hostile-peer.ts'

const OPEN = ['END_HEADERS'] as const
const END = ['END_HEADERS', 'END_STREAM'] as const
const [OK, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE] = [0, 4, 8, 14]
const [REFUSED_STREAM, ENHANCE_YOUR_CALM] = [7, 11]
/** The newest entry of a table, referred to in one octet. */
const NEWEST = 0x80 | 62

const RESPONSE: Fields = [
  [':status', '200'],
  ['content-type', 'application/grpc'],
]
const TRAILERS: Fields = [['grpc-status', '0']]

/** A call that the upstream has seen and not answered. */
interface Begun {
  readonly peer: HostilePeer
  readonly stream: number
  readonly status: Promise<number>
}

/** Heads of each connection that were given to an attack. */
const taken = new WeakMap<HostilePeer, number>()

/** One call of an honest caller, as it arrives at the upstream. */
async function begin(ground: AttackGround, messageBytes = 10): Promise<Begun> {
  const status = ground.call(messageBytes)
  const peer = await ground.upstream()
  const before = taken.get(peer) ?? 0
  if (!(await peer.until(() => peer.headCount > before, 2_500))) ground.fault('no call reached the upstream')
  taken.set(peer, before + 1)
  return { peer, stream: [...peer.blocks.keys()].at(-1) ?? 1, status }
}

/** Whether the caller got one of these. */
async function expectStatus(ground: AttackGround, { status }: Begun, ...allowed: number[]): Promise<void> {
  const got = await status
  if (!allowed.includes(got)) ground.fault(`a caller got status ${got}, not ${allowed.join(' or ')}`)
}

const head = (stream: number, fields: Fields = RESPONSE): FrameSpec => ({
  type: 'HEADERS',
  stream,
  flags: OPEN,
  payload: literals(fields),
})

const many = (count: number, spec: FrameSpec): Buffer =>
  Buffer.concat(Array.from({ length: count }, () => frame(spec)))

/** Answers a call with what ends the connection. `act` gives the octets; the caller is answered UNAVAILABLE. */
const fatal = (
  name: string,
  title: string,
  act: (stream: number, peer: HostilePeer) => Buffer,
  stage: AttackStage = {},
): Attack => ({
  name: `upstream-${name}`,
  title: `by the upstream: ${title}`,
  outcome: 'closed',
  stage: { hostileUpstream: 'polite', ...stage },
  rounds: 12,
  async run(ground) {
    const begun = await begin(ground)
    const { peer, stream } = begun
    const octets = act(stream, peer)
    peer.cross()
    await peer.push(octets)
    await peer.closed(1_500)
    await expectStatus(ground, begun, UNAVAILABLE)
  },
})

/** Answers a call with what ends no more than that call. */
const borne = (
  name: string,
  title: string,
  rounds: number,
  run: (ground: AttackGround) => Promise<void>,
  stage: AttackStage = {},
): Attack => ({
  name: `upstream-${name}`,
  title: `by the upstream: ${title}`,
  outcome: 'served',
  stage: { hostileUpstream: 'polite', ...stage },
  rounds,
  run,
})

/** Response heads that no gRPC server sends, each of them malformed HTTP. */
const MALFORMED: Readonly<Record<string, Fields>> = {
  'CR LF in a value': [...RESPONSE, ['x', 'a\r\nset-cookie: b']],
  'NUL in a value': [...RESPONSE, ['x', 'a\0b']],
  'an upper-case name': [...RESPONSE, ['X-Upper', 'a']],
  'transfer-encoding': [...RESPONSE, ['transfer-encoding', 'chunked']],
  connection: [...RESPONSE, ['connection', 'close']],
  'no status': [['content-type', 'application/grpc']],
  'two statuses': [[':status', '200'], ...RESPONSE],
  'a late status': [
    ['content-type', 'application/grpc'],
    [':status', '200'],
  ],
  'a status of four digits': [[':status', '2000']],
  'a pseudo-header of requests': [
    [':status', '200'],
    [':path', '/'],
  ],
  'two lengths': [...RESPONSE, ['content-length', '1'], ['content-length', '2']],
}

export const UPSTREAMS: readonly Attack[] = [
  fatal('continuation-flood', 'a response head that never ends (CVE-2024-27316, CVE-2023-45288)', (stream) =>
    Buffer.concat([
      frame({ type: 'HEADERS', stream, payload: literals(RESPONSE) }),
      many(200, { type: 'CONTINUATION', stream, payload: literals([['x', 'y'.repeat(100)]]) }),
    ]),
  ),
  fatal('hpack-bomb', 'one entry of 4 KiB, referred to 16,000 times (CVE-2016-6581)', (stream) =>
    frame({
      type: 'HEADERS',
      stream,
      flags: OPEN,
      payload: Buffer.concat([
        literals(RESPONSE),
        inserting([['x-bomb', 'v'.repeat(4_000)]]),
        Buffer.alloc(12_000, NEWEST),
      ]),
    }),
  ),
  fatal('settings-flood', 'SETTINGS frames (CVE-2019-9515)', () =>
    many(200, { type: 'SETTINGS', payload: settingsPayload([[1, 0]]) }),
  ),
  fatal('ping-flood', 'PINGs that no work explains (CVE-2019-9512)', () =>
    many(3_000, { type: 'PING', payload: Buffer.alloc(8) }),
  ),
  fatal('empty-frames', 'empty DATA frames that end nothing (CVE-2019-9518)', (stream) =>
    Buffer.concat([frame(head(stream)), many(300, { type: 'DATA', stream })]),
  ),
  fatal('interim-flood', 'interim responses without end', (stream) =>
    many(400, head(stream, [[':status', '103']])),
  ),
  fatal('window-update-flood', 'WINDOW_UPDATEs that no data explains', () =>
    many(1_000, { type: 'WINDOW_UPDATE', payload: uint32(1) }),
  ),
  fatal('window-overflow', 'the window of the connection past 2^31−1', () =>
    frame({ type: 'WINDOW_UPDATE', payload: uint32(2 ** 31 - 1) }),
  ),
  fatal('window-zero', 'WINDOW_UPDATE of 0 on a call', (stream) =>
    frame({ type: 'WINDOW_UPDATE', stream, payload: uint32(0) }),
  ),
  fatal('push', 'a pushed stream, though push is off', (stream) =>
    frame({
      type: 'PUSH_PROMISE',
      stream,
      flags: OPEN,
      payload: Buffer.concat([uint32(2), literals(RESPONSE)]),
    }),
  ),
  fatal('priority-flood', 'PRIORITY frames (CVE-2019-9513)', (stream) =>
    many(1_000, { type: 'PRIORITY', stream, dependsOn: 0 }),
  ),
  fatal('unknown-frames', 'frames of a type that nobody knows', () =>
    many(1_000, { type: 0xee, payload: Buffer.alloc(8) }),
  ),
  fatal('idle-stream', 'DATA on a stream that nobody opened', (stream) =>
    frame({ type: 'DATA', stream: stream + 100, payload: message(1) }),
  ),
  {
    name: 'upstream-late-frames',
    title: 'by the upstream: frames on calls that are over, by the thousand (CVE-2019-9514)',
    outcome: 'closed',
    stage: { hostileUpstream: 'polite' },
    rounds: 12,
    async run(ground) {
      const begun = await begin(ground)
      const { peer, stream } = begun
      peer.send({ type: 'HEADERS', stream, flags: END, payload: literals([...RESPONSE, ...TRAILERS]) })
      await expectStatus(ground, begun, OK)
      peer.cross()
      await peer.push(many(1_000, { type: 'RST_STREAM', stream, payload: uint32(8) }))
      await peer.closed(1_500)
    },
  },
  {
    name: 'upstream-mute',
    title: 'by the upstream: connections that are taken and left without a word',
    outcome: 'closed',
    stage: { hostileUpstream: 'mute', limits: 'preface_timeout: 500ms' },
    rounds: 2,
    async run(ground) {
      // An address that was mute before rests for up to a second, and calls meanwhile are answered at once.
      await ground.pause(1_300)
      const status = ground.call()
      const peer = await ground.upstream()
      await ground.pause(500)
      peer.cross()
      await peer.closed(1_500)
      const got = await status
      if (got !== UNAVAILABLE) ground.fault(`a caller got status ${got}`)
    },
  },
  borne('head-large', 'response heads and trailers of 100 KiB', 6, async (ground) => {
    const large: Fields = [
      ...RESPONSE,
      ...Array.from({ length: 4 }, (_, n) => [`x-${n}`, 'y'.repeat(25_000)] as const),
    ]
    const blocks = (stream: number, fields: Fields, isEnd: boolean): Buffer => {
      const octets = literals(fields)
      const parts = Array.from({ length: Math.ceil(octets.length / 16_384) }, (_, n) =>
        octets.subarray(n * 16_384, (n + 1) * 16_384),
      )
      return frames(
        ...parts.map((payload, n): FrameSpec => {
          const flags = [
            ...(n === parts.length - 1 ? (['END_HEADERS'] as const) : []),
            ...(n === 0 && isEnd ? (['END_STREAM'] as const) : []),
          ]
          return { type: n === 0 ? 'HEADERS' : 'CONTINUATION', stream, flags, payload }
        }),
      )
    }
    const first = await begin(ground)
    first.peer.write(blocks(first.stream, large, false))
    await expectStatus(ground, first, RESOURCE_EXHAUSTED)
    const second = await begin(ground)
    second.peer.send(head(second.stream))
    second.peer.write(blocks(second.stream, [...TRAILERS, ...large.slice(2)], true))
    await expectStatus(ground, second, RESOURCE_EXHAUSTED)
  }),
  borne(
    'malformed-heads',
    `${Object.keys(MALFORMED).length} malformed response heads, one by one`,
    2,
    async (ground) => {
      for (const fields of Object.values(MALFORMED)) {
        const begun = await begin(ground)
        begun.peer.send(head(begun.stream, fields))
        await expectStatus(ground, begun, UNAVAILABLE)
      }
    },
  ),
  borne('length-lies', 'a content-length that the octets do not keep', 6, async (ground) => {
    const begun = await begin(ground)
    const { peer, stream } = begun
    peer.send(head(stream, [...RESPONSE, ['content-length', '5']]), {
      type: 'DATA',
      stream,
      payload: message(100),
    })
    peer.send({ type: 'HEADERS', stream, flags: END, payload: literals(TRAILERS) })
    await expectStatus(ground, begun, UNAVAILABLE)
  }),
  borne(
    'data-dribble',
    'an answer of 20,000 octets, one in each frame (CVE-2019-9511)',
    2,
    async (ground) => {
      const begun = await begin(ground)
      const { peer, stream } = begun
      peer.send(head(stream))
      const answer = message(20_000 - 5)
      for (let at = 0; at < answer.length; at += 500) {
        const octets = [...answer.subarray(at, at + 500)]
        await peer.push(
          frames(...octets.map((octet) => ({ type: 'DATA' as const, stream, payload: Buffer.of(octet) }))),
        )
      }
      peer.send({ type: 'HEADERS', stream, flags: END, payload: literals(TRAILERS) })
      await expectStatus(ground, begun, OK)
    },
  ),
  borne('refusals', 'every call refused: each is sent again three times, and no more', 3, async (ground) => {
    const statuses = Promise.all(Array.from({ length: 30 }, () => ground.call()))
    const peer = await ground.upstream()
    const refused = new Set(peer.resets.keys())
    const before = peer.headCount
    const state = { isOver: false }
    void statuses.then(() => (state.isOver = true))
    while (!state.isOver && !peer.isGone) {
      for (const stream of peer.blocks.keys()) {
        if (refused.has(stream)) continue
        refused.add(stream)
        peer.send({ type: 'RST_STREAM', stream, payload: uint32(REFUSED_STREAM) })
      }
      await ground.pause(2)
    }
    for (const status of await statuses)
      if (status !== UNAVAILABLE) ground.fault(`a caller got status ${status}`)
    const headCount = peer.headCount - before
    if (headCount > 4 * 30) ground.fault(`${headCount} heads came of 30 calls`)
  }),
  borne('goaways', 'each connection ended with GOAWAY as its first call comes', 6, async (ground) => {
    const status = ground.call()
    const state = { isOver: false }
    void status.then(() => (state.isOver = true))
    for (let connections = 0; !state.isOver;) {
      const peer = await ground.upstream()
      if (!(await peer.until(() => state.isOver || peer.headCount > 0, 2_000)) || state.isOver) break
      if (++connections > 4) ground.fault('a call was sent again more than three times')
      peer.send({ type: 'GOAWAY', payload: goawayPayload(0, ENHANCE_YOUR_CALM, 'too_many_pings') })
      await peer.closed(1_000)
      peer.end()
    }
    const got = await status
    if (got !== UNAVAILABLE) ground.fault(`a caller got status ${got}`)
  }),
  borne(
    'hoarder',
    'requests taken up to the window and never read on: callers end at their deadline, and all is given back',
    1,
    async (ground) => {
      const calls = Array.from({ length: 60 }, () => ground.call(256 * 1024, 1_500))
      for (const status of await Promise.all(calls))
        if (status !== DEADLINE_EXCEEDED && status !== UNAVAILABLE)
          ground.fault(`a caller got status ${status}`)
      await ground.pause(300)
      const heldBytes = await ground.metric('authgw_held_bytes')
      if (heldBytes > 50_000) ground.fault(`${heldBytes} octets are held for calls that are over`)
    },
  ),
]

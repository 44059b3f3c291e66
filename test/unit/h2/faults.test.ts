import { describe, expect, test } from 'vitest'
import { FAULTS, type FaultToken } from '../../../src/base/index.ts'
import { SettingId } from '../../../src/frame/index.ts'
import {
  literals,
  listOf,
  RawPeer,
  REQUEST,
  RESPONSE,
  type EndOptions,
  type Fields,
} from '../../support/h2-pair.ts'
import { frame, frames, settingsPayload, uint32 } from '../../support/frame-factory.ts'

interface FaultCase {
  /** What the peer does, after the settings were exchanged unless `isFresh`. */
  readonly act: (peer: RawPeer) => void
  readonly options?: EndOptions
  readonly isFresh?: boolean
}

const request = (...extra: Fields): Fields => [...REQUEST, ...extra]
const without = (name: string): Fields => REQUEST.filter((field) => field[0] !== name)
const openClientCall = (peer: RawPeer): void => {
  peer.connection.openStream(listOf(REQUEST), null, false, {})
  peer.flush()
}
const isClient: EndOptions = { isServer: false }
const repeat = (count: number, act: (index: number) => void): void => {
  for (let i = 0; i < count; i++) act(i)
}

/** One way to commit each fault of h2. */
const CASES: Partial<Record<FaultToken, FaultCase>> = {
  first_frame_not_settings: { isFresh: true, act: (peer) => peer.send(Buffer.from(preface())).ping() },
  settings_bad_enable_push: { act: (peer) => peer.settings([SettingId.ENABLE_PUSH, 2]) },
  settings_bad_window: { act: (peer) => peer.settings([SettingId.INITIAL_WINDOW_SIZE, 2 ** 31]) },
  settings_bad_frame_size: { act: (peer) => peer.settings([SettingId.MAX_FRAME_SIZE, 16_383]) },
  settings_ack_unexpected: { act: (peer) => peer.settingsAck() },
  settings_ack_late: {
    isFresh: true,
    act: (peer) => peer.send(Buffer.from(preface())).settings().advance(10_100),
  },
  stream_id_even: { act: (peer) => peer.headers(2, REQUEST) },
  stream_id_reused: { act: (peer) => peer.headers(1, REQUEST).rst(1).headers(1, REQUEST) },
  frame_on_idle_stream: { act: (peer) => peer.data(5, 1) },
  data_on_closed_stream: { act: (peer) => peer.headers(1, REQUEST, true).data(1, 1) },
  headers_after_end: { act: (peer) => peer.headers(1, REQUEST, true).headers(1, [['a', 'b']], true) },
  connection_window_exceeded: {
    options: { limits: { connectionWindowBytes: 65_535 } },
    act: (peer) => {
      peer.handler.credits = false
      peer.headers(1, REQUEST).headers(3, REQUEST)
      repeat(4, (index) => peer.data(index < 2 ? 1 : 3, 16_384))
    },
  },
  stream_window_exceeded: {
    act: (peer) => {
      peer.handler.credits = false
      peer.headers(1, REQUEST)
      repeat(4, () => peer.data(1, 16_384))
    },
  },
  connection_window_overflow: { act: (peer) => peer.windowUpdate(0, 2 ** 31 - 1) },
  stream_window_overflow: { act: (peer) => peer.headers(1, REQUEST).windowUpdate(1, 2 ** 31 - 1) },
  initial_window_overflow: {
    act: (peer) =>
      peer
        .headers(1, REQUEST)
        .windowUpdate(1, 2 ** 30)
        .settings([SettingId.INITIAL_WINDOW_SIZE, 2 ** 31 - 1]),
  },
  priority_self_dependency: { act: (peer) => peer.send({ type: 'PRIORITY', stream: 3, dependsOn: 3 }) },
  preface_late: { isFresh: true, act: (peer) => peer.advance(10_100) },
  header_block_late: {
    act: (peer) => peer.send({ type: 'HEADERS', stream: 1, payload: literals(REQUEST) }).advance(10_100),
  },
  frame_late: {
    act: (peer) =>
      peer.send(frame({ type: 'PING', payload: Buffer.alloc(8) }).subarray(0, 12)).advance(10_100),
  },
  stream_limit: {
    options: { limits: { maxConcurrentStreams: 2 } },
    act: (peer) => peer.headers(1, REQUEST).headers(3, REQUEST).headers(5, REQUEST),
  },
  field_name_invalid: { act: (peer) => peer.headers(1, request(['Upper', 'x'])) },
  field_value_invalid: { act: (peer) => peer.headers(1, request(['x', 'a\nb'])) },
  connection_specific_field: { act: (peer) => peer.headers(1, request(['connection', 'close'])) },
  pseudo_header_unknown: { act: (peer) => peer.headers(1, [[':status', '200'], ...REQUEST]) },
  pseudo_header_duplicate: { act: (peer) => peer.headers(1, [[':path', '/a'], ...REQUEST]) },
  pseudo_header_late: { act: (peer) => peer.headers(1, [...without(':path'), [':path', '/late']]) },
  pseudo_header_missing: { act: (peer) => peer.headers(1, without(':method')) },
  pseudo_header_in_trailers: { act: (peer) => peer.headers(1, REQUEST).headers(1, [[':path', '/']], true) },
  path_empty: { act: (peer) => peer.headers(1, [[':path', ''], ...without(':path')]) },
  authority_invalid: { act: (peer) => peer.headers(1, request(['host', 'elsewhere'])) },
  content_length_mismatch: {
    act: (peer) => peer.headers(1, request(['content-length', '3'])).data(1, 2, true),
  },
  trailers_without_end: { act: (peer) => peer.headers(1, REQUEST).headers(1, [['a', 'b']]) },
  response_malformed: {
    options: isClient,
    act: (peer) => {
      openClientCall(peer)
      peer.data(1, 1)
    },
  },
  stalled: {
    act: (peer) => {
      peer.headers(1, REQUEST, true)
      const stream = peer.handler.stream(1)
      stream.sendHeaders(listOf(RESPONSE), false)
      stream.sendData(Buffer.alloc(70_000), false)
      peer.flush().advance(60_100)
    },
  },
  rapid_reset: {
    act: (peer) => repeat(1001, (index) => peer.headers(1 + 2 * index, REQUEST).rst(1 + 2 * index)),
  },
  unfinished_streams: {
    options: { limits: { maxConcurrentStreams: 4 } },
    act: (peer) => {
      peer.handler.on = (event, stream) => {
        if (event === 'request') stream!.occupy()
      }
      repeat(9, (index) => peer.headers(1 + 2 * index, REQUEST).rst(1 + 2 * index))
    },
  },
  continuation_flood: {
    act: (peer) => {
      peer.send({ type: 'HEADERS', stream: 1, payload: literals(REQUEST) })
      repeat(9, () => peer.send({ type: 'CONTINUATION', stream: 1, payload: literals([['a', 'b']]) }))
    },
  },
  header_list_flood: {
    options: { limits: { maxHeaderListBytes: 200 } },
    act: (peer) => peer.headers(1, request(['x', 'v'.repeat(200)])),
  },
  settings_flood: { act: (peer) => repeat(100, () => peer.settings().flush()) },
  control_queue_flood: { act: (peer) => repeat(1001, () => peer.headers(1, REQUEST).ping()), options: {} },
  ping_flood: { act: (peer) => repeat(211, () => peer.ping().flush()) },
  window_update_flood: { act: (peer) => repeat(6, () => peer.windowUpdate(0, 1)) },
  priority_flood: {
    act: (peer) => repeat(101, () => peer.send({ type: 'PRIORITY', stream: 3, dependsOn: 1 })),
  },
  empty_data_flood: {
    act: (peer) => {
      peer.headers(1, REQUEST)
      repeat(101, () => peer.data(1, 0))
    },
  },
  small_data_flood: {
    options: { limits: { smallDataBudget: 25_600 } },
    act: (peer) => {
      peer.handler.credits = false
      peer.headers(1, REQUEST)
      // The first of a stream is free; what comes in one turn is judged in the next.
      repeat(102, () => peer.data(1, 1))
      peer.flush().data(1, 1).flush().data(1, 1)
    },
  },
  glitch_flood: {
    act: (peer) => repeat(201, (index) => peer.headers(1 + 2 * index, without(':method')).flush()),
  },
}
CASES.control_queue_flood = {
  options: { limits: { pingsPerWork: 2000 } },
  act: (peer) => {
    peer.headers(1, REQUEST)
    repeat(1001, () => peer.ping())
  },
}

function preface(): Buffer {
  return Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')
}

const names = Object.keys(FAULTS) as FaultToken[]
const h2Names = names.slice(names.indexOf('first_frame_not_settings'))

test('every fault of the h2 sections has a case here', () => {
  expect(Object.keys(CASES).sort()).toEqual([...h2Names].sort())
})

describe('a fault is answered with its code, its token and within its radius', () => {
  for (const [token, { act, options, isFresh }] of Object.entries(CASES) as [FaultToken, FaultCase][]) {
    const { code, radius } = FAULTS[token]
    test(`${token}: ${radius === 'stream' ? 'RST_STREAM' : 'GOAWAY'} ${code}`, () => {
      const peer = new RawPeer(options)
      if (isFresh !== true) peer.open()
      act(peer)
      const sent = peer.take()
      expect(peer.end.stats.faults[token]).toBe(token === 'glitch_flood' ? 1 : 1)
      if (radius === 'stream') {
        expect(sent.filter((line) => line.startsWith('RST_STREAM')).at(-1)).toMatch(new RegExp(` ${code}$`))
        expect(sent.join()).not.toContain('GOAWAY')
        expect(peer.connection.isFinished).toBe(false)
        expect(peer.handler.log.join()).not.toContain('over')
      } else {
        expect(sent.at(-1)).toMatch(new RegExp(`^GOAWAY last=\\d+ ${code} ${token}$`))
        expect(peer.connection.isFinished).toBe(true)
        expect(peer.connection.isFaulted).toBe(true)
        expect(peer.handler.log.at(-1)).toBe('over closed_by_peer')
        expect(peer.end.held.usedBytes).toBe(0)
        expect(peer.connection.openStreamCount).toBe(0)
      }
    })
  }
})

test('framing faults pass through the connection as GOAWAY with their code', () => {
  const peer = new RawPeer().open()
  peer.send({ type: 'DATA', stream: 0, payload: '00' })
  expect(peer.take()).toEqual(['GOAWAY last=0 PROTOCOL_ERROR data_on_stream_0'])
})

test('a header block that does not decode ends the connection with COMPRESSION_ERROR', () => {
  const peer = new RawPeer().open()
  peer.send({ type: 'HEADERS', stream: 1, flags: ['END_HEADERS'], payload: 'ff' })
  expect(peer.take()).toEqual(['GOAWAY last=0 COMPRESSION_ERROR hpack_truncated'])
})

describe('what else is the same fault', () => {
  const lines = (act: (peer: RawPeer) => void, options: EndOptions = {}): string => {
    const peer = new RawPeer(options).open()
    act(peer)
    return peer.take().at(-1) ?? ''
  }
  test('a server that sends ENABLE_PUSH 1', () => {
    const last = lines((peer) => peer.settings([SettingId.ENABLE_PUSH, 1]), isClient)
    expect(last).toContain('PROTOCOL_ERROR settings_bad_enable_push')
  })
  test('MAX_FRAME_SIZE above 2^24-1', () => {
    expect(lines((peer) => peer.settings([SettingId.MAX_FRAME_SIZE, 2 ** 24]))).toContain(
      'settings_bad_frame_size',
    )
  })
  test('WINDOW_UPDATE, RST_STREAM and CONTINUATION-less HEADERS on idle streams', () => {
    expect(lines((peer) => peer.windowUpdate(7, 1))).toContain('PROTOCOL_ERROR frame_on_idle_stream')
    expect(lines((peer) => peer.rst(7))).toContain('PROTOCOL_ERROR frame_on_idle_stream')
    expect(lines((peer) => peer.headers(7, RESPONSE), isClient)).toContain('frame_on_idle_stream')
    expect(lines((peer) => peer.headers(2, RESPONSE), isClient)).toContain('frame_on_idle_stream')
  })
  test('frames on an identifier that the peer skipped', () => {
    expect(lines((peer) => peer.headers(9, REQUEST).data(5, 1))).toContain('frame_on_idle_stream')
    expect(lines((peer) => peer.headers(9, REQUEST).headers(5, REQUEST))).toContain('PROTOCOL_ERROR')
    expect(lines((peer) => peer.headers(9, REQUEST).windowUpdate(5, 1))).toContain('frame_on_idle_stream')
  })
  test('WINDOW_UPDATE of 0, on the connection and on a stream', () => {
    expect(lines((peer) => peer.windowUpdate(0, 0))).toContain('PROTOCOL_ERROR window_update_zero')
    expect(lines((peer) => peer.headers(1, REQUEST).windowUpdate(1, 0))).toContain('window_update_zero')
  })
  test('HEADERS that depend on their own stream', () => {
    const last = lines((peer) =>
      peer.send({
        type: 'HEADERS',
        stream: 1,
        flags: ['END_HEADERS'],
        dependsOn: 1,
        payload: literals(REQUEST),
      }),
    )
    expect(last).toContain('priority_self_dependency')
  })
  test('DATA or HEADERS on a stream that the peer reset itself', () => {
    expect(lines((peer) => peer.headers(1, REQUEST).rst(1).data(1, 1))).toContain(
      'STREAM_CLOSED data_on_closed_stream',
    )
  })
  test('more than 32 entries in one SETTINGS frame', () => {
    const entries = Array.from({ length: 33 }, (_, index) => [0x100 + index, 1] as const)
    expect(lines((peer) => peer.settings(...entries))).toContain('settings_flood')
    expect(lines((peer) => peer.settings(...entries.slice(1)))).toBe('SETTINGS ack')
  })
  test('a SETTINGS ACK before the first SETTINGS', () => {
    const peer = new RawPeer()
    peer.send(preface()).settingsAck()
    expect(peer.take().at(-1)).toContain('first_frame_not_settings')
  })
  test('an unknown frame before SETTINGS', () => {
    const peer = new RawPeer()
    peer.send(preface(), { type: 0x20 })
    expect(peer.take().at(-1)).toContain('first_frame_not_settings')
  })
})

test('after a fatal fault nothing more is read, sent or told', () => {
  const peer = new RawPeer().open()
  peer.send(frames({ type: 'DATA', stream: 0 }, { type: 'PING', payload: Buffer.alloc(8) }))
  peer.headers(1, REQUEST).ping()
  expect(peer.handler.take()).toEqual(['over closed_by_peer'])
  expect(peer.take()).toEqual(['GOAWAY last=0 PROTOCOL_ERROR data_on_stream_0'])
  expect(peer.connection.hasOutput).toBe(false)
  peer.advance(3_600_000, 60_000)
  expect(peer.take()).toEqual([])
})

test('unknown settings, unknown frames and PRIORITY are ignored', () => {
  const peer = new RawPeer().open()
  peer.send(
    { type: 'SETTINGS', payload: settingsPayload([[0x99, 5]]) },
    { type: 0xfa, stream: 3, payload: uint32(7) },
    { type: 'PRIORITY', stream: 9, dependsOn: 7 },
  )
  expect(peer.take()).toEqual(['SETTINGS ack'])
  peer.headers(3, REQUEST)
  expect(peer.handler.take()).toEqual(['request 3 /pkg.Service/Method'])
})

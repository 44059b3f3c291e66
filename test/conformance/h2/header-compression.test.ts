import { expect } from 'vitest'
import { SettingId } from '../../../src/frame/index.ts'
import { listOf, RawPeer, REQUEST, RESPONSE } from '../../support/h2-pair.ts'
import { hex, settingsPayload } from '../../support/frame-factory.ts'
import { must } from '../../support/must.ts'

/** Blocks sent on streams 1, 3, 5 …; a request head stands before each. */
const HEAD = '82 86 84'
const send = (peer: RawPeer, ...blocks: string[]): RawPeer => {
  for (const block of blocks) {
    const stream = peer.connection.streams.lastOpenedId + (peer.connection.streams.lastOpenedId === 0 ? 1 : 2)
    peer.send({ type: 'HEADERS', stream, flags: ['END_HEADERS', 'END_STREAM'], payload: block })
  }
  return peer
}
const fault = (...blocks: string[]): string =>
  send(new RawPeer().open(), ...blocks)
    .take()
    .at(-1) ?? 'nothing'
const decoded = (...blocks: string[]): string => {
  const peer = send(new RawPeer().open(), ...blocks)
  const head = peer.handler.heads.get(peer.connection.streams.lastOpenedId)!
  return head.fields
    .slice(3)
    .map((field) => `${field.name}=${field.value}`)
    .join(',')
}
const answers = (peer: RawPeer): Buffer => {
  peer.handler.stream(peer.connection.streams.lastOpenedId).sendHeaders(listOf(RESPONSE), true)
  peer.flush()
  return peer.frames.findLast((wire) => wire.type === 1)!.payload
}

must('RFC 7541 §2.3.2 the dynamic table may hold an entry twice', () => {
  expect(decoded(`${HEAD} 40 01 61 01 62 40 01 61 01 62 be bf`)).toBe('a=b,a=b,a=b,a=b')
})
must('RFC 7541 §2.3.3 and §6.1 an index beyond the tables, or 0, is a decoding error', () => {
  expect(fault(`${HEAD} be`)).toContain('COMPRESSION_ERROR hpack_bad_index')
  expect(fault(`${HEAD} 80`)).toContain('COMPRESSION_ERROR hpack_bad_index')
  expect(fault(`${HEAD} 7e 01 61`)).toContain('COMPRESSION_ERROR hpack_bad_index')
})
must('RFC 7541 §4.2 a size update above SETTINGS_HEADER_TABLE_SIZE is a decoding error', () => {
  expect(fault(`3f e1 1f ${HEAD}`)).toBe('nothing')
  expect(fault(`3f e2 1f ${HEAD}`)).toContain('COMPRESSION_ERROR hpack_table_size_too_large')
})
must('RFC 7541 §4.2 a size update stands at the start of a block', () => {
  expect(fault(`${HEAD} 20`)).toContain('COMPRESSION_ERROR hpack_table_size_misplaced')
})
must(
  'RFC 7541 §4.2 a lowered table is told at the start of the first block after the acknowledgement, lowest first',
  () => {
    const peer = new RawPeer().open()
    const id = SettingId.HEADER_TABLE_SIZE
    peer
      .send({
        type: 'SETTINGS',
        payload: settingsPayload([
          [id, 0],
          [id, 100],
        ]),
      })
      .headers(1, REQUEST, true)
    expect(answers(peer).subarray(0, 3)).toEqual(hex('20 3f 45'))
  },
)
must('RFC 7541 §4.2 a peer that ignores our lowered table is refused', () => {
  const peer = new RawPeer({ limits: { headerTableBytes: 0 } }).open()
  expect(send(peer, HEAD).take().at(-1)).toContain('COMPRESSION_ERROR hpack_table_size_missing')
})
must('RFC 7541 §4.3 a smaller table evicts the oldest entries', () => {
  expect(decoded(`${HEAD} 40 01 61 01 62 40 01 63 01 64`, `3f 03 ${HEAD} be`)).toBe('c=d')
  expect(fault(`${HEAD} 40 01 61 01 62 40 01 63 01 64`, `3f 03 ${HEAD} bf`)).toContain('hpack_bad_index')
})
must('RFC 7541 §4.4 an entry larger than the table empties it and is no error', () => {
  const large = `3f 09 ${HEAD} 40 01 61 07 62 62 62 62 62 62 62`
  expect(fault(`3f 09 ${HEAD} 40 01 61 01 62`, large.slice(6))).toBe('nothing')
  const empties = `3f 09 ${HEAD} 40 01 61 01 62 40 01 63 08 64 64 64 64 64 64 64 64 be`
  expect(fault(empties)).toContain('hpack_bad_index')
})
must('RFC 7541 §5.1 an integer without end or too large is a decoding error', () => {
  expect(fault(`${HEAD} ff ff ff ff ff ff ff ff 7f`)).toContain('COMPRESSION_ERROR hpack_integer_overflow')
  expect(fault(`${HEAD} ff`)).toContain('COMPRESSION_ERROR hpack_truncated')
})
must('RFC 7541 §5.2 a Huffman string with EOS, long padding or padding of zeros is a decoding error', () => {
  const isRefused = (octets: string): boolean =>
    fault(`${HEAD} 00 01 61 ${octets}`).includes('COMPRESSION_ERROR hpack_bad_huffman')
  expect(['84 ff ff ff ff', '82 1f ff', '81 18'].filter((octets) => !isRefused(octets))).toEqual([])
})
must('RFC 7541 §6.2.3 a field that came never-indexed leaves so', () => {
  const peer = send(new RawPeer().open(), `${HEAD} 10 01 61 01 62`)
  const list = peer.handler.heads.get(1)!
  expect(list.fields.at(-1)!.indexing).toBe(2)
  const far = new RawPeer({ isServer: false }).open()
  far.connection.openStream(list, null, true, {})
  far.flush()
  expect(far.frames[0]!.payload.subarray(-5)).toEqual(hex('10 01 61 01 62'))
})
must('RFC 7541 §3.2 one table serves all streams of a direction, in the order of their blocks', () => {
  expect(decoded(`${HEAD} 40 01 61 01 62`, `${HEAD} be`)).toBe('a=b')
})

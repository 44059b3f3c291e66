import { describe, expect, test } from 'vitest'
import { FrameFlag, FrameReader, FrameWriter, H2Code, PREFACE, SettingId } from '../../../src/frame/index.ts'
import { hex, pattern, toHex } from '../../support/frame-factory.ts'
import { RecordingSink } from '../../support/recording-sink.ts'

function takeAll(writer: FrameWriter): Buffer {
  const out: Buffer[] = []
  const pendingBytes = writer.pendingBytes
  expect(writer.take(out)).toBe(pendingBytes)
  const bytes = Buffer.concat(out)
  expect(bytes.length).toBe(pendingBytes)
  expect([writer.pendingBytes, writer.pendingFrameCount]).toEqual([0, 0])
  return bytes
}

function readBack(bytes: Buffer, expectsPreface = false): string[] {
  const sink = new RecordingSink()
  const reader = new FrameReader(sink, { maxFrameBytes: 1 << 20, expectsPreface })
  reader.push(bytes)
  expect(reader.isMidFrame).toBe(false)
  return sink.log
}

function writeBlock(
  writer: FrameWriter,
  block: Buffer,
  streamId: number,
  isEnd: boolean,
  max = 16_384,
): void {
  const at = writer.beginHeaders(block.length)
  block.copy(writer.slab, at)
  writer.endHeaders(streamId, isEnd, at + block.length, max)
}

describe('frames on the wire', () => {
  test('each type has the octets of RFC 9113 §6', () => {
    const wire = (write: (writer: FrameWriter) => void): string => {
      const writer = new FrameWriter()
      write(writer)
      expect(writer.pendingFrameCount).toBe(1)
      return toHex(takeAll(writer))
    }
    expect(wire((w) => w.data(1, Buffer.from('hi'), FrameFlag.END_STREAM))).toBe(
      '00 00 02 00 01 00 00 00 01 68 69',
    )
    expect(wire((w) => w.data(0x7fffffff, Buffer.alloc(0), 0))).toBe('00 00 00 00 00 7f ff ff ff')
    expect(wire((w) => writeBlock(w, hex('82 86'), 3, true))).toBe('00 00 02 01 05 00 00 00 03 82 86')
    expect(wire((w) => writeBlock(w, hex('88'), 3, false))).toBe('00 00 01 01 04 00 00 00 03 88')
    expect(
      wire((w) =>
        w.settings([
          [SettingId.ENABLE_PUSH, 0],
          [SettingId.INITIAL_WINDOW_SIZE, 0x7fffffff],
        ]),
      ),
    ).toBe('00 00 0c 04 00 00 00 00 00 00 02 00 00 00 00 00 04 7f ff ff ff')
    expect(wire((w) => w.settings([]))).toBe('00 00 00 04 00 00 00 00 00')
    expect(wire((w) => w.settingsAck())).toBe('00 00 00 04 01 00 00 00 00')
    expect(wire((w) => w.ping(hex('0102030405060708'), false))).toBe(
      '00 00 08 06 00 00 00 00 00 01 02 03 04 05 06 07 08',
    )
    expect(wire((w) => w.ping(hex('0102030405060708'), true))).toBe(
      '00 00 08 06 01 00 00 00 00 01 02 03 04 05 06 07 08',
    )
    expect(wire((w) => w.goaway(0x7fffffff, H2Code.ENHANCE_YOUR_CALM, 'é'))).toBe(
      '00 00 0a 07 00 00 00 00 00 7f ff ff ff 00 00 00 0b c3 a9',
    )
    expect(wire((w) => w.rstStream(5, H2Code.CANCEL))).toBe('00 00 04 03 00 00 00 00 05 00 00 00 08')
    expect(wire((w) => w.windowUpdate(0, 0x7fffffff))).toBe('00 00 04 08 00 00 00 00 00 7f ff ff ff')
  })

  test('what is written is what is read', () => {
    const writer = new FrameWriter()
    writer.preface()
    writer.settings([[SettingId.MAX_CONCURRENT_STREAMS, 250]])
    writeBlock(writer, pattern(70), 1, false)
    writer.data(1, pattern(10), 0)
    writer.data(1, pattern(16_384), FrameFlag.END_STREAM)
    writer.windowUpdate(1, 5)
    writer.rstStream(1, 8)
    writer.goaway(1, 2, 'bye')
    expect(writer.pendingFrameCount).toBe(7)
    const bytes = takeAll(writer)
    expect(bytes.subarray(0, 24)).toEqual(PREFACE)
    const log = readBack(bytes, true)
    expect(log.map((line) => line.replace(/ (content )?\S+ octets.*/, ''))).toEqual([
      'SETTINGS flags=00 0003000000fa',
      'HEADERS 1 flags=04',
      'DATA 1 flags=00 length=10',
      '  content 001f3e5d7c9bbad9f817',
      'DATA 1 flags=01 length=16384',
      ' ',
      'WINDOW_UPDATE 1 +5',
      'RST_STREAM 1 code=8',
      'GOAWAY last=1 code=2 "bye"',
    ])
  })

  test('a long debug text in GOAWAY is cut', () => {
    const writer = new FrameWriter()
    writer.goaway(0, 0, 'x'.repeat(5_000))
    expect(takeAll(writer).length).toBe(9 + 8 + 1_024)
  })

  test('a PING payload of another length is a bug of ours', () => {
    expect(() => new FrameWriter().ping(Buffer.alloc(7), true)).toThrow('eight octets')
  })
})

describe('header blocks', () => {
  test.each([1, 16_384, 16_385, 32_768, 40_000, 200_000])(
    'of %i octets stay within the frame size',
    (blockBytes) => {
      const writer = new FrameWriter()
      writer.ping(Buffer.alloc(8), false)
      const block = pattern(blockBytes)
      writeBlock(writer, block, 7, true)
      const count = Math.ceil(blockBytes / 16_384)
      expect(writer.pendingFrameCount).toBe(1 + count)
      const bytes = takeAll(writer).subarray(17)
      const fragments: Buffer[] = []
      const flags: string[] = []
      for (let at = 0; at < bytes.length;) {
        const lengthBytes = bytes.readUIntBE(at, 3)
        expect(lengthBytes).toBeLessThanOrEqual(16_384)
        expect(bytes.readUInt32BE(at + 5)).toBe(7)
        flags.push(`${bytes[at + 3]}:${bytes[at + 4]}`)
        fragments.push(bytes.subarray(at + 9, at + 9 + lengthBytes))
        at += 9 + lengthBytes
      }
      expect(Buffer.concat(fragments).equals(block)).toBe(true)
      expect(flags).toEqual(
        Array.from(
          { length: count },
          (_, i) => `${i === 0 ? 1 : 9}:${(i === 0 ? 1 : 0) | (i === count - 1 ? 4 : 0)}`,
        ),
      )
    },
  )

  test('an empty block is one empty HEADERS frame', () => {
    const writer = new FrameWriter()
    writeBlock(writer, Buffer.alloc(0), 1, true)
    expect(toHex(takeAll(writer))).toBe('00 00 00 01 05 00 00 00 01')
  })

  test('one that is given up leaves no trace', () => {
    const writer = new FrameWriter()
    writer.settingsAck()
    writer.slab.fill(0xee, writer.beginHeaders(100), 90)
    writer.windowUpdate(1, 1)
    expect(readBack(takeAll(writer))).toEqual(['SETTINGS flags=01 -', 'WINDOW_UPDATE 1 +1'])
  })

  test('a frame in the middle of one is a bug of ours, and so is an end without a beginning', () => {
    const writer = new FrameWriter()
    expect(() => writer.endHeaders(1, false, 0, 16_384)).toThrow('beginHeaders')
    const at = writer.beginHeaders(10)
    writer.settingsAck()
    expect(() => writer.endHeaders(1, false, at, 16_384)).toThrow('beginHeaders')
    const again = writer.beginHeaders(10)
    expect(() => writer.endHeaders(1, false, writer.slab.length + again, 16_384)).toThrow('inside the slab')
  })
})

describe('buffers', () => {
  test('small frames leave as one buffer; a large payload goes by reference between two', () => {
    const writer = new FrameWriter()
    const small = pattern(2_048)
    const large = pattern(2_049)
    writer.data(1, small, 0)
    takeAll(writer)
    writer.recycle()
    writer.settingsAck()
    writer.data(1, small, 0)
    writer.data(1, large, 0)
    writer.windowUpdate(0, 1)
    const out: Buffer[] = []
    writer.take(out)
    expect(out.map((view) => view.length)).toEqual([9 + 9 + 2_048 + 9, 2_049, 13])
    expect(out[1]).toBe(large)
    expect(out[0]!.buffer).toBe(out[2]!.buffer)
  })

  test('a copied payload may change afterwards', () => {
    const writer = new FrameWriter()
    const payload = Buffer.from('abc')
    writer.data(1, payload, 0)
    payload.fill(0)
    expect(readBack(takeAll(writer))[1]).toBe('  content 616263')
  })

  test('an idle connection has no slab, then a small one; a busy one grows to the full size', () => {
    const writer = new FrameWriter()
    expect(writer.slab.length).toBe(0)
    writer.settingsAck()
    const sizes = new Set([writer.slab.length])
    for (let i = 0; i < 200; i++) {
      writer.data(1, pattern(2_000, i), 0)
      sizes.add(writer.slab.length)
    }
    expect([...sizes]).toEqual([256, 4_096, 16_384, 65_536])
    const log = readBack(takeAll(writer))
    expect(log).toHaveLength(1 + 2 * 200)
  })

  test('what is no mere SETTINGS exchange gets room for a few calls at once', () => {
    const writer = new FrameWriter()
    writeBlock(writer, pattern(300), 1, false, 16_384)
    expect(writer.slab.length).toBe(4_096)
  })

  test('a slab size below the first one is kept to', () => {
    const writer = new FrameWriter(100)
    for (let i = 0; i < 20; i++) writer.windowUpdate(i, 1)
    expect(writer.slab.length).toBe(100)
    expect(readBack(takeAll(writer))).toHaveLength(20)
  })

  test('what was taken stays as it is while the writing goes on', () => {
    const writer = new FrameWriter()
    writer.windowUpdate(1, 1)
    const out: Buffer[] = []
    writer.take(out)
    const before = toHex(out[0]!)
    for (let i = 0; i < 5_000; i++) writer.windowUpdate(3, i)
    expect(toHex(out[0]!)).toBe(before)
    expect(readBack(takeAll(writer))).toHaveLength(5_000)
  })

  test('recycle fills the same slab from its start again', () => {
    const writer = new FrameWriter()
    writer.windowUpdate(1, 1)
    const first: Buffer[] = []
    writer.take(first)
    const slab = writer.slab
    writer.recycle()
    writer.windowUpdate(3, 3)
    const second: Buffer[] = []
    writer.take(second)
    expect(writer.slab).toBe(slab)
    expect(second[0]!.byteOffset).toBe(first[0]!.byteOffset)
    expect(readBack(second[0]!)).toEqual(['WINDOW_UPDATE 3 +3'])
  })

  test('recycle a thousand turns never leaves the first slab', () => {
    const writer = new FrameWriter()
    for (let turn = 0; turn < 1_000; turn++) {
      writer.data(1, pattern(1_000, turn), 0)
      expect(readBack(takeAll(writer))).toHaveLength(2)
      writer.recycle()
    }
    expect(writer.slab.length).toBe(4_096)
  })

  test('recycle and release with frames pending do nothing', () => {
    const writer = new FrameWriter()
    writer.windowUpdate(1, 1)
    writer.recycle()
    writer.release()
    writer.windowUpdate(3, 3)
    expect(readBack(takeAll(writer))).toEqual(['WINDOW_UPDATE 1 +1', 'WINDOW_UPDATE 3 +3'])
  })

  test('release lets the slab go and starts small again; a huge block does not stay', () => {
    const writer = new FrameWriter()
    writeBlock(writer, pattern(100_000), 1, true, 200_000)
    takeAll(writer)
    writer.recycle()
    expect(writer.slab.length).toBe(0)
    writer.settingsAck()
    takeAll(writer)
    writer.release()
    expect(writer.slab.length).toBe(0)
    writer.settingsAck()
    expect(writer.slab.length).toBe(256)
  })

  test('take with nothing pending gives nothing', () => {
    const out: Buffer[] = []
    expect(new FrameWriter().take(out)).toBe(0)
    expect(out).toEqual([])
  })
})

import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { FrameFlag, FrameReader, FrameType, FrameWriter, MIN_PIECE_BYTES } from '../../src/frame/index.ts'
import { cutAt, frame, pattern } from '../support/frame-factory.ts'
import type { FrameSpec } from '../support/frame-factory.ts'
import { RecordingSink } from '../support/recording-sink.ts'

const MAX_FRAME_BYTES = 16_384

function read(chunks: readonly Buffer[], expectsPreface = false): RecordingSink {
  const sink = new RecordingSink()
  const reader = new FrameReader(sink, { maxFrameBytes: MAX_FRAME_BYTES, expectsPreface })
  for (const chunk of chunks) reader.push(chunk)
  return sink
}

const streamId = fc.integer({ min: 1, max: 7 })
const bytesUpTo = (max: number) =>
  fc.tuple(fc.integer({ min: 0, max }), fc.nat(255)).map(([length, seed]) => pattern(length, seed))
const maybePad = fc.option(fc.integer({ min: 0, max: 255 }), { nil: undefined })

/** Frames that are mostly legal, in header blocks that are mostly closed. */
const legalFrame: fc.Arbitrary<FrameSpec> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('DATA' as const),
      stream: streamId,
      flags: fc.constantFrom(0, 1),
      payload: fc.oneof(bytesUpTo(40), bytesUpTo(5_000), bytesUpTo(MAX_FRAME_BYTES - 256)),
      pad: maybePad,
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('HEADERS' as const),
      stream: streamId,
      flags: fc.constantFrom(FrameFlag.END_HEADERS, FrameFlag.END_HEADERS | FrameFlag.END_STREAM),
      payload: bytesUpTo(600),
      pad: maybePad,
      dependsOn: fc.option(fc.nat(9), { nil: undefined }),
    }),
  },
  fc.record({ type: fc.constant('RST_STREAM' as const), stream: streamId, payload: fc.constant('00000008') }),
  fc.record({ type: fc.constant('PING' as const), payload: fc.constant('0102030405060708') }),
  fc.record({
    type: fc.constant('WINDOW_UPDATE' as const),
    stream: fc.nat(3),
    payload: fc.constant('00000009'),
  }),
  fc.record({ type: fc.constant('SETTINGS' as const), payload: fc.constantFrom('', '000300000001') }),
  fc.record({ type: fc.integer({ min: 10, max: 255 }), stream: fc.nat(3), payload: bytesUpTo(300) }),
) as fc.Arbitrary<FrameSpec>

const anyFrame: fc.Arbitrary<FrameSpec> = fc.record({
  type: fc.integer({ min: 0, max: 11 }),
  stream: fc.nat(3),
  flags: fc.nat(255),
  payload: bytesUpTo(40),
})

const wire = (specs: readonly FrameSpec[]): Buffer => Buffer.concat(specs.map((spec) => frame(spec)))

test('any split of the octets gives the same frames', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof({ weight: 30, arbitrary: legalFrame }, anyFrame), { minLength: 1, maxLength: 12 }),
      fc.array(fc.nat(60_000), { maxLength: 40 }),
      (specs, cuts) => {
        const bytes = wire(specs)
        expect(
          read(
            cutAt(
              bytes,
              cuts.map((cut) => cut % (bytes.length + 1)),
            ),
          ).log,
        ).toEqual(read([bytes]).log)
      },
    ),
    { numRuns: 400 },
  )
})

test('pieces of DATA are at least 2 KiB, unless they end a frame or are what was carried before a large rest', () => {
  fc.assert(
    fc.property(bytesUpTo(MAX_FRAME_BYTES), fc.integer({ min: 1, max: 3_000 }), (payload, size) => {
      const bytes = wire([{ type: 'DATA', stream: 1, payload }])
      const cuts = Array.from({ length: Math.floor(bytes.length / size) }, (_, index) => (index + 1) * size)
      const { pieceBytes } = read(cutAt(bytes, cuts))
      const small = pieceBytes.filter((length) => length < MIN_PIECE_BYTES).length
      expect(small).toBeLessThanOrEqual(1 + (size > MIN_PIECE_BYTES ? pieceBytes.length / 2 : 0))
      expect(pieceBytes.reduce((sum, length) => sum + length, 0)).toBe(payload.length)
    }),
    { numRuns: 300 },
  )
})

test('random octets never throw, and nothing follows a fault', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 20 }),
      fc.boolean(),
      (chunks, isServer) => {
        const { log } = read(
          chunks.map((chunk) => Buffer.from(chunk)),
          isServer,
        )
        const at = log.findIndex((line) => line.startsWith('FAULT'))
        expect(at === -1 || at === log.length - 1).toBe(true)
      },
    ),
    { numRuns: 2_000 },
  )
})

test('random short frames never throw, and nothing follows a fault', () => {
  fc.assert(
    fc.property(fc.array(anyFrame, { maxLength: 30 }), (specs) => {
      const { log } = read([wire(specs)])
      const at = log.findIndex((line) => line.startsWith('FAULT'))
      expect(at === -1 || at === log.length - 1).toBe(true)
    }),
    { numRuns: 2_000 },
  )
})

type Write = (writer: FrameWriter, model: string[]) => void

const write: fc.Arbitrary<Write> = fc.oneof(
  fc
    .tuple(streamId, bytesUpTo(6_000), fc.constantFrom(0, 1))
    .map(([id, payload, flags]): Write => (writer, model) => {
      writer.data(id, payload, flags)
      model.push(...read([frame({ type: 'DATA', stream: id, flags, payload })]).log)
    }),
  fc
    .tuple(streamId, bytesUpTo(40_000), fc.boolean(), fc.constantFrom(1_000, MAX_FRAME_BYTES))
    .map(([id, block, isEnd, maxBytes]): Write => (writer, model) => {
      const at = writer.beginHeaders(block.length + 50)
      block.copy(writer.slab, at)
      writer.endHeaders(id, isEnd, at + block.length, maxBytes)
      const specs: FrameSpec[] = []
      for (let from = 0; from === 0 || from < block.length; from += maxBytes) {
        const isLast = from + maxBytes >= block.length
        specs.push({
          type: from === 0 ? FrameType.HEADERS : FrameType.CONTINUATION,
          stream: id,
          flags: (from === 0 && isEnd ? 1 : 0) | (isLast ? 4 : 0),
          payload: block.subarray(from, from + maxBytes),
        })
      }
      model.push(...read([wire(specs)]).log)
    }),
  fc
    .tuple(streamId, fc.integer({ min: 1, max: 2 ** 31 - 1 }))
    .map(([id, increment]): Write => (writer, model) => {
      writer.windowUpdate(id, increment)
      model.push(`WINDOW_UPDATE ${id} +${increment}`)
    }),
  fc.tuple(streamId, fc.nat(0xffffffff)).map(([id, code]): Write => (writer, model) => {
    writer.rstStream(id, code)
    model.push(`RST_STREAM ${id} code=${code}`)
  }),
)

test('what a writer writes, taken at any time and recycled at any time, is what a reader reads', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(write, fc.boolean(), fc.boolean()), { maxLength: 25 }),
      fc.constantFrom(64, 4_096, 65_536),
      (steps, slabBytes) => {
        const writer = new FrameWriter(slabBytes)
        const model: string[] = []
        const left: Buffer[] = []
        for (const [step, takes, recycles] of steps) {
          step(writer, model)
          if (!takes) continue
          const out: Buffer[] = []
          writer.take(out)
          left.push(...out.map((view) => Buffer.from(view)))
          if (recycles) writer.recycle()
        }
        writer.take(left)
        expect(read(left).log).toEqual(model)
      },
    ),
    { numRuns: 200 },
  )
})

import { expect, test } from 'vitest'
import { FrameReader } from '../../../src/frame/index.ts'
import { cutEvery, frames, pattern } from '../../support/frame-factory.ts'
import { RecordingSink } from '../../support/recording-sink.ts'

test.each([1, 500, 1000, 3000, 4100, 16_000])(
  'DATA that waits to be forwarded stays as it came, in chunks of %i octets',
  (chunkBytes) => {
    const payloads = Array.from({ length: 12 }, (_, i) => pattern(1000 + 700 * i, i))
    const octets = frames(...payloads.map((payload) => ({ type: 'DATA' as const, stream: 1, payload })))
    const sink = new RecordingSink()
    const reader = new FrameReader(sink, { maxFrameBytes: 16_384, expectsPreface: false })
    for (const chunk of cutEvery(octets, chunkBytes)) reader.push(chunk)
    expect(Buffer.concat(sink.lent).equals(Buffer.concat(payloads))).toBe(true)
  },
)

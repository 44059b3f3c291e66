/**
 * The frame reader. The first octet says whether a preface is due and how the rest is cut: however it is, the frames are
 * the same, and nothing follows a fault, whose token is one of the table's.
 */
import { deepEqual, ok } from 'node:assert/strict'
import { FAULTS } from '../../../src/base/index.ts'
import { FrameReader } from '../../../src/frame/index.ts'
import { cutEvery } from '../../support/frame-factory.ts'
import { RecordingSink } from '../../support/recording-sink.ts'

const MAX_FRAME_BYTES = 16_384

function read(chunks: readonly Buffer[], expectsPreface: boolean): string[] {
  const sink = new RecordingSink()
  const reader = new FrameReader(sink, { maxFrameBytes: MAX_FRAME_BYTES, expectsPreface })
  for (const chunk of chunks) reader.push(chunk)
  return sink.log
}

/** One input. */
export function fuzz(input: Buffer): void {
  const expectsPreface = ((input[0] ?? 0) & 1) === 1
  const size = 1 + ((input[0] ?? 0) >> 1)
  const octets = Buffer.from(input.subarray(1))
  const whole = read([octets], expectsPreface)
  deepEqual(read(cutEvery(Buffer.from(octets), size), expectsPreface), whole)
  const at = whole.findIndex((line) => line.startsWith('FAULT'))
  ok(at === -1 || at === whole.length - 1, 'something follows a fault')
  if (at >= 0) ok(whole[at]!.slice('FAULT '.length) in FAULTS, whole[at]!)
}

import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { MessageLengthFollower } from '../../../src/grpc/index.ts'
import { cutAt, cutEvery, hex, pattern } from '../../support/frame-factory.ts'

const MAX_BYTES = 1_000

function message(length: number, isCompressed = false): Buffer {
  const prefix = Buffer.alloc(5)
  prefix[0] = isCompressed ? 1 : 0
  prefix.writeUInt32BE(length, 1)
  return Buffer.concat([prefix, pattern(length)])
}

test('messages up to the maximum pass, wherever the octets are cut', () => {
  const bytes = Buffer.concat([message(0), message(MAX_BYTES, true), message(1), message(0), message(300)])
  for (const size of [1, 2, 5, 6, 100, bytes.length]) {
    const follower = new MessageLengthFollower()
    for (const piece of cutEvery(bytes, size)) expect(follower.push(piece, MAX_BYTES)).toBe(true)
    expect(follower.isAtMessageBoundary).toBe(true)
  }
})

test('a message is refused by its prefix, before any octet of it has come', () => {
  const follower = new MessageLengthFollower()
  expect(follower.push(hex('00 00 00 03'), MAX_BYTES)).toBe(true)
  expect(follower.push(hex('e9'), MAX_BYTES)).toBe(false)
})

test('the second message of a piece is judged too, and lengths are read without a sign', () => {
  expect(
    new MessageLengthFollower().push(Buffer.concat([message(3), hex('01 ff ff ff ff')]), MAX_BYTES),
  ).toBe(false)
  expect(new MessageLengthFollower().push(hex('00 ff ff ff ff'), 2 ** 32 - 2)).toBe(false)
  expect(new MessageLengthFollower().push(hex('00 ff ff ff ff'), 2 ** 32 - 1)).toBe(true)
})

test('a boundary is before the first octet, after the last, and nowhere between', () => {
  const follower = new MessageLengthFollower()
  const seen = [follower.isAtMessageBoundary]
  for (const octet of message(2)) {
    follower.push(Buffer.from([octet]), MAX_BYTES)
    seen.push(follower.isAtMessageBoundary)
  }
  expect(seen).toEqual([true, false, false, false, false, false, false, true])
  follower.push(Buffer.alloc(0), MAX_BYTES)
  expect(follower.isAtMessageBoundary).toBe(true)
})

test('any messages in any pieces: refused exactly when one is too long', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(MAX_BYTES + 3), { maxLength: 8 }),
      fc.array(fc.nat(9_000), { maxLength: 12 }),
      (lengths, cuts) => {
        const bytes = Buffer.concat(lengths.map((length) => message(length)))
        const follower = new MessageLengthFollower()
        const passes = cutAt(bytes, cuts).every((piece) => follower.push(piece, MAX_BYTES))
        expect(passes).toBe(lengths.every((length) => length <= MAX_BYTES))
        if (passes) expect(follower.isAtMessageBoundary).toBe(true)
      },
    ),
    { numRuns: 500 },
  )
})

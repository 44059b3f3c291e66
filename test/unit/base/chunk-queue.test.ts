import { describe, expect, test } from 'vitest'
import { ChunkPins, ChunkQueue, MAX_UNCOUNTED_CHUNK_BYTES } from '../../../src/base/index.ts'

const KIB = 1024
/** A chunk of its own, as a socket's read is. */
const chunkOf = (bytes: number): Buffer => Buffer.allocUnsafeSlow(bytes).fill(1)

describe('What waits past the turn', () => {
  test('pins its chunk: what of it does not wait is counted, once for all views', () => {
    const pins = new ChunkPins()
    const queue = new ChunkQueue()
    const chunk = chunkOf(64 * KIB)
    queue.push(chunk.subarray(0, 5_000))
    expect(pins.idleBytes).toBe(0)
    queue.detach(pins)
    expect(pins.idleBytes).toBe(64 * KIB - 5_000)
    queue.push(chunk.subarray(10_000, 20_000))
    queue.push(chunk.subarray(20_000, 25_000))
    queue.detach(pins)
    queue.detach(pins)
    expect(pins.idleBytes).toBe(64 * KIB - 20_000)
    for (const bytes of [5_000, 10_000, 5_000]) expect(queue.take(Infinity)).toHaveLength(bytes)
    expect(pins.idleBytes).toBe(0)
    expect(queue.take(1)).toBeNull()
  })

  test('in several queues and from several chunks: each chunk is counted until its last view is taken', () => {
    const pins = new ChunkPins()
    const [one, two] = [new ChunkQueue(), new ChunkQueue()]
    const [first, second] = [chunkOf(64 * KIB), chunkOf(32 * KIB)]
    one.push(first.subarray(0, 6_000))
    two.push(first.subarray(6_000, 12_000))
    two.push(second.subarray(0, 6_000))
    one.detach(pins)
    two.detach(pins)
    expect(pins.idleBytes).toBe(96 * KIB - 18_000)
    two.take(Infinity)
    expect(pins.idleBytes).toBe(96 * KIB - 12_000)
    one.take(Infinity)
    expect(pins.idleBytes).toBe(32 * KIB - 6_000)
    two.take(Infinity)
    expect(pins.idleBytes).toBe(0)
  })

  test('and is taken in pieces: what has gone still lies in the chunk', () => {
    const pins = new ChunkPins()
    const queue = new ChunkQueue()
    queue.push(chunkOf(64 * KIB).subarray(0, 20_000))
    queue.detach(pins)
    queue.take(15_000)
    expect(pins.idleBytes).toBe(64 * KIB - 5_000)
    queue.take(4_999)
    expect(pins.idleBytes).toBe(64 * KIB - 1)
    queue.take(16_384)
    expect([pins.idleBytes, queue.bytes]).toEqual([0, 0])
  })

  test('and is dropped: nothing is pinned, also where some of it had not been counted yet', () => {
    const pins = new ChunkPins()
    const queue = new ChunkQueue()
    const chunk = chunkOf(64 * KIB)
    for (let i = 0; i < 3; i++) queue.push(chunk.subarray(i * 6_000, (i + 1) * 6_000))
    queue.detach(pins)
    queue.take(1_000)
    queue.push(chunk.subarray(30_000, 40_000))
    expect(queue.clear()).toBe(27_000)
    expect([pins.idleBytes, queue.bytes, queue.take(1)]).toEqual([0, 0, null])
    // It can be used again.
    queue.push(chunk.subarray(0, 6_000))
    queue.detach(pins)
    expect(pins.idleBytes).toBe(64 * KIB - 6_000)
    queue.clear()
    expect(pins.idleBytes).toBe(0)
  })

  test('and fills its chunk pins nothing besides itself', () => {
    const pins = new ChunkPins()
    const queue = new ChunkQueue()
    const chunk = chunkOf(64 * KIB)
    for (let i = 0; i < 4; i++) queue.push(chunk.subarray(i * 16 * KIB, (i + 1) * 16 * KIB))
    queue.detach(pins)
    expect(pins.idleBytes).toBe(0)
    queue.take(Infinity)
    expect(pins.idleBytes).toBe(16 * KIB)
    queue.clear()
    expect(pins.idleBytes).toBe(0)
  })

  test('and is small is copied, and pins no chunk', () => {
    const pins = new ChunkPins()
    const queue = new ChunkQueue()
    const chunk = chunkOf(64 * KIB)
    queue.push(chunk.subarray(0, 4_096))
    queue.detach(pins)
    expect(pins.idleBytes).toBe(0)
    expect(queue.take(Infinity)!.buffer).not.toBe(chunk.buffer)
  })

  test.each([
    ['at the size without an account', MAX_UNCOUNTED_CHUNK_BYTES, 0],
    ['one octet above', MAX_UNCOUNTED_CHUNK_BYTES + 1, MAX_UNCOUNTED_CHUNK_BYTES + 1 - 4_200],
  ])('in a chunk %s', (_where, chunkBytes, idleBytes) => {
    const pins = new ChunkPins()
    const queue = new ChunkQueue()
    queue.push(chunkOf(chunkBytes).subarray(0, 4_200))
    queue.detach(pins)
    expect(pins.idleBytes).toBe(idleBytes)
    queue.take(100)
    queue.take(Infinity)
    expect(pins.idleBytes).toBe(0)
  })

  test('in queues of two accounts: the one that has counted the chunk gets it back', () => {
    const [one, two] = [new ChunkPins(), new ChunkPins()]
    const [a, b] = [new ChunkQueue(), new ChunkQueue()]
    const chunk = chunkOf(64 * KIB)
    a.push(chunk.subarray(0, 5_000))
    b.push(chunk.subarray(5_000, 10_000))
    a.detach(one)
    b.detach(two)
    a.clear()
    b.clear()
    b.push(chunk.subarray(0, 5_000))
    b.detach(two)
    expect([one.idleBytes, two.idleBytes]).toEqual([0, 64 * KIB - 5_000])
    b.clear()
    expect([one.idleBytes, two.idleBytes]).toEqual([0, 0])
  })
})

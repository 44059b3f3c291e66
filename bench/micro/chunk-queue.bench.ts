/**
 * DATA that passes through a queue: nanoseconds for each view of 16 KiB that is taken in the turn in which it came, and for one
 * that waits past it and is counted with its chunk; against a twin that counts chunks in a Map (ADR 0010, 0016).
 * Run: node bench/micro/chunk-queue.bench.ts; medians of CPU time, ratios count.
 */
import { ChunkPins, ChunkQueue } from '../../src/base/index.ts'

const ROUNDS = 25
const CHUNKS = 2_000
const CHUNK_BYTES = 65_536
const VIEW_BYTES = 16_384
const VIEWS = CHUNKS * (CHUNK_BYTES / VIEW_BYTES)

/** The account in a map: from chunk to the views of it that wait. */
class MapPins extends ChunkPins {
  readonly #viewCounts = new Map<ArrayBufferLike, number>()
  override pin(view: Buffer): void {
    const chunk = view.buffer
    const count = this.#viewCounts.get(chunk) ?? 0
    if (count === 0) this.idleBytes += chunk.byteLength
    this.#viewCounts.set(chunk, count + 1)
    this.idleBytes -= view.length
  }
  override unpin(view: Buffer): void {
    const chunk = view.buffer
    const count = this.#viewCounts.get(chunk)!
    this.idleBytes += view.length
    if (count > 1) this.#viewCounts.set(chunk, count - 1)
    else {
      this.#viewCounts.delete(chunk)
      this.idleBytes -= chunk.byteLength
    }
  }
}

/** Lets all chunks pass, each with its views; gives the CPU time for a view. */
function pass(pins: ChunkPins | null): number {
  const chunks = Array.from({ length: CHUNKS }, () => Buffer.allocUnsafeSlow(CHUNK_BYTES))
  const queue = new ChunkQueue()
  let bytes = 0
  const before = process.cpuUsage()
  for (const chunk of chunks) {
    for (let at = 0; at < CHUNK_BYTES; at += VIEW_BYTES) queue.push(chunk.subarray(at, at + VIEW_BYTES))
    if (pins !== null) queue.detach(pins)
    for (let view = queue.take(VIEW_BYTES); view !== null; view = queue.take(VIEW_BYTES)) bytes += view.length
  }
  const { user, system } = process.cpuUsage(before)
  if (bytes !== CHUNKS * CHUNK_BYTES) throw new Error(`${bytes} octets passed`)
  if (pins !== null && pins.idleBytes !== 0) throw new Error(`${pins.idleBytes} octets are left`)
  return ((user + system) * 1000) / VIEWS
}

const WAYS: Readonly<Record<string, () => number>> = {
  'taken in the turn': () => pass(null),
  'past it, counted on the chunk': () => pass(new ChunkPins()),
  'twin: counted in a map': () => pass(new MapPins()),
}

const nanos = new Map<string, number[]>(Object.keys(WAYS).map((name) => [name, []]))
for (let round = -2; round < ROUNDS; round++)
  for (const [name, way] of Object.entries(WAYS)) {
    const found = way()
    if (round >= 0) nanos.get(name)!.push(found)
  }
console.log(`node ${process.version}; CPU a view of 16 KiB in chunks of 64 KiB`)
for (const [name, all] of nanos) {
  const middle = all.toSorted((a, b) => a - b)[all.length >> 1]!
  console.log(`${name.padEnd(30)}${middle.toFixed(1).padStart(8)} ns`)
}

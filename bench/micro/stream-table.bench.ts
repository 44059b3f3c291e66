/**
 * Streams that come and go, kept in StreamTable and in a Map, its naive twin: time a stream, and the share of the garbage
 * collector. 400 streams are open at any time and each carries about what a call allocates. A full collection at the
 * start, as every process has them, moves the store to the old generation: from then on V8's chain of outgrown Map
 * stores keeps all streams alive that they held. Run: node bench/micro/stream-table.bench.ts
 */
import { PerformanceObserver } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { H2Stream } from '../../src/h2/index.ts'
import { StreamTable } from '../../src/h2/stream-table.ts'

const STREAMS = 3_000_000
const OPEN = 400

interface Store {
  add(stream: H2Stream): void
  find(id: number): H2Stream | undefined
  remove(stream: H2Stream): void
}

class MapStore implements Store {
  readonly #map = new Map<number, H2Stream>()
  add(stream: H2Stream): void {
    this.#map.set(stream.id, stream)
  }
  find(id: number): H2Stream | undefined {
    return this.#map.get(id)
  }
  remove(stream: H2Stream): void {
    this.#map.delete(stream.id)
  }
}

const streamOf = (id: number): H2Stream =>
  ({ id, call: { a: [id, id, id], b: { id }, c: { id } } }) as unknown as H2Stream

setFlagsFromString('--expose-gc')
const collectAll = runInNewContext('gc') as () => void

let collectorMs = 0
const observer = new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) collectorMs += entry.duration
})
observer.observe({ entryTypes: ['gc'] })

async function run(name: string, store: Store): Promise<void> {
  const open: H2Stream[] = []
  let startMs = performance.now()
  for (let i = 0; i < STREAMS; i++) {
    if (i === OPEN) {
      collectAll()
      await new Promise<void>((resolve) => setImmediate(resolve))
      collectorMs = 0
      startMs = performance.now()
    }
    const stream = streamOf(2 * i + 1)
    store.add(stream)
    open[i % OPEN] = stream
    if (i >= OPEN - 1) {
      const oldest = store.find(2 * (i - OPEN + 1) + 1)!
      store.remove(oldest)
    }
    // The collector's entries are told between turns.
    if (i % 100_000 === 0) await new Promise<void>((resolve) => setImmediate(resolve))
  }
  const elapsedMs = performance.now() - startMs
  await new Promise<void>((resolve) => setImmediate(resolve))
  const perStream = (ms: number): string => `${((ms * 1e6) / STREAMS).toFixed(0).padStart(5)} ns`
  console.log(
    `${name.padEnd(12)} ${perStream(elapsedMs)} a stream, of which ${perStream(collectorMs)} in the collector`,
  )
}

for (let round = 0; round < 3; round++) {
  await run('StreamTable', new StreamTable())
  await run('Map', new MapStore())
}
observer.disconnect()

/**
 * Frames per second of FrameReader and FrameWriter, each against a naive twin that does the same work with Buffer.concat
 * and an object per frame. Run: `node bench/micro/frame.bench.ts`. Rounds of both sides alternate; figures are medians
 * of CPU time, and the ratio is what counts on a shared machine.
 */
import { FrameReader, FrameType, FrameWriter } from '../../src/frame/index.ts'
import type { FrameSink } from '../../src/frame/index.ts'

const ROUNDS = 15
const ROUND_MS = 60
const STREAM_ID = 1

/** Sees every frame and keeps nothing: what is left is the reader's own cost. */
class CountingSink implements FrameSink {
  frameCount = 0
  payloadBytes = 0
  onDataHead(): void {
    this.frameCount++
  }
  onDataPiece(payload: Buffer): void {
    this.payloadBytes += payload.length
  }
  onHeaders(_streamId: number, _flags: number, fragment: Buffer): void {
    this.frameCount++
    this.payloadBytes += fragment.length
  }
  onContinuation(): void {
    this.frameCount++
  }
  onPriority(): void {
    this.frameCount++
  }
  onRstStream(): void {
    this.frameCount++
  }
  onSettings(): void {
    this.frameCount++
  }
  onPing(): void {
    this.frameCount++
  }
  onGoaway(): void {
    this.frameCount++
  }
  onWindowUpdate(): void {
    this.frameCount++
  }
  onUnknownFrame(): void {
    this.frameCount++
  }
  onConnectionFault(token: string): void {
    throw new Error(`the bench wrote an illegal frame: ${token}`)
  }
}

/** The twin: gathers chunks by Buffer.concat and makes an object of each frame. */
class NaiveReader {
  frameCount = 0
  payloadBytes = 0
  #gathered: Buffer = Buffer.alloc(0)
  push(chunk: Buffer): void {
    this.#gathered = Buffer.concat([this.#gathered, chunk])
    for (const frame of this.#frames()) {
      this.frameCount++
      if (frame.type <= FrameType.HEADERS) this.payloadBytes += frame.payload.length
    }
  }
  #frames(): { type: number; flags: number; streamId: number; payload: Buffer }[] {
    const frames = []
    while (this.#gathered.length >= 9) {
      const length = this.#gathered.readUIntBE(0, 3)
      if (this.#gathered.length < 9 + length) break
      frames.push({
        type: this.#gathered.readUInt8(3),
        flags: this.#gathered.readUInt8(4),
        streamId: this.#gathered.readUInt32BE(5) & 0x7fffffff,
        payload: this.#gathered.subarray(9, 9 + length),
      })
      this.#gathered = this.#gathered.subarray(9 + length)
    }
    return frames
  }
}

/** The twin: a buffer for each head, all joined when they are taken. */
class NaiveWriter {
  #frames: Buffer[] = []
  frame(type: number, flags: number, streamId: number, payload: Buffer): void {
    const head = Buffer.alloc(9)
    head.writeUIntBE(payload.length, 0, 3)
    head.writeUInt8(type, 3)
    head.writeUInt8(flags, 4)
    head.writeUInt32BE(streamId, 5)
    this.#frames.push(Buffer.concat([head, payload]))
  }
  take(): Buffer {
    const all = Buffer.concat(this.#frames)
    this.#frames = []
    return all
  }
}

interface Rate {
  framesPerSecond: number
  nsPerFrame: number
}

/** Runs `round` (which gives its frame count) for a while and divides by the CPU time that it took. */
function measure(round: () => number): Rate {
  const until = performance.now() + ROUND_MS
  const before = process.cpuUsage()
  let frames = 0
  while (performance.now() < until) frames += round()
  const used = process.cpuUsage(before)
  const seconds = (used.user + used.system) / 1e6
  return { framesPerSecond: frames / seconds, nsPerFrame: (seconds * 1e9) / frames }
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!

function compare(title: string, ours: () => number, naive: () => number): void {
  const oursNs: number[] = []
  const naiveNs: number[] = []
  for (let round = -3; round < ROUNDS; round++) {
    const a = measure(ours)
    const b = measure(naive)
    if (round < 0) continue
    oursNs.push(a.nsPerFrame)
    naiveNs.push(b.nsPerFrame)
  }
  const a = median(oursNs)
  const b = median(naiveNs)
  const rate = (ns: number): string => `${(1e3 / ns).toFixed(2)} M/s`
  console.log(
    `${title.padEnd(46)} ${a.toFixed(0).padStart(6)} ns ${rate(a).padStart(11)}   naive ${b.toFixed(0).padStart(6)} ns` +
      ` ${rate(b).padStart(11)}   ${(b / a).toFixed(1)} ×`,
  )
}

function wireOf(payloadBytes: number, calls: number): Buffer {
  const writer = new FrameWriter()
  const block = Buffer.alloc(10, 0xbe)
  const payload = Buffer.alloc(payloadBytes)
  for (let i = 0; i < calls; i++) {
    const at = writer.beginHeaders(block.length)
    block.copy(writer.slab, at)
    writer.endHeaders(STREAM_ID + 2 * i, false, at + block.length, 16_384)
    for (let from = 0; from === 0 || from < payloadBytes; from += 16_384)
      writer.data(
        STREAM_ID + 2 * i,
        payload.subarray(from, from + 16_384),
        from + 16_384 >= payloadBytes ? 1 : 0,
      )
  }
  const out: Buffer[] = []
  writer.take(out)
  return Buffer.concat(out)
}

function compareReaders(title: string, payloadBytes: number, calls: number, chunkBytes: number): void {
  const bytes = wireOf(payloadBytes, calls)
  const chunks: Buffer[] = []
  for (let from = 0; from < bytes.length; from += chunkBytes)
    chunks.push(bytes.subarray(from, Math.min(from + chunkBytes, bytes.length)))
  const sink = new CountingSink()
  const reader = new FrameReader(sink, { maxFrameBytes: 16_384, expectsPreface: false })
  const naive = new NaiveReader()
  const run = (counter: { frameCount: number }, push: (chunk: Buffer) => void) => (): number => {
    const before = counter.frameCount
    for (const chunk of chunks) push(chunk)
    return counter.frameCount - before
  }
  const ours = run(sink, (chunk) => reader.push(chunk))
  const twin = run(naive, (chunk) => naive.push(chunk))
  if (ours() !== twin() || sink.payloadBytes !== naive.payloadBytes) throw new Error('the twins differ')
  compare(`read ${title}`, ours, twin)
}

function compareWriters(title: string, payloadBytes: number, calls: number): void {
  const block = Buffer.alloc(10, 0xbe)
  const payload = Buffer.alloc(payloadBytes)
  const writer = new FrameWriter()
  const naive = new NaiveWriter()
  const out: Buffer[] = []
  let oursBytes = 0
  const ours = (): number => {
    for (let i = 0; i < calls; i++) {
      const at = writer.beginHeaders(block.length)
      block.copy(writer.slab, at)
      writer.endHeaders(STREAM_ID, false, at + block.length, 16_384)
      writer.data(STREAM_ID, payload, 1)
      writer.windowUpdate(0, payloadBytes)
    }
    oursBytes = writer.take(out)
    out.length = 0
    writer.recycle()
    return calls * 3
  }
  let naiveBytes = 0
  const increment = Buffer.alloc(4)
  const twin = (): number => {
    for (let i = 0; i < calls; i++) {
      naive.frame(FrameType.HEADERS, 4, STREAM_ID, block)
      naive.frame(FrameType.DATA, 1, STREAM_ID, payload)
      increment.writeUInt32BE(payloadBytes)
      naive.frame(FrameType.WINDOW_UPDATE, 0, 0, increment)
    }
    naiveBytes = naive.take().length
    return calls * 3
  }
  ours()
  twin()
  if (oursBytes !== naiveBytes) throw new Error('the twins differ')
  compare(`write ${title}`, ours, twin)
}

console.log(`node ${process.version}; nanoseconds of CPU a frame, medians of ${ROUNDS} rounds`)
compareReaders('calls of 1 KiB, chunks of 64 KiB', 1_029, 200, 65_536)
compareReaders('calls of 1 KiB, chunks of 1,448 octets', 1_029, 200, 1_448)
compareReaders('calls of 16 KiB, chunks of 64 KiB', 16_384, 100, 65_536)
compareReaders('calls of 100 KiB, chunks of 64 KiB', 102_400, 50, 65_536)
compareReaders('calls of 100 octets, chunks of 16 octets', 100, 50, 16)
compareWriters('20 calls of 1 KiB a turn', 1_029, 20)
compareWriters('1 call of 1 KiB a turn', 1_029, 1)
compareWriters('20 calls of 16 KiB a turn', 16_384, 20)

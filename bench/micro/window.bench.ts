/**
 * Flow control of a receiver: nanoseconds for each DATA frame of 16 KiB that comes, is forwarded and is credited, and how many
 * WINDOW_UPDATEs that makes; RecvWindow as the connection uses it, against a naive twin that answers every frame at once.
 * Both write their frames with FrameWriter. Run: node bench/micro/window.bench.ts; medians of CPU time, ratios count.
 */
import { FrameWriter } from '../../src/frame/index.ts'
import { RecvWindow } from '../../src/h2/recv-window.ts'

const ROUNDS = 9
const FRAMES = 400_000
const FRAME_BYTES = 16_384
const WINDOW_BYTES = 262_144
/** Frames of a turn of the event loop: what one read of 64 KiB brings. */
const FRAMES_PER_TURN = 4
const STREAM_ID = 1

interface Outcome {
  updates: number
  creditedBytes: number
}

/** The window of a stream: updated once a turn, when half of what is in play has come back. */
function batched(writer: FrameWriter): Outcome {
  const window = new RecvWindow(WINDOW_BYTES)
  const outcome = { updates: 0, creditedBytes: 0 }
  for (let frame = 1; frame <= FRAMES; frame++) {
    if (!window.receive(FRAME_BYTES)) throw new Error('the window was passed')
    window.credit(FRAME_BYTES)
    if (frame % FRAMES_PER_TURN !== 0) continue
    if (window.isUpdateDue) {
      const increment = window.announce()
      writer.windowUpdate(STREAM_ID, increment)
      outcome.updates++
      outcome.creditedBytes += increment
    }
    leave(writer)
  }
  outcome.creditedBytes += window.pendingBytes
  return outcome
}

/** The naive twin: an update for each frame. */
function immediate(writer: FrameWriter): Outcome {
  let remainingBytes = WINDOW_BYTES
  const outcome = { updates: 0, creditedBytes: 0 }
  for (let frame = 1; frame <= FRAMES; frame++) {
    if (FRAME_BYTES > remainingBytes) throw new Error('the window was passed')
    remainingBytes -= FRAME_BYTES
    writer.windowUpdate(STREAM_ID, FRAME_BYTES)
    remainingBytes += FRAME_BYTES
    outcome.updates++
    outcome.creditedBytes += FRAME_BYTES
    if (frame % FRAMES_PER_TURN === 0) leave(writer)
  }
  return outcome
}

const out: Buffer[] = []
/** The turn ends: what was written goes to the socket, and the slab is filled anew. */
function leave(writer: FrameWriter): void {
  writer.take(out)
  out.length = 0
  writer.recycle()
}

const WAYS = { 'RecvWindow, once a turn': batched, 'twin, once a frame': immediate }

function measure(way: (writer: FrameWriter) => Outcome): { nanos: number; outcome: Outcome } {
  const writer = new FrameWriter()
  const before = process.cpuUsage()
  const outcome = way(writer)
  const { user, system } = process.cpuUsage(before)
  return { nanos: ((user + system) * 1000) / FRAMES, outcome }
}

const nanos = new Map<string, number[]>(Object.keys(WAYS).map((name) => [name, []]))
const updates = new Map<string, number>()
for (let round = -2; round < ROUNDS; round++)
  for (const [name, way] of Object.entries(WAYS)) {
    const found = measure(way)
    if (found.outcome.creditedBytes !== FRAMES * FRAME_BYTES)
      throw new Error(`${name} credited ${found.outcome.creditedBytes} octets`)
    updates.set(name, found.outcome.updates)
    if (round >= 0) nanos.get(name)!.push(found.nanos)
  }
console.log(`node ${process.version}; CPU a frame of 16 KiB, and updates for a frame`)
for (const [name, all] of nanos) {
  const middle = all.toSorted((a, b) => a - b)[all.length >> 1]!
  console.log(
    `${name.padEnd(26)}${middle.toFixed(1).padStart(8)} ns${(updates.get(name)! / FRAMES).toFixed(3).padStart(9)}`,
  )
}

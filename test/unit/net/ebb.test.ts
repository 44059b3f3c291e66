import { describe, expect, test } from 'vitest'
import { EbbWatch, LOOK_MS, MIN_GAP_MS, MIN_GONE, SWEEP_MS } from '../../../src/net/ebb.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { recordingLog } from '../../support/gate-bench.ts'

/** A watch that is past its start; `acts` says what it did from then on. */
async function bench({ isStarted = true } = {}) {
  const clock = new FakeClock()
  const stats = { ingressOpen: 0 }
  const acts: string[] = []
  const lines: Record<string, unknown>[] = []
  let residentBytes = 300
  const memory = {
    collect: () => {
      acts.push('collect')
      residentBytes -= 50
    },
    trim: () => {
      acts.push('trim')
      residentBytes -= 100
    },
    residentBytes: () => residentBytes,
  }
  const watch = new EbbWatch({ clock, stats, memory, log: recordingLog(lines) })
  if (isStarted) {
    await clock.advance(2 * LOOK_MS + SWEEP_MS)
    acts.length = lines.length = 0
  }
  const holdOpen = async (count: number, looks = 1): Promise<void> => {
    stats.ingressOpen = count
    await clock.advance(looks * LOOK_MS)
  }
  return { clock, stats, acts, lines, watch, holdOpen }
}

describe('memory goes back to the system', () => {
  test('once the start is over, since it leaves garbage behind', async () => {
    const { clock, acts } = await bench({ isStarted: false })
    await clock.advance(2 * LOOK_MS - 1)
    expect(acts).toEqual([])
    await clock.advance(1)
    expect(acts).toEqual(['collect'])
    await clock.advance(SWEEP_MS)
    expect(acts).toEqual(['collect', 'trim'])
  })

  test('when half of a crowd was gone at two looks, and says what it gave', async () => {
    const { clock, acts, lines, holdOpen } = await bench()
    await holdOpen(10_000, 3)
    await holdOpen(5_001, 3)
    expect(acts).toEqual([])
    await holdOpen(5_000)
    expect(acts).toEqual([])
    await holdOpen(4_000)
    expect(acts).toEqual(['collect'])
    await clock.advance(SWEEP_MS)
    expect(acts).toEqual(['collect', 'trim'])
    expect(lines).toEqual([
      expect.objectContaining({
        level: 'debug',
        before_bytes: 150,
        after_bytes: 0,
        collect_ms: 0,
        trim_ms: 0,
      }),
    ])
  })

  test('not for a gap after which all come again', async () => {
    const { acts, holdOpen } = await bench()
    for (let round = 0; round < 5; round++) {
      await holdOpen(10_000, 2)
      await holdOpen(0)
    }
    expect(acts).toEqual([])
  })

  test('not for a few connections, however large their share', async () => {
    const { acts, holdOpen } = await bench()
    await holdOpen(MIN_GONE - 1, 3)
    await holdOpen(0, 10)
    expect(acts).toEqual([])
  })

  test('once for each ebb, and not twice in half a minute', async () => {
    const { clock, acts, holdOpen } = await bench()
    await holdOpen(10_000)
    await holdOpen(0, 2)
    const firstMs = clock.nowMs()
    await holdOpen(0, 10)
    expect(acts).toEqual(['collect', 'trim'])
    expect(clock.nowMs() - firstMs).toBeGreaterThan(MIN_GAP_MS)

    await holdOpen(2_000)
    await holdOpen(0, 2)
    await holdOpen(2_000)
    await holdOpen(0, 3)
    expect(acts).toHaveLength(4)
    await holdOpen(0, MIN_GAP_MS / LOOK_MS)
    expect(acts).toHaveLength(6)
  })

  test('no more after the end', async () => {
    const { clock, acts, watch, holdOpen } = await bench()
    await holdOpen(10_000)
    watch.stop()
    await holdOpen(0, 10)
    expect(acts).toEqual([])
    expect(clock.timerCount).toBe(0)
  })
})

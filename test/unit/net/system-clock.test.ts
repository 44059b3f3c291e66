import { describe, expect, test, vi } from 'vitest'
import { Deadline, MAX_TIMER_MS, Turn } from '../../../src/base/index.ts'
import type { Clock } from '../../../src/base/index.ts'
import { SystemClock, createTurn, createWheel } from '../../../src/net/index.ts'
import { FakeClock } from '../../support/fake-clock.ts'

/** A clock whose timers come `lateMs` later than asked. */
class LateClock extends FakeClock {
  lateMs = 0
  override setTimer(delayMs: number, fire: () => void): ReturnType<Clock['setTimer']> {
    return super.setTimer(delayMs + this.lateMs, fire)
  }
}

function driven(clock: FakeClock = new FakeClock()) {
  const turn = new Turn(clock, () => {})
  const onLate = vi.fn<(ms: number) => void>()
  const tasks: (() => void)[] = []
  const wheel = createWheel({ clock, turn, onLate, afterReading: (task) => tasks.push(task) })
  return { clock, turn, wheel, onLate, tasks }
}

describe('the system’s clock', () => {
  test('goes forward, and its wall time is the machine’s', () => {
    const clock = new SystemClock()
    const before = clock.nowMs()
    expect(clock.nowMs()).toBeGreaterThanOrEqual(before)
    expect(Math.abs(clock.wallMs() - Date.now())).toBeLessThan(1_000)
    expect(clock.random()).toBeGreaterThanOrEqual(0)
    expect(clock.random()).toBeLessThan(1)
  })

  test('does not turn a ten-year timer into one of a millisecond, nor a negative one into an error', () => {
    const set = vi.spyOn(globalThis, 'setTimeout')
    try {
      const clock = new SystemClock()
      clock.setTimer(10 * 365 * 86_400_000, () => {}).cancel()
      expect(set).toHaveBeenLastCalledWith(expect.any(Function), MAX_TIMER_MS)
      clock.setTimer(-5, () => {}).cancel()
      expect(set).toHaveBeenLastCalledWith(expect.any(Function), 0)
    } finally {
      set.mockRestore()
    }
  })

  test('lets everyone with output of a turn write once, after the sockets were read', async () => {
    const turn = createTurn(new SystemClock())
    const flushed: string[] = []
    turn.add({ flush: () => flushed.push('a') })
    turn.add({ flush: () => flushed.push('b') })
    expect(flushed).toEqual([])
    await new Promise((resolve) => setImmediate(resolve))
    expect(flushed).toEqual(['a', 'b'])
  })
})

describe('the wheel of a worker', () => {
  test('fires deadlines from one timer, with the turn begun', async () => {
    const { clock, turn, wheel } = driven()
    const fired: [string, number][] = []
    const fire = (_now: number, name: string): void => {
      fired.push([name, turn.nowMs])
    }
    const late = new Deadline(fire, 'late')
    const early = new Deadline(fire, 'early')
    wheel.set(late, clock.nowMs() + 1_000)
    wheel.set(early, clock.nowMs() + 100)
    expect(clock.timerCount).toBe(1)
    await clock.advance(2_000)
    expect(fired.map(([name]) => name)).toEqual(['early', 'late'])
    expect(fired[0]![1]).toBeGreaterThanOrEqual(1_100)
    expect(fired[0]![1]).toBeLessThan(1_100 + 2 * wheel.tickMs)
    expect(clock.timerCount).toBe(0)
  })

  test('keeps its timer when deadlines are set and cleared over and over', async () => {
    const { clock, wheel } = driven()
    const set = vi.spyOn(clock, 'setTimer')
    const fire = vi.fn<() => void>()
    const deadline = new Deadline(fire, null)
    for (let i = 0; i < 1_000; i++) {
      wheel.set(deadline, clock.nowMs() + 5_000)
      wheel.clear(deadline)
    }
    expect(set).toHaveBeenCalledTimes(1)
    await clock.advance(60_000)
    expect(fire).not.toHaveBeenCalled()
    expect(clock.timerCount).toBe(0)
  })

  test('takes up deadlines that are set while others fire', async () => {
    const { clock, wheel } = driven()
    let rounds = 0
    const again: Deadline = new Deadline((nowMs) => {
      if (++rounds < 5) wheel.set(again, nowMs + 50)
    }, null)
    wheel.set(again, clock.nowMs() + 50)
    await clock.advance(1_000)
    expect(rounds).toBe(5)
  })

  test('goes on after a deadline that throws', async () => {
    const { clock, wheel } = driven()
    const fire = vi.fn<() => void>()
    wheel.set(
      new Deadline(() => {
        throw new Error('bug')
      }, null),
      clock.nowMs() + 50,
    )
    wheel.set(new Deadline(fire, null), clock.nowMs() + 500)
    await expect(clock.advance(100)).rejects.toThrow('bug')
    await clock.advance(1_000)
    expect(fire).toHaveBeenCalledTimes(1)
  })

  test('tells that the loop was late, and judges nobody before what peers sent was read', async () => {
    const clock = new LateClock()
    const { wheel, onLate, tasks } = driven(clock)
    const fire = vi.fn<() => void>()
    clock.lateMs = 5_000
    wheel.set(new Deadline(fire, null), clock.nowMs() + 100)
    await clock.advance(10_000)
    expect(onLate).toHaveBeenCalledTimes(1)
    expect(onLate.mock.calls[0]![0]).toBeGreaterThan(4_900)
    expect(fire).not.toHaveBeenCalled()
    expect(tasks).toHaveLength(1)
    tasks[0]!()
    expect(fire).toHaveBeenCalledTimes(1)
  })

  test('says nothing of a small delay', async () => {
    const clock = new LateClock()
    const { wheel, onLate } = driven(clock)
    const fire = vi.fn<() => void>()
    clock.lateMs = 900
    wheel.set(new Deadline(fire, null), clock.nowMs() + 100)
    await clock.advance(2_000)
    expect(fire).toHaveBeenCalledTimes(1)
    expect(onLate).not.toHaveBeenCalled()
  })
})

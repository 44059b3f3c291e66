import { expect, test } from 'vitest'
import { Readiness } from '../../../src/admin/index.ts'
import { NO_LOG } from '../../../src/base/index.ts'
import { drain } from '../../../src/roles/lifecycle.ts'
import type { Role } from '../../../src/roles/role.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'

/** A role of which a drain asks how many are connected, and which it tells to drain and to stop. */
function fakeRole(name: Role['name'], clock: FakeClock) {
  const seen = { openCount: 1, drainedAtMs: -1, graceMs: -1, hasStopped: false, acceptedInDrain: false }
  const role = {
    name,
    listener: {
      get openCount() {
        return seen.openCount
      },
      stopAccepting() {
        seen.hasStopped = true
      },
    },
    relay: {
      drain(graceMs: number) {
        seen.drainedAtMs = clock.nowMs()
        seen.graceMs = graceMs
        seen.acceptedInDrain = !seen.hasStopped
        return Promise.resolve()
      },
    },
  }
  return { seen, role: role as unknown as Role }
}

function setUp(name: Role['name']) {
  const clock = new FakeClock()
  const { seen, role } = fakeRole(name, clock)
  const readiness = new Readiness({ nowMs: () => clock.nowMs() })
  const startMs = clock.nowMs()
  const state = { isDone: false }
  const options = { roles: [role], readiness, clock, log: NO_LOG, delayMs: 3_000, timeoutMs: 25_000 }
  void drain(options).then(() => (state.isDone = true))
  const advance = async (ms: number): Promise<void> => {
    for (let passedMs = 0; passedMs < ms; passedMs += 100) {
      await clock.advance(100)
      await settle()
    }
  }
  return { seen, state, readiness, advance, drainedAfterMs: () => seen.drainedAtMs - startMs }
}

test('is not ready from its first moment on, and accepts for the delay all the same', async () => {
  const { seen, readiness, advance } = setUp('control_plane')
  expect(readiness.isReady).toBe(false)
  seen.openCount = 0
  await advance(2_900)
  expect(seen.drainedAtMs).toBe(-1)
  await advance(200)
  expect(seen.drainedAtMs).toBeGreaterThan(0)
})

test('the control plane goes on after the delay, whoever is connected', async () => {
  const { seen, state, advance, drainedAfterMs } = setUp('control_plane')
  await advance(3_200)
  expect(drainedAfterMs()).toBe(3_000)
  expect(seen.graceMs).toBe(21_900)
  expect(state.isDone).toBe(true)
})

test('the workload accepts while its collector is connected: for the last flush', async () => {
  const { seen, state, advance, drainedAfterMs } = setUp('workload')
  await advance(9_000)
  expect(seen.drainedAtMs).toBe(-1)
  seen.openCount = 0
  await advance(200)
  expect(drainedAfterMs()).toBe(9_100)
  expect([state.isDone, seen.hasStopped]).toEqual([true, true])
})

test('but for 20 s at most, so that all is over within the 25', async () => {
  const { seen, advance, drainedAfterMs } = setUp('workload')
  await advance(20_200)
  expect(drainedAfterMs()).toBe(20_000)
  expect(seen.graceMs).toBe(4_900)
})

test('who connects while the last calls end is refused at once, not taken in and cut off', async () => {
  const { seen, advance } = setUp('control_plane')
  await advance(2_900)
  expect(seen.hasStopped).toBe(false)
  await advance(200)
  expect([seen.hasStopped, seen.acceptedInDrain]).toEqual([true, false])
})

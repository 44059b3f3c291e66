import { expect, test } from 'vitest'
import { RecvWindow } from '../../../src/h2/recv-window.ts'

const invariant = (window: RecvWindow): number =>
  window.remainingBytes + window.heldBytes + window.pendingBytes

test('credit that comes back while others hold most of the window is announced, or they would starve', () => {
  const window = new RecvWindow(4_000_000)
  // Stalled streams hold seven eighths.
  expect(window.receive(3_500_000)).toBe(true)
  for (let i = 0; i < 1_000; i++) {
    const bytes = Math.min(10_000, window.remainingBytes)
    expect(bytes).toBeGreaterThan(0)
    window.receive(bytes)
    window.credit(bytes)
    if (window.isUpdateDue) window.announce()
    expect(invariant(window)).toBe(window.targetBytes)
  }
})

test('a window that is used a little at a time is announced in few updates', () => {
  const window = new RecvWindow(1_000_000)
  let updates = 0
  for (let i = 0; i < 10_000; i++) {
    window.receive(1_000)
    window.credit(1_000)
    if (!window.isUpdateDue) continue
    window.announce()
    updates++
  }
  expect(updates).toBeLessThanOrEqual(20)
})

test('nothing is announced while the peer may still send half of what is in play', () => {
  const window = new RecvWindow(1_000_000)
  window.receive(400_000)
  window.credit(400_000)
  expect(window.isUpdateDue).toBe(false)
  window.receive(200_000)
  window.credit(200_000)
  expect(window.isUpdateDue).toBe(true)
  expect(window.announce()).toBe(600_000)
  expect(window.remainingBytes).toBe(1_000_000)
})

test('a window that was raised is announced though nothing was received', () => {
  const window = new RecvWindow(65_535)
  window.grow(4_194_304)
  expect(window.isUpdateDue).toBe(true)
  expect(window.announce()).toBe(4_194_304 - 65_535)
})

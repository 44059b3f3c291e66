import { expect, test, vi } from 'vitest'
import { RecvWindow } from '../../../src/h2/recv-window.ts'
import { RawPeer, REQUEST } from '../../support/h2-pair.ts'

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

test('credit of the past is announced when stalled streams take up the rest, though nothing comes back any more', () => {
  const peer = new RawPeer({ limits: { connectionWindowBytes: 400_000 } }).open()
  peer.handler.credits = false
  const send = (id: number): void => {
    peer.headers(id, REQUEST)
    for (let sentBytes = 0; sentBytes < 60_000; sentBytes += 15_000) peer.data(id, 15_000)
  }
  send(1)
  peer.handler.stream(1).credit(60_000)
  expect(peer.take().filter((line) => line.startsWith('WINDOW_UPDATE 0'))).toEqual([])
  const askForTurn = vi.spyOn(peer.bench.turn, 'add')
  for (const id of [3, 5, 7, 9, 11]) send(id)
  expect(askForTurn).toHaveBeenCalled()
  expect(peer.take()).toContain('WINDOW_UPDATE 0 +60000')
})

import { expect, test } from 'vitest'
import { Line, LineError } from '../../../src/roles/line.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'
import { pipePair } from '../../support/pipe-pair.ts'

const NEED = { rejectedGeneration: null, waitMs: 2_000 }
const FAILURE = { kind: 'failure', reason: 'idp_timeout', retryInMs: 1_000 } as const

function setUp({ leftMs = 1_000, rightMs = 900_000 } = {}) {
  const pipe = pipePair()
  const clocks = { left: new FakeClock(leftMs), right: new FakeClock(rightMs) }
  const left = new Line(pipe.left, clocks.left)
  const right = new Line(pipe.right, clocks.right)
  return { pipe, clocks, left, right }
}

test('a question comes back with its answer, whatever the order in which answers are ready', async () => {
  const { left, right } = setUp()
  const open: (() => void)[] = []
  left.listen(
    {
      token: ({ identity }) =>
        new Promise((resolve) => open.push(() => resolve({ kind: 'token', generation: identity.length }))),
    },
    {},
  )
  const first = right.ask('token', { identity: 'a', request: NEED })
  const second = right.ask('token', { identity: 'bb', request: NEED })
  await settle()
  open[1]!()
  open[0]!()
  expect(await first).toEqual({ kind: 'token', generation: 1 })
  expect(await second).toEqual({ kind: 'token', generation: 2 })
})

test('what comes before anybody listens is heard once somebody does, in order', async () => {
  const { left, right } = setUp()
  const heard: string[] = []
  left.tell('stop', null)
  left.tell('drain', null)
  const answer = left.ask('metrics', null)
  await settle()
  right.listen(
    { metrics: () => Promise.resolve([]) },
    { stop: () => heard.push('stop'), drain: () => heard.push('drain') },
  )
  expect(heard).toEqual(['stop', 'drain'])
  expect(await answer).toEqual([])
})

test('news that nobody wants are dropped; a question that nobody answers fails', async () => {
  const { left, right } = setUp()
  left.listen({}, {})
  right.tell('stop', null)
  await expect(right.ask('metrics', null)).rejects.toThrow('nobody answers metrics')
})

test('an answer that fails says so by its text alone', async () => {
  const { left, right } = setUp()
  left.listen({ metrics: () => Promise.reject(new Error('out of numbers')) }, {})
  await expect(right.ask('metrics', null)).rejects.toThrow(new LineError('out of numbers'))
})

test('when the other end has gone, open questions fail and new ones do at once', async () => {
  const { left, right, pipe } = setUp()
  left.listen({ token: () => Promise.resolve(FAILURE) }, {})
  const open = right.ask('metrics', null)
  pipe.cut()
  right.close()
  await expect(open).rejects.toThrow('gone')
  await expect(right.ask('metrics', null)).rejects.toThrow('gone')
  const sent = pipe.wire.length
  right.tell('stop', null)
  expect(pipe.wire).toHaveLength(sent)
})

test('monotonic times are put on the reader’s own clock', async () => {
  const { left, right, clocks } = setUp({ leftMs: 5_000, rightMs: 70 })
  right.listen({}, {})
  left.tell('stop', null)
  await settle()
  expect(right.toOwnMs(clocks.left.nowMs() + 290_000)).toBe(clocks.right.nowMs() + 290_000)
})

test('a message that was long on its way does not move the clocks apart: the quickest counts', async () => {
  const { left, right, clocks, pipe } = setUp({ leftMs: 0, rightMs: 0 })
  right.listen({}, {})
  pipe.isHeld = true
  left.tell('stop', null)
  await clocks.left.advance(4_000)
  await clocks.right.advance(4_000)
  pipe.isHeld = false
  await settle()
  expect(right.toOwnMs(10_000)).toBe(14_000)
  left.tell('stop', null)
  await settle()
  expect(right.toOwnMs(10_000)).toBe(10_000)
  pipe.isHeld = true
  left.tell('stop', null)
  await clocks.left.advance(9_000)
  await clocks.right.advance(9_000)
  pipe.isHeld = false
  await settle()
  expect(right.toOwnMs(10_000)).toBe(10_000)
})

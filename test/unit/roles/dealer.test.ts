import type { Socket } from 'node:net'
import { expect, test } from 'vitest'
import { Dealer, type Dealee } from '../../../src/roles/dealer.ts'

/** What a dealer knows of a socket. */
class FakeSocket {
  destroyed = false
  destroy(): void {
    this.destroyed = true
  }
}

class FakeDealee implements Dealee {
  readonly got: { readonly id: number; readonly socket: Pick<Socket, 'destroyed'> }[] = []
  deal({ id }: { readonly id: number }, socket: Socket): void {
    this.got.push({ id, socket })
  }
}

function setUp(workerCount: number) {
  const dealer = new Dealer()
  const workers = Array.from({ length: workerCount }, () => new FakeDealee())
  for (const worker of workers) dealer.add(worker)
  const deal = (count = 1): FakeSocket[] =>
    Array.from({ length: count }, () => {
      const socket = new FakeSocket()
      dealer.deal('workload', socket as unknown as Socket)
      return socket
    })
  const counts = (): number[] => workers.map(({ got }) => got.length)
  /** The worker says that it has what it got last. */
  const settle = (worker: FakeDealee, isTaken = true): void =>
    dealer.settle(worker, { id: worker.got.at(-1)!.id, isTaken })
  return { dealer, workers, deal, counts, settle }
}

test('connections go to the workers in turn', () => {
  const { workers, deal, counts, settle } = setUp(3)
  for (let i = 0; i < 7; i++) {
    deal()
    for (const worker of workers) if (worker.got.length > 0) settle(worker)
  }
  expect(counts()).toEqual([3, 2, 2])
})

test('a connection stays open here until its worker has it', () => {
  const { workers, deal, settle } = setUp(1)
  const [socket] = deal()
  expect(socket!.destroyed).toBe(false)
  settle(workers[0]!)
  expect(socket!.destroyed).toBe(true)
})

test('a worker that takes nothing gets no second one while others take theirs', () => {
  const { workers, deal, counts, settle } = setUp(2)
  for (let i = 0; i < 9; i++) {
    deal()
    if (workers[1]!.got.length > 0) settle(workers[1]!)
  }
  expect(counts()).toEqual([1, 8])
})

test('what a worker had not taken when it died goes to another; what it had goes with it', () => {
  const { dealer, workers, deal, counts } = setUp(2)
  const sockets = deal(4)
  dealer.settle(workers[0]!, { id: workers[0]!.got[0]!.id, isTaken: true })
  dealer.remove(workers[0]!)
  expect(counts()).toEqual([2, 3])
  expect(workers[1]!.got.map(({ socket }) => sockets.findIndex((one) => one === socket))).toEqual([1, 3, 2])
  expect(sockets.map(({ destroyed }) => destroyed)).toEqual([true, false, false, false])
})

test('what a worker does not want is offered to each of the others once, then closed and counted', () => {
  const { dealer, workers, deal, counts, settle } = setUp(2)
  const [socket] = deal()
  settle(workers[0]!, false)
  expect(counts()).toEqual([1, 1])
  expect(socket!.destroyed).toBe(false)
  settle(workers[1]!, false)
  expect(counts()).toEqual([1, 1])
  expect(socket!.destroyed).toBe(true)
  expect(dealer.refusedCount).toBe(1)
})

test('connections wait while there is no worker, as many as a kernel would hold', () => {
  const { dealer, workers, deal, counts } = setUp(1)
  dealer.remove(workers[0]!)
  const sockets = deal(1_025)
  expect(sockets.filter(({ destroyed }) => destroyed)).toHaveLength(1)
  expect(sockets.at(-1)!.destroyed).toBe(true)
  expect(dealer.refusedCount).toBe(1)
  sockets[0]!.destroy()
  dealer.add(workers[0]!)
  expect(counts()).toEqual([1_023])
})

test('words about connections that nobody waits for change nothing', () => {
  const { dealer, workers, deal, settle } = setUp(2)
  const [socket] = deal()
  dealer.settle(workers[1]!, { id: workers[0]!.got[0]!.id, isTaken: true })
  dealer.settle(new FakeDealee(), { id: 1, isTaken: true })
  expect(socket!.destroyed).toBe(false)
  settle(workers[0]!)
  settle(workers[0]!, false)
  expect(workers[1]!.got).toEqual([])
})

test('the end closes what nobody has taken', () => {
  const { dealer, workers, deal } = setUp(1)
  const onTheirWay = deal(2)
  dealer.close()
  const waiting = deal(1)
  dealer.close()
  expect([...onTheirWay, ...waiting].map(({ destroyed }) => destroyed)).toEqual([true, true, true])
  dealer.remove(workers[0]!)
})

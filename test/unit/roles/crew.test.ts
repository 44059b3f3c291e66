import { describe, expect, test } from 'vitest'
import { ConfigError, TransportError } from '../../../src/base/index.ts'
import { Crew } from '../../../src/roles/crew.ts'
import { Line } from '../../../src/roles/line.ts'
import { toFailure } from '../../../src/roles/messages.ts'
import { publish } from '../../../src/roles/publish.ts'
import type { WorkerProcess } from '../../../src/roles/spawn.ts'
import { METRICS, Metrics, renderSnapshots } from '../../../src/telemetry/index.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'
import { pipePair } from '../../support/pipe-pair.ts'
import { RecordingLog } from '../../support/token-endpoint.ts'
import { NOTHING, plainConfig } from '../../support/worker-bench.ts'

const REPORT = {
  name: 'workload',
  addresses: ['127.0.0.1:4317'],
  openCalls: 1,
  calls: 10,
  egressConnections: 1,
} as const

/** A worker without a process. */
class FakeWorker implements WorkerProcess {
  readonly pid = 1
  readonly #pipe = pipePair('clone')
  readonly port = this.#pipe.left
  readonly line: Line
  readonly told: string[] = []
  readonly metrics = new Metrics({ includesProcess: false })
  wasKilled = false
  answersMetrics = true
  canReload = true
  reloads = 0
  #onExit: (how: string) => void = () => {}

  constructor(clock: FakeClock) {
    this.line = new Line(this.#pipe.right, clock)
    this.line.listen(
      {
        metrics: () => (this.answersMetrics ? this.metrics.snapshot() : new Promise(() => {})),
        reload: () => {
          this.reloads++
          return this.canReload ? Promise.resolve(null) : Promise.reject(new Error('cannot'))
        },
      },
      {
        drain: () => {
          this.told.push('drain')
        },
        stop: () => {
          this.told.push('stop')
        },
      },
    )
  }
  onExit(listener: (how: string) => void): void {
    this.#onExit = listener
  }
  kill(): void {
    this.wasKilled = true
    this.exit('SIGKILL')
  }
  exit(how: string): void {
    this.#pipe.cut()
    this.#onExit(how)
  }
  async listening(): Promise<number> {
    const orders = await this.line.ask('orders', null)
    this.line.tell('listening', null)
    this.line.tell('report', { troubles: {}, roles: [REPORT] })
    await settle()
    return orders.number
  }
}

function setUp(workerCount = 2) {
  const clock = new FakeClock()
  const log = new RecordingLog()
  const workers: FakeWorker[] = []
  const config = plainConfig()
  const crew = new Crew({
    workerCount,
    spawn: () => {
      const worker = new FakeWorker(clock)
      workers.push(worker)
      return worker
    },
    clock,
    log,
    serve: (line, number, news) =>
      publish(line, NOTHING, () => ({ number, workerCount, config, doors: {} }), news),
    onChange: () => {},
  })
  return { clock, log, workers, crew, config }
}

async function started(workerCount = 2) {
  const all = setUp(workerCount)
  const start = all.crew.start()
  for (const worker of all.workers) await worker.listening()
  await start
  return all
}

describe('a crew', () => {
  test('has started once every worker listens; each has its number', async () => {
    const { crew, workers } = setUp()
    let hasStarted = false
    const start = crew.start().then(() => (hasStarted = true))
    expect(await workers[0]!.listening()).toBe(1)
    expect(hasStarted).toBe(false)
    expect(await workers[1]!.listening()).toBe(2)
    await start
    expect(crew.servingCount).toBe(2)
    expect(crew.reports).toEqual([REPORT, REPORT])
  })

  test('cannot start when a worker cannot, and says why as the worker would have', async () => {
    const { crew, workers } = setUp()
    const start = crew.start()
    const fault = { path: 'workload.listen', position: null, problem: 'is taken', remedy: 'Take another.' }
    workers[0]!.line.tell('failed', toFailure(new ConfigError([fault])))
    await settle()
    workers[0]!.exit('exit code 1')
    await expect(start).rejects.toThrow(new ConfigError([fault]))
    expect(workers).toHaveLength(2)
  })

  test.each([
    [new TransportError('local_close', 'listen on 127.0.0.1:80: no permission'), TransportError],
    [new Error('anything else'), Error],
  ])('keeps the class of %s', async (error, type) => {
    const { crew, workers } = setUp()
    const start = crew.start()
    workers[0]!.line.tell('failed', toFailure(error))
    await settle()
    workers[0]!.exit('exit code 1')
    await expect(start).rejects.toThrow(type)
    await expect(start).rejects.toThrow(error.message)
  })

  test('that loses a worker at its start without a word says how it ended', async () => {
    const { crew, workers } = setUp()
    const start = crew.start()
    workers[1]!.exit('SIGSEGV')
    await expect(start).rejects.toThrow('worker 2 ended at its start: SIGSEGV')
  })

  test('replaces a worker that dies, under the same number; the other serves on', async () => {
    const { crew, workers, clock, log } = await started()
    workers[0]!.exit('SIGKILL')
    expect(crew.servingCount).toBe(1)
    expect(crew.restartCount).toBe(1)
    expect(log.lines.at(-1)).toMatch(/^error a worker has ended by itself .*"worker":1,"how":"SIGKILL"/)
    await clock.advance(200)
    expect(workers).toHaveLength(3)
    expect(await workers[2]!.listening()).toBe(1)
    expect(crew.servingCount).toBe(2)
    expect(workers[1]!.told).toEqual([])
  })

  test('waits longer and longer for a worker that keeps dying, and begins anew once one has lasted a minute', async () => {
    const { workers, clock } = await started()
    const pauses: number[] = []
    for (let death = 0; death < 12; death++) {
      const count = workers.length
      workers.at(-1)!.exit('exit code 1')
      let waitedMs = 0
      for (; workers.length === count; waitedMs += 50) await clock.advance(50)
      pauses.push(waitedMs)
    }
    expect(pauses.slice(0, 4)).toEqual([150, 300, 600, 1_200])
    expect(pauses.at(-1)).toBe(22_500)
    await workers.at(-1)!.listening()
    await clock.advance(60_000)
    const count = workers.length
    workers.at(-1)!.exit('exit code 1')
    await clock.advance(150)
    expect(workers).toHaveLength(count + 1)
  })

  test('ends a worker that has given no sign of life for half a minute', async () => {
    const { crew, workers, clock } = await started()
    for (let look = 0; look < 30; look++) crew.look()
    workers[1]!.line.tell('report', { troubles: {}, roles: [] })
    await settle()
    crew.look()
    expect(workers.map(({ wasKilled }) => wasKilled)).toEqual([true, false])
    await clock.advance(200)
    expect(workers).toHaveLength(3)
  })

  test('lists its workers for people', async () => {
    const { crew, workers, clock } = await started(3)
    workers[1]!.exit('SIGKILL')
    workers[2]!.exit('SIGKILL')
    await clock.advance(150)
    expect(crew.roster).toEqual([
      ['worker 1', 'process 1, 10 calls'],
      ['worker 2', 'process 1, starting'],
      ['worker 3', 'process 1, starting'],
    ])
    workers[3]!.exit('exit code 1')
    expect(crew.roster[1]).toEqual(['worker 2', 'to be replaced'])
  })

  test('tells the trouble of any worker, until that worker is well or gone', async () => {
    const { crew, workers } = await started()
    workers[1]!.line.tell('report', { troubles: { main: 'token_rejected' }, roles: [] })
    await settle()
    expect(crew.troubles).toEqual({ main: 'token_rejected' })
    workers[1]!.exit('SIGKILL')
    expect(crew.troubles).toEqual({})
  })
})

describe('numbers of a crew', () => {
  const total = async (crew: Crew): Promise<number> => {
    const text = await renderSnapshots(await crew.metrics())
    return Number(/^authgw_replays_total (\d+)$/m.exec(text)?.[1])
  }

  test('are added up over the workers', async () => {
    const { crew, workers } = await started()
    workers.forEach(({ metrics }, at) => metrics.addCounter('authgw_replays_total', {}, () => 10 ** at))
    expect(await total(crew)).toBe(11)
  })

  test('never fall because a worker has died: what it had counted when last asked stays', async () => {
    const { crew, workers, clock } = await started()
    for (const { metrics } of workers) {
      metrics.addCounter('authgw_replays_total', {}, () => 5)
      metrics.addGauge('authgw_open_calls', {}, () => 7)
    }
    expect(await total(crew)).toBe(10)
    for (let death = 1; death <= 3; death++) {
      workers.at(-1)!.exit('SIGKILL')
      expect(await total(crew)).toBe(5 * (death + 1))
      await clock.advance(60_000)
      await workers.at(-1)!.listening()
      workers.at(-1)!.metrics.addCounter('authgw_replays_total', {}, () => 5)
      expect(await total(crew)).toBe(5 * (death + 2))
    }
    expect(await renderSnapshots(await crew.metrics())).toMatch(/^authgw_open_calls 7$/m)
    expect(METRICS.authgw_open_calls.type).toBe('gauge')
  })

  test('of a worker that does not answer in time are its last ones', async () => {
    const { crew, workers, clock } = await started()
    for (const { metrics } of workers) metrics.addCounter('authgw_replays_total', {}, () => 5)
    await total(crew)
    workers[0]!.answersMetrics = false
    const later = total(crew)
    await clock.advance(2_000)
    expect(await later).toBe(10)
  })
})

describe('the end of a crew', () => {
  test('a drain lets workers that serve drain and stops those that only start; none is replaced', async () => {
    const { crew, workers, clock } = await started()
    workers[0]!.exit('SIGKILL')
    await clock.advance(200)
    let isOver = false
    const drained = crew.drain(25_000).then(() => (isOver = true))
    await settle()
    expect(workers.slice(1).map(({ told }) => told)).toEqual([['drain'], ['stop']])
    workers[2]!.exit('exit code 0')
    await clock.advance(10_000)
    expect(isOver).toBe(false)
    workers[1]!.exit('exit code 0')
    await drained
    await clock.advance(60_000)
    expect(workers).toHaveLength(3)
  })

  test('a worker that does not end in time is ended', async () => {
    const { crew, workers, clock } = await started()
    const drained = crew.drain(25_000)
    await clock.advance(26_900)
    expect(workers.some(({ wasKilled }) => wasKilled)).toBe(false)
    await clock.advance(100)
    await drained
    expect(workers.map(({ wasKilled }) => wasKilled)).toEqual([true, true])
  })

  test('a stop tells all and waits two seconds at most', async () => {
    const { crew, workers, clock } = await started()
    const stopped = crew.stop()
    await clock.advance(2_000)
    await stopped
    expect(workers.map(({ told }) => told)).toEqual([['stop'], ['stop']])
  })

  test('a worker that was about to be replaced is not, once the end has begun', async () => {
    const { crew, workers, clock } = await started()
    workers[0]!.exit('SIGKILL')
    const stopped = crew.stop()
    workers[1]!.exit('exit code 0')
    await stopped
    await clock.advance(60_000)
    expect(workers).toHaveLength(2)
  })
})

test('a reload reaches every worker; one that cannot follow is replaced', async () => {
  const { crew, workers, config, clock, log } = await started()
  workers[1]!.canReload = false
  await crew.reload(config)
  expect(workers.map(({ reloads }) => reloads)).toEqual([1, 1])
  expect(workers.map(({ wasKilled }) => wasKilled)).toEqual([false, true])
  expect(log.lines.join()).toContain('a worker could not reload and is replaced')
  await clock.advance(200)
  expect(workers).toHaveLength(3)
})

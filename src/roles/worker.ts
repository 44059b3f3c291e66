/**
 * One worker process: orders over the pipe into a gateway whose listeners the supervisor deals connections to.
 * Floor 7; owns neither token nor key nor file, touches no signal and never exits: main.ts does.
 */
import { Socket } from 'node:net'
import { Readiness } from '../admin/index.ts'
import { SystemClock } from '../net/index.ts'
import { feedLog, Logger, Metrics } from '../telemetry/index.ts'
import { feedMachine } from './feed.ts'
import { Gateway } from './gateway.ts'
import { Line, type LinePort } from './line.ts'
import { createMachine } from './machine.ts'
import { toFailure, type Orders } from './messages.ts'
import { RemoteSources } from './remote.ts'
import { LOOK_MS } from './run.ts'

/** The pipe to the process that started this one. */
function parentPort(): LinePort {
  return {
    send: (message) => void process.send?.(message, undefined, undefined, () => {}),
    onMessage: (listener) =>
      void process.on('message', (message, handle) =>
        listener(message, handle instanceof Socket ? handle : undefined),
      ),
  }
}

/** Runs until it is told to end, by the process that started this one unless said otherwise. Gives the exit code. */
export async function runWorker(port: LinePort = parentPort()): Promise<number> {
  const clock = new SystemClock()
  const line = new Line(port, clock)
  const orders = await line.ask('orders', null).catch(() => null)
  // The supervisor could not start: it says why.
  if (orders === null) return 1
  const { level, encoding } = orders.config.service.telemetry.logs
  const log = new Logger({ level, encoding })
  try {
    await serve(line, orders, log)
    return 0
  } catch (error) {
    line.tell('failed', toFailure(error))
    return 1
  } finally {
    await log.flush()
  }
}

async function serve(line: Line, orders: Orders, log: Logger): Promise<void> {
  const { config, number, workerCount } = orders
  const readiness = new Readiness({ nowMs: () => performance.now() })
  const metrics = new Metrics()
  feedLog(metrics, log.stats)
  const machine = createMachine(config.limits, workerCount, {
    log: log.child({ worker: number }),
    metrics,
    readiness,
  })
  feedMachine(machine)
  metrics.addGauge('authgw_workers', {}, () => (readiness.isReady ? 1 : 0))
  const sources = new RemoteSources(machine, line, orders)
  const gateway = await Gateway.create(machine, config, sources)
  const ended = Promise.withResolvers<void>()
  line.listen(
    {
      metrics: () => metrics.snapshot(),
      reload: async (next) => {
        await gateway.reload(next, log)
        return null
      },
    },
    {
      ...sources.news,
      drain: () => void gateway.drain().then(ended.resolve, ended.reject),
      stop: () => ended.resolve(),
    },
  )
  try {
    await gateway.start()
    line.tell('listening', null)
    const report = (): void => {
      line.tell('report', { troubles: gateway.troubles, roles: gateway.reports })
      machine.clock.setTimer(LOOK_MS, report)
    }
    report()
    await ended.promise
  } finally {
    await gateway.close()
    sources.close()
  }
}

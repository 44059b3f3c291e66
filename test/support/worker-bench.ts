import { Readiness } from '../../src/admin/index.ts'
import { NO_LOG, type Log } from '../../src/base/index.ts'
import { Line } from '../../src/roles/line.ts'
import { createMachine, type Machine } from '../../src/roles/machine.ts'
import type { Orders } from '../../src/roles/messages.ts'
import { publish, type Publication } from '../../src/roles/publish.ts'
import { RemoteSources } from '../../src/roles/remote.ts'
import { loadConfig } from '../../src/config/index.ts'
import type { Config } from '../../src/config/index.ts'
import { Metrics } from '../../src/telemetry/index.ts'
import { FakeClock, settle } from './fake-clock.ts'
import { pipePair, type PipeCopy, type PipePair } from './pipe-pair.ts'

/** A worker's end of what an owner publishes, in this process. */
export interface BenchWorker {
  readonly clock: FakeClock
  readonly sources: RemoteSources
  readonly orders: Orders
  readonly line: Line
  readonly pipe: PipePair
  /** The worker has died: what the supervisor does then. */
  die(): void
}

/** What is published when a test needs only a part of it. */
export const NOTHING: Publication = { tokens: new Map(), keys: new Map(), files: new Map() }

/** Machinery that says nothing. */
export function quietMachine(config: Config, workerCount = 1, log: Log = NO_LOG): Machine {
  return createMachine(config.limits, workerCount, {
    log,
    metrics: new Metrics(),
    readiness: new Readiness({ nowMs: () => performance.now() }),
  })
}

/** A configuration of one plaintext role that needs no file. */
export function plainConfig(): Config {
  return loadConfig({
    files: [],
    settings: [
      'workload.listen.endpoint=127.0.0.1:0',
      'workload.upstream.endpoint=127.0.0.1:1',
      'workload.bearertokenauth.filename=/nowhere/token',
    ],
    env: {},
    nowMs: Date.now(),
    checksFiles: false,
  }).config
}

/** Connects a worker whose clocks began `originMs` after or before the owner's. */
export async function connectWorker(
  owned: Publication,
  ownerClock: FakeClock,
  { originMs = 0, copy = 'json' }: { readonly originMs?: number; readonly copy?: PipeCopy } = {},
): Promise<BenchWorker> {
  const pipe = pipePair(copy)
  const clock = new FakeClock(ownerClock.nowMs() + originMs, ownerClock.wallMs())
  const config = plainConfig()
  const ownersEnd = new Line(pipe.left, ownerClock)
  const unpublish = publish(ownersEnd, owned, () => ({ number: 1, workerCount: 2, config, doors: {} }), {})
  const line = new Line(pipe.right, clock)
  const orders = await line.ask('orders', null)
  const sources = new RemoteSources(quietMachine(config, 2), line, orders)
  line.listen({}, sources.news)
  await settle()
  return {
    clock,
    sources,
    orders,
    line,
    pipe,
    die: () => {
      unpublish()
      ownersEnd.close()
    },
  }
}

/**
 * What every role of one process shares: clocks, the turn, the wheel, budgets, counters, log and readiness.
 * Floor 7; knows no role.
 */
import type { Readiness } from '../admin/index.ts'
import type { Clock, DeadlineWheel, Log, Turn } from '../base/index.ts'
import type { LimitsConfig } from '../config/index.ts'
import { ByteBudget } from '../h2/index.ts'
import { createTurn, createWheel, NetStats, SystemClock } from '../net/index.ts'
import { ReplayBudget } from '../relay/index.ts'
import type { Metrics } from '../telemetry/index.ts'

/** The machinery of one process. */
export interface Machine {
  /** Processes that share the limits of the configuration. */
  readonly workerCount: number
  readonly clock: Clock
  readonly turn: Turn
  readonly wheel: DeadlineWheel
  readonly netStats: NetStats
  readonly held: ByteBudget
  readonly replayBudget: ReplayBudget
  readonly log: Log
  readonly metrics: Metrics
  readonly readiness: Readiness
  /** Counts and logs a bug of ours that was caught. */
  onBug(error: unknown): void
}

/** Builds the machinery. Process-wide limits are divided by the number of workers. */
export function createMachine(
  limits: LimitsConfig,
  workerCount: number,
  parts: Pick<Machine, 'log' | 'metrics' | 'readiness'>,
): Machine {
  const clock = new SystemClock()
  const turn = createTurn(clock)
  const netStats = new NetStats()
  const { log } = parts
  const onLate = (ms: number): void => {
    netStats.loopLate++
    log.warn(
      { late_ms: Math.round(ms) },
      'the event loop was late: the machine is overloaded or was suspended',
    )
  }
  return {
    ...parts,
    workerCount,
    clock,
    turn,
    netStats,
    wheel: createWheel({ clock, turn, onLate }),
    held: new ByteBudget(limits.maxHeldBytes / workerCount),
    replayBudget: new ReplayBudget(limits.maxReplayBytes / workerCount, limits.maxCallReplayBytes),
    onBug: (error) => {
      netStats.bugs++
      log.error({ err: error }, 'bug: an internal error ended a connection; please report this')
    },
  }
}

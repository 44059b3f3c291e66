/**
 * The end of a process, in order: not ready, a last while of accepting, two-step GOAWAY, the last calls, closed.
 * Floor 7; no-loss.md row 24. Never backwards.
 */
import type { Readiness } from '../admin/index.ts'
import type { Clock, Log } from '../base/index.ts'
import type { Role } from './role.ts'

/** How long the workload role still takes calls while its collector is connected: for the collector's last flush. */
const MAX_FLUSH_MS = 20_000
/** How often it looks whether the collector has gone. */
const LOOK_MS = 100

/** What an orderly end needs. */
export interface DrainOptions {
  readonly roles: readonly Role[]
  readonly readiness: Readiness
  readonly clock: Clock
  readonly log: Log
  /** Ms in which calls are still accepted. */
  readonly delayMs: number
  /** Ms for everything. */
  readonly timeoutMs: number
}

/** Drains all roles; resolves when their last call is done, or the time is over. */
export async function drain(options: DrainOptions): Promise<void> {
  const { roles, readiness, clock, log, delayMs, timeoutMs } = options
  const endMs = clock.nowMs() + timeoutMs
  if (readiness.state === 'starting') readiness.moveTo('ready')
  readiness.moveTo('draining')
  log.info({ delay_ms: delayMs, timeout_ms: timeoutMs }, 'draining: no longer ready, still accepting')
  await Promise.all(
    roles.map(async (role) => {
      const graceMs = role.name === 'workload' ? MAX_FLUSH_MS : delayMs
      await waitUntil(clock, Math.min(graceMs, timeoutMs), delayMs, () => role.listener.openCount === 0)
      // First, so that whoever connects from now on is refused at once and goes elsewhere, not taken in and cut off.
      role.listener.stopAccepting()
      await role.relay.drain(Math.max(0, endMs - clock.nowMs() - LOOK_MS))
    }),
  )
  readiness.moveTo('stopped')
}

/** Waits at least `minMs`, at most `maxMs`, and in between until `isDone`. */
async function waitUntil(clock: Clock, maxMs: number, minMs: number, isDone: () => boolean): Promise<void> {
  const startMs = clock.nowMs()
  for (;;) {
    const waitedMs = clock.nowMs() - startMs
    if (waitedMs >= maxMs || (waitedMs >= minMs && isDone())) return
    await new Promise<void>((resolve) => {
      clock.setTimer(Math.min(LOOK_MS, Math.max(1, maxMs - waitedMs)), resolve)
    })
  }
}

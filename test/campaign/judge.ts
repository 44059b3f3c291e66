/**
 * Turns what was seen during a fault into a row of the table, and says what is not as it must be.
 */
import { status } from '@grpc/grpc-js'
import type { Fault } from './faults.ts'
import type { ProbeTry } from './sender.ts'

/** What one fault came to. */
export interface FaultResult {
  readonly fault: string
  readonly seconds: number
  /** Spans sent during it, and those of them that never arrived. */
  readonly sent: number
  readonly lost: number
  readonly repeats: number
  /** Requests that the exporter gave up, and those that found its queue full. */
  readonly permanentErrors: number
  readonly queueRefusals: number
  /** Answers that made the exporter wait, by status. */
  readonly retries: Readonly<Record<string, number>>
  /** Longest time in a row without a call that passed, in seconds. */
  readonly longestGapSeconds: number
  /** From the end of the fault to the first call that was forwarded; of the exporter, whose own wait is in it. */
  readonly recoverySeconds: number
  readonly senderRecoverySeconds: number
  readonly drainSeconds: number
  readonly maxWaiting: number
  readonly tokenFetches: number
  /** Between two attempts of one process; null with less than two. */
  readonly minTokenFetchGapSeconds: number | null
  /** In the first minute of an outage; null where it is none, or shorter. */
  readonly tokenFetchesFirstMinute: number | null
  readonly tokenFetchesPerMinuteAfter: number | null
  readonly keyFetches: number
  /** Between two attempts of one process; null with less than two. */
  readonly minKeyFetchGapSeconds: number | null
  /** What is not as it must be; empty when all is. */
  readonly complaints: readonly string[]
}

/** A key set is fetched at most once in 10 s; clocks and the proxy are a little off. */
const MIN_KEY_GAP_SECONDS = 9.8
/** In the first minute of an outage; then one in 8 s. */
const MAX_TOKEN_FETCHES_FIRST_MINUTE = 6
const MAX_TOKEN_FETCHES_PER_MINUTE = 60 / 8
const RETRYABLE = new Set(['OK', 'UNAVAILABLE', 'DEADLINE_EXCEEDED', 'CANCELLED'])

/** The smallest gap between attempts of the same process, in seconds. */
export function minGapSeconds(attemptsMs: readonly number[], startsMs: readonly number[]): number | null {
  const gaps = attemptsMs
    .slice(1)
    .map((atMs, index) => [attemptsMs[index]!, atMs] as const)
    .filter(([before, after]) => !startsMs.some((startMs) => startMs > before && startMs <= after))
    .map(([before, after]) => (after - before) / 1_000)
  return gaps.length === 0 ? null : rounded(Math.min(...gaps))
}

/** The longest time between two successes, in seconds. */
export function longestGapSeconds(tries: readonly ProbeTry[]): number {
  const passed = tries.filter(({ status: code }) => code === status.OK).map(({ atMs }) => atMs)
  passed.sort((a, b) => a - b)
  return rounded(Math.max(0, ...passed.slice(1).map((atMs, index) => atMs - passed[index]!)) / 1_000)
}

/** What of a result breaks the contract. */
export function complaintsOf(
  fault: Fault,
  result: Omit<FaultResult, 'complaints'>,
  probed: readonly ProbeTry[],
): string[] {
  const complaints: string[] = []
  if (result.lost > 0) complaints.push(`${result.lost} spans lost`)
  if (result.permanentErrors > 0) complaints.push(`${result.permanentErrors} permanent errors`)
  if (result.queueRefusals > 0) complaints.push(`${result.queueRefusals} requests found the queue full`)
  const bound = fault.recoverySeconds === 0 ? 2 : fault.recoverySeconds
  if (!(result.recoverySeconds <= bound))
    complaints.push(`recovery after ${result.recoverySeconds} s, at most ${bound} s`)
  if (result.minKeyFetchGapSeconds !== null && result.minKeyFetchGapSeconds < MIN_KEY_GAP_SECONDS)
    complaints.push(`key fetches ${result.minKeyFetchGapSeconds} s apart`)
  if ((result.tokenFetchesFirstMinute ?? 0) > MAX_TOKEN_FETCHES_FIRST_MINUTE)
    complaints.push(`${result.tokenFetchesFirstMinute} token fetches in the first minute`)
  if ((result.tokenFetchesPerMinuteAfter ?? 0) > MAX_TOKEN_FETCHES_PER_MINUTE)
    complaints.push(`${result.tokenFetchesPerMinuteAfter} token fetches a minute after the first`)
  const odd = new Set(probed.map(({ status: code }) => status[code]).filter((name) => !RETRYABLE.has(name)))
  if (odd.size > 0) complaints.push(`statuses that no retry helps: ${[...odd].join(', ')}`)
  const failed = probed.filter(({ status: code }) => code !== status.OK).length
  if (fault.recoverySeconds === 0 && failed + sum(result.retries) > 0)
    complaints.push(`${failed} probes and ${sum(result.retries)} requests failed where none may`)
  return complaints
}

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0)

export const rounded = (value: number): number => Math.round(value * 100) / 100

/** The table that a campaign prints. */
export function tableOf(results: readonly FaultResult[]): string {
  const head = [
    'fault',
    's',
    'sent',
    'lost',
    'permanent',
    'repeats',
    'retried',
    'gap s',
    'recovery s',
    'sender s',
  ]
  const more = ['drain s', 'queue', 'token', 'min gap s', 'in 1st min', '/min after', 'keys', 'min gap s', '']
  const rows = results.map((result) => [
    result.fault,
    String(Math.round(result.seconds)),
    String(result.sent),
    String(result.lost),
    String(result.permanentErrors),
    String(result.repeats),
    String(sum(result.retries)),
    String(result.longestGapSeconds),
    String(result.recoverySeconds),
    String(result.senderRecoverySeconds),
    String(result.drainSeconds),
    String(result.maxWaiting),
    String(result.tokenFetches),
    String(result.minTokenFetchGapSeconds ?? '–'),
    String(result.tokenFetchesFirstMinute ?? '–'),
    String(result.tokenFetchesPerMinuteAfter ?? '–'),
    String(result.keyFetches),
    String(result.minKeyFetchGapSeconds ?? '–'),
    result.complaints.join('; ') || 'ok',
  ])
  const all = [[...head, ...more], ...rows]
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)))
  return all
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

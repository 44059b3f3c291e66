/** What a conformance suite gives, and one table of such scores. */
import { table } from './tools/table.ts'

/** One run of one suite in one setting. */
export interface Score {
  readonly suite: string
  readonly setting: string
  /** From 1. */
  readonly run: number
  readonly passed: number
  /** Cases that the suite ran. */
  readonly of: number
  /** Cases that the suite has: fewer run are a miss too. */
  readonly wanted: number
  readonly skipped: number
  readonly seconds: number
  /** What else is wrong, or empty. */
  readonly trouble: string
}

/** The scores of a suite, or why it cannot be had here. */
export type Outcome = { readonly scores: readonly Score[] } | { readonly absent: string }

/** Whether anything was left to wish for. */
export const isMiss = ({ passed, of, wanted, skipped, trouble }: Score): boolean =>
  passed !== wanted || of !== wanted || skipped > 0 || trouble !== ''

/** Scores as a table, a line each. */
export const scoreTable = (scores: readonly Score[]): string =>
  table(
    ['suite', 'setting', 'run', 'passed', 'of', 'skipped', 'seconds', 'trouble'],
    scores.map((score) => [
      score.suite,
      score.setting,
      String(score.run),
      String(score.passed),
      String(score.wanted),
      String(score.skipped),
      score.seconds.toFixed(1),
      score.trouble,
    ]),
  )

/** Prints an outcome; gives the exit code: 0, 1 on any miss, `absentCode` when it cannot be had. */
export function report(outcome: Outcome, absentCode: number): number {
  if ('absent' in outcome) {
    console.log(outcome.absent)
    return absentCode
  }
  console.log(scoreTable(outcome.scores))
  return outcome.scores.some((score) => isMiss(score)) ? 1 : 0
}

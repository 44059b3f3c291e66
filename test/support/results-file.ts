/**
 * Figures of a long run into a file of bench/results/, with what they were measured on: the tree of src/, Node, the machine.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join, relative } from 'node:path'

const PROJECT = join(import.meta.dirname, '../..')

const git = (...args: string[]): string =>
  execFileSync('git', args, { cwd: PROJECT, encoding: 'utf8' }).trim()

/** What was running: taken before a run, so that a commit during it is seen. */
export interface MeasuredOn {
  readonly startedAt: string
  /** `git rev-parse HEAD:src`; null outside a checkout. */
  readonly srcTree: string | null
  /** Whether src/ differed from that tree. */
  readonly isSrcChanged: boolean | null
  readonly node: string
  readonly cores: number
}

/** Notes what is about to be measured. */
export function measuredOn(): MeasuredOn {
  const base = { startedAt: new Date().toISOString(), node: process.version, cores: availableParallelism() }
  try {
    const srcTree = git('rev-parse', 'HEAD:src')
    return { ...base, srcTree, isSrcChanged: git('status', '--porcelain', '--', 'src') !== '' }
  } catch {
    return { ...base, srcTree: null, isSrcChanged: null }
  }
}

/** Writes bench/results/`name`-<date>.json, or `file`; gives its path from the project's folder. */
export function writeResults(name: string, on: MeasuredOn, figures: object, file?: string): string {
  const path = file ?? join(PROJECT, 'bench/results', `${name}-${on.startedAt.slice(0, 10)}.json`)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `${JSON.stringify({ ...on, ...figures }, null, 2)}\n`)
  return relative(PROJECT, path)
}

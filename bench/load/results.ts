/** Turns what a run found into files that name what was measured: the tree of src/, the machine, the versions. */
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { arch, cpus, release } from 'node:os'
import { join, resolve } from 'node:path'
import { measuredOn } from '../../test/support/results-file.ts'
import type { LatencyReport } from './latency.ts'
import type { SettingFigures } from './measure.ts'
import type { MemoryReport } from './memory.ts'
import type { SpanReport } from './spans.ts'

const FOLDER = resolve(import.meta.dirname, '../results')
const PREFIX = 'bench-'

/** All that one run found. */
export interface Results {
  date: string
  /** `git rev-parse HEAD:src`, and whether src/ was changed since: what was measured. */
  sourceTree: string
  isSourceClean: boolean
  machine: { cpu: string; cores: number; kernel: string; arch: string }
  node: string
  elapsedSeconds: number
  settings: SettingFigures[]
  latency: LatencyReport | null
  memory: MemoryReport | null
  spans: SpanReport | { absent: string } | null
  absences: string[]
}

/** Machine, versions and the source as they are now. */
export function circumstances(): Pick<Results, 'date' | 'sourceTree' | 'isSourceClean' | 'machine' | 'node'> {
  const { startedAt, srcTree, isSrcChanged, node } = measuredOn()
  return {
    date: startedAt.slice(0, 16),
    sourceTree: srcTree ?? 'unknown',
    isSourceClean: isSrcChanged === false,
    machine: {
      cpu: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      kernel: release(),
      arch: arch(),
    },
    node,
  }
}

/** Writes the three files; returns their path without the ending. */
export function writeResults(results: Results, text: string, plot: string): string {
  const name = join(FOLDER, PREFIX + results.date.replaceAll(':', ''))
  mkdirSync(FOLDER, { recursive: true })
  writeFileSync(`${name}.json`, `${JSON.stringify(results, null, 1)}\n`)
  writeFileSync(`${name}.md`, `${text}\n`)
  writeFileSync(`${name}.svg`, plot)
  return name
}

/** The newest results, with the name of their file; null where there are none. */
export function latestResults(): { name: string; results: Results } | null {
  const names = readdirSync(FOLDER).filter((name) => name.startsWith(PREFIX) && name.endsWith('.json'))
  const name = names.sort().at(-1)
  if (name === undefined) return null
  return { name, results: JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as Results }
}

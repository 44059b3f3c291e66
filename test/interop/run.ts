/**
 * `npm run test:interop`: has the real components that the suites need built or installed, runs each suite with what is
 * there, and ends with two tables: the suites, and the components with version and whether they are used or absent. Exit code
 * 1 if a suite failed, 77 if none could run. `--all` also has the components built that no suite here needs yet.
 */
import { join } from 'node:path'
import type { Component } from './tools/cache.ts'
import { ensure } from './tools/cache.ts'
import {
  cfssl,
  CATALOG,
  deployCheck,
  grpcGo,
  grpcurl,
  h2spec,
  otelArrow,
  prometheus,
  pythonSdk,
  telemetrygen,
} from './tools/catalog.ts'
import { PATTERN_COMPONENTS } from './rig/programs.ts'
import { collector } from './tools/collector.ts'
import { ABSENT, isOnPath, run } from './tools/run.ts'
import { table } from './tools/table.ts'

/** A suite: a program that ends with 0, 1, or ABSENT. */
interface Suite {
  name: string
  file: string
  args: string[]
  components: Component[]
  maxSeconds: number
}

const SUITES: Suite[] = [
  {
    name: 'conformance',
    file: 'conformance.ts',
    args: [],
    components: [h2spec, grpcGo],
    maxSeconds: 1500,
  },
  {
    name: 'multi-cluster pattern',
    file: 'pattern5.ts',
    args: ['--quick'],
    components: [...PATTERN_COMPONENTS],
    maxSeconds: 420,
  },
  {
    name: 'clients',
    file: 'clients.ts',
    args: [],
    components: [collector, telemetrygen, grpcurl, pythonSdk],
    maxSeconds: 300,
  },
  {
    name: 'several gateways',
    file: 'replicas.ts',
    args: [],
    components: [collector],
    maxSeconds: 300,
  },
  {
    name: 'OTel-Arrow',
    file: 'arrow.ts',
    args: [],
    components: [otelArrow, telemetrygen],
    maxSeconds: 120,
  },
  {
    name: 'deployment files',
    file: 'deploy.ts',
    args: [],
    components: [deployCheck, collector, cfssl, prometheus],
    maxSeconds: 300,
  },
  {
    name: 'collector configuration',
    file: 'collector-config.ts',
    args: [],
    components: [collector],
    maxSeconds: 120,
  },
]

async function main(): Promise<number> {
  const isAll = process.argv.includes('--all')
  const needed = CATALOG.filter(
    (component) => isAll || SUITES.some(({ components }) => components.includes(component)),
  )
  const components: string[][] = []
  for (const component of needed) {
    const { name, version, state, remark } = await ensure(component, isOnPath)
    components.push([name, version, state, remark])
    console.log(`${name} ${version}: ${state}, ${remark}`)
  }
  const suites: string[][] = []
  let ranCount = 0
  let failedCount = 0
  for (const suite of SUITES) {
    console.log(`\n--- ${suite.name}`)
    const result = await run(process.execPath, [join(import.meta.dirname, suite.file), ...suite.args], {
      timeoutMs: suite.maxSeconds * 1000,
      onOutput: (text) => process.stdout.write(text),
    })
    const isAbsent = result.code === ABSENT
    if (!isAbsent) ranCount++
    if (result.code !== 0 && !isAbsent) failedCount++
    const verdict = result.code === 0 ? 'passed' : isAbsent ? 'absent' : (result.trouble ?? 'failed')
    suites.push([suite.name, verdict, `${Math.round(result.elapsedMs / 1000)} s`])
  }
  console.log(`\n${table(['suite', 'verdict', 'took'], suites)}`)
  console.log(`\n${table(['component', 'version', '', 'remark'], components)}`)
  if (failedCount > 0) return 1
  return ranCount === 0 ? ABSENT : 0
}

process.exitCode = await main()

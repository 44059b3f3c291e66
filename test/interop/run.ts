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
  /** It waits more than it computes: it runs beside the others, and is printed when it has ended. */
  isBeside?: true
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
    isBeside: true,
  },
  {
    name: 'several gateways',
    file: 'replicas.ts',
    args: [],
    components: [collector],
    maxSeconds: 300,
    isBeside: true,
  },
  {
    name: 'OTel-Arrow',
    file: 'arrow.ts',
    args: [],
    components: [otelArrow, telemetrygen],
    maxSeconds: 120,
    isBeside: true,
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

/** How a suite ended. */
interface Ending {
  readonly suite: Suite
  readonly code: number | null
  readonly verdict: string
  readonly seconds: number
}

/** Runs one suite to its end. */
async function runSuite(suite: Suite): Promise<Ending> {
  const title = `\n--- ${suite.name}\n`
  const later: string[] = [title]
  if (suite.isBeside !== true) process.stdout.write(title)
  const result = await run(process.execPath, [join(import.meta.dirname, suite.file), ...suite.args], {
    timeoutMs: suite.maxSeconds * 1000,
    onOutput: (text) => {
      if (suite.isBeside === true) later.push(text)
      else process.stdout.write(text)
    },
  })
  if (suite.isBeside === true) process.stdout.write(later.join(''))
  const { code } = result
  const verdict = code === 0 ? 'passed' : code === ABSENT ? 'absent' : (result.trouble ?? 'failed')
  return { suite, code, verdict, seconds: Math.round(result.elapsedMs / 1000) }
}

/** Runs suites one after the other. */
async function runAll(suites: readonly Suite[]): Promise<Ending[]> {
  const endings: Ending[] = []
  for (const suite of suites) endings.push(await runSuite(suite))
  return endings
}

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
  const lanes = [SUITES.filter((suite) => !suite.isBeside), SUITES.filter((suite) => suite.isBeside)]
  const endings = (await Promise.all(lanes.map((lane) => runAll(lane)))).flat()
  const suites = endings.map(({ suite, verdict, seconds }) => [suite.name, verdict, `${seconds} s`])
  console.log(`\n${table(['suite', 'verdict', 'took'], suites)}`)
  console.log(`\n${table(['component', 'version', '', 'remark'], components)}`)
  if (endings.some(({ code }) => code !== 0 && code !== ABSENT)) return 1
  return endings.every(({ code }) => code === ABSENT) ? ABSENT : 0
}

process.exitCode = await main()

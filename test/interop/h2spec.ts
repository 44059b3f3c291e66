/**
 * `node test/interop/h2spec.ts`: h2spec in strict mode in four settings: our core alone and the control plane role as a proxy,
 * in plaintext and over TLS. Ends in a table; exit code 1 on any miss, 77 where h2spec cannot be had.
 * Flags: --runs N, --settings a,b, --target host:port [--tls] for any server.
 */
import { parseArgs } from 'node:util'
import { TARGETS, type Target } from './h2spec-targets.ts'
import { report, type Outcome, type Score } from './scores.ts'
import { ensure, programPath } from './tools/cache.ts'
import { h2spec } from './tools/catalog.ts'
import { ABSENT, isOnPath, run } from './tools/run.ts'

/** The cases of h2spec 2.6.0 with -S. */
const STRICT_CASES = 147
/** Most cases ask for a response: if hardly any request came through, it was not our server that was tested. */
const MIN_REQUESTS = 40

/** Runs the whole strict suite once. */
async function score(program: string, setting: string, runNumber: number, target: Target): Promise<Score> {
  const before = target.requestCount()
  const args = ['-S', '-h', target.host, '-p', String(target.port), '-o', '2']
  const result = await run(program, [...args, ...(target.isTls ? ['-t', '-k'] : [])], { timeoutMs: 420_000 })
  const after = target.requestCount()
  const summary = /(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/.exec(result.stdout)
  const failures = /Failures:[\s\S]*?(?=Finished in)/.exec(result.stdout)?.[0]
  if (failures !== undefined) console.log(`${setting}, run ${runNumber}\n${failures}`)
  const [of, passed, skipped] = (summary ?? ['0', '0', '0', '0']).slice(1).map(Number) as [
    number,
    number,
    number,
  ]
  const reached = before === null || after === null ? null : after - before
  const trouble =
    summary === null
      ? (result.trouble ?? `no summary: ${result.stdout.slice(-200)}`)
      : reached !== null && reached < MIN_REQUESTS
        ? `only ${reached} requests were answered behind`
        : ''
  const seconds = result.elapsedMs / 1000
  return {
    suite: 'h2spec',
    setting,
    run: runNumber,
    passed,
    of,
    wanted: STRICT_CASES,
    skipped,
    seconds,
    trouble,
  }
}

/** Runs h2spec `runs` times in a row in each setting. */
export async function judgeServer(
  runs: number,
  starts: Readonly<Record<string, () => Promise<Target>>> = TARGETS,
): Promise<Outcome> {
  const standing = await ensure(h2spec, isOnPath)
  const program = programPath(h2spec, 'h2spec')
  if (program === null) return { absent: `h2spec ${standing.version} is absent: ${standing.remark}` }
  const scores: Score[] = []
  for (const [setting, start] of Object.entries(starts)) {
    const target = await start()
    try {
      for (let turn = 1; turn <= runs; turn++) scores.push(await score(program, setting, turn, target))
    } finally {
      await target.stop()
    }
  }
  return { scores }
}

async function main(): Promise<number> {
  const { values: flags } = parseArgs({
    options: {
      runs: { type: 'string', default: '1' },
      settings: { type: 'string', default: Object.keys(TARGETS).join(',') },
      target: { type: 'string' },
      tls: { type: 'boolean', default: false },
    },
  })
  const given = (address: string): Target => {
    const [host, port] = address.split(':')
    const target = { host: host!, port: Number(port), isTls: flags.tls }
    return { ...target, requestCount: () => null, stop: () => Promise.resolve() }
  }
  const { target } = flags
  const starts =
    target === undefined
      ? Object.fromEntries(flags.settings.split(',').map((name) => [name, TARGETS[name]!]))
      : { [target]: () => Promise.resolve(given(target)) }
  return report(await judgeServer(Number(flags.runs), starts), ABSENT)
}

if (import.meta.main) process.exitCode = await main()

/**
 * `node test/interop/h2specd.ts`: h2specd, the client side of h2spec, in strict mode against egress connections as the relay
 * opens them. Ends in a table; exit code 1 on any miss, 77 where h2specd cannot be had.
 */
import { join } from 'node:path'
import { report, type Outcome } from './scores.ts'
import { ensure, programPath } from './tools/cache.ts'
import { h2spec } from './tools/catalog.ts'
import { ABSENT, isOnPath, run } from './tools/run.ts'

/** The first of the ports that h2specd takes, one for each case. */
const FROM_PORT = 31_000
/** The cases of h2specd 2.6.0 with -S. */
const STRICT_CASES = 57
const SUMMARY = /(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/

/** Runs h2specd once. */
export async function judgeClient(): Promise<Outcome> {
  const standing = await ensure(h2spec, isOnPath)
  const program = programPath(h2spec, 'h2specd')
  if (program === null) return { absent: `h2specd ${standing.version} is absent: ${standing.remark}` }
  // h2specd splits the command at blanks and adds the URL.
  const call = `${process.execPath} ${join(import.meta.dirname, 'h2specd-call.ts')}`
  const args = ['-S', '-h', '127.0.0.1', '-f', String(FROM_PORT), '-o', '1', '-e', call]
  let result = await run(program, args, { timeoutMs: 300_000 })
  // It gives up as a whole when one of its commands takes three seconds, as on a busy machine.
  for (let tries = 0; tries < 2 && SUMMARY.exec(result.stdout) === null; tries++)
    result = await run(program, args, { timeoutMs: 300_000 })
  const summary = SUMMARY.exec(result.stdout)
  const [of = 0, passed = 0, skipped = 0] = summary?.slice(1).map(Number) ?? []
  const failures = /Failures:[\s\S]*?(?=Finished in)/.exec(result.stdout)
  if (failures !== null) console.log(failures[0])
  const trouble =
    summary === null ? `no summary: ${result.trouble ?? result.stdout.slice(-200).replaceAll('\n', ' ')}` : ''
  const counts = { passed, of, wanted: STRICT_CASES, skipped }
  const seconds = result.elapsedMs / 1000
  return { scores: [{ suite: 'h2specd', setting: 'egress', run: 1, ...counts, seconds, trouble }] }
}

if (import.meta.main) process.exitCode = report(await judgeClient(), ABSENT)

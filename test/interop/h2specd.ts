/**
 * `node test/interop/h2specd.ts`: h2specd, the client side of h2spec, in strict mode against egress connections as the relay
 * opens them. Ends in a table; exit code 1 on any miss, 77 where h2specd cannot be had.
 */
import { join } from 'node:path'
import { ensure, programPath } from './tools/cache.ts'
import { h2spec } from './tools/catalog.ts'
import { ABSENT, isOnPath, run } from './tools/run.ts'
import { table } from './tools/table.ts'

/** The first of the ports that h2specd takes, one for each case. */
const FROM_PORT = 31_000
const SUMMARY = /(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/

async function main(): Promise<number> {
  const standing = await ensure(h2spec, isOnPath)
  const program = programPath(h2spec, 'h2specd')
  if (program === null) {
    console.log(`h2specd ${standing.version} is absent: ${standing.remark}`)
    return ABSENT
  }
  // h2specd splits the command at blanks and adds the URL.
  const call = `${process.execPath} ${join(import.meta.dirname, 'h2specd-call.ts')}`
  const args = ['-S', '-h', '127.0.0.1', '-f', String(FROM_PORT), '-o', '1', '-e', call]
  let result = await run(program, args, { timeoutMs: 300_000 })
  // It gives up as a whole when one of its commands takes three seconds, as on a busy machine.
  for (let tries = 0; tries < 2 && SUMMARY.exec(result.stdout) === null; tries++)
    result = await run(program, args, { timeoutMs: 300_000 })
  const summary = SUMMARY.exec(result.stdout)
  if (summary === null) {
    console.log(`h2specd gave no summary: ${result.trouble ?? result.stdout.slice(-1_500)}`)
    return 1
  }
  const [tests, passed, skipped, failed] = summary.slice(1)
  const failures = /Failures:[\s\S]*?(?=Finished in)/.exec(result.stdout)
  if (failures !== null) console.log(failures[0])
  console.log(`h2specd ${standing.version}, strict\n`)
  console.log(table(['passed', 'of', 'skipped', 'failed'], [[passed!, tests!, skipped!, failed!]]))
  return failed === '0' && skipped === '0' ? 0 : 1
}

process.exitCode = await main()

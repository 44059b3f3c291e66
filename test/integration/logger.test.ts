import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'

const LOGGER = resolve(import.meta.dirname, '../../src/telemetry/logger.ts')

/** Starts a process that logs to its standard output and reports on its standard error. */
function startLogging(body: string): ChildProcess {
  const script = `
    import { Logger } from ${JSON.stringify(LOGGER)}
    import { setTimeout as sleep } from 'node:timers/promises'
    const log = new Logger()
    const report = (it) => process.stderr.write(JSON.stringify(it) + '\\n')
    ${body}`
  return spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'pipe'] })
}

test('a reader that has gone ends neither the process nor its work: EPIPE is counted, and the exit is clean', async () => {
  const child = startLogging(`
    for (let i = 0; i < 50; i++) { log.info({ i }, 'x'.repeat(2000)); await sleep(5) }
    await log.flush()
    report(log.stats)`)
  child.stdout!.destroy()
  const [report, [code]] = await Promise.all([text(child.stderr!), once(child, 'exit')])
  expect(code).toBe(0)
  const stats = JSON.parse(report) as { droppedLineCount: number; writeErrorCount: number }
  expect(stats.writeErrorCount).toBeGreaterThanOrEqual(1)
  expect(stats.droppedLineCount).toBeGreaterThan(10)
})

test('a reader that does not read never stops the loop: lines are dropped, memory is bounded, time goes on', async () => {
  const child = startLogging(`
    let slowestMs = 0
    for (let round = 0; round < 40; round++) {
      const startMs = performance.now()
      for (let i = 0; i < 100; i++) log.info({ i }, 'x'.repeat(1000))
      slowestMs = Math.max(slowestMs, performance.now() - startMs)
      await sleep(1)
    }
    report({ slowestMs, droppedLineCount: log.stats.droppedLineCount })
    await sleep(60000)`)
  try {
    // The pipe holds 64 KiB; nobody reads it until the report has come.
    const [report] = (await once(child.stderr!, 'data')) as [Buffer]
    const seen = JSON.parse(report.toString()) as { slowestMs: number; droppedLineCount: number }
    expect(seen.droppedLineCount).toBeGreaterThan(1000)
    expect(seen.slowestMs).toBeLessThan(1000)
  } finally {
    child.kill('SIGKILL')
  }
})

test('the last lines before process.exit are written', async () => {
  const child = startLogging(`for (let i = 0; i < 500; i++) log.info({ i }, 'line'); process.exit(3)`)
  const [output, [code]] = await Promise.all([text(child.stdout!), once(child, 'exit')])
  expect(code).toBe(3)
  expect(output.trimEnd().split('\n')).toHaveLength(500)
})

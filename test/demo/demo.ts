/**
 * `npm run demo`: the whole pattern on this machine, from certificates to an outage of the identity provider, in less
 * than a minute. Exit code 0 only if every line is as expected. `--keep` leaves all running and says what to try.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { NumberedTelemetry } from '../support/numbered-telemetry.ts'
import { startPattern } from '../support/whole-pattern.ts'
import { play, RATE } from './acts.ts'
import { saveMetrics, showCommands, showFiles, showLogs, tidyFolder } from './afterwards.ts'
import { judge } from './checks.ts'
import { startOtelcol } from './otelcol.ts'
import { Screen } from './screen.ts'
import { Arrivals, DemoFailure, Stage } from './stage.ts'

const TOKEN_LIFE_SECONDS = 10
/** Where the stock exporter begins with 5 s. RetryInfo is kept as it is. */
const RETRY = { initialMs: 500, maxElapsedMs: 0 }
const EXIT = { good: 0, failed: 1, usage: 2, interrupted: 130 }

const screen = new Screen(process.stdout)
const interruption = new AbortController()
let signals = 0
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    if (++signals > 1) process.exit(EXIT.interrupted)
    interruption.abort()
  })
}

function readArguments(): { keep: boolean } {
  try {
    const { values } = parseArgs({ options: { keep: { type: 'boolean', default: false } } })
    return values
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\nusage: npm run demo -- [--keep]\n`)
    return process.exit(EXIT.usage)
  }
}

/** Starts everything, plays, and ends everything. Gives the exit code. */
async function run(keep: boolean): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'authgw-demo-'))
  const otelcol = process.env['OTELCOL_BIN']
  const arrivals = new Arrivals()
  screen.title('authgw demo: telemetry from one cluster to another, and a token on every call', folder)
  const pattern = await startPattern({
    folder,
    tokenLifeSeconds: TOKEN_LIFE_SECONDS,
    retry: RETRY,
    onArrival: arrivals.note,
    onStarted: (part, detail) => screen.step(true, part, detail),
    ...(otelcol && { startMiddle: (endpoint: string) => startOtelcol(otelcol, folder, endpoint) }),
  }).catch((error: unknown) => {
    rmSync(folder, { recursive: true, force: true })
    throw error
  })
  screen.note(
    `The SDK's gRPC exporter does not retry; the collector does, here from ${RETRY.initialMs / 1000} s on instead of 5 s.`,
  )
  const telemetry = new NumberedTelemetry({ endpoint: pattern.collector.endpoint })
  const stage = new Stage({
    pattern,
    telemetry,
    screen,
    arrivals,
    interrupted: interruption.signal,
    isBehindCollector: Boolean(otelcol),
  })
  try {
    const findings = await play(stage, TOKEN_LIFE_SECONDS * 1_000)
    const isGood = await judge(stage, findings, TOKEN_LIFE_SECONDS * 1_000)
    if (keep) {
      telemetry.run(RATE)
      showCommands(pattern, screen)
      await untilInterrupted()
    } else {
      await saveMetrics(pattern)
      showFiles(pattern, screen)
    }
    return isGood ? EXIT.good : EXIT.failed
  } catch (error) {
    if (interruption.signal.aborted) return EXIT.interrupted
    screen.title('The demo has failed')
    screen.note(error instanceof DemoFailure ? error.message : String((error as Error).stack))
    showLogs(pattern, screen)
    screen.note(`Configurations and whole logs: ${folder}`)
    return EXIT.failed
  } finally {
    await telemetry.close()
    await pattern.close()
    tidyFolder(pattern)
  }
}

async function untilInterrupted(): Promise<void> {
  while (!interruption.signal.aborted)
    await sleep(60_000, undefined, { signal: interruption.signal }).catch(() => {})
}

const startMs = performance.now()
const code = await run(readArguments().keep).catch((error: unknown) => {
  screen.title('The demo could not start')
  screen.note(error instanceof Error ? error.message : String(error))
  return EXIT.failed
})
const seconds = Math.round((performance.now() - startMs) / 1000)
screen.line('')
screen.step(
  code === EXIT.good,
  code === EXIT.good ? 'as expected' : code === EXIT.interrupted ? 'interrupted' : 'NOT as expected',
  `${seconds} s; everything that was started has been stopped`,
)
process.exit(code)

/**
 * The campaign: numbered spans at a steady rate through both gateways while one fault after the other happens; nothing may
 * be lost, and nothing may be answered in a way that makes a stock exporter drop it. Prints a table and writes it to
 * bench/results/, under the hash of the tree of src/.
 *
 * ```sh
 * npm run test:campaign                            # everything, about half an hour
 * npm run test:campaign -- --short                 # a few minutes
 * npm run test:campaign -- --only provider-down --rate 200
 * OTELCOL_BIN=… npm run test:campaign -- --short   # stock collectors at both ends
 * ```
 */
import { loadavg } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { waitFor } from '../support/gateway-pair.ts'
import { measuredOn, writeResults } from '../support/results-file.ts'
import { startOtelcol } from '../demo/otelcol.ts'
import { Bed } from './bed.ts'
import { COUNTED, FAULTS } from './faults.ts'
import type { Fault, FaultTerms } from './faults.ts'
import { complaintsOf, longestGapSeconds, minGapSeconds, rounded, tableOf } from './judge.ts'
import type { FaultResult } from './judge.ts'
import { Probe, Sender } from './sender.ts'
import { startStock } from './stock.ts'
import type { StockCollectors } from './stock.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const WARM_UP_MS = 2_000
/** Calls must pass within this after a fault, or the campaign goes on without waiting longer. */
const PATIENCE_MS = 60_000
const DRAIN_MS = 180_000

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    short: { type: 'boolean', default: false },
    rate: { type: 'string', default: '500' },
    'seconds-scale': { type: 'string', default: '1' },
    out: { type: 'string' },
  },
})
const isShort = values.short
const scale = Number(values['seconds-scale'])
const perSecond = Number(values.rate)
/** In a short campaign the exporter waits a fifth of what the stock one waits. */
const retryScale = isShort ? 0.2 : 1

const terms: FaultTerms = {
  lasting: (full, short) => sleep((isShort ? short : full) * scale * 1_000),
  times: (full, short) => (isShort ? short : full),
}

async function runFault(bed: Bed, fault: Fault): Promise<FaultResult> {
  const upstream = `127.0.0.1:${bed.ports.workload}`
  const probe = new Probe(upstream)
  await waitFor(() => probe.firstSuccessAfter(0) !== null, PATIENCE_MS, 'calls pass before the fault')
  const sender = new Sender({ upstream: stock?.front ?? upstream, perSecond, retryScale })
  const failuresBefore = (await stock?.failures()) ?? 0
  const firstNumber = numbersUsed
  sender.skipTo(firstNumber)
  sender.start()
  await sleep(WARM_UP_MS)

  const repeatsBefore = bed.receiver.arrived.traces.repeats
  const startMs = performance.now()
  await fault.run(bed, terms)
  const endMs = performance.now()
  const progress = (): number => bed.receiver.arrived.traces.distinct
  const arrivedAtEnd = progress()
  await waitFor(() => probe.firstSuccessAfter(endMs) !== null, PATIENCE_MS, 'calls pass').catch(() => {})
  const passedMs = probe.firstSuccessAfter(endMs) ?? Infinity
  await waitFor(() => progress() > arrivedAtEnd, PATIENCE_MS, 'the sender goes on').catch(() => {})
  const senderPassedMs = performance.now()
  await sleep(1_000)
  sender.pause()
  await sender.exporter.drained(DRAIN_MS)
  const missing = (): number =>
    bed.receiver.arrived.traces.missing(sender.nextNumber - firstNumber, firstNumber).length
  // What a stock collector still has in its queue is late, not lost.
  if (stock !== null) await waitFor(() => missing() === 0, DRAIN_MS, 'the queue is empty').catch(() => {})
  const drainedMs = performance.now()
  probe.close()
  numbersUsed = sender.nextNumber

  const { stats } = sender.exporter
  const tokenMs = bed.workloadProxy.attempts(COUNTED.token).filter((atMs) => atMs >= startMs && atMs <= endMs)
  const keyMs = bed.controlPlaneProxy
    .attempts(COUNTED.keys)
    .filter((atMs) => atMs >= startMs && atMs <= drainedMs)
  const minuteMs = startMs + 60_000
  const minutesAfter = (endMs - minuteMs) / 60_000
  const isPaced = fault.isOutage === true && minutesAfter > 0
  const result = {
    fault: fault.name,
    seconds: rounded((endMs - startMs) / 1_000),
    sent: stats.accepted + stats.refused,
    lost: missing(),
    repeats: bed.receiver.arrived.traces.repeats - repeatsBefore,
    permanentErrors:
      Object.values(stats.droppedByStatus).reduce((total, count) => total + count, 0) +
      ((await stock?.failures()) ?? 0) -
      failuresBefore,
    queueRefusals: stats.refused,
    retries: { ...stats.retriesByStatus },
    longestGapSeconds: longestGapSeconds(probe.tries),
    recoverySeconds: rounded((passedMs - endMs) / 1_000),
    senderRecoverySeconds: rounded((senderPassedMs - endMs) / 1_000),
    drainSeconds: rounded((drainedMs - endMs) / 1_000),
    maxWaiting: stats.maxWaiting,
    tokenFetches: tokenMs.length,
    minTokenFetchGapSeconds: minGapSeconds(tokenMs, bed.workloadStartsMs),
    tokenFetchesFirstMinute: isPaced ? tokenMs.filter((atMs) => atMs < minuteMs).length : null,
    tokenFetchesPerMinuteAfter: isPaced
      ? rounded(tokenMs.filter((atMs) => atMs >= minuteMs).length / minutesAfter)
      : null,
    keyFetches: keyMs.length,
    minKeyFetchGapSeconds: minGapSeconds(keyMs, bed.controlPlaneStartsMs),
  }
  sender.exporter.close()
  return { ...result, complaints: complaintsOf(fault, result, probe.tries) }
}

/** Numbers are never used twice within a campaign. */
let numbersUsed = 0

/** Of the start: a commit on the way is not what was measured. */
const on = measuredOn()
const loadBefore = loadavg()[0]!
const wanted = FAULTS.filter(({ name }) => values.only === undefined || values.only.includes(name))
if (wanted.length === 0) {
  process.stderr.write(`no such fault; there are ${FAULTS.map(({ name }) => name).join(', ')}\n`)
  process.exit(2)
}
const bed = new Bed()
const program = process.env['OTELCOL_BIN']
let stock: StockCollectors | null = null
const results: FaultResult[] = []
try {
  await bed.open({
    ...(program !== undefined && { behind: (receiver) => startOtelcol(program, bed.folder, receiver) }),
  })
  if (program !== undefined)
    stock = await startStock(program, bed.folder, `127.0.0.1:${bed.ports.workload}`, isShort)
  for (const fault of wanted) {
    const result = await runFault(bed, fault)
    results.push(result)
    process.stdout.write(`${fault.name}: ${result.complaints.join('; ') || 'ok'}\n`)
  }
} finally {
  await stock?.stop()
  await bed.close()
}
process.stdout.write(`\n${tableOf(results)}\n`)
const figures = {
  loadBefore,
  isShort,
  secondsScale: scale,
  perSecond,
  retryScale,
  collectors: stock === null ? 'stand-ins with the stock exporter’s retries' : 'stock, at both ends',
  results,
}
// Several campaigns of one day stay apart.
const name = `campaign-${on.startedAt.slice(0, 19).replaceAll(':', '')}.json`
const file = writeResults('campaign', on, figures, values.out ?? join(ROOT, 'bench/results', name))
process.stdout.write(`\nwritten to ${file}\n`)
process.exitCode = results.some(({ complaints }) => complaints.length > 0) ? 1 : 0

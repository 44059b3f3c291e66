/**
 * `npm run pattern5`: the multi-cluster pattern on the real systems, from the files of deploy/pattern-5, all on loopback:
 * telemetrygen and an SDK → agent → workload collector → authgw → mTLS → authgw → control-plane collector → Jaeger, with Keycloak.
 * Counts every hop, reads the traces back by id, then sends with one thing wrong at a time, and to and from stock collectors
 * that check and obtain tokens themselves. Exit code 0 only if all is as it should be; 77 where a program is absent.
 * `--keep` leaves it up; `--quick` sends less.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { sendThrough } from './pattern5/hops.ts'
import { Report } from './pattern5/report.ts'
import { trustBothWays } from './pattern5/trust.ts'
import { oneThingWrong, WRONG_CLIENTS, WRONG_REALM } from './pattern5/wrong.ts'
import { startPattern5 } from './rig/pattern.ts'
import { findPrograms } from './rig/programs.ts'
import { leaveRunning } from './rig/service.ts'
import { ABSENT } from './tools/run.ts'

const TOKEN_LIFE_SECONDS = 10

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { keep: { type: 'boolean', default: false }, quick: { type: 'boolean', default: false } },
  })
  const programs = await findPrograms()
  if (Array.isArray(programs)) {
    console.log(`ABSENT: ${programs.join(', ')}; npm run tools gets what can be had`)
    return ABSENT
  }
  const path = mkdtempSync(join(tmpdir(), 'authgw-pattern5-'))
  const report = new Report()
  let isKept = false
  report.title(`Start: tokens live ${TOKEN_LIFE_SECONDS} s; logs in ${path}`)
  const beganMs = performance.now()
  const pattern = await startPattern5({
    path,
    programs,
    tokenLifeSeconds: TOKEN_LIFE_SECONDS,
    clients: WRONG_CLIENTS,
    realms: [WRONG_REALM],
    onStarted: ({ name, pid }) => {
      const seconds = ((performance.now() - beganMs) / 1000).toFixed(1)
      report.line(`${seconds.padStart(6)} s  ${name}, process ${pid}`)
    },
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void pattern.close().finally(() => process.exit(130)))
  try {
    await sendThrough(pattern, report, values.quick ? { rate: 10, seconds: 22 } : { rate: 25, seconds: 30 })
    await oneThingWrong(pattern, report)
    await trustBothWays(pattern, report)
    isKept = values.keep
  } finally {
    if (!isKept) {
      await pattern.close()
      if (report.isGood) rmSync(path, { recursive: true, force: true })
    }
  }
  if (isKept) {
    leaveRunning()
    const { ports } = pattern.folder
    report.title('Left up')
    report.line(`agent        localhost:${ports.agent}`)
    report.line(`Jaeger       ${pattern.jaegerQuery}/api/traces?service=telemetrygen`)
    report.line(`Keycloak     ${pattern.keycloak.issuer()}`)
    report.line(`logs, files  ${path}`)
    report.line(`end it:      kill ${pattern.services.map(({ pid }) => pid).join(' ')}`)
  }
  report.title(report.isGood ? 'All as it should be' : `NOT as it should be; the logs are in ${path}`)
  return report.isGood ? 0 : 1
}

process.exitCode = await main()

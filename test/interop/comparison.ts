/**
 * `npm run comparison`: the same faults, at the same time, for the stock chain (`oauth2client` → TLS → `oidc`) and for authgw, with
 * stock collectors at both ends of each, once with default exporter settings and once with the recommended ones. Writes
 * bench/results/comparison-<date>.json, and docs/comparison.md from it. Exit code 1 if authgw lost anything; 77 where a program
 * is absent. `--only <words>` runs the faults whose names contain them and writes nothing; `--page` only writes the page again.
 */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { PROJECT } from '../support/project-files.ts'
import { measuredOn } from '../support/results-file.ts'
import { Chain, TOKEN_FILE } from './comparison/chain.ts'
import type { ChainPlan } from './comparison/chain.ts'
import { RATE, suffer } from './comparison/fault.ts'
import type { Outcome } from './comparison/fault.ts'
import { latestResults, outcomeTable, writePage } from './comparison/page.ts'
import type { Results } from './comparison/page.ts'
import { makeRunFolder } from './rig/folder.ts'
import { Keycloak } from './rig/keycloak.ts'
import { findPrograms } from './rig/programs.ts'
import { becomes } from './rig/service.ts'
import { fetchToken, isQuick } from './rig/token.ts'
import { keycloak as keycloakComponent } from './tools/catalog.ts'
import { collector } from './tools/collector.ts'
import { ABSENT } from './tools/run.ts'

const TOKEN_LIFE_SECONDS = 60
const OUTAGE_MS = 120_000
const TOKEN_FILE_EVERY_MS = 20_000
/** The token in the file ends after 60 s, and authgw takes it 30 s longer (clock_skew). */
const NO_SCRIPT_MS = 110_000
/** How long Keycloak may take to become quick. */
const WARM_UP_MS = 60_000
/** Whose client the script that writes the token file is. */
const SCRIPT_CLIENT = 'authgw-file-default'

const PLANS: readonly ChainPlan[] = [
  { name: 'stock-default', middle: 'stock', endurance: 'default' },
  { name: 'stock-recommended', middle: 'stock', endurance: 'recommended' },
  { name: 'authgw-default', middle: 'authgw', endurance: 'default' },
  { name: 'authgw-recommended', middle: 'authgw', endurance: 'recommended' },
]
const FILE_PLANS: readonly ChainPlan[] = [
  { name: 'stock-file-default', middle: 'stock, token from a file', endurance: 'default' },
  { name: 'stock-file', middle: 'stock, token from a file', endurance: 'recommended' },
  { name: 'authgw-file-default', middle: 'authgw, token from a file', endurance: 'default' },
  { name: 'authgw-file', middle: 'authgw, token from a file', endurance: 'recommended' },
]

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { only: { type: 'string' }, page: { type: 'boolean', default: false } },
  })
  if (values.page) {
    writePage(latestResults())
    return 0
  }
  const programs = await findPrograms()
  if (Array.isArray(programs)) {
    console.log(`ABSENT: ${programs.join(', ')}; npm run tools gets what can be had`)
    return ABSENT
  }
  const folder = await makeRunFolder(mkdtempSync(join(tmpdir(), 'authgw-comparison-')), programs)
  console.log(`Logs in ${folder.path}`)
  const names = [...PLANS, ...FILE_PLANS].map(({ name }) => name)
  const keycloak = new Keycloak({
    program: programs.keycloak,
    folder: folder.path,
    port: folder.ports.keycloak,
    secret: folder.secret,
    tokenLifeSeconds: TOKEN_LIFE_SECONDS,
    clients: Object.fromEntries(names.map((name) => [name, 'control-plane'])),
  })
  const chains: Chain[] = []
  const fileChains: Chain[] = []
  for (const plan of PLANS) chains.push(await Chain.make(folder, programs.otelcol, keycloak, plan))
  for (const plan of FILE_PLANS) fileChains.push(await Chain.make(folder, programs.otelcol, keycloak, plan))
  const all = [...chains, ...fileChains]
  const stopAll = async (): Promise<void> => {
    await Promise.all(all.map((chain) => chain.close()))
    await keycloak.service.stop()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void stopAll().finally(() => process.exit(130)))

  const outcomes: Outcome[] = []
  const { startedAt, node, cores, isSrcChanged, ...measured } = measuredOn()
  const source = measured.srcTree ?? 'unknown'
  if (isSrcChanged !== false) console.log('src differs from what is committed')
  const keep = async (fault: string, of: readonly Chain[], act: () => Promise<number>): Promise<void> => {
    if (values.only !== undefined && !fault.includes(values.only)) return
    console.log(`\n${new Date().toISOString().slice(11, 19)} ${fault}`)
    const found = await suffer(fault, of, keycloak, act)
    outcomes.push(...found)
    console.log(outcomeTable(found))
  }
  const { counter } = fileChains.find(({ plan }) => plan.name === SCRIPT_CLIENT)!
  /** The script of an operator: a token in a file, got again while the provider answers, else left as it is. */
  const writeToken = async (): Promise<void> => {
    const token = await fetchToken(counter.url, SCRIPT_CLIENT, folder.secret).catch(() => null)
    if (token !== null) writeFileSync(join(folder.path, TOKEN_FILE), token, { mode: 0o600 })
  }
  try {
    await keycloak.service.start()
    // A Keycloak that has just been started is slow, which is no fault of any chain's.
    await becomes(() => isQuick(writeToken), WARM_UP_MS)
    let script = setInterval(() => void writeToken(), TOKEN_FILE_EVERY_MS)
    for (const chain of all) await chain.start()
    await keep('no fault', all, async () => sleep(10_000, 10_000))
    await keep('Keycloak stopped for 2 minutes', chains, () => outage(keycloak, OUTAGE_MS))
    await keep('Keycloak restarted with new keys', chains, async () => {
      const beganMs = performance.now()
      await keycloak.service.stop()
      keycloak.forget()
      await keycloak.service.start()
      return performance.now() - beganMs
    })
    await writeToken()
    const expiry = keep('an expired token', fileChains, async () => {
      const beganMs = performance.now()
      clearInterval(script)
      await sleep(NO_SCRIPT_MS)
      await writeToken()
      script = setInterval(() => void writeToken(), TOKEN_FILE_EVERY_MS)
      return performance.now() - beganMs
    })
    await keep('control-plane collector restarted', chains, async () => {
      const beganMs = performance.now()
      await Promise.all(chains.map(({ end }) => end.stop()))
      await sleep(20_000)
      await Promise.all(chains.map(({ end }) => end.start()))
      return performance.now() - beganMs
    })
    await expiry
    clearInterval(script)
    await Promise.all(fileChains.map((chain) => chain.stop()))
    await Promise.all(chains.map((chain) => chain.stop()))
    await keycloak.service.stop()
    const downSinceMs = performance.now()
    for (const chain of chains) await chain.start(false)
    await keep('Keycloak down when the collectors start', chains, async () => {
      await sleep(25_000)
      await keycloak.service.start()
      return performance.now() - downSinceMs
    })
  } finally {
    await stopAll()
  }
  const sourceAtEnd = measuredOn().srcTree ?? 'unknown'
  const results: Results = {
    startedAt,
    source,
    ...(sourceAtEnd !== source && { sourceAtEnd }),
    collector: collector.version,
    keycloak: keycloakComponent.version,
    node,
    tokenLifeSeconds: TOKEN_LIFE_SECONDS,
    itemsPerSecond: RATE,
    loadAverage: Math.round(loadavg()[2]! * 10) / 10,
    processors: cores,
    outcomes,
  }
  if (values.only === undefined) {
    mkdirSync(join(PROJECT, 'bench/results'), { recursive: true })
    const file = `bench/results/comparison-${startedAt.slice(0, 10)}.json`
    writeFileSync(join(PROJECT, file), `${JSON.stringify(results, null, 2)}\n`)
    writePage({ file, results })
  }
  const ours = outcomes.filter(({ middle }) => middle.startsWith('authgw'))
  const lost = ours.reduce(
    (sum, outcome) => sum + outcome.lost.traces + outcome.lost.metrics + outcome.lost.logs,
    0,
  )
  console.log(
    `\nauthgw lost ${lost}; ${ours.filter(({ isSettled }) => !isSettled).length} chains not settled`,
  )
  return lost === 0 ? 0 : 1
}

async function outage(keycloak: Keycloak, ms: number): Promise<number> {
  const beganMs = performance.now()
  await keycloak.service.stop()
  await sleep(ms)
  await keycloak.service.start()
  return performance.now() - beganMs
}

process.exitCode = await main()

/**
 * A flood of tokens at a control plane gateway: random key ids, with the provider up and then down, and forged signatures
 * under a key id that exists. Judged are the provider's load, the honest caller's p99, and the gateway's memory.
 *
 * ```sh
 * node test/campaign/kids.ts                 # a million of each at 5,000/s, some ten minutes
 * node test/campaign/kids.ts --count 20000 --per-second 2000
 * ```
 */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { KEYS_PATH } from '../support/fault-proxy.ts'
import { readMetrics } from '../support/gateway-readings.ts'
import { Bed } from './bed.ts'
import { FloodClient, startHonest } from './flood-client.ts'

/** How large a flood. */
export interface FloodSize {
  readonly count: number
  readonly perSecond: number
  /** Of honest calls, a token of their own on a connection of their own. */
  readonly honestPerSecond: number
}

/** What a flood came to. */
export interface FloodResult {
  readonly flood: string
  readonly sent: number
  readonly perSecond: number
  /** Answers by grpc-status; `cut` for calls whose connection was closed on them. */
  readonly answers: Readonly<Record<string, number>>
  readonly keyFetches: number
  readonly minKeyFetchGapSeconds: number | null
  readonly signatureChecks: number
  readonly honestCalls: number
  readonly honestFailures: number
  /** Of honest calls beside the flood, and before it. */
  readonly honestP50Ms: number
  readonly honestP99Ms: number
  readonly baseP50Ms: number
  readonly baseP99Ms: number
  /** Of the gateway, for each call of the flood and beside it. */
  readonly cpuPerCallUs: number
  readonly rssBeforeMib: number
  readonly rssAfterMib: number
  readonly rssMaxMib: number
}

const TICK_MS = 5
/** Calls in flight at most: an attacker does not wait, but sockets have ends. */
const MAX_IN_FLIGHT = 200
/** Glitches of forged signatures close connections: an attacker opens others. */
const ATTACK_CONNECTIONS = 8

const percentile = (sorted: readonly number[], share: number): number =>
  Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) * 100) / 100

/** Seconds that a process has spent on the CPU; a tick of /proc is 10 ms. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

function rssMib(pid: number): number {
  const line = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Math.round(Number(line?.[1] ?? 0) / 1_024)
}

const targetOf = (bed: Bed) => ({ port: bed.ports.control_plane, folder: bed.folder })

async function attack(bed: Bed, size: FloodSize, makeToken: (number: number) => string) {
  const clients = Array.from({ length: ATTACK_CONNECTIONS }, () => new FloodClient(targetOf(bed)))
  const answers: Record<string, number> = {}
  const startMs = performance.now()
  let sent = 0
  const state = { inFlight: 0 }
  const note = (status: string): void => {
    state.inFlight--
    answers[status] = (answers[status] ?? 0) + 1
  }
  while (sent < size.count) {
    const due = Math.min(size.count, Math.floor(((performance.now() - startMs) * size.perSecond) / 1_000))
    for (; sent < due && state.inFlight < MAX_IN_FLIGHT; sent++) {
      state.inFlight++
      void clients[sent % clients.length]!.call(makeToken(sent)).then(note)
    }
    await sleep(TICK_MS)
  }
  const seconds = (performance.now() - startMs) / 1_000
  while (state.inFlight > 0) await sleep(TICK_MS)
  for (const client of clients) client.close()
  return { answers, sent, perSecond: Math.round(sent / seconds) }
}

/** Runs one flood and looks at everything around it. */
export async function runFlood(
  bed: Bed,
  flood: string,
  size: FloodSize,
  makeToken: (number: number) => string,
): Promise<FloodResult> {
  const honestToken = await bed.provider.mintToken({ exp: Math.floor(Date.now() / 1_000) + 3_600 })
  const { pid } = bed.gateways.control_plane!
  const terms = { target: targetOf(bed), token: honestToken, perSecond: size.honestPerSecond }
  const calm = await startHonest(terms)
  await sleep(3_000)
  const base = await calm.stop()
  const readChecks = async (): Promise<number> =>
    (await readMetrics(bed.ports.controlPlaneAdmin)).sum('authgw_signature_checks_total')
  const checksBefore = await readChecks()
  const rssBeforeMib = rssMib(pid)
  const cpuBefore = cpuSeconds(pid)
  let rssMaxMib = rssBeforeMib
  const watch = setInterval(() => (rssMaxMib = Math.max(rssMaxMib, rssMib(pid))), 500)
  const startMs = performance.now()
  const honest = await startHonest(terms)
  const { answers, sent, perSecond } = await attack(bed, size, makeToken)
  const { timesMs: sorted, failures } = await honest.stop()
  clearInterval(watch)
  const cpuPerCallUs = Math.round(((cpuSeconds(pid) - cpuBefore) * 1e6) / (sent + sorted.length))
  const attempts = bed.controlPlaneProxy.attempts(KEYS_PATH).filter((atMs) => atMs >= startMs)
  const gaps = attempts.slice(1).map((atMs, index) => (atMs - attempts[index]!) / 1_000)
  return {
    flood,
    sent,
    perSecond,
    answers,
    keyFetches: attempts.length,
    minKeyFetchGapSeconds: gaps.length === 0 ? null : Math.round(Math.min(...gaps) * 100) / 100,
    signatureChecks: (await readChecks()) - checksBefore,
    honestCalls: sorted.length,
    honestFailures: failures,
    baseP50Ms: percentile(base.timesMs, 0.5),
    honestP50Ms: percentile(sorted, 0.5),
    baseP99Ms: percentile(base.timesMs, 0.99),
    honestP99Ms: percentile(sorted, 0.99),
    cpuPerCallUs,
    rssBeforeMib,
    rssAfterMib: rssMib(pid),
    rssMaxMib,
  }
}

/** The three floods: random kids with the provider up, then down, then forged signatures. */
export async function runFloods(bed: Bed, size: FloodSize): Promise<FloodResult[]> {
  const nowSeconds = Math.floor(Date.now() / 1_000)
  const real = await bed.provider.mintToken({ exp: nowSeconds + 7_200 })
  const [header, claims, signature] = real.split('.') as [string, string, string]
  const decoded = JSON.parse(Buffer.from(header, 'base64url').toString()) as object
  const withRandomKid = (): string =>
    `${Buffer.from(JSON.stringify({ ...decoded, kid: randomUUID() })).toString('base64url')}.${claims}.${signature}`
  const forged = (number: number): string =>
    `${header}.${claims}.${number.toString(36).padStart(8, 'A')}${signature.slice(8)}`
  const results = [await runFlood(bed, 'random kids, provider up', size, withRandomKid)]
  bed.controlPlaneProxy.misbehave('*', { kind: 'cut' })
  results.push(await runFlood(bed, 'random kids, provider down', size, withRandomKid))
  bed.controlPlaneProxy.heal()
  results.push(await runFlood(bed, 'forged signatures', size, forged))
  return results
}

/** Lines for people. */
export function floodTable(results: readonly FloodResult[]): string {
  return results
    .map(
      (r) =>
        `${r.flood}: ${r.sent} at ${r.perSecond}/s, answers ${JSON.stringify(r.answers)}, key fetches ${r.keyFetches}` +
        ` (min gap ${r.minKeyFetchGapSeconds ?? '–'} s), signatures checked ${r.signatureChecks},` +
        ` honest p50 ${r.honestP50Ms} and p99 ${r.honestP99Ms} ms (alone ${r.baseP50Ms} and ${r.baseP99Ms} ms), honest failures ${r.honestFailures} of ${r.honestCalls},` +
        ` CPU of the gateway ${r.cpuPerCallUs} µs a call, RSS ${r.rssBeforeMib} → ${r.rssAfterMib} MiB (max ${r.rssMaxMib})`,
    )
    .join('\n')
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      count: { type: 'string', default: '1000000' },
      'per-second': { type: 'string', default: '5000' },
      'honest-per-second': { type: 'string', default: '100' },
    },
  })
  const bed = new Bed()
  try {
    await bed.open()
    const results = await runFloods(bed, {
      count: Number(values.count),
      perSecond: Number(values['per-second']),
      honestPerSecond: Number(values['honest-per-second']),
    })
    process.stdout.write(`${floodTable(results)}\n`)
  } finally {
    await bed.close()
  }
}

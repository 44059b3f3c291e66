/**
 * Floods of tokens at a control plane gateway: random key ids, with the provider up and then down, and forged signatures
 * under a key id that exists. Judged are the provider's load, an honest caller's p99, and the gateway's memory.
 *
 * The callers share the machine with the gateway. On two cores the flood alone takes one of them, whatever the gateway makes of
 * it; so the honest caller is timed alone, beside an equally loud load of honest calls, and beside each flood, and a flood is
 * compared with the equally loud load.
 *
 * ```sh
 * npm run test:floods                                      # a million of each at 5,000/s, some eleven minutes
 * npm run test:floods -- --count 100000 --out /tmp/f.json
 * ```
 */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { KEYS_PATH } from '../support/fault-proxy.ts'
import { readMetrics } from '../support/gateway-readings.ts'
import { measuredOn, writeResults } from '../support/results-file.ts'
import { Bed } from './bed.ts'
import { startCaller } from './flood-client.ts'
import type { CallerReport, TokenRecipe } from './flood-client.ts'

/** How large a flood. */
export interface FloodSize {
  readonly count: number
  readonly perSecond: number
  /** Of the honest caller, with a token of its own on a connection of its own. */
  readonly honestPerSecond: number
  /** Of the two phases that floods are compared with. */
  readonly baseSeconds: number
}

/** What a phase came to. */
export interface FloodResult {
  readonly phase: string
  readonly sent: number
  readonly perSecond: number
  /** Answers by grpc-status; `cut` for calls whose connection was closed on them. */
  readonly answers: Readonly<Record<string, number>>
  readonly keyFetches: number
  readonly minKeyFetchGapSeconds: number | null
  readonly signatureChecks: number
  readonly honestCalls: number
  readonly honestFailures: number
  readonly honestP50Ms: number
  readonly honestP99Ms: number
  /** Of the gateway, for each call of the phase. */
  readonly cpuPerCallUs: number
  /** Resident memory: largest in the second quarter of the phase, and in the last. */
  readonly rssEarlyMib: number
  readonly rssLateMib: number
  /** What its heap does not give back: smallest in the second quarter, and in the last. */
  readonly heapEarlyMib: number
  readonly heapLateMib: number
  /** What is not as it must be. */
  readonly complaints: readonly string[]
}

/** A loud load comes on so many connections; an honest caller has one of its own. */
const LOUD_CONNECTIONS = 8
const LOUD_IN_FLIGHT = 200
/** Keys are fetched at most once in 10 s; clocks and the proxy are a little off. */
const MIN_KEY_GAP_SECONDS = 9.8
/** What the honest caller may lose to a flood, against an equally loud honest load. */
const MAX_SLOWDOWN = 2
/** A heap breathes; a leak of 50 octets a call would make 24 MiB between those quarters of a million calls. */
const MAX_HEAP_GROWTH_MIB = 16
/** The allocator takes its time to settle: most of it in the first minute. */
const MAX_RSS_GROWTH_MIB = 64
/** How often memory is looked at, in ms: each look is a scrape. */
const WATCH_MS = 1_000

/** A quarter of a list, counted from 1. */
const quarter = (list: readonly number[], number: number): readonly number[] =>
  list.slice(Math.floor((list.length * (number - 1)) / 4), Math.ceil((list.length * number) / 4))

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

/** Looks at the gateway's memory until `end`, which says how it went. */
function watchMemory(bed: Bed) {
  const { pid } = bed.gateways.control_plane!
  const rss: number[] = []
  const heap: number[] = []
  const look = async (): Promise<void> => {
    rss.push(rssMib(pid))
    const readings = await readMetrics(bed.ports.controlPlaneAdmin)
    heap.push(Math.round(readings.sum('nodejs_heap_size_used_bytes') / 1_048_576))
  }
  // A scrape that comes too late under a flood is left out.
  const timer = setInterval(() => void look().catch(() => {}), WATCH_MS)
  return {
    end() {
      clearInterval(timer)
      return {
        rssEarlyMib: Math.max(0, ...quarter(rss, 2)),
        rssLateMib: Math.max(0, ...quarter(rss, 4)),
        heapEarlyMib: Math.min(...quarter(heap, 2)),
        heapLateMib: Math.min(...quarter(heap, 4)),
      }
    },
  }
}

/** Runs a phase: the honest caller beside `loud`, or alone for a while. */
async function runPhase(
  bed: Bed,
  phase: string,
  honestToken: string,
  size: FloodSize,
  loud: TokenRecipe | null,
): Promise<Omit<FloodResult, 'complaints'>> {
  const { pid } = bed.gateways.control_plane!
  const target = { port: bed.ports.control_plane, folder: bed.folder }
  const readChecks = async (): Promise<number> =>
    (await readMetrics(bed.ports.controlPlaneAdmin)).sum('authgw_signature_checks_total')
  const checksBefore = await readChecks()
  const cpuBefore = cpuSeconds(pid)
  const memory = watchMemory(bed)
  const startMs = performance.now()
  const honest = await startCaller({
    target,
    tokens: { kind: 'as it is', token: honestToken },
    perSecond: size.honestPerSecond,
    count: Infinity,
    connections: 1,
    isLean: false,
    maxInFlight: 1_000,
  })
  let loudReport: CallerReport = { sent: 0, seconds: 1, answers: {}, timesMs: [] }
  if (loud === null) await sleep(size.baseSeconds * 1_000)
  else {
    const count = loud.kind === 'as it is' ? size.baseSeconds * size.perSecond : size.count
    const terms = { target, tokens: loud, count, perSecond: size.perSecond, isLean: true }
    const caller = await startCaller({ ...terms, connections: LOUD_CONNECTIONS, maxInFlight: LOUD_IN_FLIGHT })
    loudReport = await caller.ended
  }
  const { answers, timesMs } = await honest.stop()
  const calls = loudReport.sent + Object.values(answers).reduce((total, times) => total + times, 0)
  const cpuPerCallUs = Math.round(((cpuSeconds(pid) - cpuBefore) * 1e6) / calls)
  const attempts = bed.controlPlaneProxy.attempts(KEYS_PATH).filter((atMs) => atMs >= startMs)
  const gaps = attempts.slice(1).map((atMs, index) => (atMs - attempts[index]!) / 1_000)
  return {
    phase,
    sent: loudReport.sent,
    perSecond: Math.round(loudReport.sent / loudReport.seconds),
    answers: loudReport.answers,
    keyFetches: attempts.length,
    minKeyFetchGapSeconds: gaps.length === 0 ? null : Math.round(Math.min(...gaps) * 100) / 100,
    signatureChecks: (await readChecks()) - checksBefore,
    honestCalls: calls - loudReport.sent,
    honestFailures: calls - loudReport.sent - (answers['0'] ?? 0),
    honestP50Ms: percentile(timesMs, 0.5),
    honestP99Ms: percentile(timesMs, 0.99),
    cpuPerCallUs,
    ...memory.end(),
  }
}

/** What of a flood is not as it must be. */
function complaintsOf(result: Omit<FloodResult, 'complaints'>, baseP99Ms: number): string[] {
  const complaints: string[] = []
  if ((result.answers['0'] ?? 0) > 0) complaints.push(`${result.answers['0']} tokens were accepted`)
  if (result.honestFailures > 0) complaints.push(`${result.honestFailures} honest calls failed`)
  if (result.minKeyFetchGapSeconds !== null && result.minKeyFetchGapSeconds < MIN_KEY_GAP_SECONDS)
    complaints.push(`key fetches ${result.minKeyFetchGapSeconds} s apart`)
  if (result.honestP99Ms > MAX_SLOWDOWN * baseP99Ms)
    complaints.push(`honest p99 ${result.honestP99Ms} ms, beside an equally loud honest load ${baseP99Ms} ms`)
  const heapGrowthMib = result.heapLateMib - result.heapEarlyMib
  if (heapGrowthMib > MAX_HEAP_GROWTH_MIB) complaints.push(`the heap grew by ${heapGrowthMib} MiB`)
  const growthMib = result.rssLateMib - result.rssEarlyMib
  if (growthMib > MAX_RSS_GROWTH_MIB) complaints.push(`memory grew by ${growthMib} MiB`)
  return complaints
}

/** The honest caller alone, beside an equally loud honest load, and beside the three floods. */
export async function runFloods(bed: Bed, size: FloodSize): Promise<FloodResult[]> {
  const exp = Math.floor(Date.now() / 1_000) + 7_200
  // Tokens of their own: what is remembered of one says nothing of the other.
  const [token, loudToken] = await Promise.all([
    bed.provider.mintToken({ exp }),
    bed.provider.mintToken({ exp }),
  ])
  const run = (phase: string, loud: TokenRecipe['kind'] | null) =>
    runPhase(bed, phase, token, size, loud === null ? null : { kind: loud, token: loudToken })
  const alone = await run('alone', null)
  const base = await run('equally loud honest load', 'as it is')
  const results: FloodResult[] = [alone, base].map((result) => ({ ...result, complaints: [] }))
  const flood = async (phase: string, kind: TokenRecipe['kind']): Promise<void> => {
    const result = await run(phase, kind)
    results.push({ ...result, complaints: complaintsOf(result, base.honestP99Ms) })
  }
  await flood('random kids, provider up', 'random kid')
  bed.controlPlaneProxy.misbehave('*', { kind: 'cut' })
  await flood('random kids, provider down', 'random kid')
  bed.controlPlaneProxy.heal()
  await flood('forged signatures', 'forged signature')
  return results
}

/** A line for people. */
export const floodLine = (r: FloodResult): string =>
  `${r.phase}: ${r.sent} at ${r.perSecond}/s, answers ${JSON.stringify(r.answers)}, key fetches ${r.keyFetches}` +
  ` (min gap ${r.minKeyFetchGapSeconds ?? '–'} s), signatures checked ${r.signatureChecks},` +
  ` honest p50 ${r.honestP50Ms} and p99 ${r.honestP99Ms} ms, honest failures ${r.honestFailures} of ${r.honestCalls},` +
  ` CPU of the gateway ${r.cpuPerCallUs} µs a call, RSS ${r.rssEarlyMib} → ${r.rssLateMib} MiB, heap ${r.heapEarlyMib} → ${r.heapLateMib} MiB:` +
  ` ${r.complaints.join('; ') || 'ok'}\n`

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      count: { type: 'string', default: '1000000' },
      'per-second': { type: 'string', default: '5000' },
      'honest-per-second': { type: 'string', default: '100' },
      out: { type: 'string' },
    },
  })
  const size: FloodSize = {
    count: Number(values.count),
    perSecond: Number(values['per-second']),
    honestPerSecond: Number(values['honest-per-second']),
    baseSeconds: 20,
  }
  const on = measuredOn()
  const bed = new Bed()
  try {
    await bed.open()
    const results = await runFloods(bed, size)
    for (const result of results) process.stdout.write(floodLine(result))
    const method =
      'p99 of an honest caller beside each flood against its p99 beside an equally loud honest load: ' +
      'the callers share the cores with the gateway, so that the time alone would show what the load generator takes'
    process.stdout.write(
      `written to ${writeResults('floods', on, { ...size, method, results }, values.out)}\n`,
    )
    if (results.some(({ complaints }) => complaints.length > 0)) process.exitCode = 1
  } finally {
    await bed.close()
  }
}

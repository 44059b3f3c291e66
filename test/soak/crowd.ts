/**
 * `npm run test:crowd`: a crowd before one control plane process. 10,000 idle connections with client certificates and 1,000
 * busy streams come and go, in rounds; then 100 TLS handshakes a second for some minutes; and the memory of an idle
 * connection beside that of a bare node:tls server. The figures go to bench/results/crowd-DATE.json, or to `--out FILE`.
 *
 * Options: `--idle N`, `--busy N`, `--rounds N`, `--hold SECONDS`, `--minutes N` of churn, `--rate N` handshakes a second.
 * It needs `ulimit -n` of twice the connections and a few hundred more, and says so if there are fewer.
 *
 * The base is what the process holds before the first crowd, when it has given back what its start left (ADR 0017). Its
 * resident memory, as it is found, has to be back there soon after each round, and so have its files. Memory is then read
 * once more after a collection, for which the process is started with an inspector: the heap in use, which swings by tens of
 * MiB between two collections, has to be back at its base too. A bare node:tls server plays the same rounds: it says what a
 * connection costs at least, and what stays when nobody gives it back.
 */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { openFileLimit } from '../../src/net/index.ts'
import { shippedEnv } from '../support/as-shipped.ts'
import { makePki } from '../support/dev-pki.ts'
import type { Pki } from '../support/dev-pki.ts'
import { freePort } from '../support/free-port.ts'
import { startGateway } from '../support/gateway-process.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { readMetrics } from '../support/gateway-readings.ts'
import { TestIssuer } from '../support/issuer.ts'
import { measuredOn, writeResults } from '../support/results-file.ts'
import type { KidOrder, KidReport, KidStart, KidTls } from './crowd-kid.ts'
import { collectGarbage, fileCount, MIB, rssOf } from './gauges.ts'
import type { MemorySample } from './gauges.ts'

const SETTLE_MS = 5_000
const SAMPLE_MS = 2_000
const WARM_UP = 300
const BUSY_CONNECTIONS = 10
const TOKEN_LIFE_SECONDS = 24 * 3_600
/** Egress connections that the pool may keep, and files that are open for a moment. */
const SPARE_FILES = 12
/** Above the base: verdicts, plans and heads that are remembered. */
const MAX_HEAP_GROWTH_MIB = 4
/** Above the base, when a crowd has gone: caches, compiled code, and what one collection leaves. */
const SPARE_MIB = 8
/** From a churn's second minute to its fifth: after 18,000 handshakes, so that 240 octets that each left behind are seen. */
const MAX_CHURN_MIB = 4
/** For the start's give-back: two looks, and a moment. */
const START_MS = 15_000
/** How long memory may take to go back: two looks, and the pause after the last time (src/net/ebb.ts). */
const BACK_MS = 45_000
const MAX_RATIO = 1.1

const { values } = parseArgs({
  options: {
    idle: { type: 'string', default: '10000' },
    busy: { type: 'string', default: '1000' },
    rounds: { type: 'string', default: '3' },
    hold: { type: 'string', default: '20' },
    minutes: { type: 'string', default: '5' },
    rate: { type: 'string', default: '100' },
    out: { type: 'string' },
  },
})
const [idle, busy, rounds, holdS, minutes, perSecond] = (
  ['idle', 'busy', 'rounds', 'hold', 'minutes', 'rate'] as const
).map((name) => Number(values[name])) as [number, number, number, number, number, number]

interface Gauge {
  readonly rssBytes: number
  /** After a collection. */
  readonly collectedBytes: number
  /** JavaScript heap in use after it. */
  readonly heapBytes: number
  readonly files: number
}

/** A process that is weighed. */
interface Weighed {
  readonly pid: number
  readonly inspectorPort: number
}

async function weigh({ pid, inspectorPort }: Weighed): Promise<Gauge> {
  const found = { rssBytes: rssOf(pid), files: fileCount(pid) }
  await collectGarbage(inspectorPort)
  await sleep(500)
  const heapBytes = await collectGarbage(inspectorPort)
  return { ...found, collectedBytes: rssOf(pid), heapBytes }
}

/** A process of crowd-kid.ts. */
class Kid {
  readonly process: ChildProcess
  constructor(role: 'upstream' | 'bare' | 'clients', execArgv: readonly string[] = []) {
    this.process = fork(join(import.meta.dirname, 'crowd-kid.ts'), [role], {
      env: { ...process.env, ...shippedEnv() },
      execArgv: [...execArgv],
    })
  }
  answer<T>(message: KidStart | KidOrder): Promise<T> {
    return new Promise((done, fail) => {
      const onExit = (code: number | null): void => fail(new Error(`a process of the crowd ended (${code})`))
      this.process.once('exit', onExit)
      this.process.once('message', (answer) => {
        this.process.off('exit', onExit)
        done(answer as T)
      })
      this.process.send(message)
    })
  }
  get pid(): number {
    return this.process.pid!
  }
}

/** Waits until the resident memory is at the base again, for so long as that may take. Gives the seconds. */
async function back(pid: number, base: Gauge): Promise<number> {
  const beganMs = performance.now()
  const isBack = (): boolean => rssOf(pid) <= base.rssBytes + SPARE_MIB * MIB
  while (!isBack() && performance.now() - beganMs < BACK_MS) await sleep(500)
  return Math.round((performance.now() - beganMs) / 1000)
}

/** Waits until the gateway has let go of every connection, for ten seconds at most. */
async function emptied(gateway: GatewayProcess): Promise<void> {
  for (const endMs = performance.now() + 10_000; performance.now() < endMs; await sleep(200)) {
    const readings = await readMetrics(gateway.ports['admin']!)
    if (readings.sum('authgw_ingress_connections') === 0) return
  }
}

interface ChurnSample extends MemorySample {
  readonly files: number
}

interface Round {
  readonly openSeconds: number
  readonly failed: number
  readonly withIdle: Gauge
  readonly withBusy: Pick<Gauge, 'rssBytes' | 'files'>
  readonly messages: number
  readonly broken: number
  /** Idle connections that still stood when the busy streams had ended. */
  readonly stood: number
  /** From the moment at which the last connection was gone until the memory was back. */
  readonly backSeconds: number
  readonly end: Gauge
}

async function playRound(
  base: Gauge,
  gateway: GatewayProcess,
  weighed: Weighed,
  clients: Kid,
  port: number,
): Promise<Round> {
  const beganMs = performance.now()
  const { failed } = await clients.answer<KidReport>({ do: 'open', port, count: idle })
  const openSeconds = Math.round((performance.now() - beganMs) / 100) / 10
  await sleep(SETTLE_MS)
  const withIdle = await weigh(weighed)
  // Not collected: that would only hold up the streams.
  await clients.answer({ do: 'busy', port, connections: BUSY_CONNECTIONS, streams: busy })
  await sleep(holdS * 1000)
  const withBusy = { rssBytes: rssOf(gateway.pid), files: fileCount(gateway.pid) }
  const { messages, broken, open: stood } = await clients.answer<KidReport>({ do: 'rest' })
  await clients.answer({ do: 'close' })
  await emptied(gateway)
  const backSeconds = await back(gateway.pid, base)
  const end = await weigh(weighed)
  return { openSeconds, failed, withIdle, withBusy, messages, broken, stood, backSeconds, end }
}

interface Bare {
  readonly base: Gauge
  /** `end`: as it is; `given`: after it was told to give back what is free. */
  readonly rounds: readonly { readonly withIdle: Gauge; readonly end: Gauge; readonly given: Gauge }[]
}

/** The same rounds, without calls, for the server that the gateway is compared with. */
async function playBare(clients: Kid, bare: Kid, port: number, inspectorPort: number): Promise<Bare> {
  const weighed = { pid: bare.pid, inspectorPort }
  await warmUp(clients, port)
  await bare.answer({ do: 'give back' })
  const base = await weigh(weighed)
  const played: Bare['rounds'][number][] = []
  for (let n = 1; n <= rounds; n++) {
    await clients.answer({ do: 'open', port, count: idle })
    await sleep(SETTLE_MS)
    const withIdle = await weigh(weighed)
    await clients.answer({ do: 'close' })
    await sleep(SETTLE_MS)
    const end = await weigh(weighed)
    // In the last round only: the rounds show what stays when nobody does.
    if (n === rounds) await bare.answer({ do: 'give back' })
    const given = n === rounds ? await weigh(weighed) : end
    played.push({ withIdle, end, given })
    console.log(`bare, round ${n}: ${[base, withIdle, end].map(shown).join(' → ')}`)
  }
  return { base, rounds: played }
}

async function warmUp(clients: Kid, port: number): Promise<void> {
  await clients.answer({ do: 'open', port, count: WARM_UP })
  await clients.answer({ do: 'close' })
  await sleep(SETTLE_MS)
}

async function playChurn(
  gateway: GatewayProcess,
  clients: Kid,
  port: number,
): Promise<{
  readonly opened: number
  readonly failed: number
  readonly samples: readonly ChurnSample[]
}> {
  const seconds = minutes * 60
  const samples: ChurnSample[] = []
  const beganMs = performance.now()
  const timer = setInterval(() => {
    const atSeconds = Math.round((performance.now() - beganMs) / 1000)
    samples.push({ atSeconds, rssBytes: rssOf(gateway.pid), files: fileCount(gateway.pid) })
  }, SAMPLE_MS)
  const { opened, failed } = await clients.answer<KidReport>({ do: 'churn', port, perSecond, seconds })
  clearInterval(timer)
  return { opened, failed, samples }
}

function configOf(upstreamPort: number, pki: Pki, issuer: TestIssuer, keysFile: string): string {
  return `control_plane:
  listen:
    endpoint: 127.0.0.1:%ingress%
    tls: {cert_file: ${pki.server.certFile}, key_file: ${pki.server.keyFile}, client_ca_file: ${pki.ca.certFile}}
  upstream: {endpoint: 127.0.0.1:${upstreamPort}}
  oidc:
    providers: [{issuer_url: ${issuer.issuer}, audience: control-plane, public_keys_file: ${keysFile}}]
limits: {max_connections: ${idle + 1_000}}
drain: {delay: 0s, timeout: 1s}
`
}

const pem = (ca: string, pair: { certFile: string; keyFile: string }): KidTls => ({
  ca: readFileSync(ca, 'utf8'),
  cert: readFileSync(pair.certFile, 'utf8'),
  key: readFileSync(pair.keyFile, 'utf8'),
})

async function main(): Promise<number> {
  const needed = idle + 1_000
  if (openFileLimit() < needed) {
    console.error(`too few file descriptors: run \`ulimit -n ${needed}\` first`)
    return 1
  }
  const on = measuredOn()
  const folder = mkdtempSync(join(tmpdir(), 'authgw-crowd-'))
  const undo: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })]
  try {
    const kid = (role: 'upstream' | 'bare' | 'clients', execArgv?: readonly string[]): Kid => {
      const made = new Kid(role, execArgv)
      undo.push(() => made.process.kill())
      return made
    }
    const pki = await makePki(folder)
    const issuer = await TestIssuer.create({ wallMs: Date.now }, { alg: 'ES256' })
    const keysFile = join(folder, 'keys.json')
    writeFileSync(keysFile, JSON.stringify(issuer.jwks()))
    const token = await issuer.mint({ expiresInSeconds: TOKEN_LIFE_SECONDS })
    const own = { tls: pem(pki.ca.certFile, pki.client), token }
    const upstreamPort = await kid('upstream').answer<number>(own)
    const clients = kid('clients')
    await clients.answer(own)

    const bareInspector = await freePort()
    const bare = kid('bare', [`--inspect=127.0.0.1:${bareInspector}`])
    const barePort = await bare.answer<number>({ tls: pem(pki.ca.certFile, pki.server), token })
    const bareFigures = await playBare(clients, bare, barePort, bareInspector)
    console.log(`bare, told to give back: ${shown(bareFigures.rounds.at(-1)!.given)}`)
    const bareBytes = idleBytesOf(bareFigures.base, bareFigures.rounds[0]!.withIdle)
    bare.process.kill()

    const inspectorPort = await freePort()
    const gateway = await startGateway(configOf(upstreamPort, pki, issuer, keysFile), {
      readyMs: 30_000,
      env: shippedEnv(`--inspect=127.0.0.1:${inspectorPort}`),
    })
    undo.push(() => gateway.stop())
    const weighed = { pid: gateway.pid, inspectorPort }
    const port = gateway.ports['ingress']!
    await warmUp(clients, port)
    await sleep(START_MS)
    const base = await weigh(weighed)
    const played: Round[] = []
    for (let n = 1; n <= rounds; n++) {
      played.push(await playRound(base, gateway, weighed, clients, port))
      const { withIdle, withBusy, end, backSeconds } = played.at(-1)!
      console.log(
        `round ${n}: ${[base, withIdle].map(shown).join(' → ')} → ${mib(withBusy.rssBytes)} busy → ${shown(end)} after ${backSeconds} s`,
      )
    }
    const idleBytes = idleBytesOf(base, played[0]!.withIdle)
    const churn = await playChurn(gateway, clients, port)
    await emptied(gateway)
    await sleep(SETTLE_MS)
    const after = await weigh(weighed)
    const readings = await readMetrics(gateway.ports['admin']!)
    const bugs = readings.sum('authgw_bugs_total')
    const problems = judge(base, played, churn, after, idleBytes / bareBytes)
    if (bugs !== 0) problems.push(`authgw_bugs_total is ${bugs}`)
    const figures = {
      idle,
      busy,
      base,
      rounds: played,
      bare: bareFigures,
      idleConnectionBytes: { authgw: idleBytes, bare: bareBytes, ratio: idleBytes / bareBytes },
      churn: { perSecond, minutes, growthMib: churnGrowthMib(churn.samples), ...churn },
      after,
      problems,
    }
    console.log(
      `an idle connection: ${idleBytes} octets, ${(idleBytes / bareBytes).toFixed(2)} × the bare server's; ` +
        `churn: ${churn.opened} handshakes, then ${shown(after)}`,
    )
    console.log(problems.length === 0 ? 'nothing found' : problems.join('\n'))
    console.log(`Figures: ${writeResults('crowd', on, figures, values.out)}`)
    return problems.length === 0 ? 0 : 1
  } finally {
    for (const step of undo.toReversed()) await step()
  }
}

const shown = ({ rssBytes, collectedBytes, heapBytes, files }: Gauge): string =>
  `${mib(rssBytes)} (collected ${mib(collectedBytes)}, heap ${mib(heapBytes)}, ${files} files)`

/** Memory of one idle connection, in octets. */
const idleBytesOf = (base: Gauge, withIdle: Gauge): number =>
  Math.round((withIdle.collectedBytes - base.collectedBytes) / idle)

/**
 * From the second fifth of the churn to the last. Not from its beginning: memory was given back just before, and the first
 * hundred connections a second take what so many need.
 */
function churnGrowthMib(samples: readonly ChurnSample[]): number {
  const endS = samples.at(-1)?.atSeconds ?? 0
  const meanOf = (fifth: number): number => {
    const own = samples.filter(({ atSeconds }) => Math.min(4, Math.floor((5 * atSeconds) / endS)) === fifth)
    return own.reduce((sum, { rssBytes }) => sum + rssBytes, 0) / own.length
  }
  return (meanOf(4) - meanOf(1)) / MIB
}

const mib = (bytes: number): string => `${(bytes / MIB).toFixed(0)} MiB`

function judge(
  base: Gauge,
  played: readonly Round[],
  churn: Awaited<ReturnType<typeof playChurn>>,
  after: Gauge,
  ratio: number,
): string[] {
  const problems: string[] = []
  for (const [index, { failed, broken, stood, messages, end }] of played.entries()) {
    const name = `round ${index + 1}`
    if (failed > 0) problems.push(`${name}: ${failed} connections did not come about`)
    if (broken > 0) problems.push(`${name}: ${broken} busy streams broke`)
    if (messages < busy * holdS) problems.push(`${name}: only ${messages} messages passed`)
    if (stood < idle - failed) problems.push(`${name}: ${idle - failed - stood} idle connections were lost`)
    if (end.files > base.files + SPARE_FILES)
      problems.push(`${name}: ${end.files} files open, ${base.files} before`)
    const keptMib = (end.rssBytes - base.rssBytes) / MIB
    if (keptMib > SPARE_MIB) problems.push(`${name}: ${keptMib.toFixed(1)} MiB are kept above the base`)
    const heapMib = (end.heapBytes - base.heapBytes) / MIB
    if (heapMib > MAX_HEAP_GROWTH_MIB)
      problems.push(`${name}: the heap in use grew by ${heapMib.toFixed(1)} MiB`)
  }
  if (churn.failed > 0) problems.push(`${churn.failed} handshakes of the churn failed`)
  const wanted = 0.95 * perSecond * minutes * 60
  if (churn.opened < wanted)
    problems.push(`${churn.opened} handshakes of the churn, ${Math.ceil(wanted)} were to be`)
  const churnMib = churnGrowthMib(churn.samples)
  if (!(churnMib <= MAX_CHURN_MIB)) problems.push(`the churn grew memory by ${churnMib.toFixed(1)} MiB`)
  const heapMib = (after.heapBytes - base.heapBytes) / MIB
  if (heapMib > MAX_HEAP_GROWTH_MIB) problems.push(`the churn grew the heap by ${heapMib.toFixed(1)} MiB`)
  if (after.files > base.files + SPARE_FILES) problems.push(`${after.files} files open after the churn`)
  if (!(ratio <= MAX_RATIO))
    problems.push(`an idle connection takes ${ratio.toFixed(2)} × that of a bare server`)
  return problems
}

process.exitCode = await main()

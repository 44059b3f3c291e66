/**
 * `npm run test:crowd`: a crowd before one control plane process. 10,000 idle connections with client certificates and 1,000
 * busy streams come and go, in rounds; then 100 TLS handshakes a second for some minutes; and the memory of an idle
 * connection beside that of a bare node:tls server. The figures go to bench/results/crowd-DATE.json, or to `--out FILE`.
 *
 * Options: `--idle N`, `--busy N`, `--rounds N`, `--hold SECONDS`, `--minutes N` of churn, `--rate N` handshakes a second.
 * It needs `ulimit -n` of twice the connections and a few hundred more, and says so if there are fewer.
 *
 * Memory that was once needed does not all go back to the system: the allocator keeps pages in which something lives. So
 * the end of the first round is no base, but it is a bound: what a round leaves behind is reused by the next one, and the
 * end of each later round must not lie above that of the first.
 */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { openFileLimit } from '../../src/net/index.ts'
import { makePki } from '../support/dev-pki.ts'
import type { Pki } from '../support/dev-pki.ts'
import { startGateway } from '../support/gateway-process.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { readMetrics } from '../support/gateway-readings.ts'
import { TestIssuer } from '../support/issuer.ts'
import { measuredOn, writeResults } from '../support/results-file.ts'
import type { KidOrder, KidReport, KidStart, KidTls } from './crowd-kid.ts'
import { fileCount, MIB, rssOf, slopeOf } from './gauges.ts'
import type { MemorySample } from './gauges.ts'

const ENV = { NODE_OPTIONS: '--max-semi-space-size=4' }
const SETTLE_MS = 5_000
const SAMPLE_MS = 2_000
const WARM_UP = 300
const BUSY_CONNECTIONS = 10
const TOKEN_LIFE_SECONDS = 24 * 3_600
/** Egress connections that the pool may keep, and files that are open for a moment. */
const SPARE_FILES = 12
/** What a later round may end above the first: noise of the heap between two collections. */
const MAX_ROUND_GROWTH_MIB = 8
const MAX_CHURN_GROWTH_MIB = 8
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
  readonly files: number
}
const gauge = (pid: number): Gauge => ({ rssBytes: rssOf(pid), files: fileCount(pid) })

/** A process of crowd-kid.ts. */
class Kid {
  readonly process: ChildProcess
  constructor(role: 'upstream' | 'bare' | 'clients') {
    this.process = fork(join(import.meta.dirname, 'crowd-kid.ts'), [role], {
      env: { ...process.env, ...ENV },
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

/** Waits until the gateway has let go of every connection, for ten seconds at most. */
async function emptied(gateway: GatewayProcess): Promise<void> {
  for (const endMs = performance.now() + 10_000; performance.now() < endMs; await sleep(200)) {
    const readings = await readMetrics(gateway.ports['admin']!)
    if (readings.sum('authgw_ingress_connections') === 0) return
  }
}

interface Round {
  readonly openSeconds: number
  readonly failed: number
  readonly withIdle: Gauge
  readonly withBusy: Gauge
  readonly messages: number
  readonly broken: number
  /** Idle connections that still stood when the busy streams had ended. */
  readonly stood: number
  readonly end: Gauge
}

async function playRound(gateway: GatewayProcess, clients: Kid, port: number): Promise<Round> {
  const beganMs = performance.now()
  const { failed } = await clients.answer<KidReport>({ do: 'open', port, count: idle })
  const openSeconds = Math.round((performance.now() - beganMs) / 100) / 10
  await sleep(SETTLE_MS)
  const withIdle = gauge(gateway.pid)
  await clients.answer({ do: 'busy', port, connections: BUSY_CONNECTIONS, streams: busy })
  await sleep(holdS * 1000)
  const withBusy = gauge(gateway.pid)
  const { messages, broken, open: stood } = await clients.answer<KidReport>({ do: 'rest' })
  await clients.answer({ do: 'close' })
  await emptied(gateway)
  await sleep(SETTLE_MS)
  return { openSeconds, failed, withIdle, withBusy, messages, broken, stood, end: gauge(gateway.pid) }
}

/** Memory of one idle connection of a server, in octets, above what it had after some connections had come and gone. */
async function weighIdle(clients: Kid, port: number, pid: number): Promise<number> {
  await warmUp(clients, port)
  const base = rssOf(pid)
  const { open } = await clients.answer<KidReport>({ do: 'open', port, count: idle })
  await sleep(SETTLE_MS)
  const each = (rssOf(pid) - base) / open
  await clients.answer({ do: 'close' })
  await sleep(SETTLE_MS)
  return Math.round(each)
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
  readonly growthMib: number
  readonly slopeMibPer10Minutes: number
  readonly files: readonly number[]
  readonly samples: readonly MemorySample[]
}> {
  const seconds = minutes * 60
  const samples: MemorySample[] = []
  const files: number[] = []
  const beganMs = performance.now()
  const timer = setInterval(() => {
    const atSeconds = Math.round((performance.now() - beganMs) / 1000)
    samples.push({ atSeconds, rssBytes: rssOf(gateway.pid) })
    files.push(fileCount(gateway.pid))
  }, SAMPLE_MS)
  const { opened, failed } = await clients.answer<KidReport>({ do: 'churn', port, perSecond, seconds })
  clearInterval(timer)
  // The first part brings memory to where it stays.
  const judged = samples.filter(({ atSeconds }) => atSeconds >= seconds / 4)
  const mean = (part: readonly MemorySample[]): number =>
    part.reduce((sum, { rssBytes }) => sum + rssBytes, 0) / Math.max(1, part.length)
  const third = Math.ceil(judged.length / 3)
  const growthMib = (mean(judged.slice(-third)) - mean(judged.slice(0, third))) / MIB
  return { opened, failed, growthMib, slopeMibPer10Minutes: slopeOf(judged), files, samples }
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
    const kid = (role: 'upstream' | 'bare' | 'clients'): Kid => {
      const made = new Kid(role)
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

    const bare = kid('bare')
    const barePort = await bare.answer<number>({ tls: pem(pki.ca.certFile, pki.server), token })
    const bareBytes = await weighIdle(clients, barePort, bare.pid)
    bare.process.kill()
    console.log(`a bare node:tls server: ${bareBytes} octets for each idle connection`)

    const gateway = await startGateway(configOf(upstreamPort, pki, issuer, keysFile), { env: ENV })
    undo.push(() => gateway.stop())
    const port = gateway.ports['ingress']!
    await warmUp(clients, port)
    const base = gauge(gateway.pid)
    const played: Round[] = []
    for (let n = 1; n <= rounds; n++) {
      played.push(await playRound(gateway, clients, port))
      const { withIdle, withBusy, end } = played.at(-1)!
      console.log(`round ${n}: ${[base, withIdle, withBusy, end].map(shown).join(' → ')}`)
    }
    const idleBytes = Math.round((played[0]!.withIdle.rssBytes - base.rssBytes) / idle)
    const churn = await playChurn(gateway, clients, port)
    await emptied(gateway)
    await sleep(SETTLE_MS)
    const after = gauge(gateway.pid)
    const readings = await readMetrics(gateway.ports['admin']!)
    const bugs = readings.sum('authgw_bugs_total')
    const problems = judge(base, played, churn, after, idleBytes / bareBytes)
    if (bugs !== 0) problems.push(`authgw_bugs_total is ${bugs}`)
    const figures = {
      idle,
      busy,
      base,
      rounds: played,
      idleConnectionBytes: { authgw: idleBytes, bare: bareBytes, ratio: idleBytes / bareBytes },
      churn: { perSecond, minutes, ...churn },
      after,
      problems,
    }
    console.log(
      `an idle connection: ${idleBytes} octets, ${(idleBytes / bareBytes).toFixed(2)} × the bare server's; ` +
        `churn: ${churn.opened} handshakes, ${churn.growthMib.toFixed(1)} MiB more at the end, ${shown(after)} after it`,
    )
    console.log(problems.length === 0 ? 'nothing found' : problems.join('\n'))
    console.log(`Figures: ${writeResults('crowd', on, figures, values.out)}`)
    return problems.length === 0 ? 0 : 1
  } finally {
    for (const step of undo.toReversed()) await step()
  }
}

const shown = ({ rssBytes, files }: Gauge): string => `${(rssBytes / MIB).toFixed(0)} MiB and ${files} files`

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
    const grownMib = (end.rssBytes - played[0]!.end.rssBytes) / MIB
    if (grownMib > MAX_ROUND_GROWTH_MIB)
      problems.push(`${name} ends ${grownMib.toFixed(1)} MiB above the first`)
  }
  if (churn.failed > 0) problems.push(`${churn.failed} handshakes of the churn failed`)
  const wanted = 0.95 * perSecond * minutes * 60
  if (churn.opened < wanted)
    problems.push(`${churn.opened} handshakes of the churn, ${Math.ceil(wanted)} were to be`)
  if (churn.growthMib > MAX_CHURN_GROWTH_MIB)
    problems.push(`the churn grew memory by ${churn.growthMib.toFixed(1)} MiB`)
  if (after.files > base.files + SPARE_FILES) problems.push(`${after.files} files open after the churn`)
  if (!(ratio <= MAX_RATIO))
    problems.push(`an idle connection takes ${ratio.toFixed(2)} × that of a bare server`)
  return problems
}

process.exitCode = await main()

/**
 * `npm run test:machine`: what happens to the machine under a control plane process, one after the other: file descriptors
 * run out, nobody reads the log, the log is closed, the event loop stands still for two seconds, the process is stopped for
 * a minute, memory for waiting octets is spent. A streaming call goes on through each of them; afterwards everything works.
 * `npm run test:machine -- NAME …` plays those named. The figures go to bench/results/machine-DATE.json, or to `--out FILE`.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { block, EXPORT_PATH, head, message } from '../attacks/attack.ts'
import { HostilePeer } from '../attacks/hostile-peer.ts'
import { frame } from '../support/frame-factory.ts'
import { startGateway } from '../support/gateway-process.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { readMetrics } from '../support/gateway-readings.ts'
import { connectGrpcJs } from '../support/grpc-js-kit.ts'
import type { GrpcCaller } from '../support/grpc-peer.ts'
import { TestIssuer } from '../support/issuer.ts'
import { nodeHttp2 } from '../support/node-http2-kit.ts'
import { measuredOn, writeResults } from '../support/results-file.ts'
import { fileCount, MIB, rssOf } from './gauges.ts'
import { serve } from './load.ts'

const [OK, UNAVAILABLE] = [0, 14]
const STALL_MS = 2_200
/** More than a pipe holds: some 150 octets each. */
const MANY_LINES = 1_600
const CHATTER_MS = 40_000
const STOP_MS = 60_000
const MAX_RSS_GROWTH_MIB = 64

/** What a fault gets. */
interface Ground {
  readonly gateway: GatewayProcess
  readonly port: number
  readonly token: string
  readonly caller: GrpcCaller
  metric(name: string): Promise<number>
  /** Records what must not be. */
  fault(what: string): void
}

interface MachineFault {
  readonly name: string
  /** Lines of `limits`. */
  readonly limits?: string
  /** Gives figures worth keeping. */
  readonly run: (ground: Ground) => Promise<Readonly<Record<string, number>>>
}

const unary = async ({ caller }: Ground, timeoutMs = 5_000): Promise<number> =>
  (await caller.unary(Buffer.alloc(100), { path: EXPORT_PATH, timeoutMs })).status

/** Lines in the log: reloads, at debug. Gives how many. */
async function chatter(ground: Ground, lines: number): Promise<number> {
  const written = (): Promise<number> => ground.metric('authgw_log_lines_total')
  const before = await written()
  let more = 0
  for (const endMs = performance.now() + CHATTER_MS; more < lines && performance.now() < endMs;) {
    for (let n = 0; n < 100; n++) {
      ground.gateway.signal('SIGHUP')
      await sleep(1)
    }
    more = (await written()) - before
  }
  return more
}

/** Stops the process for a while, as a blocked event loop or a frozen machine would. */
async function stopped(ground: Ground, ms: number, meanwhile: () => void): Promise<void> {
  ground.gateway.signal('SIGSTOP')
  await sleep(ms / 2)
  meanwhile()
  await sleep(ms / 2)
  ground.gateway.signal('SIGCONT')
}

/** Peers in the middle of a preface, a frame and a header block; `finish` says the rest. */
async function halfway(
  ground: Ground,
): Promise<{ readonly peers: HostilePeer[]; readonly finish: () => void }> {
  const dial = (): Promise<HostilePeer> => HostilePeer.dial({ port: ground.port })
  const [silent, midFrame, midBlock] = [await dial(), (await dial()).hello(), (await dial()).hello()]
  await Promise.all([midFrame, midBlock].map((peer) => peer.until(() => peer.hasSettings, 2_000)))
  const octets = block(head(ground.token))
  const request = (peer: HostilePeer, from: number): void => {
    const stream = peer.nextStream()
    const data = frame({ type: 'DATA', stream, flags: ['END_STREAM'], payload: message(10) })
    const whole = frame({ type: 'HEADERS', stream, flags: ['END_HEADERS'], payload: octets })
    peer.write(Buffer.concat([whole.subarray(from), data]))
  }
  midFrame.write(
    frame({ type: 'HEADERS', stream: 1, flags: ['END_HEADERS'], payload: octets }).subarray(0, 30),
  )
  midBlock.send({ type: 'HEADERS', stream: 1, payload: octets.subarray(0, 20) })
  return {
    peers: [silent, midFrame, midBlock],
    finish() {
      silent.hello()
      request(silent, 0)
      request(midFrame, 30)
      midBlock.send({ type: 'CONTINUATION', stream: 1, flags: ['END_HEADERS'], payload: octets.subarray(20) })
      midBlock.send({ type: 'DATA', stream: 1, flags: ['END_STREAM'], payload: message(10) })
    },
  }
}

const FAULTS: readonly MachineFault[] = [
  {
    name: 'files',
    run: async (ground) => {
      const { gateway, port } = ground
      const limit = fileCount(gateway.pid) + 15
      const before = /Max open files\s+(\d+)/.exec(
        execFileSync('cat', [`/proc/${gateway.pid}/limits`], { encoding: 'latin1' }),
      )![1]!
      execFileSync('prlimit', ['--pid', String(gateway.pid), `--nofile=${limit}:${before}`])
      const crowd = await Promise.all(Array.from({ length: 60 }, () => HostilePeer.dial({ port })))
      for (const peer of crowd) peer.hello()
      await sleep(1_500)
      const served = crowd.filter((peer) => peer.hasSettings && !peer.isGone).length
      if (served >= 60) ground.fault('the descriptors did not run out')
      if ((await unary(ground)) !== OK) ground.fault('a connection that is open is not served')
      for (const peer of crowd) peer.cut()
      execFileSync('prlimit', ['--pid', String(gateway.pid), `--nofile=${before}:${before}`])
      await sleep(500)
      const fresh = await HostilePeer.dial({ port })
      fresh.hello()
      if (!(await fresh.until(() => fresh.hasSettings, 3_000)))
        ground.fault('no connection is accepted again')
      fresh.end()
      return { limit, served }
    },
  },
  {
    name: 'log-unread',
    run: async (ground) => {
      ground.gateway.leaveLogs()
      const before = rssOf(ground.gateway.pid)
      const lines = await chatter(ground, MANY_LINES)
      const startMs = performance.now()
      if ((await unary(ground)) !== OK) ground.fault('a call is not served')
      const callMs = Math.round(performance.now() - startMs)
      const grownMib = Math.round((rssOf(ground.gateway.pid) - before) / MIB)
      // Not judged: a thousand reloads make garbage of their own. What the log may hold is bounded by its buffer.
      const dropped = await ground.metric('authgw_log_lines_dropped_total')
      if (lines < MANY_LINES) ground.fault(`${lines} lines do not fill a pipe`)
      return { callMs, grownMib, lines, dropped }
    },
  },
  {
    name: 'log-closed',
    run: async (ground) => {
      ground.gateway.closeLogs()
      const lines = await chatter(ground, 50)
      if (lines === 0) ground.fault('nothing was logged')
      if ((await unary(ground)) !== OK) ground.fault('a call is not served')
      return { lines, dropped: await ground.metric('authgw_log_lines_dropped_total') }
    },
  },
  {
    name: 'loop-stalled',
    limits:
      'preface_timeout: 1s, frame_timeout: 1s, header_block_timeout: 1s, settings_ack_timeout: 1s, stall_timeout: 1s',
    run: async (ground) => {
      const { peers, finish } = await halfway(ground)
      await stopped(ground, STALL_MS, finish)
      for (const [place, peer] of peers.entries()) {
        if (!(await peer.until(() => peer.ended.size > 0, 3_000)))
          ground.fault(`peer ${place} was not served after the stall: ${peer.goawayText}`)
        peer.end()
      }
      const breaches = await ground.metric('authgw_limit_breaches_total')
      if (breaches !== 0) ground.fault(`${breaches} breaches were counted`)
      return { breaches, loopLate: await ground.metric('authgw_loop_late_total') }
    },
  },
  {
    name: 'stopped-a-minute',
    run: async (ground) => {
      const { peers, finish } = await halfway(ground)
      await stopped(ground, STOP_MS, finish)
      const startMs = performance.now()
      const status = await unary(ground)
      const firstCallMs = Math.round(performance.now() - startMs)
      if (status !== OK) ground.fault(`the first call got status ${status}`)
      for (const [place, peer] of peers.entries()) {
        if (!(await peer.until(() => peer.ended.size > 0, 3_000)))
          ground.fault(`peer ${place} was not served after the stop: ${peer.goawayText}`)
        peer.end()
      }
      const breaches = await ground.metric('authgw_limit_breaches_total')
      if (breaches !== 0) ground.fault(`${breaches} breaches were counted`)
      return { firstCallMs, breaches, loopLate: await ground.metric('authgw_loop_late_total') }
    },
  },
  {
    name: 'memory',
    limits: 'max_held_size: 4MiB',
    run: async (ground) => {
      const before = rssOf(ground.gateway.pid)
      const own = { port: ground.port, tls: null, token: ground.token }
      const callers = [connectGrpcJs(own), connectGrpcJs(own), connectGrpcJs(own)]
      // The server reads nothing of these.
      const stuck = Array.from({ length: 60 }, (_, n) => {
        const call = callers[n % 3]!.open({
          path: EXPORT_PATH,
          metadata: { 'x-do': ['wait'] },
          timeoutMs: 4_000,
        })
        void call.send(Buffer.alloc(512 * 1024))
        return call
      })
      await sleep(1_500)
      const heldBytes = await ground.metric('authgw_held_bytes')
      const status = await unary(ground)
      if (heldBytes < 4 * MIB) ground.fault(`only ${heldBytes} octets were held`)
      if (status !== UNAVAILABLE) ground.fault(`a call while memory was spent got status ${status}`)
      const grownMib = Math.round((rssOf(ground.gateway.pid) - before) / MIB)
      if (grownMib > MAX_RSS_GROWTH_MIB) ground.fault(`memory grew by ${grownMib} MiB`)
      await Promise.all(stuck.map((call) => call.outcome))
      for (const caller of callers) caller.close()
      await sleep(500)
      const left = await ground.metric('authgw_held_bytes')
      if (left !== 0) ground.fault(`${left} octets are held by nobody`)
      return { heldBytes, grownMib }
    },
  },
]

/** A call that goes on meanwhile: a message there and back, again and again. */
class Pinger {
  count = 0
  isBroken = false
  #isOn = true
  readonly #done: Promise<void>
  constructor(caller: GrpcCaller) {
    this.#done = this.#ping(caller)
  }
  async #ping(caller: GrpcCaller): Promise<void> {
    const call = caller.open({ path: EXPORT_PATH })
    while (this.#isOn) {
      await call.send(Buffer.alloc(200))
      if ((await call.next()) === null) {
        this.isBroken = true
        return
      }
      this.count++
      await sleep(50)
    }
    call.end()
    this.isBroken = (await call.outcome).status !== OK
  }
  stop(): Promise<void> {
    this.#isOn = false
    return this.#done
  }
}

/** What came of a fault. */
interface Played {
  readonly name: string
  readonly figures: Readonly<Record<string, number>>
  /** Messages of the call that went on. */
  readonly messages: number
  readonly problems: readonly string[]
}

async function play({ name, limits, run }: MachineFault): Promise<Played> {
  const folder = mkdtempSync(join(tmpdir(), 'authgw-machine-'))
  const undo: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })]
  try {
    const upstream = await nodeHttp2.serve()
    upstream.respond = serve
    undo.push(() => upstream.close())
    const issuer = await TestIssuer.create({ wallMs: Date.now }, { alg: 'ES256' })
    const keysFile = join(folder, 'keys.json')
    writeFileSync(keysFile, JSON.stringify(issuer.jwks()))
    const token = await issuer.mint({ expiresInSeconds: 3_000 })
    const gateway = await startGateway(
      `control_plane:
  listen: {endpoint: 127.0.0.1:%ingress%}
  upstream: {endpoint: 127.0.0.1:${upstream.port}}
  oidc:
    providers: [{issuer_url: ${issuer.issuer}, audience: control-plane, public_keys_file: ${keysFile}}]
limits: {${limits ?? ''}}
drain: {delay: 0s, timeout: 1s}
service: {telemetry: {logs: {level: debug}}}
`,
      { readyMs: 30_000 },
    )
    undo.push(() => gateway.stop())
    const port = gateway.ports['ingress']!
    const caller = connectGrpcJs({ port, tls: null, token })
    undo.push(() => caller.close())
    const problems: string[] = []
    const metric: Ground['metric'] = async (metricName) =>
      (await readMetrics(gateway.ports['admin']!)).sum(metricName)
    const ground: Ground = { gateway, port, token, caller, metric, fault: (what) => void problems.push(what) }
    if ((await unary(ground)) !== OK) problems.push('a call before the fault is not served')
    const pinger = new Pinger(caller)
    await sleep(300)
    const figures = await run(ground)
    const before = pinger.count
    await sleep(1_000)
    if (pinger.isBroken || pinger.count <= before) problems.push('the call that was open did not go on')
    await pinger.stop()
    if ((await unary(ground)) !== OK) problems.push('a call after the fault is not served')
    const bugs = await metric('authgw_bugs_total')
    if (bugs !== 0) problems.push(`authgw_bugs_total is ${bugs}`)
    return { name, figures, messages: pinger.count, problems }
  } finally {
    for (const step of undo.toReversed()) await step()
  }
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { out: { type: 'string' } } })
  const chosen = FAULTS.filter(({ name }) => positionals.length === 0 || positionals.includes(name))
  const on = measuredOn()
  const results: Played[] = []
  for (const fault of chosen) {
    results.push(await play(fault))
    console.log(JSON.stringify(results.at(-1)))
  }
  const failed = results.filter(({ problems }) => problems.length > 0)
  console.log(`${results.length - failed.length} of ${results.length} faults of the machine borne`)
  if (positionals.length === 0 || values.out !== undefined)
    console.log(`Figures: ${writeResults('machine', on, { results }, values.out)}`)
  return failed.length === 0 && chosen.length > 0 ? 0 : 1
}

process.exitCode = await main()

/**
 * `npm run test:soak -- --minutes N`: both gateways as processes, under a mixed load for N minutes (default 20), with tokens
 * that live a minute. Memory, file descriptors and held octets are read every five seconds; the figures go to
 * bench/results/soak-DATE.json, or to the file named by `--out`. Exit code 1 when a call ended as it must not, when something
 * is left afterwards, or when memory grows by 1 MiB in ten minutes or more. The slope is taken after the first five minutes,
 * and judged where at least ten are left; a shorter run shows it only. The first five have twice the callers: an allocator keeps
 * what its busiest moment took, and whether that moment comes early or late is no leak. A leak grows with the calls of the rest.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { shippedEnv } from '../support/as-shipped.ts'
import { makePki } from '../support/dev-pki.ts'
import { startGateway } from '../support/gateway-process.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { TEST_SERVICE } from '../support/gateway-pair.ts'
import { readMetrics } from '../support/gateway-readings.ts'
import { nodeHttp2 } from '../support/node-http2-kit.ts'
import { startProvider } from '../support/oidc-provider.ts'
import { measuredOn, writeResults } from '../support/results-file.ts'
import { fileCount, MIB, rssOf, slopeOf } from './gauges.ts'
import { MixedLoad, serve } from './load.ts'

const SAMPLE_MS = 5_000
const WARM_UP_MS = 5 * 60_000
const JUDGED_MS = 10 * 60_000
const MAX_SLOPE_MIB = 1
const WORKERS = 12
/** More of them until the warm-up is over: what an allocator takes for the busiest moment there is stays with the process. */
const WARM_UP_WORKERS = 24
const SECRET = 'a-secret-for-loopback'
/** What has to be 0 when nobody calls. */
const AT_REST = ['authgw_open_calls', 'authgw_open_streams', 'authgw_held_bytes', 'authgw_replay_held_bytes']

/** One look at one gateway. */
interface Sample {
  readonly atSeconds: number
  readonly rssBytes: number
  readonly files: number
  readonly heldBytes: number
  readonly egressConnections: number
}

/** What came of one gateway. */
interface GatewayFigures {
  readonly role: string
  readonly samples: Sample[]
  /** After the warm-up. */
  readonly rssSlopeMibPer10Minutes: number
  readonly filesAtStart: number
  readonly filesAtEnd: number
  readonly leftAtRest: Record<string, number>
  readonly bugs: number
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { minutes: { type: 'string', default: '20' }, out: { type: 'string' } },
  })
  const lastsMs = Number(values.minutes) * 60_000
  const on = measuredOn()
  const folder = mkdtempSync(join(tmpdir(), 'authgw-soak-'))
  const undo: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })]
  try {
    const { gateways, port } = await start(folder, undo)
    const filesAtStart = gateways.map(({ process }) => fileCount(process.pid))
    const load = new MixedLoad({ port, tls: null, token: null }, WARM_UP_WORKERS)
    const warmUpMs = Math.min(WARM_UP_MS, lastsMs / 2)
    const samples = gateways.map((): Sample[] => [])
    const beganMs = performance.now()
    while (performance.now() - beganMs < lastsMs) {
      await sleep(SAMPLE_MS)
      const atSeconds = Math.round((performance.now() - beganMs) / 1000)
      for (const [place, { process }] of gateways.entries())
        samples[place]!.push(await look(process, atSeconds))
      if (atSeconds * 1000 >= warmUpMs) load.keep(WORKERS)
      if (atSeconds % 60 < SAMPLE_MS / 1000) console.log(progress(atSeconds, load, samples))
    }
    await load.stop()
    await sleep(2_000)
    const figures = await Promise.all(
      gateways.map(async ({ role, process }, place) =>
        conclude(role, process, samples[place]!, filesAtStart[place]!, warmUpMs),
      ),
    )
    const problems = judge(load, figures, lastsMs)
    const file = writeResults(
      'soak',
      on,
      {
        minutes: lastsMs / 60_000,
        calls: load.callCount,
        endedAsExpected: load.ended,
        unexpected: load.unexpected,
        reconnects: load.reconnects,
        gateways: figures,
        problems,
      },
      values.out,
    )
    console.log(`Figures: ${file}`)
    console.log(`${load.callCount} calls; ${problems.length === 0 ? 'nothing found' : problems.join('; ')}`)
    return problems.length === 0 ? 0 : 1
  } finally {
    for (const step of undo.toReversed()) await step()
  }
}

interface Started {
  readonly gateways: readonly { readonly role: string; readonly process: GatewayProcess }[]
  /** Where the workload gateway listens. */
  readonly port: number
}

async function start(folder: string, undo: (() => unknown)[]): Promise<Started> {
  const upstream = await nodeHttp2.serve()
  upstream.respond = serve
  undo.push(() => upstream.close())
  const provider = await startProvider({
    audience: 'control-plane',
    tokenLifeSeconds: 60,
    clients: [{ clientId: 'workload', secret: SECRET }],
  })
  undo.push(() => provider.close())
  const pki = await makePki(folder)
  const common = 'drain: {delay: 0s, timeout: 2s}\n'
  const controlPlane = await startGateway(
    `control_plane:
  listen:
    endpoint: 127.0.0.1:%ingress%
    tls: {cert_file: ${pki.server.certFile}, key_file: ${pki.server.keyFile}, client_ca_file: ${pki.ca.certFile}}
  upstream: {endpoint: 127.0.0.1:${upstream.port}}
  oidc: {providers: [{issuer_url: ${provider.issuer}, audience: control-plane}]}
  policy:
    rules: [{name: soak, to: {methods: ['/${TEST_SERVICE}/*']}}]
${common}`,
    { env: shippedEnv() },
  )
  undo.push(() => controlPlane.stop())
  const workload = await startGateway(
    `workload:
  listen: {endpoint: 127.0.0.1:%ingress%}
  upstream:
    endpoint: localhost:${controlPlane.ports['ingress']}
    tls: {ca_file: ${pki.ca.certFile}, cert_file: ${pki.client.certFile}, key_file: ${pki.client.keyFile}}
  oauth2client: {issuer_url: ${provider.issuer}, client_id: workload, client_secret: ${SECRET}}
  allow_methods: [${TEST_SERVICE}]
${common}`,
    { env: shippedEnv() },
  )
  undo.push(() => workload.stop())
  return {
    gateways: [
      { role: 'workload', process: workload },
      { role: 'control_plane', process: controlPlane },
    ],
    port: workload.ports['ingress']!,
  }
}

async function look(gateway: GatewayProcess, atSeconds: number): Promise<Sample> {
  const readings = await readMetrics(gateway.ports['admin']!)
  return {
    atSeconds,
    rssBytes: rssOf(gateway.pid),
    files: fileCount(gateway.pid),
    heldBytes: readings.sum('authgw_held_bytes'),
    egressConnections: readings.sum('authgw_egress_connections'),
  }
}

async function conclude(
  role: string,
  gateway: GatewayProcess,
  samples: Sample[],
  filesAtStart: number,
  warmUpMs: number,
): Promise<GatewayFigures> {
  const readings = await readMetrics(gateway.ports['admin']!)
  return {
    role,
    samples,
    rssSlopeMibPer10Minutes: slopeOf(samples.filter(({ atSeconds }) => atSeconds * 1000 >= warmUpMs)),
    filesAtStart,
    filesAtEnd: fileCount(gateway.pid),
    leftAtRest: Object.fromEntries(AT_REST.map((name) => [name, readings.sum(name)])),
    bugs: readings.sum('authgw_bugs_total'),
  }
}

function judge(load: MixedLoad, figures: readonly GatewayFigures[], lastsMs: number): string[] {
  const problems: string[] = []
  const unexpected = Object.entries(load.unexpected)
  if (unexpected.length > 0)
    problems.push(`unexpected: ${unexpected.map(([name, count]) => `${count} × ${name}`).join(', ')}`)
  for (const { role, rssSlopeMibPer10Minutes, filesAtStart, filesAtEnd, leftAtRest, bugs } of figures) {
    if (lastsMs >= WARM_UP_MS + JUDGED_MS && rssSlopeMibPer10Minutes >= MAX_SLOPE_MIB)
      problems.push(`${role}: memory grows by ${rssSlopeMibPer10Minutes.toFixed(2)} MiB in ten minutes`)
    // The pools may hold a connection more than at the start.
    if (filesAtEnd > filesAtStart + 8)
      problems.push(`${role}: ${filesAtEnd} files open, ${filesAtStart} before`)
    for (const [name, value] of Object.entries(leftAtRest))
      if (value !== 0) problems.push(`${role}: ${name} is ${value} at rest`)
    if (bugs !== 0) problems.push(`${role}: ${bugs} bugs`)
  }
  return problems
}

function progress(atSeconds: number, load: MixedLoad, samples: readonly Sample[][]): string {
  const memory = samples.map((own) => `${Math.round(own.at(-1)!.rssBytes / MIB)} MiB`).join(' and ')
  const oddCount = Object.values(load.unexpected).reduce((sum, count) => sum + count, 0)
  return `${Math.round(atSeconds / 60)} min: ${load.callCount} calls, ${oddCount} unexpected, ${memory}`
}

process.exitCode = await main()

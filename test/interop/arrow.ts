/**
 * `node test/interop/arrow.ts`: the OTel-Arrow project's own exporter through both gateways to its own receiver. Its streams are
 * refused with a message that names the rule, unless both gateways name their service; then it falls back to OTLP by itself, as it
 * does where a server has no Arrow (ADR 0014). All spans arrive either way, and a stream that was refused is not opened again.
 * Exit code 1 when that is not so, 77 without its programs.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startOtelcol } from '../demo/otelcol.ts'
import { readMetrics } from '../support/gateway-readings.ts'
import { startGateway } from '../support/gateway-process.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { startPattern } from '../support/whole-pattern.ts'
import type { WholePattern } from '../support/whole-pattern.ts'
import { generate, SPANS_A_TRACE } from './rig/generate.ts'
import { takePort } from './rig/ports.ts'
import { becomes, isListening, Service } from './rig/service.ts'
import { programPath } from './tools/cache.ts'
import { otelArrow, telemetrygen } from './tools/catalog.ts'
import { ABSENT } from './tools/run.ts'
import { table } from './tools/table.ts'

const TRACES = 50
const SERVICE = 'opentelemetry.proto.experimental.arrow.v1.ArrowTracesService'
/** What the exporter's log says when a server has no Arrow: with the message of the refusal. */
const REFUSED = /arrow is not supported\s.*"message": "([^"]*)"/
const FELL_BACK = 'downgrading to standard OTLP export'
/** How long is looked at whether streams are opened again: eight in a second, were they refused for another reason. */
const WATCH_MS = 3_000

const ALLOW_METHODS = `  allow_methods: [${SERVICE}, /opentelemetry.proto.collector.trace.v1.TraceService/Export]\n`
const RULES = `  policy:
    rules:
      - {name: otlp, to: {methods: [Export]}}
      - {name: arrow-traces, to: {services: [${SERVICE}]}}
`

/** Which gateways let Arrow's streams pass, and what the exporter is then told; empty when they do. */
interface Case {
  readonly name: string
  readonly workloadAllows: boolean
  readonly controlPlaneAllows: boolean
  readonly told: string
}

const CASES: readonly Case[] = [
  {
    name: 'neither gateway allows it',
    workloadAllows: false,
    controlPlaneAllows: false,
    told: 'authgw: policy otlp-only denied',
  },
  {
    name: 'the workload alone allows it',
    workloadAllows: true,
    controlPlaneAllows: false,
    told: 'policy otel_arrow denied',
  },
  { name: 'both name the service', workloadAllows: true, controlPlaneAllows: true, told: '' },
]

const takerYaml = (port: number, upstream: string): string => `receivers:
  otelarrow: {protocols: {grpc: {endpoint: '127.0.0.1:${port}'}}}
exporters:
  otlp: {endpoint: '${upstream}', tls: {insecure: true}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otelarrow], exporters: [otlp]}}
`

const senderYaml = (port: number, upstream: number): string => `receivers:
  otlp: {protocols: {grpc: {endpoint: '127.0.0.1:${port}'}}}
exporters:
  otelarrow:
    endpoint: 127.0.0.1:${upstream}
    tls: {insecure: true}
    timeout: 5s
    arrow: {num_streams: 1}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], exporters: [otelarrow]}}
`

/** Gateways like those of the pattern, for one case. */
async function startGateways(pattern: WholePattern, each: Case): Promise<GatewayProcess[]> {
  const again = ({ configFile, ports }: GatewayProcess): string =>
    readFileSync(configFile, 'utf8')
      .replace(`127.0.0.1:${ports['ingress']}`, '127.0.0.1:%ingress%')
      .replace(`127.0.0.1:${ports['admin']}`, '127.0.0.1:%admin%')
  const more = (text: string, lines: string): string => text.replace(/^admin:/m, `${lines}admin:`)
  const controlPlane = await startGateway(
    more(again(pattern.controlPlane), each.controlPlaneAllows ? RULES : ''),
    { configFile: join(pattern.folder, 'control-plane-again.yaml') },
  )
  const text = again(pattern.workload).replace(
    `localhost:${pattern.controlPlane.ports['ingress']}`,
    `localhost:${controlPlane.ports['ingress']}`,
  )
  const workload = await startGateway(more(text, each.workloadAllows ? ALLOW_METHODS : ''), {
    configFile: join(pattern.folder, 'workload-again.yaml'),
  })
  return [workload, controlPlane]
}

/** What all cases share. */
interface Ground {
  readonly pattern: WholePattern
  readonly program: string
  readonly generator: string
  readonly arrived: () => number
}

/** Sends through the gateways of a case, and gives its row of the table. */
async function attempt(ground: Ground, each: Case): Promise<string[]> {
  const { pattern, program, generator, arrived } = ground
  const { folder } = pattern
  const gateways = await startGateways(pattern, each)
  const port = await takePort()
  const name = `arrow-${port}`
  writeFileSync(join(folder, `${name}.yaml`), senderYaml(port, gateways[0]!.ports['ingress']!))
  const args = ['--config', `${name}.yaml`]
  const sender = new Service({ name, program, args, folder, isReady: () => isListening(port) })
  const before = arrived()
  const expected = TRACES * SPANS_A_TRACE
  let refused = 0
  try {
    await sender.start()
    const endpoint = `127.0.0.1:${port}`
    await generate({ program: generator, endpoint, signal: 'traces', count: TRACES, timeoutMs: 30_000 })
    await becomes(() => arrived() - before >= expected, 15_000)
    await sleep(WATCH_MS)
    refused = await refusedStreams(gateways[each.workloadAllows ? 1 : 0]!)
  } finally {
    await sender.stop()
    for (const gateway of gateways) await gateway.stop()
  }
  const told = REFUSED.exec(sender.log())?.[1] ?? ''
  const isArrow = !sender.log().includes(FELL_BACK)
  const isRefused = each.told !== ''
  const isGood =
    arrived() - before === expected &&
    told === each.told &&
    isArrow === !isRefused &&
    refused === (isRefused ? 1 : 0)
  const counts = [String(expected), String(arrived() - before), isArrow ? 'Arrow' : 'OTLP', String(refused)]
  return [each.name, ...counts, told, isGood ? 'good' : 'NOT']
}

/** Calls that a gateway refused by its policy: the exporter sends nothing else that it would refuse. */
async function refusedStreams({ ports }: GatewayProcess): Promise<number> {
  const metrics = await readMetrics(ports['admin']!)
  return metrics.sum('authgw_decisions_total', { decision: 'refuse', reason: 'policy_denied' })
}

async function main(): Promise<number> {
  const program = programPath(otelArrow, 'main')
  const generator = programPath(telemetrygen, 'telemetrygen')
  if (program === null || generator === null) {
    console.log('ABSENT: no otel-arrow or telemetrygen in the cache; npm run tools gets them')
    return ABSENT
  }
  const folder = mkdtempSync(join(tmpdir(), 'authgw-arrow-'))
  let arrived = 0
  const pattern = await startPattern({
    folder,
    tokenLifeSeconds: 60,
    startMiddle: (endpoint) => startOtelcol(program, folder, endpoint, takerYaml),
    onArrival: ({ itemCount }) => (arrived += itemCount),
  })
  const rows: string[][] = []
  try {
    for (const each of CASES)
      rows.push(await attempt({ pattern, program, generator, arrived: () => arrived }, each))
  } finally {
    await pattern.close()
    rmSync(folder, { recursive: true, force: true })
  }
  const head = ['OTel-Arrow', 'spans sent', 'arrived', 'by', 'streams refused', 'what the exporter says', '']
  console.log(table(head, rows))
  return rows.every((row) => row.at(-1) === 'good') ? 0 : 1
}

// What it started ends with this process, however that ends.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
process.exitCode = await main()

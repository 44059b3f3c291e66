/**
 * `node test/interop/replicas.ts`: three control-plane gateways behind one name, as a headless Service gives them. A stock exporter
 * with `balancer_name: round_robin`, and authgw of the workload, spread their calls over all three; one is killed, and nothing is
 * lost; it comes back, and gets calls again. The name is in a hosts file that this process alone sees (a mount namespace).
 * Exit code 1 when that is not so, 77 without a stock collector, or where no such namespace can be had.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeAuthority } from '../support/dev-pki.ts'
import { startGateway } from '../support/gateway-process.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { readMetrics } from '../support/gateway-readings.ts'
import { NumberedTelemetry } from '../support/numbered-telemetry.ts'
import { startProvider } from '../support/oidc-provider.ts'
import type { RunningProvider } from '../support/oidc-provider.ts'
import { startOtlpReceiver } from '../support/otlp-receiver.ts'
import type { OtlpReceiver } from '../support/otlp-receiver.ts'
import { SIGNALS } from '../support/otlp-proto.ts'
import { againWithHosts, hasOwnHosts } from './rig/own-hosts.ts'
import { takePort } from './rig/ports.ts'
import { becomes, isListening, Service } from './rig/service.ts'
import { senderYaml } from './rig/stock.ts'
import type { ExporterOptions } from './rig/stock.ts'
import { programPath } from './tools/cache.ts'
import { collector } from './tools/collector.ts'
import { ABSENT } from './tools/run.ts'
import { table } from './tools/table.ts'

const NAME = 'control-plane.test'
const ADDRESSES = ['127.0.0.2', '127.0.0.3', '127.0.0.4']
const CLIENT = 'workload'
const SECRET = 'known-to-everyone-who-reads-this'
/** Items of each signal a second. */
const RATE = 25
/** A third each, give or take what chance does to some dozens of calls. */
const LEAST_SHARE = 0.15

/** What the two senders share. */
interface Ground {
  readonly folder: string
  readonly otelcol: string
  readonly provider: RunningProvider
  readonly receiver: OtlpReceiver
  readonly port: number
  /** In the order of the addresses. */
  readonly gateways: GatewayProcess[]
}

const controlPlaneYaml = (address: string, issuer: string, upstream: string): string => `control_plane:
  listen:
    endpoint: ${address}:%ingress%
    tls: {cert_file: certs/control-plane.pem, key_file: certs/control-plane-key.pem, client_ca_file: certs/ca.pem}
  upstream: {endpoint: '${upstream}'}
  oidc: {providers: [{issuer_url: '${issuer}', audience: control-plane}]}
drain: {delay: 0s}
`

const workloadYaml = (issuer: string, port: number): string => `workload:
  listen: {endpoint: 127.0.0.1:%ingress%}
  upstream:
    endpoint: dns:///${NAME}:${port}
    balancer_name: round_robin
    tls: {ca_file: certs/ca.pem, cert_file: certs/workload.pem, key_file: certs/workload-key.pem}
  oauth2client: {issuer_url: '${issuer}', client_id: ${CLIENT}, client_secret_file: client-secret}
drain: {delay: 0s}
`

function startControlPlane(
  { folder, provider, receiver }: Omit<Ground, 'gateways'>,
  place: number,
  port: number,
): Promise<GatewayProcess> {
  const address = ADDRESSES[place]!
  const yaml = controlPlaneYaml(address, provider.issuer, receiver.endpoint)
  const configFile = join(folder, `control-plane-${place}.yaml`)
  return startGateway(yaml, { configFile, ports: { ingress: port } })
}

/** How many calls each gateway has let pass since it was started. */
function callsOf({ gateways }: Ground): Promise<number[]> {
  return Promise.all(
    gateways.map(async ({ ports }) =>
      (await readMetrics(ports['admin']!)).sum('authgw_decisions_total', { decision: 'permit' }),
    ),
  )
}

/** A sender, from its stock collector on. */
interface Sender {
  readonly name: string
  readonly firstNumber: number
  readonly exporter: Pick<ExporterOptions, 'endpoint' | 'balancer' | 'credentials'>
}

/** Sends, kills the second gateway, starts it again, and gives the row of the table. */
async function trial(ground: Ground, { name, firstNumber, exporter }: Sender): Promise<string[]> {
  const { folder, otelcol, receiver, gateways } = ground
  const [port, metricsPort] = [await takePort(), await takePort()]
  const file = `sender-${firstNumber}.yaml`
  const options = { ...exporter, endurance: 'recommended', queue: `queue-${firstNumber}` } as const
  writeFileSync(join(folder, file), senderYaml(port, metricsPort, options))
  const stock = new Service({
    name: `sender-${firstNumber}`,
    program: otelcol,
    args: ['--config', file],
    folder,
    isReady: () => isListening(port),
  })
  await stock.start()
  const telemetry = new NumberedTelemetry({ endpoint: `localhost:${port}`, firstNumber })
  const repeatsBefore = receiver.arrived.traces.repeats
  try {
    telemetry.run(RATE)
    const start = await callsOf(ground)
    await sleep(6_000)
    const first = (await callsOf(ground)).map((count, place) => count - start[place]!)
    gateways[1]!.signal('SIGKILL')
    await gateways[1]!.ended
    await sleep(6_000)
    gateways[1] = await startControlPlane(ground, 1, ground.port)
    const againMs = performance.now()
    const isBack = await becomes(async () => (await callsOf(ground))[1]! > 5, 45_000)
    const backAfter = isBack ? `${((performance.now() - againMs) / 1000).toFixed(1)} s` : 'never'
    telemetry.pause()
    await telemetry.flush()
    const { sent } = telemetry
    const lost = (): number =>
      SIGNALS.reduce((sum, signal) => sum + receiver.arrived[signal].missing(sent, firstNumber).length, 0)
    await becomes(() => lost() === 0, 20_000)
    const total = first.reduce((sum, count) => sum + count, 0)
    const isSpread = first.every((count) => count >= total * LEAST_SHARE)
    const isGood = lost() === 0 && isSpread && isBack
    const repeats = receiver.arrived.traces.repeats - repeatsBefore
    return [
      name,
      first.join(' / '),
      String(sent),
      String(lost()),
      String(repeats),
      backAfter,
      isGood ? 'good' : 'NOT',
    ]
  } finally {
    await telemetry.close()
    await stock.stop()
  }
}

async function main(): Promise<number> {
  const otelcol = programPath(collector, 'otelcol')
  if (otelcol === null) {
    console.log('ABSENT: no stock collector in the cache; npm run tools builds one')
    return ABSENT
  }
  if (!hasOwnHosts()) return againWithHosts(import.meta.filename, { [NAME]: ADDRESSES }, 280_000)
  const folder = mkdtempSync(join(tmpdir(), 'authgw-replicas-'))
  mkdirSync(join(folder, 'certs'))
  const ca = await makeAuthority(join(folder, 'certs'))
  await ca.issue('control-plane', { use: 'server', san: `DNS:${NAME}` })
  await ca.issue('workload', { use: 'client', san: 'URI:spiffe://example.org/workload' })
  writeFileSync(join(folder, 'client-secret'), SECRET, { mode: 0o600 })
  const receiver = await startOtlpReceiver()
  const clients = [{ clientId: CLIENT, secret: SECRET }]
  const provider = await startProvider({ audience: 'control-plane', tokenLifeSeconds: 60, clients })
  const port = await takePort()
  const gateways: GatewayProcess[] = []
  const rows: string[][] = []
  let workload: GatewayProcess | null = null
  try {
    const ground: Ground = { folder, otelcol, provider, receiver, port, gateways }
    for (const place of ADDRESSES.keys()) gateways.push(await startControlPlane(ground, place, port))
    workload = await startGateway(workloadYaml(provider.issuer, port), {
      configFile: join(folder, 'workload.yaml'),
    })
    const senders: Sender[] = [
      {
        name: 'stock exporter, oauth2client, round_robin',
        firstNumber: 0,
        exporter: {
          endpoint: `dns:///${NAME}:${port}`,
          balancer: 'round_robin',
          credentials: { tokenUrl: `${provider.issuer}/token`, clientId: CLIENT },
        },
      },
      {
        name: 'stock exporter → authgw of the workload',
        firstNumber: 1_000_000,
        exporter: { endpoint: `localhost:${workload.ports['ingress']}`, credentials: 'none' },
      },
    ]
    for (const sender of senders) rows.push(await trial(ground, sender))
  } finally {
    for (const gateway of [workload, ...gateways]) await gateway?.stop()
    receiver.stop()
    await provider.close()
    rmSync(folder, { recursive: true, force: true })
  }
  const head = [
    'sender',
    'calls by gateway',
    'sent of each signal',
    'lost',
    'spans twice',
    'killed one back in',
    '',
  ]
  console.log(table(head, rows))
  return rows.every((row) => row.at(-1) === 'good') ? 0 : 1
}

// What it started ends with this process, however that ends.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
process.exitCode = await main()

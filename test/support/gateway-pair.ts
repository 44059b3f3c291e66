/**
 * Gateways in this process, from real configuration text: the control plane alone, the workload alone, or both in a row,
 * in front of a server of the test's choosing. Certificates and an OpenID provider come with the ground they stand on.
 *
 * ```ts
 * const ground = await prepareGround()
 * const pair = await startPair(ground, 'both', server.port)
 * pair.ingress             // where and how a client dials
 * await pair.checkAtRest() // all credit is back, nothing is held, no bug was caught
 * await pair.close()
 * await ground.close()
 * ```
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadConfig, printConfig } from '../../src/config/index.ts'
import { runAuthgw } from '../../src/roles/index.ts'
import type { RunningAuthgw } from '../../src/roles/index.ts'
import { Logger } from '../../src/telemetry/index.ts'
import { makePki } from './dev-pki.ts'
import type { Pki } from './dev-pki.ts'
import { startProvider } from './oidc-provider.ts'
import type { RunningProvider } from './oidc-provider.ts'
import { parsePrometheusText } from './prometheus-text.ts'

/** The gateways that stand between client and server. */
export const SHAPES = ['control_plane', 'workload', 'both'] as const
export type PairShape = (typeof SHAPES)[number]

/** The service that tests call; the workload's list of methods and the control plane's policy let it pass. */
export const TEST_SERVICE = 'authgw.test.Interop'

/** What gateways need around them: certificates, a provider, a token for clients without a workload gateway. */
export interface PairGround {
  readonly folder: string
  readonly pki: Pki
  readonly provider: RunningProvider
  readonly token: string
  /** Of the client `workload`. */
  readonly clientSecret: string
  close(): Promise<void>
}

/** How a client reaches the first gateway. */
export interface PairIngress {
  readonly port: number
  /** Null where it listens in plaintext. */
  readonly tls: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer } | null
  /** What the client has to bring; null where the gateway brings it. */
  readonly token: string | null
}

/** Gateways that run. */
export interface GatewayPair {
  readonly shape: PairShape
  readonly ingress: PairIngress
  /** In the order that a call passes them. */
  readonly gateways: readonly RunningAuthgw[]
  /** Sum over the gateways of all series of a metric. */
  metric(name: string): Promise<number>
  /** All that they have logged. */
  logs(): Promise<string>
  /** Waits until no call is open, then throws unless every octet of credit is back and every budget is empty. */
  checkAtRest(): Promise<void>
  close(): Promise<void>
}

/** What a test may change. */
export interface PairOptions {
  /** Further lines at the top level of each configuration. */
  readonly extra?: string
  /** How long open calls may take to end in `checkAtRest`; default 5,000 ms. */
  readonly restMs?: number
}

const AUDIENCE = 'control-plane'
const SECRET = 'a-secret-for-loopback'
const METRICS_AT_REST = [
  'authgw_held_bytes',
  'authgw_replay_held_bytes',
  'authgw_open_streams',
  'authgw_bugs_total',
]

/** Makes certificates and starts a provider. */
export async function prepareGround(): Promise<PairGround> {
  const folder = mkdtempSync(join(tmpdir(), 'authgw-pair-'))
  const [pki, provider] = await Promise.all([
    makePki(folder),
    startProvider({ audience: AUDIENCE, clients: [{ clientId: 'workload', secret: SECRET }] }),
  ])
  const answer = await fetch(`${provider.issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`workload:${SECRET}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials' }),
  })
  const { access_token: token } = (await answer.json()) as { access_token: string }
  return {
    folder,
    pki,
    provider,
    token,
    clientSecret: SECRET,
    async close() {
      await provider.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Starts the gateways of a shape in front of `127.0.0.1:upstreamPort`. */
export async function startPair(
  ground: PairGround,
  shape: PairShape,
  upstreamPort: number,
  options: PairOptions = {},
): Promise<GatewayPair> {
  const { pki, token } = ground
  const folder = mkdtempSync(join(ground.folder, `${shape}-`))
  const logFile = join(folder, 'log')
  const gateways: RunningAuthgw[] = []
  const start = async (name: string, yaml: string): Promise<number> => {
    const gateway = await startGateway(
      join(folder, `${name}.yaml`),
      `${yaml}${COMMON}${options.extra ?? ''}`,
      logFile,
    )
    gateways.unshift(gateway)
    return portOf(gateway, name)
  }
  let port = upstreamPort
  if (shape !== 'workload') port = await start('control_plane', controlPlaneYaml(ground, port))
  if (shape !== 'control_plane') port = await start('workload', workloadYaml(ground, port, shape === 'both'))
  const isTls = shape === 'control_plane'
  const metric = async (name: string): Promise<number> => {
    const sums = await Promise.all(gateways.map((gateway) => readMetric(gateway, name)))
    return sums.reduce((sum, value) => sum + value, 0)
  }
  await waitFor(async () => (await metric('authgw_degraded')) === 0, 5_000, 'every gateway has what it needs')
  return {
    shape,
    gateways,
    ingress: {
      port,
      tls: isTls
        ? {
            ca: readFileSync(pki.ca.certFile),
            cert: readFileSync(pki.client.certFile),
            key: readFileSync(pki.client.keyFile),
          }
        : null,
      token: isTls ? token : null,
    },
    metric,
    async logs() {
      await Promise.all(gateways.map(({ log }) => (log as Logger).flush()))
      return readFileSync(logFile, 'utf8')
    },
    async checkAtRest() {
      const relays = gateways.flatMap((gateway) => gateway.roles.map((role) => role.relay))
      await waitFor(
        () => relays.every((relay) => relay.stats.callsOpen === 0),
        options.restMs ?? 5_000,
        'no call is open',
      )
      for (const name of METRICS_AT_REST)
        await waitFor(async () => (await metric(name)) === 0, 2_000, `${name} is 0 at rest`)
      for (const relay of relays) for (const connection of relay.ingressConnections) connection.checkCredits()
    },
    async close() {
      for (const gateway of gateways) await gateway.stop()
    },
  }
}

const COMMON = `admin: {endpoint: 127.0.0.1:0}
drain: {delay: 0s, timeout: 2s}
`

const workloadYaml = ({ pki, provider }: PairGround, port: number, isTls: boolean): string => `workload:
  listen: {endpoint: 127.0.0.1:0}
  upstream:
    endpoint: 127.0.0.1:${port}
${isTls ? `    tls: {ca_file: ${pki.ca.certFile}, cert_file: ${pki.client.certFile}, key_file: ${pki.client.keyFile}, server_name_override: localhost}\n` : ''}  oauth2client:
    issuer_url: ${provider.issuer}
    client_id: workload
    client_secret: ${SECRET}
  allow_methods: [${TEST_SERVICE}]
`

const controlPlaneYaml = ({ pki, provider }: PairGround, port: number): string => `control_plane:
  listen:
    endpoint: 127.0.0.1:0
    tls: {cert_file: ${pki.server.certFile}, key_file: ${pki.server.keyFile}, client_ca_file: ${pki.ca.certFile}}
  upstream: {endpoint: 127.0.0.1:${port}}
  oidc:
    providers: [{issuer_url: ${provider.issuer}, audience: ${AUDIENCE}}]
  policy:
    rules: [{name: interop, to: {methods: ['/${TEST_SERVICE}/*']}}]
`

async function startGateway(configFile: string, yaml: string, logFile: string): Promise<RunningAuthgw> {
  writeFileSync(configFile, yaml, { mode: 0o600 })
  const { config, tree } = loadConfig({ files: [configFile], env: {}, nowMs: Date.now() })
  return runAuthgw(config, {
    version: '0.0.0',
    printedConfig: () => printConfig(tree),
    log: new Logger({ level: 'debug', destination: logFile }),
  })
}

function portOf(gateway: RunningAuthgw, name: string): number {
  const [address] = gateway.addresses[name] ?? []
  if (address === undefined) throw new Error(`the gateway has no address for ${name}`)
  return Number(address.slice(address.lastIndexOf(':') + 1))
}

async function readMetric(gateway: RunningAuthgw, name: string): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${portOf(gateway, 'admin')}/metrics`)
  const samples = parsePrometheusText(await answer.text()).get(name)?.samples ?? []
  return samples.reduce((sum, { value }) => sum + value, 0)
}

/** Waits until `isSo` is true. @throws Error that says what was waited for, after `maxMs` */
export async function waitFor(
  isSo: () => boolean | Promise<boolean>,
  maxMs: number,
  what: string,
): Promise<void> {
  const endMs = performance.now() + maxMs
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`waited ${maxMs} ms in vain: ${what}`)
    await sleep(5)
  }
}

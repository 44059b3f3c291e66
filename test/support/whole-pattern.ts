/**
 * The whole pattern on one machine: workload collector → authgw → mTLS → authgw → control-plane collector, with
 * certificates and an OpenID provider. The two gateways are processes of their own, from the configuration files that
 * this writes; collectors and provider run in this process.
 *
 * ```ts
 * const pattern = await startPattern({ folder, tokenLifeSeconds: 10 })
 * const telemetry = new NumberedTelemetry({ endpoint: pattern.collector.endpoint })
 * await pattern.provider.stop()
 * await pattern.close()
 * ```
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startCollectorStandIn } from './collector-stand-in.ts'
import type { CollectorStandIn } from './collector-stand-in.ts'
import { makeAuthority } from './dev-pki.ts'
import { startGateway } from './gateway-process.ts'
import type { GatewayProcess } from './gateway-process.ts'
import { startProvider } from './oidc-provider.ts'
import type { RunningProvider } from './oidc-provider.ts'
import { startOtlpReceiver } from './otlp-receiver.ts'
import type { ArrivedRequest, OtlpReceiver } from './otlp-receiver.ts'
import type { RetryOptions } from './retry-policy.ts'

/** The client whose tokens the workload gateway gets. */
export const CLIENT_ID = 'workload'
export const CLIENT_SECRET = 'known-to-everyone-who-reads-this'
/** The audience that the control plane asks for, and one that the same provider also issues tokens for. */
export const AUDIENCE = 'control-plane'
export const OTHER_AUDIENCE = 'https://billing.example.org'
/** Where the control plane puts the client's name for the collector. */
export const CLIENT_HEADER = 'x-authgw-client'

/** A collector between the control plane's gateway and the receiver. */
export interface MiddleCollector {
  readonly endpoint: string
  stop(): Promise<void>
}

/** What to start. */
export interface PatternOptions {
  /** An empty folder for certificates, the client's secret and the two configurations. */
  readonly folder: string
  readonly tokenLifeSeconds: number
  readonly retry?: RetryOptions
  readonly onArrival?: (request: ArrivedRequest) => void
  /** Puts a collector in front of the receiver. */
  readonly startMiddle?: (receiverEndpoint: string) => Promise<MiddleCollector>
  /** Told of each part when it runs. */
  readonly onStarted?: (part: string, detail: string) => void
}

/** All of it, running. */
export interface WholePattern {
  readonly folder: string
  readonly provider: RunningProvider
  readonly receiver: OtlpReceiver
  readonly controlPlane: GatewayProcess
  readonly workload: GatewayProcess
  readonly collector: CollectorStandIn
  /** Ends everything, in the order of the flow. Harmless when it is called again. */
  close(): Promise<void>
}

/** Starts everything from the end of the flow to its beginning; what was started is stopped when a part fails. */
export async function startPattern(options: PatternOptions): Promise<WholePattern> {
  const { folder, onStarted = () => {} } = options
  const undo: (() => unknown)[] = []
  const close = async (): Promise<void> => {
    for (const end of undo.splice(0).reverse()) await end()
  }
  try {
    await writeCertificates(folder)
    onStarted('certificates', 'a development CA; one certificate for each gateway')
    const provider = await startProvider({
      audience: AUDIENCE,
      resources: [OTHER_AUDIENCE],
      tokenLifeSeconds: options.tokenLifeSeconds,
      clients: [{ clientId: CLIENT_ID, secret: CLIENT_SECRET }],
    })
    undo.push(() => provider.close())
    onStarted('provider', `${provider.issuer}, tokens live ${options.tokenLifeSeconds} s`)

    const receiver = await startOtlpReceiver(options.onArrival && { onArrival: options.onArrival })
    undo.push(() => receiver.stop())
    const middle = await options.startMiddle?.(receiver.endpoint)
    if (middle !== undefined) undo.push(() => middle.stop())
    const upstream = middle?.endpoint ?? receiver.endpoint
    onStarted(
      'control-plane collector',
      `${upstream}${middle ? ', a stock otelcol' : ', a stand-in that decodes'}`,
    )

    const controlPlane = await startGateway(controlPlaneYaml(provider.issuer, upstream), {
      configFile: join(folder, 'control-plane.yaml'),
    })
    undo.push(() => controlPlane.stop())
    onStarted('authgw, control plane', describe(controlPlane, 'mTLS'))
    const workload = await startGateway(workloadYaml(provider.issuer, controlPlane.ports['ingress']!), {
      configFile: join(folder, 'workload.yaml'),
    })
    undo.push(() => workload.stop())
    onStarted('authgw, workload', describe(workload, 'plaintext on loopback'))

    const collector = await startCollectorStandIn({
      upstream: `127.0.0.1:${workload.ports['ingress']}`,
      ...(options.retry && { retry: options.retry }),
    })
    undo.push(() => collector.close())
    onStarted('workload collector', `${collector.endpoint}, a stand-in with a queue and the stock retries`)
    return { folder, provider, receiver, controlPlane, workload, collector, close }
  } catch (error) {
    await close()
    throw error
  }
}

function describe(gateway: GatewayProcess, transport: string): string {
  return `127.0.0.1:${gateway.ports['ingress']}, ${transport}, process ${gateway.pid}`
}

async function writeCertificates(folder: string): Promise<void> {
  const ca = await makeAuthority(folder)
  await ca.issue('control-plane', { use: 'server', san: 'DNS:localhost,IP:127.0.0.1' })
  await ca.issue('workload', { use: 'client', san: 'URI:spiffe://example.org/workload' })
  writeFileSync(join(folder, 'client-secret'), CLIENT_SECRET, { mode: 0o600 })
}

/** Paths are relative to the file. `%name%` becomes a free port. */
const controlPlaneYaml = (
  issuer: string,
  upstream: string,
): string => `# In front of the control-plane collector.
control_plane:
  listen:
    endpoint: 127.0.0.1:%ingress%
    tls: {cert_file: control-plane.pem, key_file: control-plane-key.pem, client_ca_file: ca.pem}
  upstream: {endpoint: '${upstream}'}
  oidc:
    providers: [{issuer_url: '${issuer}', audience: ${AUDIENCE}}]
    claim_to_headers: [{header_name: ${CLIENT_HEADER}, claim_name: client_id}]
admin: {endpoint: 127.0.0.1:%admin%}
drain: {delay: 0s}                                # nobody watches readiness here
`

const workloadYaml = (issuer: string, controlPlanePort: number): string => `# Beside the workload collector.
workload:
  listen: {endpoint: 127.0.0.1:%ingress%}         # the collector's otlp_grpc exporter sends here
  upstream:
    endpoint: localhost:${controlPlanePort}
    tls: {ca_file: ca.pem, cert_file: workload.pem, key_file: workload-key.pem}
  oauth2client:
    issuer_url: ${issuer}
    client_id: ${CLIENT_ID}
    client_secret_file: client-secret
    scopes: [otlp.write]
admin: {endpoint: 127.0.0.1:%admin%}
drain: {delay: 0s}
`

/**
 * What an operator's story needs: gateways in this process, from configuration files as they are, certificates, and a
 * real OpenID provider behind a proxy that misbehaves on demand. A server of the test's choosing stands at the end.
 *
 * ```ts
 * await using stage = await openStage({ shape: 'workload' })
 * stage.proxy.misbehave('/token', SERVER_ERROR)
 * const answer = await stage.call()      // status, reason and RetryInfo as a client sees them
 * ```
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Settings } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { status as grpcStatus } from '@grpc/grpc-js'
import { loadConfig, printConfig } from '../../src/config/index.ts'
import { runAuthgw } from '../../src/roles/index.ts'
import type { RunningAuthgw } from '../../src/roles/index.ts'
import { Logger } from '../../src/telemetry/index.ts'
import { makePki } from './dev-pki.ts'
import type { Pki, PkiPair } from './dev-pki.ts'
import { startFaultProxy } from './fault-proxy.ts'
import type { FaultProxy } from './fault-proxy.ts'
import { waitFor } from './gateway-pair.ts'
import { readConditions, readMetrics } from './gateway-readings.ts'
import { connectGrpcJs } from './grpc-js-kit.ts'
import type { CallOptions, GrpcCaller, GrpcServed, Outcome } from './grpc-peer.ts'
import { serveNodeHttp2 } from './node-http2-kit.ts'
import { startProvider } from './oidc-provider.ts'
import type { ProviderClient, RunningProvider } from './oidc-provider.ts'
import { exportPath, retryDelayMs } from './otlp-proto.ts'

/** A gateway by what it does. */
export type StageRole = 'workload' | 'control_plane'

/** The gateways that stand between client and server. */
export type StageShape = 'workload' | 'control_plane' | 'both'

/**
 * What a story changes. Texts are lines of YAML from the column of their section on; `%provider%` is the provider's own address,
 * `%folder%` the stage's folder.
 */
export interface StageOptions {
  readonly shape: StageShape
  /** Where the last gateway forwards to: a port of 127.0.0.1. Default a server that echoes, `Stage.upstream`. */
  readonly upstreamPort?: number
  /** Where the last gateway forwards to, in place of 127.0.0.1 and the port. */
  readonly upstreamEndpoint?: string
  /** Further lines of the last gateway's `upstream` section. */
  readonly upstreamSection?: string
  /** Life of a token; default 300. */
  readonly tokenLifeSeconds?: number
  /** Default: one client, `workload`. */
  readonly clients?: readonly ProviderClient[]
  /** Called before any gateway starts. */
  readonly beforeStart?: (stage: Pick<Stage, 'proxy' | 'provider' | 'pki' | 'folder'>) => void | Promise<void>
  /** In place of the oauth2client section. */
  readonly credential?: string
  readonly oauth2client?: string
  readonly workload?: string
  readonly controlPlane?: string
  readonly oidc?: string
  /** In place of the only provider. */
  readonly oidcProviders?: (stage: Pick<Stage, 'proxy' | 'provider' | 'folder'>) => string
  /** Further lines of the `listen` section of the first gateway. */
  readonly listen?: string
  /** SETTINGS of the echoing server. */
  readonly upstreamSettings?: Settings
  /** Which certificates the gateways show each other; default `server` and `client`. */
  readonly controlPlaneCertificate?: (pki: Pki) => PkiPair
  readonly workloadCertificate?: (pki: Pki) => PkiPair
  /** Further lines of `tls` of the control plane's listener. */
  readonly listenTls?: string
  /** At the top level of each configuration. */
  readonly top?: string
  /** Default true: waits until each gateway has the token or the keys that it needs. */
  readonly waitsUntilWell?: boolean
}

/** An answer in the words that the no-loss contract uses. */
export interface StageAnswer {
  /** Name of the grpc-status. */
  readonly status: string
  readonly message: string
  /** The `authgw-reason` trailer; null without. */
  readonly reason: string | null
  /** Seconds of RetryInfo; null without. */
  readonly retrySeconds: number | null
  readonly outcome: Outcome
}

/** How a call is made. */
export interface StageCall extends CallOptions {
  /** Bearer token to bring; null for none. Default what the shape asks for. */
  readonly token?: string | null
  /** Default five octets. */
  readonly body?: Buffer
  /** Default true; false where the details are no protobuf. */
  readonly parsesDetails?: boolean
}

/** Everything that runs. */
export interface Stage extends AsyncDisposable {
  readonly folder: string
  readonly pki: Pki
  readonly proxy: FaultProxy
  readonly provider: RunningProvider
  readonly upstream: GrpcServed
  /** In the order that a call passes them. */
  readonly gateways: readonly RunningAuthgw[]
  /** A gateway by its role. */
  role(name: StageRole): RunningAuthgw
  /** Stops a gateway, without grace unless said otherwise, and starts it again on the same port and configuration. */
  restart(name: StageRole, how?: 'at once' | 'in good order'): Promise<void>
  /** Port of the first gateway. */
  readonly port: number
  /** A unary OTLP Export of traces on a connection that calls share. */
  call(options?: StageCall): Promise<StageAnswer>
  /** Ends that connection: the next call is made on another. */
  hangUp(): void
  /** A client of its own, with another certificate if one is given. Ended with the stage. */
  connect(certificate?: PkiPair): GrpcCaller
  /** The certificates of a client, or those of another one. */
  clientTls(certificate?: PkiPair): { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer }
  /** A valid token, asked for at the provider itself. */
  token(): Promise<string>
  /** Sum of a metric's series over the gateways. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>
  /** Lines of /readyz?verbose of a role. */
  conditions(role: StageRole): Promise<string[]>
  /** The status of /readyz of a role. */
  readyStatus(role: StageRole): Promise<number>
  /** All that the gateways have logged. */
  logs(): Promise<string>
}

export const CLIENT_ID = 'workload'
export const CLIENT_SECRET = 'a-secret-for-loopback'
export const AUDIENCE = 'control-plane'
/** The method that stories call unless they say otherwise. */
export const EXPORT_PATH = exportPath('traces')

/** The head of such a call, for clients that write it themselves. */
export const GRPC_HEAD: readonly (readonly [string, string])[] = [
  [':method', 'POST'],
  [':scheme', 'https'],
  [':path', EXPORT_PATH],
  [':authority', 'localhost'],
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
]

const HELLO = Buffer.from('hello')

/** Sets the stage. What was started is ended when a part fails. */
export async function openStage(options: StageOptions): Promise<Stage> {
  const stage = new OpenStage(options)
  try {
    await stage.open()
    return stage
  } catch (error) {
    await stage[Symbol.asyncDispose]()
    throw error
  }
}

/** An outcome in the words of the contract. */
export function answerOf(outcome: Outcome, parsesDetails = true): StageAnswer {
  const details = outcome.trailers['grpc-status-details-bin']?.[0]
  const delayMs = details instanceof Buffer && parsesDetails ? retryDelayMs(details) : null
  return {
    status: grpcStatus[outcome.status] ?? String(outcome.status),
    message: outcome.message,
    reason: outcome.trailers['authgw-reason']?.map(String).join(', ') ?? null,
    retrySeconds: delayMs === null ? null : delayMs / 1000,
    outcome,
  }
}

class OpenStage implements Stage {
  readonly folder = mkdtempSync(join(tmpdir(), 'authgw-scenario-'))
  pki!: Pki
  proxy!: FaultProxy
  provider!: RunningProvider
  upstream!: GrpcServed
  readonly gateways: RunningAuthgw[] = []
  port = 0
  readonly #options: StageOptions
  readonly #undo: (() => unknown)[] = []
  #caller: GrpcCaller | null = null

  constructor(options: StageOptions) {
    this.#options = options
  }

  async open(): Promise<void> {
    const { shape, tokenLifeSeconds = 300, clients } = this.#options
    this.proxy = await startFaultProxy()
    this.#undo.push(() => this.proxy.close())
    this.upstream = await serveNodeHttp2(this.#options.upstreamSettings)
    this.upstream.respond = async (call) => {
      for (let message = await call.next(); message !== null; message = await call.next())
        await call.send(message)
      call.finish()
    }
    this.#undo.push(() => this.upstream.close())
    ;[this.pki, this.provider] = await Promise.all([
      makePki(this.folder),
      startProvider({
        issuer: this.proxy.url,
        audience: AUDIENCE,
        tokenLifeSeconds,
        clients: clients ?? [{ clientId: CLIENT_ID, secret: CLIENT_SECRET }],
      }),
    ])
    this.#undo.push(() => this.provider.close())
    this.proxy.target = this.provider.url
    writeFileSync(join(this.folder, 'client-secret'), CLIENT_SECRET, { mode: 0o600 })
    await this.#options.beforeStart?.(this)
    let port = this.#options.upstreamPort ?? this.upstream.port
    if (shape !== 'workload') port = await this.#start('control_plane', this.#controlPlaneYaml(port))
    if (shape !== 'control_plane') port = await this.#start('workload', this.#workloadYaml(port))
    this.port = port
    if (this.#options.waitsUntilWell !== false)
      await waitFor(async () => (await this.metric('authgw_degraded')) === 0, 5_000, 'all is well')
  }

  async #start(name: StageRole, yaml: string): Promise<number> {
    const file = join(this.folder, `${name}.yaml`)
    const common = 'admin: {endpoint: 127.0.0.1:0}\ndrain: {delay: 0s, timeout: 2s}\n'
    const top = this.#options.top ?? ''
    const text = yaml.replaceAll('%provider%', this.provider.url).replaceAll('%folder%', this.folder)
    writeFileSync(file, `${text}${/^drain:/m.test(top) ? common.split('\n')[0] + '\n' : common}${top}`, {
      mode: 0o600,
    })
    return this.#run(name, file)
  }

  async #run(name: StageRole, file: string): Promise<number> {
    const { config, tree } = loadConfig({ files: [file], env: {}, nowMs: Date.now() })
    const gateway = await runAuthgw(config, {
      version: '0.0.0',
      printedConfig: () => printConfig(tree),
      log: new Logger({ level: 'debug', destination: join(this.folder, 'log') }),
    })
    if (name === 'workload') this.gateways.unshift(gateway)
    else this.gateways.push(gateway)
    this.#undo.push(() => gateway.stop())
    return portOf(gateway, name)
  }

  async restart(name: StageRole, how: 'at once' | 'in good order' = 'at once'): Promise<void> {
    const gateway = this.role(name)
    const port = portOf(gateway, name)
    await (how === 'at once' ? gateway.stop() : gateway.drain())
    this.gateways.splice(this.gateways.indexOf(gateway), 1)
    const file = join(this.folder, `${name}.yaml`)
    const text = readFileSync(file, 'utf8')
    const listen = text.indexOf('endpoint: ')
    writeFileSync(file, text.slice(0, listen) + text.slice(listen).replace(/:0\b/, `:${port}`))
    await this.#run(name, file)
  }

  #upstream(port: number): string {
    const { upstreamEndpoint = `127.0.0.1:${port}`, upstreamSection = '' } = this.#options
    return `${upstreamEndpoint}\n${indented(upstreamSection, 4)}`.trimEnd()
  }

  #workloadYaml(port: number): string {
    const { credential, oauth2client = '', workload = '', shape } = this.#options
    const { ca } = this.pki
    const client = this.#options.workloadCertificate?.(this.pki) ?? this.pki.client
    const tls = `{ca_file: ${ca.certFile}, cert_file: ${client.certFile}, key_file: ${client.keyFile}}`
    const grant = `oauth2client:
  issuer_url: ${this.proxy.url}
  client_id: ${CLIENT_ID}
  client_secret_file: ${join(this.folder, 'client-secret')}
${indented(oauth2client)}`
    return `workload:
  listen:
    endpoint: 127.0.0.1:0
${indented(this.#options.listen ?? '', 4)}  upstream:
    endpoint: ${shape === 'both' ? `localhost:${port}` : this.#upstream(port)}
${shape === 'both' ? `    tls: ${tls}\n` : ''}${indented(credential ?? grant)}${indented(workload)}`
  }

  #controlPlaneYaml(port: number): string {
    const { controlPlane = '', oidc = '', listenTls = '', listen = '', shape } = this.#options
    const { ca } = this.pki
    const server = this.#options.controlPlaneCertificate?.(this.pki) ?? this.pki.server
    return `control_plane:
  listen:
    endpoint: localhost:0
    tls:
      cert_file: ${server.certFile}
      key_file: ${server.keyFile}
      client_ca_file: ${ca.certFile}
${indented(listenTls, 6)}${shape === 'both' ? '' : indented(listen, 4)}  upstream:
    endpoint: ${this.#upstream(port)}
  oidc:
    providers: ${this.#options.oidcProviders?.(this) ?? `[{issuer_url: '${this.proxy.url}', audience: ${AUDIENCE}}]`}
${indented(oidc, 4)}${indented(controlPlane)}`
  }

  role(name: StageRole): RunningAuthgw {
    return this.gateways.find((gateway) => gateway.addresses[name] !== undefined)!
  }

  connect(certificate: PkiPair = this.pki.client): GrpcCaller {
    const isTls = this.#options.shape === 'control_plane'
    const tls = isTls ? this.clientTls(certificate) : null
    const caller = connectGrpcJs({ port: this.port, tls, token: null })
    this.#undo.push(() => caller.close())
    return caller
  }

  clientTls(certificate: PkiPair = this.pki.client): { ca: Buffer; cert: Buffer; key: Buffer } {
    return {
      ca: readFileSync(this.pki.ca.certFile),
      cert: readFileSync(certificate.certFile),
      key: readFileSync(certificate.keyFile),
    }
  }

  async call({ token, body = HELLO, parsesDetails = true, ...rest }: StageCall = {}): Promise<StageAnswer> {
    this.#caller ??= this.connect()
    const isAsked = this.#options.shape === 'control_plane'
    const bearer = token === undefined && isAsked ? await this.token() : (token ?? null)
    const metadata = { ...(bearer !== null && { authorization: [`Bearer ${bearer}`] }), ...rest.metadata }
    const call = { path: EXPORT_PATH, timeoutMs: 10_000, ...rest, metadata }
    return answerOf(await this.#caller.unary(body, call), parsesDetails)
  }

  hangUp(): void {
    this.#caller?.close()
    this.#caller = null
  }

  async token(): Promise<string> {
    const answer = await fetch(`${this.provider.url}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`${CLIENT_ID}:${CLIENT_SECRET}`).toString('base64')}` },
      body: new URLSearchParams({ grant_type: 'client_credentials' }),
    })
    return ((await answer.json()) as { access_token: string }).access_token
  }

  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const readings = await Promise.all(this.gateways.map((gateway) => readMetrics(portOf(gateway, 'admin'))))
    return readings.reduce((total, reading) => total + reading.sum(name, labels), 0)
  }

  conditions(role: StageRole): Promise<string[]> {
    return readConditions(portOf(this.role(role), 'admin'))
  }

  async readyStatus(role: StageRole): Promise<number> {
    const answer = await fetch(`http://127.0.0.1:${portOf(this.role(role), 'admin')}/readyz`)
    await answer.arrayBuffer()
    return answer.status
  }

  async logs(): Promise<string> {
    await Promise.all(this.gateways.map(({ log }) => (log as Logger).flush()))
    return readFileSync(join(this.folder, 'log'), 'utf8')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#undo.splice(0).reverse()) await end()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

function indented(lines: string, columns = 2): string {
  if (lines.trim() === '') return ''
  return lines.trimEnd().replaceAll(/^/gm, ' '.repeat(columns)) + '\n'
}

function portOf(gateway: RunningAuthgw, name: string): number {
  const [address] = gateway.addresses[name] ?? []
  if (address === undefined) throw new Error(`the gateway has no address for ${name}`)
  return Number(address.slice(address.lastIndexOf(':') + 1))
}

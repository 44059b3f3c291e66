/**
 * What a campaign runs on: a provider behind two proxies (one for each side), certificates that are replaced, both
 * gateways as processes that are killed, and a receiver that knows the number of every span.
 */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeAuthority } from '../support/dev-pki.ts'
import type { PkiAuthority } from '../support/dev-pki.ts'
import { DISCOVERY_PATH, KEYS_PATH, startFaultProxy } from '../support/fault-proxy.ts'
import type { FaultProxy } from '../support/fault-proxy.ts'
import { freePort } from '../support/free-port.ts'
import { startGateway } from '../support/gateway-process.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { startProvider } from '../support/oidc-provider.ts'
import type { RunningProvider } from '../support/oidc-provider.ts'
import { startOtlpReceiver } from '../support/otlp-receiver.ts'
import type { OtlpReceiver } from '../support/otlp-receiver.ts'

/** The two gateways. */
export type Side = 'workload' | 'control_plane'

/** Life of a token, in seconds: short, so that no outage passes unnoticed. */
export const TOKEN_LIFE_SECONDS = 10
const AUDIENCE = 'control-plane'
const SECRET = 'a-secret-for-loopback'
const SHIFTED_CLOCK = resolve(import.meta.dirname, '../support/shifted-clock.ts')

/** Where collectors stand around the gateways; null where the sender and the receiver do. */
export interface Surroundings {
  /** Started in front of the receiver; gives the endpoint that the control plane forwards to. */
  readonly behind?: (
    receiverEndpoint: string,
  ) => Promise<{ readonly endpoint: string; stop(): Promise<void> }>
}

/** All of it, running. */
export class Bed {
  readonly folder = mkdtempSync(join(tmpdir(), 'authgw-campaign-'))
  provider!: RunningProvider
  /** Between the workload and the provider, and between the control plane and the provider. */
  workloadProxy!: FaultProxy
  controlPlaneProxy!: FaultProxy
  receiver!: OtlpReceiver
  readonly gateways: Record<Side, GatewayProcess | null> = { workload: null, control_plane: null }
  /** Monotonic ms at which each control plane was started: a new process may fetch keys at once. */
  readonly controlPlaneStartsMs: number[] = []
  readonly workloadStartsMs: number[] = []
  readonly ports = { workload: 0, control_plane: 0, workloadAdmin: 0, controlPlaneAdmin: 0 }
  #authority!: PkiAuthority
  #authorityCount = 0
  #upstream = ''
  readonly #undo: (() => unknown)[] = []

  async open(surroundings: Surroundings = {}): Promise<void> {
    this.#undo.push(() => rmSync(this.folder, { recursive: true, force: true }))
    this.provider = await startProvider({
      audience: AUDIENCE,
      tokenLifeSeconds: TOKEN_LIFE_SECONDS,
      clients: [{ clientId: 'workload', secret: SECRET }],
    })
    this.#undo.push(() => this.provider.close())
    this.workloadProxy = await startFaultProxy()
    this.controlPlaneProxy = await startFaultProxy()
    for (const proxy of this.proxies) {
      proxy.target = this.provider.url
      this.#undo.push(() => proxy.close())
    }
    this.receiver = await startOtlpReceiver()
    this.#undo.push(() => this.receiver.stop())
    const behind = await surroundings.behind?.(this.receiver.endpoint)
    if (behind !== undefined) this.#undo.push(() => behind.stop())
    this.#upstream = behind?.endpoint ?? this.receiver.endpoint
    writeFileSync(join(this.folder, 'client-secret'), SECRET, { mode: 0o600 })
    this.#authority = await makeAuthority(this.folder, 'ca-0')
    await this.#issueLeaves()
    this.#putBundle([this.#authority])
    for (const name of Object.keys(this.ports) as (keyof typeof this.ports)[])
      this.ports[name] = await freePort()
    await this.startGateway('control_plane')
    await this.startGateway('workload')
  }

  get proxies(): readonly FaultProxy[] {
    return [this.workloadProxy, this.controlPlaneProxy]
  }

  /** Starts a gateway that does not run; with its wall clock moved if that is asked for. Resolves when it listens. */
  async startGateway(side: Side, clockShiftMs = 0): Promise<void> {
    const env =
      clockShiftMs === 0
        ? {}
        : { NODE_OPTIONS: `--import ${SHIFTED_CLOCK}`, AUTHGW_TEST_CLOCK_SHIFT_MS: String(clockShiftMs) }
    const yaml = side === 'workload' ? this.#workloadYaml() : this.#controlPlaneYaml()
    const starts = side === 'workload' ? this.workloadStartsMs : this.controlPlaneStartsMs
    starts.push(performance.now())
    this.gateways[side] = await startGateway(yaml, {
      configFile: join(this.folder, `${side}.yaml`),
      env,
      // A control plane that never had keys is alive, and not ready: what counts here is that it listens.
      readyPath: '/livez',
      readyMs: 30_000,
      ports: {
        admin: side === 'workload' ? this.ports.workloadAdmin : this.ports.controlPlaneAdmin,
      },
    })
  }

  /** Ends a gateway at once. */
  async killGateway(side: Side): Promise<void> {
    const gateway = this.gateways[side]
    this.gateways[side] = null
    gateway?.signal('SIGKILL')
    await gateway?.ended
  }

  /** Moves to another certificate authority and other certificates, as an operator does: trust both, move, trust one. */
  async replaceCertificates(settleMs: number): Promise<void> {
    const old = this.#authority
    this.#authority = await makeAuthority(this.folder, `ca-${++this.#authorityCount}`)
    this.#putBundle([old, this.#authority])
    await sleep(settleMs)
    await this.#issueLeaves()
    await sleep(settleMs)
    this.#putBundle([this.#authority])
    await sleep(settleMs)
  }

  async #issueLeaves(): Promise<void> {
    const server = await this.#authority.issue('fresh-server', {
      use: 'server',
      san: 'DNS:localhost,IP:127.0.0.1',
    })
    const client = await this.#authority.issue('fresh-client', {
      use: 'client',
      san: 'URI:spiffe://example.org/workload',
    })
    for (const [name, { certificatePem, keyPem }] of [
      ['server', server],
      ['client', client],
    ] as const) {
      this.#put(`${name}-key.pem`, keyPem)
      this.#put(`${name}.pem`, certificatePem)
    }
  }

  #putBundle(authorities: readonly PkiAuthority[]): void {
    this.#put('ca.pem', authorities.map(({ certificatePem }) => certificatePem).join('\n'))
  }

  #put(name: string, text: string): void {
    const file = join(this.folder, name)
    writeFileSync(`${file}.new`, text, { mode: 0o600 })
    renameSync(`${file}.new`, file)
  }

  #workloadYaml(): string {
    return `workload:
  listen: {endpoint: 127.0.0.1:${this.ports.workload}}
  upstream:
    endpoint: localhost:${this.ports.control_plane}
    tls: {ca_file: ca.pem, cert_file: client.pem, key_file: client-key.pem}
  oauth2client:
    issuer_url: ${this.provider.issuer}
    discovery_url: ${this.workloadProxy.url}${DISCOVERY_PATH}
    client_id: workload
    client_secret_file: client-secret
admin: {endpoint: 127.0.0.1:%admin%}
`
  }

  #controlPlaneYaml(): string {
    return `control_plane:
  listen:
    endpoint: localhost:${this.ports.control_plane}
    tls: {cert_file: server.pem, key_file: server-key.pem, client_ca_file: ca.pem}
  upstream: {endpoint: '${this.#upstream}'}
  oidc:
    providers:
      - {issuer_url: '${this.provider.issuer}', jwks_uri: '${this.controlPlaneProxy.url}${KEYS_PATH}', audience: ${AUDIENCE}}
admin: {endpoint: 127.0.0.1:%admin%}
`
  }

  async close(): Promise<void> {
    for (const side of ['workload', 'control_plane'] as const) await this.killGateway(side)
    for (const end of this.#undo.splice(0).reverse()) await end()
  }
}

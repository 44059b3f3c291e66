/** authgw as a peer, in either role: built and started as it ships, every limit, metric and check as it is by default. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { SHIPPED_ENV, SHIPPED_FLAGS } from '../../test/support/as-shipped.ts'
import { freePort } from '../../test/support/free-port.ts'
import { startListening } from '../load/fleet.ts'
import type { Running } from '../load/fleet.ts'
import type { Ground } from '../load/ground.ts'
import { AUDIENCE, ISSUER } from '../load/ground.ts'
import type { Peer } from './peer.ts'

const ROOT = resolve(import.meta.dirname, '../..')

/** How long two workers are loaded before they count: each has its own code to compile. */
const WORKERS_WARM_UP_SECONDS = 6

/** What one start of the control plane role needs. */
export interface ControlPlane {
  ground: Ground
  port: number
  adminPort: number
  upstreamPort: number
  isTls: boolean
  issuer?: string
  workers?: number
}

/** The control plane role's configuration: the token is checked, and the client's certificate where there is TLS. */
export function controlPlaneYaml(setting: ControlPlane): string {
  const { ground } = setting
  const tls = `    tls: {cert_file: ${ground.certFile}, key_file: ${ground.keyFile}, client_ca_file: ${ground.caFile}}\n`
  return `workers: ${setting.workers ?? 1}
control_plane:
  listen:
    endpoint: 127.0.0.1:${setting.port}
    max_concurrent_streams: 1000
${setting.isTls ? tls : ''}  upstream: {endpoint: 127.0.0.1:${setting.upstreamPort}}
  oidc:
    providers:
      - issuer_url: ${setting.issuer ?? ISSUER}
        audience: ${AUDIENCE}
        public_keys_file: ${ground.publicKeysFile}
admin: {endpoint: 127.0.0.1:${setting.adminPort}}
drain: {delay: 0s, timeout: 2s}
`
}

/** The workload role's: the caller's token is replaced by the one from a file. */
const workloadYaml = ({ ground, port, adminPort, upstreamPort }: ControlPlane): string => `workload:
  listen:
    endpoint: 127.0.0.1:${port}
    max_concurrent_streams: 1000
  upstream: {endpoint: 127.0.0.1:${upstreamPort}}
  bearertokenauth: {filename: ${ground.tokenFile}}
admin: {endpoint: 127.0.0.1:${adminPort}}
drain: {delay: 0s, timeout: 2s}
`

/** Starts authgw with a configuration of the given name; `port` is the one that it listens on. */
export function startAuthgw(ground: Ground, name: string, yaml: string, port: number): Promise<Running> {
  const config = join(ground.folder, `${name}.yaml`)
  writeFileSync(config, yaml)
  return startListening(process.execPath, [...SHIPPED_FLAGS, ground.program, '--config', config], port, {
    logFile: `${config}.log`,
    env: { ...process.env, ...SHIPPED_ENV },
  })
}

function authgwPeer(name: string, role: 'control-plane' | 'workload', workers: number): Peer {
  return {
    name,
    checksToken: role === 'control-plane',
    ...(workers > 1 && { warmUpSeconds: WORKERS_WARM_UP_SECONDS }),
    standing() {
      const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
      return Promise.resolve({ version })
    },
    async start({ ground, upstreamPort, isTls, turn }) {
      const port = await freePort()
      const setting = { ground, port, adminPort: await freePort(), upstreamPort, isTls, workers }
      const yaml = role === 'workload' ? workloadYaml(setting) : controlPlaneYaml(setting)
      return startAuthgw(ground, `authgw-${turn}`, yaml, port)
    },
  }
}

export const authgw = authgwPeer('authgw', 'control-plane', 1)
export const authgwWorkload = authgwPeer('authgw workload', 'workload', 1)
export const authgwTwoWorkers = authgwPeer('authgw 2 workers', 'control-plane', 2)

/**
 * The TLS sections of the configuration into contexts that reload, and their expiry into metrics.
 * Floor 7; reads no file itself: net/ does.
 */
import { ConfigError } from '../base/index.ts'
import type { Config, Oauth2ClientConfig, TlsClientConfig, TlsServerConfig } from '../config/index.ts'
import {
  TlsContext,
  TlsMaterialError,
  type TlsContextOptions,
  type TlsOptions,
  type TlsSide,
} from '../net/index.ts'
import type { Machine } from './machine.ts'
import type { RoleName } from './role.ts'

/** The keys that the sections for listening, dialling and the provider have in common. */
type TlsConfig = TlsServerConfig | TlsClientConfig | NonNullable<Oauth2ClientConfig['tls']>

/** A section of the configuration that names certificates. */
export interface TlsPlace {
  readonly side: TlsSide
  readonly section: TlsConfig | { readonly caFile: string }
  /** Where it stands in the configuration. */
  readonly path: string
  /** What it is for: label of metrics. */
  readonly role: 'ingress' | 'egress' | 'idp' | 'admin'
}

/** Without `tls`, a remote upstream is verified against the system's trust store, as Go does. */
const SYSTEM_TRUST = { caFile: '' }

/** The certificates of one role's two legs; null for a leg in plaintext. */
export function roleTlsPlaces(
  config: Config,
  name: RoleName,
): { readonly ingress: TlsPlace | null; readonly egress: TlsPlace | null } {
  const { listen, upstream } = (name === 'workload' ? config.workload : config.controlPlane)!
  const ingress = { side: 'server', path: `${name}.listen.tls`, role: 'ingress' } as const
  const egress = { side: 'client', path: `${name}.upstream.tls`, role: 'egress' } as const
  return {
    ingress: listen.tls === undefined ? null : { ...ingress, section: listen.tls },
    egress: upstream.isPlaintext ? null : { ...egress, section: upstream.tls ?? SYSTEM_TRUST },
  }
}

/** The certificates of all legs that calls take. Those for the provider belong to whoever asks it. */
export function tlsPlaces(config: Config): TlsPlace[] {
  const names = ['control_plane', 'workload'] as const
  return names
    .filter((name) => config[name === 'workload' ? 'workload' : 'controlPlane'] !== undefined)
    .flatMap((name) => Object.values(roleTlsPlaces(config, name)).filter((place) => place !== null))
}

/** Where a process reads files that another one owns. */
export type FilePorts = Pick<TlsContextOptions, 'readFile' | 'watchFolder'>

/** Opens a context that watches its files, and feeds its metrics. @throws ConfigError with every problem */
export async function openTls(machine: Machine, place: TlsPlace): Promise<TlsContext> {
  const context = await openContext(machine, place)
  const { metrics } = machine
  const { role } = place
  metrics.addFamily('authgw_certificate_expiry_timestamp_seconds', (emit) => {
    const { notAfterMs, trustNotAfterMs } = context.material
    if (notAfterMs !== Infinity) emit({ role }, notAfterMs / 1000)
    if (trustNotAfterMs !== Infinity) emit({ role: `${role}_ca` }, trustNotAfterMs / 1000)
  })
  metrics.addGauge(
    'authgw_certificate_not_before_timestamp_seconds',
    { role },
    () => context.material.notBeforeMs / 1000,
  )
  const target = `certificate_${role}`
  metrics.addGauge('authgw_last_reload_success', { target }, () => (context.isLastReloadOk ? 1 : 0))
  metrics.addGauge('authgw_last_reload_timestamp_seconds', { target }, () => context.loadedAtMs / 1000)
  return context
}

/** Opens a context without metrics. @throws ConfigError with every problem */
export async function openContext(
  machine: Machine,
  { side, section, path }: TlsPlace,
  ports: FilePorts = {},
): Promise<TlsContext> {
  const { clock, netStats, log } = machine
  const reloadIntervalMs = 'reloadIntervalMs' in section ? section.reloadIntervalMs : undefined
  try {
    return await TlsContext.open({
      side,
      tls: optionsOf(side, section),
      clock,
      stats: netStats,
      log,
      ...(reloadIntervalMs !== undefined && { reloadIntervalMs }),
      ...ports,
    })
  } catch (error) {
    if (!(error instanceof TlsMaterialError)) throw error
    throw new ConfigError(
      error.problems.map(({ option, problem, remedy }) => ({
        path: `${path}.${option}`,
        position: null,
        problem,
        remedy,
      })),
    )
  }
}

const clientsTrust = ({ clientCaFile }: TlsServerConfig): TlsOptions => ({ caFile: clientCaFile ?? null })

const peersTrust = ({ caFile, caPem }: TlsClientConfig): TlsOptions => ({
  caFile: caFile ?? null,
  caPem: caPem ?? null,
})

function optionsOf(side: TlsSide, config: TlsConfig | { readonly caFile: string }): TlsOptions {
  if (!('minVersion' in config)) return { caFile: config.caFile }
  return {
    ...(side === 'server' ? clientsTrust(config as TlsServerConfig) : peersTrust(config as TlsClientConfig)),
    includeSystemCaCertsPool: config.includeSystemCaCertsPool,
    certFile: config.certFile ?? null,
    certPem: config.certPem ?? null,
    keyFile: config.keyFile ?? null,
    keyPem: config.keyPem ?? null,
    crlFile: 'crlFile' in config ? (config.crlFile ?? null) : null,
    minVersion: config.minVersion,
    maxVersion: config.maxVersion,
    ...(config.cipherSuites !== undefined && { cipherSuites: config.cipherSuites }),
    ...(config.curvePreferences !== undefined && { curvePreferences: config.curvePreferences }),
  }
}

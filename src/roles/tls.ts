/**
 * The TLS sections of the configuration into contexts that reload, and their expiry into metrics.
 * Floor 7; reads no file itself: net/ does.
 */
import { ConfigError } from '../base/index.ts'
import type { Oauth2ClientConfig, TlsClientConfig, TlsServerConfig } from '../config/index.ts'
import { TlsContext, TlsMaterialError, type TlsOptions, type TlsSide } from '../net/index.ts'
import type { Machine } from './machine.ts'

/** The keys that the sections for listening, dialling and the provider have in common. */
type TlsConfig = TlsServerConfig | TlsClientConfig | NonNullable<Oauth2ClientConfig['tls']>

/** Opens a context and feeds its metrics under `role`. */
export async function openTls(
  machine: Machine,
  side: TlsSide,
  config: TlsConfig | { readonly caFile: string },
  path: string,
  role: string,
): Promise<TlsContext> {
  const { clock, netStats, log, metrics } = machine
  const reloadIntervalMs = 'reloadIntervalMs' in config ? config.reloadIntervalMs : undefined
  try {
    const context = await TlsContext.open({
      side,
      tls: optionsOf(side, config),
      clock,
      stats: netStats,
      log,
      ...(reloadIntervalMs !== undefined && { reloadIntervalMs }),
    })
    metrics.addFamily('authgw_certificate_expiry_timestamp_seconds', (emit) => {
      const { notAfterMs, trustNotAfterMs } = context.material
      if (notAfterMs !== Infinity) emit({ role }, notAfterMs / 1000)
      if (trustNotAfterMs !== Infinity) emit({ role: `${role}_ca` }, trustNotAfterMs / 1000)
    })
    const target = `certificate_${role}`
    metrics.addGauge('authgw_last_reload_success', { target }, () => (context.isLastReloadOk ? 1 : 0))
    metrics.addGauge('authgw_last_reload_timestamp_seconds', { target }, () => context.loadedAtMs / 1000)
    return context
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

function optionsOf(side: TlsSide, config: TlsConfig | { readonly caFile: string }): TlsOptions {
  if (!('minVersion' in config)) return { caFile: config.caFile }
  const isServer = side === 'server' && 'clientCaFile' in config
  const caFile = isServer ? config.clientCaFile : config.caFile
  return {
    caFile: caFile ?? null,
    caPem: isServer ? null : (config.caPem ?? null),
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

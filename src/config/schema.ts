/**
 * The whole configuration: what a file may say, and the object that the roles read.
 * Floor 1; opens no file. One file may hold either role or both.
 */
import type { z } from 'zod'
import { choice, duration, endpoint, leaf, orElse, withoutEffect } from './fields.ts'
import { section } from './section.ts'
import { controlPlaneSection } from './schema-control-plane.ts'
import { limitsSection } from './schema-limits.ts'
import { tlsServerSection } from './schema-tls.ts'
import { workloadSection } from './schema-workload.ts'

const adminSection = section('What operators, Prometheus and the kubelet ask.', {
  endpoint: endpoint(
    'Address of /metrics, /livez and /readyz; the status page answers only on loopback or over mTLS.',
  ).prefault('localhost:9464'),
  grpc_health_endpoint: orElse(
    endpoint('Address of grpc.health.v1 in plaintext, for gRPC probes; none when left out.'),
    'none',
  ),
  tls: tlsServerSection.optional(),
})

const drainSection = section('How the process ends.', {
  delay: duration('How long it still accepts after it is no longer ready.', { maxMs: 60_000 }).prefault('3s'),
  timeout: duration('When it ends at the latest.', { minMs: 100, maxMs: 600_000 }).prefault('25s'),
})

const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const

const serviceSection = section(
  'What the process says of itself.',
  {
    telemetry: section('Logs and metrics.', {
      logs: section('Logs, on the standard output.', {
        level: leaf<(typeof LOG_LEVELS)[number]>(
          'Least severity that is written.',
          {
            type: 'one of debug, info, warn, error',
            expects: 'debug, info, warn or error',
            json: { enum: LOG_LEVELS },
          },
          (value) =>
            LOG_LEVELS.find(
              (level) => level === (typeof value === 'string' ? value.toLowerCase() : value),
            ) ?? {
              problem: 'is no log level',
              remedy: 'write debug, info, warn or error',
            },
        ).prefault('info'),
        encoding: choice('Form of a line.', ['json', 'console']).prefault('json'),
      }).prefault({}),
      metrics: withoutEffect('metrics stand at /metrics of admin.endpoint'),
    }).prefault({}),
  },
  'the collector’s service.telemetry',
)

const workers = leaf<number | 'auto'>(
  'Worker processes; auto takes one for each core.',
  {
    type: 'a whole number or auto',
    expects: 'a whole number such as 1, or auto',
    json: { type: ['integer', 'string'] },
  },
  (value) => {
    if (value === 'auto') return 'auto'
    const number = Number(value)
    return Number.isInteger(number) && number >= 1 && number <= 256
      ? number
      : { problem: 'is no number of workers', remedy: 'write 1 to 256, or auto' }
  },
)

/** The schema of a configuration. */
export const CONFIG_SCHEMA = section(
  'Configuration of authgw.',
  {
    workload: workloadSection.optional(),
    control_plane: controlPlaneSection.optional(),
    admin: adminSection.prefault({}),
    limits: limitsSection.prefault({}),
    drain: drainSection.prefault({}),
    workers: workers.prefault(1),
    readiness: choice(
      'Whether trouble with the identity provider makes the process unready: lenient says degraded and stays ready.',
      ['lenient', 'strict'],
    ).prefault('lenient'),
    service: serviceSection.prefault({}),
  },
  'authgw',
)

/** A configuration as the roles read it: `camelCase`, durations in ms, sizes in bytes, paths absolute. */
export type Config = z.output<typeof CONFIG_SCHEMA>
/** The workload role's part. */
export type WorkloadConfig = NonNullable<Config['workload']>
/** The control plane role's part. */
export type ControlPlaneConfig = NonNullable<Config['controlPlane']>
/** What a role listens on. */
export type ListenConfig = WorkloadConfig['listen']
/** Whom a role forwards to. */
export type UpstreamConfig = WorkloadConfig['upstream']
/** TLS towards those who dial us. */
export type TlsServerConfig = NonNullable<ListenConfig['tls']>
/** TLS towards whom we dial. */
export type TlsClientConfig = NonNullable<UpstreamConfig['tls']>
/** How the token is got. */
export type Oauth2ClientConfig = NonNullable<WorkloadConfig['oauth2client']>
/** How the token is put on a call. */
export type BearerTokenConfig = WorkloadConfig['bearertokenauth']
/** Which tokens are accepted. */
export type OidcConfig = NonNullable<ControlPlaneConfig['oidc']>
/** An issuer whose tokens are accepted. */
export type OidcProviderConfig = OidcConfig['providers'][number]
/** Who may call what. */
export type PolicyConfig = ControlPlaneConfig['policy']
/** Limits of peers. */
export type LimitsConfig = Config['limits']

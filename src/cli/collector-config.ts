/**
 * `authgw print-collector-config`: a configuration of authgw into the configuration of the stock collector beside it.
 * Floor 8; writes no file. The output is complete, so that `otelcol validate` takes it as it is; comments say what matters.
 */
import type { Config, Endpoint } from '../config/index.ts'
import { EXIT, UsageError } from './io.ts'
import type { CliIo, RoleName } from './io.ts'
import { loadChosen } from './run.ts'
import type { ConfigChoice } from './run.ts'

/** Options of `authgw print-collector-config`. */
export interface CollectorConfigOptions extends ConfigChoice {
  /** Which role's collector; needed when the configuration has both. */
  readonly role?: RoleName
}

/** Prints it. @throws ConfigError with every fault, UsageError when it is not clear which role is meant */
export function runPrintCollectorConfig(options: CollectorConfigOptions, io: CliIo): number {
  const { config } = loadChosen(options, io, false)
  io.out(collectorConfig(config, options.role ?? null))
  return EXIT.ok
}

/** Gives the YAML. @throws UsageError */
export function collectorConfig(config: Config, role: RoleName | null): string {
  const { workload, controlPlane } = config
  if (role === null && workload !== undefined && controlPlane !== undefined)
    throw new UsageError(
      'the configuration has both roles',
      'say which: --role workload or --role control-plane',
    )
  if (workload !== undefined && role !== 'control-plane') return workloadCollector(workload.listen)
  if (controlPlane !== undefined && role !== 'workload') {
    const { listen, upstream, oidc } = controlPlane
    return controlPlaneCollector(upstream, listen.maxRecvMsgBytes, oidc?.claimToHeaders ?? [])
  }
  throw new UsageError(`the configuration has no role ${role}`, 'leave --role out')
}

/** Where authgw and the collector meet. */
interface Place {
  readonly endpoint: Endpoint
  readonly isPlaintext: boolean
}

const SIGNALS = ['traces', 'metrics', 'logs'] as const

const pipelines = (parts: string): string =>
  SIGNALS.map((signal) => `    ${signal}: {receivers: [otlp], ${parts}}\n`).join('')

/** The exporter's settings lose nothing while authgw, the provider or the network is away (docs/no-loss.md). */
export function workloadCollector(listen: Place): string {
  return `# The collector beside authgw's workload role. Keep your own receivers and processors; the exporter is what matters.
receivers:
  otlp: {protocols: {grpc: {endpoint: localhost:24317}}}
extensions:
  file_storage:                       # the queue outlives a restart of the collector
    directory: /var/lib/otelcol/queue
    create_directory: true
exporters:
  otlp_grpc:
    endpoint: ${quoted(dialled(listen.endpoint))}
${
  listen.isPlaintext
    ? '    tls: {insecure: true}             # it never leaves the machine: authgw adds TLS and the token\n'
    : '    tls: {ca_file: ca.pem}            # the authority of listen.tls.cert_file\n'
}    retry_on_failure:
      enabled: true
      initial_interval: 1s
      max_interval: 30s
      max_elapsed_time: 0               # never give up; the queue bounds what waits
    sending_queue:
      enabled: true
      storage: file_storage
      queue_size: 10000
service:
  extensions: [file_storage]
  pipelines:
${pipelines('exporters: [otlp_grpc]')}`
}

/** Claims become resource attributes. What a sender has put under their names is taken away first. */
export function controlPlaneCollector(
  upstream: Place,
  maxMessageBytes: number,
  claimHeaders: readonly { readonly headerName: string; readonly claimName: string }[],
): string {
  const claims: (readonly [name: string, field: string])[] = [
    ['authgw.client', 'x-authgw-client'],
    ['authgw.subject', 'x-authgw-subject'],
    ['authgw.issuer', 'x-authgw-issuer'],
    ...claimHeaders.map(
      ({ headerName, claimName }) => [`authgw.${claimName}`, headerName.toLowerCase()] as const,
    ),
  ]
  const fields = [...new Set(claims.map(([, field]) => field))]
  const attributes = claims.map(
    ([name, field]) =>
      `      - {key: ${quoted(name)}, action: delete}\n      - {key: ${quoted(name)}, from_context: ${quoted(`metadata.${field}`)}, action: insert}\n`,
  )
  return `# The collector behind authgw's control-plane role. Put your own exporters in place of debug.
receivers:
  otlp:
    protocols:
      grpc:
${received(upstream.endpoint)}${
    upstream.isPlaintext
      ? ''
      : '        tls: {cert_file: collector.pem, key_file: collector-key.pem} # authgw dials it over TLS\n'
  }        max_recv_msg_size_mib: ${Math.ceil(maxMessageBytes / 2 ** 20)}      # as in authgw: a smaller one would refuse what authgw lets through
        include_metadata: true          # who it was stands in the metadata of each call
processors:
  resource/authgw:                      # before batch, which forgets the rest of the metadata
    attributes:                         # delete first: what a sender claims to be does not count
${attributes.join('')}  batch:
    metadata_keys: [${fields.map(quoted).join(', ')}]
    metadata_cardinality_limit: 1000
exporters:
  debug: {}
service:
  pipelines:
${pipelines('processors: [resource/authgw, batch], exporters: [debug]')}`
}

/** Where an exporter finds `endpoint`: one that listens on every address is reached by loopback. */
function dialled(endpoint: Endpoint): string {
  if (endpoint.kind === 'unix') return `unix://${endpoint.path}`
  return endpoint.host === '::' || endpoint.host === '0.0.0.0' ? `localhost:${endpoint.port}` : endpoint.text
}

/** How a receiver listens where authgw dials: elsewhere than on this machine it listens on every address. */
function received(endpoint: Endpoint): string {
  if (endpoint.kind === 'unix') return `        endpoint: ${quoted(endpoint.path)}\n        transport: unix\n`
  const isHere = endpoint.host === 'localhost' || /^(?:127\.|::1$)/.test(endpoint.host)
  return `        endpoint: ${quoted(isHere ? endpoint.text.replace(/^dns:\/+/, '') : `0.0.0.0:${endpoint.port}`)}\n`
}

/** A YAML scalar, quoted where it needs to be. */
function quoted(text: string): string {
  return /^[\w./][\w./:-]*$/.test(text) ? text : JSON.stringify(text)
}

/**
 * Configurations of stock collectors that obtain or check tokens with their own extensions, in place of an authgw.
 */

/** How a collector goes on when it cannot deliver. */
export type Endurance = 'default' | 'recommended'

/** What the exporter of a workload's collector is given beside its endpoint. */
export interface ExporterOptions {
  /** `host:port` by a name that the control plane's certificate has; `dns:///host:port` for all its addresses. */
  readonly endpoint: string
  /** Default: the exporter's own. */
  readonly balancer?: 'round_robin'
  readonly endurance: Endurance
  /** A folder for the queue of a recommended one. */
  readonly queue: string
  /** In plaintext to an authgw, over mTLS with a token from an extension, or with a token from the file `token`. */
  readonly credentials:
    'none' | { readonly tokenUrl: string; readonly clientId: string } | { readonly tokenFile: string }
}

const PIPELINES = (processors: string, exporters: string): string =>
  ['traces', 'metrics', 'logs']
    .map((signal) => `    ${signal}: {receivers: [otlp], ${processors}exporters: [${exporters}]}`)
    .join('\n')

const telemetry = (metricsPort: number): string => `  telemetry:
    metrics: {readers: [{pull: {exporter: {prometheus: {host: localhost, port: ${metricsPort}}}}}]}`

/** A workload's collector: OTLP on `port`, and an exporter that needs nobody else for its token, or an authgw. */
export function senderYaml(port: number, metricsPort: number, options: ExporterOptions): string {
  const { credentials, endurance, balancer } = options
  const isRecommended = endurance === 'recommended'
  const extensions = [...(isRecommended ? ['file_storage'] : []), ...authExtension(credentials)]
  return `receivers:
  otlp: {protocols: {grpc: {endpoint: 'localhost:${port}'}}}
extensions:
${isRecommended ? `  file_storage: {directory: '${options.queue}', create_directory: true}\n` : ''}${credentialsYaml(options)}
exporters:
  otlp_grpc:
    endpoint: ${options.endpoint}
    tls: ${credentials === 'none' ? '{insecure: true}' : '{ca_file: certs/ca.pem, cert_file: certs/workload.pem, key_file: certs/workload-key.pem}'}
${credentials === 'none' ? '' : `    auth: {authenticator: ${authExtension(credentials)[0]}}\n`}${
    balancer === undefined ? '' : `    balancer_name: ${balancer}\n`
  }${
    isRecommended
      ? '    retry_on_failure: {max_elapsed_time: 0}\n    sending_queue: {storage: file_storage, queue_size: 10000}\n'
      : ''
  }service:
  extensions: [${extensions.join(', ')}]
  pipelines:
${PIPELINES('', 'otlp_grpc')}
${telemetry(metricsPort)}
`.replace(/^extensions:\n\n/m, '')
}

/** A control plane's collector: over mTLS, with tokens checked by `oidc`, to the collector or store at `upstream`. */
export function checkerYaml(port: number, metricsPort: number, issuer: string, upstream: string): string {
  return `extensions:
  oidc:
    providers: [{issuer_url: '${issuer}', audience: control-plane}]
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: localhost:${port}
        tls: {cert_file: certs/control-plane.pem, key_file: certs/control-plane-key.pem, client_ca_file: certs/ca.pem}
        auth: {authenticator: oidc}
exporters:
  otlp_grpc: {endpoint: '${upstream}', tls: {insecure: true}, retry_on_failure: {max_elapsed_time: 0}}
service:
  extensions: [oidc]
  pipelines:
${PIPELINES('', 'otlp_grpc')}
${telemetry(metricsPort)}
`
}

/** A control plane's collector behind an authgw. */
export function plainYaml(port: number, metricsPort: number, upstream: string): string {
  return `receivers:
  otlp: {protocols: {grpc: {endpoint: 'localhost:${port}'}}}
exporters:
  otlp_grpc: {endpoint: '${upstream}', tls: {insecure: true}, retry_on_failure: {max_elapsed_time: 0}}
service:
  pipelines:
${PIPELINES('', 'otlp_grpc')}
${telemetry(metricsPort)}
`
}

function authExtension(credentials: ExporterOptions['credentials']): string[] {
  if (credentials === 'none') return []
  return ['tokenUrl' in credentials ? 'oauth2client' : 'bearertokenauth']
}

/** The recommended one also has an `expiry_buffer` that is shorter than the life of the tokens here. */
function credentialsYaml({ credentials, endurance }: ExporterOptions): string {
  if (credentials === 'none') return ''
  if ('tokenFile' in credentials) return `  bearertokenauth: {filename: ${credentials.tokenFile}}`
  return `  oauth2client:
    token_url: ${credentials.tokenUrl}
    client_id: ${credentials.clientId}
    client_secret_file: client-secret${endurance === 'recommended' ? '\n    expiry_buffer: 10s' : ''}`
}

/**
 * The texts that `authgw init` writes.
 * Floor 8; writes no file.
 */

/** The two configurations, by file name. Ports do not clash when both run on one machine. */
export function configurationFiles(issuer: string, host: string): Record<string, string> {
  const usesHttp = issuer.startsWith('http://')
  const note = usesHttp ? '    # The issuer is http: fine on loopback, refused elsewhere.\n' : ''
  return {
    'workload.yaml': `# Beside the workload collector. Every key: docs/configuration.md
workload:
  listen: {endpoint: localhost:14317}             # the collector's otlp_grpc exporter sends here
  upstream:
    endpoint: ${host}:4317
    tls: {ca_file: ca.pem, cert_file: workload.pem, key_file: workload-key.pem}
  oauth2client:
${note}    issuer_url: ${issuer}
    client_id: workload
    client_secret_file: client-secret
admin: {endpoint: localhost:9464}
`,
    'control-plane.yaml': `# In front of the control-plane collector. Every key: docs/configuration.md
control_plane:
  listen:
    endpoint: 0.0.0.0:4317
    tls: {cert_file: control-plane.pem, key_file: control-plane-key.pem, client_ca_file: ca.pem}
  upstream: {endpoint: localhost:5317}            # the collector's otlp receiver
  oidc:
    providers: [{issuer_url: ${issuer}, audience: control-plane}]
admin: {endpoint: localhost:9465}
`,
  }
}

/** The collectors on both sides. The exporter's settings lose nothing while a gateway or the provider is away. */
export function collectorFiles(): Record<string, string> {
  return {
    'collector-workload.yaml': `receivers:
  otlp: {protocols: {grpc: {endpoint: localhost:24317}}}
extensions:
  file_storage: {directory: /var/lib/otelcol/queue, create_directory: true}
exporters:
  otlp_grpc:
    endpoint: localhost:14317
    tls: {insecure: true}                         # loopback: authgw adds TLS and the token
    retry_on_failure: {max_elapsed_time: 0}
    sending_queue: {storage: file_storage, queue_size: 10000}
service:
  extensions: [file_storage]
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp_grpc]}
    metrics: {receivers: [otlp], exporters: [otlp_grpc]}
    logs: {receivers: [otlp], exporters: [otlp_grpc]}
`,
    'collector-control-plane.yaml': `receivers:
  otlp: {protocols: {grpc: {endpoint: localhost:5317, include_metadata: true}}}
exporters:
  debug: {}
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [debug]}
    metrics: {receivers: [otlp], exporters: [debug]}
    logs: {receivers: [otlp], exporters: [debug]}
`,
  }
}

/** A realm for Keycloak with the client `workload`, whose tokens are for the audience `control-plane`. */
export function keycloakRealm(issuer: string, secret: string): string {
  const realm = /\/realms\/([^/]+)/.exec(new URL(issuer).pathname)?.[1] ?? 'opentelemetry'
  const audienceMapper = {
    name: 'control-plane audience',
    protocol: 'openid-connect',
    protocolMapper: 'oidc-audience-mapper',
    config: { 'included.custom.audience': 'control-plane', 'access.token.claim': 'true' },
  }
  const client = {
    clientId: 'workload',
    secret,
    publicClient: false,
    serviceAccountsEnabled: true,
    standardFlowEnabled: false,
    directAccessGrantsEnabled: false,
    protocolMappers: [audienceMapper],
  }
  return `${JSON.stringify({ realm, enabled: true, accessTokenLifespan: 300, clients: [client] }, null, 2)}\n`
}

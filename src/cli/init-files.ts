/**
 * The texts that `authgw init` writes.
 * Floor 8; writes no file.
 */
import type { Endpoint } from '../config/index.ts'
import { controlPlaneCollector, workloadCollector } from './collector-config.ts'

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

/** The collectors on both sides, as `authgw print-collector-config` would print them for the two configurations. */
export function collectorFiles(): Record<string, string> {
  const loopback = (port: number): Endpoint => ({
    kind: 'tcp',
    host: 'localhost',
    port,
    text: `localhost:${port}`,
  })
  return {
    'collector-workload.yaml': workloadCollector({ endpoint: loopback(14317), isPlaintext: true }),
    'collector-control-plane.yaml': controlPlaneCollector(
      { endpoint: loopback(5317), isPlaintext: true },
      DEFAULT_MESSAGE_BYTES,
      [],
    ),
  }
}

/** Default of `listen.max_recv_msg_size_mib`. */
const DEFAULT_MESSAGE_BYTES = 64 * 2 ** 20

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

/**
 * The table of every metric that authgw exposes, from which the registry, docs/metrics.md and the types are made.
 * Floor 5; knows no room. A name, a label or its values here are the API of alerts and dashboards.
 * Names follow https://prometheus.io/docs/practices/naming/ and OpenTelemetry's where it has one.
 */

/** A count that only grows, a value that goes up and down, or a distribution. */
export type MetricType = 'counter' | 'gauge' | 'histogram'

/** How the values of several workers become one. */
export type MetricAggregation = 'sum' | 'min' | 'max' | 'first'

/** One metric. */
export interface MetricEntry {
  readonly type: MetricType
  /** What it counts, in one sentence for an operator. */
  readonly help: string
  /** Label name → the values it takes, in words. No peer ever chooses a value. */
  readonly labels: Readonly<Record<string, string>>
  /** Which part of authgw keeps the number, for the documentation. */
  readonly source: string
  readonly aggregation: MetricAggregation
}

type LabelTable = Readonly<Record<string, string>>

const counter = <const L extends LabelTable>(source: string, help: string, labels: L) =>
  ({ type: 'counter', help, labels, source, aggregation: 'sum' }) as const
const gauge = <const L extends LabelTable>(
  source: string,
  help: string,
  labels: L,
  aggregation: MetricAggregation = 'sum',
) => ({ type: 'gauge', help, labels, source, aggregation }) as const
const histogram = <const L extends LabelTable>(source: string, help: string, labels: L) =>
  ({ type: 'histogram', help, labels, source, aggregation: 'sum' }) as const

/** The label value that stands for all that is not on a list. */
export const OTHER = '_OTHER'

const ISSUER = 'issuer URL of a configured provider; `_OTHER` for any other; empty where none applies'
const IDENTITY = 'name of the identity in the configuration; `default` for a single one'
const CREDENTIAL_RESULT = '`ok`, or the class of the error as in `docs/errors.md` (`idp_unreachable`, …)'
const LEG = '`ingress` or `egress`'
const DIRECTION = '`received` or `sent`'
const OK_OR_FAILED = '`ok` or `failed`'
const CERTIFICATE_ROLE =
  'what the certificate is for: `ingress`, `egress`, `idp`, `admin`, and the same with `_ca`'
const CACHE = '`token` (verified tokens), `negative` (refused tokens), `verdict`, `head` (header blocks)'

const CLIENT_LABELS = {
  issuer: ISSUER,
  client: '`client_id` or `azp` of the verified token, else its `sub`; `_OTHER` beyond the first 200 clients',
} as const

/** Every metric, by name. */
export const METRICS = {
  // Who may pass.
  authgw_decisions_total: counter('auth', 'Decisions of the gates, one per RPC.', {
    decision: '`permit` or `refuse`',
    reason: 'refusal reason as in `docs/errors.md`; `ok` for a permit',
    issuer: ISSUER,
  }),
  authgw_client_calls_total: counter('relay', 'Calls that were let pass, by who sent them.', CLIENT_LABELS),
  authgw_client_request_bytes_total: counter(
    'relay',
    'Octets of the requests of those calls, in bytes.',
    CLIENT_LABELS,
  ),
  authgw_client_refusals_total: counter(
    'relay',
    'Calls that a limit of `limits.per_client` refused, by who sent them.',
    CLIENT_LABELS,
  ),
  authgw_egress_refusals_total: counter(
    'relay',
    'Calls that the other gateway refused, by the reason it gave in the authgw-reason trailer.',
    { reason: 'refusal reason as in `docs/errors.md`; `_OTHER` for an unknown one' },
  ),
  authgw_local_answers_total: counter(
    'relay',
    'Calls that authgw ended itself for another cause than a refusal, such as an unreachable egress or overload.',
    { reason: 'reason of the relay as in `docs/errors.md`' },
  ),
  authgw_policy_findings_total: counter('auth', 'Calls that the policy let pass and noted.', {
    finding: '`dry_run` (the rules in trial would deny it) or `audit` (a rule with action audit)',
  }),
  authgw_token_oddities_total: counter('auth', 'Tokens that an issuer should look at.', {
    kind: '`clock_skew`, `long_lived` or `claim_too_long`',
  }),
  authgw_signature_checks_total: counter('auth', 'Signatures checked.', {}),
  authgw_signature_checks_waiting: gauge('auth', 'Calls that wait for their signature to be checked.', {}),

  // Our own credential.
  authgw_token_expiry_timestamp_seconds: gauge(
    'auth',
    'When the token in use expires, in seconds since the Unix epoch; absent while there is none.',
    { identity: IDENTITY },
    'max',
  ),
  authgw_token_refreshes_total: counter('auth', 'Token fetches, by result.', {
    identity: IDENTITY,
    result: CREDENTIAL_RESULT,
  }),
  authgw_token_rejections_total: counter('auth', 'Tokens of ours that the control plane refused.', {
    identity: IDENTITY,
  }),
  authgw_replays_total: counter('relay', 'Calls sent again by authgw.', {}),
  authgw_unheld_calls_total: counter(
    'relay',
    'Calls without a copy for a replay, because the budget was full.',
    {},
  ),

  // The keys of issuers.
  authgw_key_set_age_seconds: gauge(
    'auth',
    'Time since the keys in use were fetched; absent while there are none, and for keys from a local file.',
    { issuer: ISSUER },
    'max',
  ),
  authgw_key_set_max_stale_seconds: gauge(
    'auth',
    'Age at which keys stop being used, from the configuration.',
    { issuer: ISSUER },
    'max',
  ),
  authgw_key_set_keys: gauge('auth', 'Usable keys of the issuer.', { issuer: ISSUER }, 'max'),
  authgw_key_fetches_total: counter('auth', 'Key set fetches, by result.', {
    issuer: ISSUER,
    result: CREDENTIAL_RESULT,
  }),

  // Certificates and configuration.
  authgw_certificate_expiry_timestamp_seconds: gauge(
    'net',
    'When the certificate in use expires (notAfter), in seconds since the Unix epoch; of a bundle, the earliest.',
    { role: CERTIFICATE_ROLE },
    'min',
  ),
  authgw_certificate_not_before_timestamp_seconds: gauge(
    'net',
    'When the same certificate became valid (notBefore), in seconds since the Unix epoch; absent where unknown.',
    { role: CERTIFICATE_ROLE },
    'min',
  ),
  authgw_last_reload_success: gauge(
    'roles',
    '1 when the last load of the file succeeded, 0 when it failed and the last good one is still in use.',
    { target: '`config`, or `certificate_` with a certificate role' },
    'min',
  ),
  authgw_last_reload_timestamp_seconds: gauge(
    'roles',
    'When the file was last loaded with success, in seconds since the Unix epoch.',
    { target: '`config`, or `certificate_` with a certificate role' },
    'min',
  ),
  authgw_reloads_total: counter('net', 'Changes of certificate files, by result.', { result: OK_OR_FAILED }),

  // Caches.
  authgw_cache_hits_total: counter('auth, relay', 'Lookups that the cache answered.', { cache: CACHE }),
  authgw_cache_misses_total: counter('auth, relay', 'Lookups that the cache could not answer.', {
    cache: CACHE,
  }),

  // Traffic.
  rpc_server_call_duration_seconds: histogram('relay', 'Duration of RPCs, from HEADERS to the last frame.', {
    rpc_method:
      'full method name without the leading slash, of the methods that authgw knows; `_OTHER` for others',
    rpc_response_status_code: 'name of the gRPC status that the client got, such as `OK` or `UNAVAILABLE`',
  }),
  authgw_open_calls: gauge('relay', 'RPCs in progress.', {}),
  authgw_waiting_calls: gauge('relay', 'RPCs that wait for an egress connection.', {}),
  authgw_open_streams: gauge('h2', 'HTTP/2 streams that are not closed.', { leg: LEG }),
  authgw_streams_total: counter('h2', 'HTTP/2 streams opened.', { leg: LEG }),
  authgw_stream_resets_total: counter('h2', 'RST_STREAM frames.', { leg: LEG, direction: DIRECTION }),
  authgw_goaways_total: counter('h2', 'GOAWAY frames.', { leg: LEG, direction: DIRECTION }),
  authgw_ingress_connections: gauge('net', 'Connections accepted and not closed.', {}),
  authgw_egress_connections: gauge('relay', 'Connections dialled and not closed.', {}),
  authgw_connections_total: counter('h2', 'Connections that reached HTTP/2.', { leg: LEG }),
  authgw_connections_refused_total: counter('net', 'Ingress connections closed before HTTP/2.', {
    reason:
      '`total`, `address`, `handshakes` (limits), `draining`, `accept_failed` (no file descriptor) or `no_worker`',
  }),
  authgw_peers_closed_total: counter('net', 'Live peers closed because of their certificate.', {
    reason: '`untrusted` (after a change of the CA or the revocation list) or `expired`',
  }),
  authgw_egress_dials_total: counter('net', 'Attempts to connect to the egress, by result.', {
    result: OK_OR_FAILED,
  }),
  authgw_resolutions_total: counter('net', 'DNS resolutions of the egress, by result.', {
    result: OK_OR_FAILED,
  }),
  authgw_tls_handshake_failures_total: counter('net', 'TLS handshakes that failed.', {
    leg: LEG,
    reason: '`failed`, `timed_out`, `no_certificate`, `certificate_refused`, `name_refused` or `alpn`',
  }),
  authgw_io_bytes_total: counter('net', 'Octets of HTTP/2 read and written, inside TLS.', {
    leg: LEG,
    direction: DIRECTION,
  }),

  // Memory and limits.
  authgw_held_bytes: gauge(
    'h2',
    'Octets of DATA read on one leg and not yet taken by the other, and the memory that those pin besides.',
    {},
  ),
  authgw_held_limit_bytes: gauge('h2', 'Most octets that may be held, from the configuration.', {}),
  authgw_socket_waiting_bytes: gauge(
    'net',
    'Octets that wait in sockets because their peers do not read them.',
    {},
  ),
  authgw_replay_held_bytes: gauge('relay', 'Octets of requests kept for a replay.', {}),
  authgw_limit_breaches_total: counter('h2', 'Protocol faults of peers and limits they broke.', {
    token: 'fault token as in `docs/errors.md`; every token is present from the start',
  }),

  // The process.
  authgw_build_info: gauge(
    'roles',
    'Always 1; its labels say what runs.',
    { version: 'version of authgw', node_version: 'version of Node.js' },
    'max',
  ),
  authgw_workers: gauge('roles', 'Processes that serve calls.', {}),
  authgw_worker_restarts_total: counter('roles', 'Workers that ended by themselves and were replaced.', {}),
  authgw_ready: gauge('admin', '1 when /readyz answers 200.', {}, 'min'),
  authgw_degraded: gauge(
    'admin',
    '1 while authgw serves in spite of the trouble named by the reason; 0 once it is over.',
    { reason: 'token of the reason, as in `/readyz?verbose`' },
    'max',
  ),
  authgw_bugs_total: counter(
    'auth, relay, net',
    'Broken assumptions of authgw itself: please report them.',
    {},
  ),
  authgw_read_pauses_total: counter(
    'net',
    'Times a socket was not read for a while, because its peer does not read our answers.',
    {},
  ),
  authgw_loop_late_total: counter('net', 'Times the event loop was more than a second late.', {}),
  authgw_log_lines_total: counter('telemetry', 'Log lines made.', {
    level: '`debug`, `info`, `warn`, `error`',
  }),
  authgw_log_lines_dropped_total: counter(
    'telemetry',
    'Log lines that could not be written because their reader was too slow or has gone.',
    {},
  ),
  authgw_metric_faults_total: counter('telemetry', 'Readings of a metric that were left out.', {
    metric: 'name of the metric',
    fault: '`threw`, `not_finite` or `too_many_series`',
  }),
} as const satisfies Record<string, MetricEntry>

/** Names a metric of the table. */
export type MetricName = keyof typeof METRICS

/** The names of the metrics of one type. */
export type MetricNameOf<T extends MetricType> = {
  [N in MetricName]: (typeof METRICS)[N]['type'] extends T ? N : never
}[MetricName]

/** The labels of a metric, all of them required. */
export type LabelsOf<N extends MetricName> = { readonly [L in keyof (typeof METRICS)[N]['labels']]: string }

function typeNote(entry: MetricEntry): string {
  return entry.type === 'gauge' ? `gauge, ${entry.aggregation} over workers` : entry.type
}

/** Gives docs/metrics.md: every metric with its labels, generated from the table. */
export function renderMetricsDoc(): string {
  const sections = Object.entries<MetricEntry>(METRICS).map(([name, entry]) => {
    const labels = Object.entries(entry.labels).map(([label, values]) => `- \`${label}\`: ${values}`)
    return [
      `## \`${name}\``,
      '',
      `${entry.help} (${typeNote(entry)}; counted in \`${entry.source.split(', ').join('`, `')}\`)`,
      ...(labels.length === 0 ? [] : ['', ...labels]),
      '',
    ].join('\n')
  })
  return `${DOC_HEAD}\n${sections.join('\n')}`
}

const DOC_HEAD = `# Metrics

authgw serves these at \`/metrics\` of its admin endpoint, in the Prometheus text format.
Generated from \`src/telemetry/metric-names.ts\`; change that table, not this file.

The process itself (CPU, memory, file descriptors, event loop lag, garbage collection) is described by the metrics
\`process_*\` and \`nodejs_*\` of the Prometheus client for Node.js; \`nodejs_eventloop_lag_p99_seconds\` is the one to watch.
Alerts that use these metrics are in \`deploy/prometheus/alerts.yaml\`, a dashboard in \`deploy/grafana/authgw.json\`.
`

/**
 * What a role listens on and dials, in configgrpc's words.
 * Floor 1; opens no socket.
 * @see https://github.com/open-telemetry/opentelemetry-collector/tree/main/config/configgrpc
 */
import {
  choice,
  count,
  duration,
  endpoint,
  mebibytes,
  orElse,
  text,
  textMap,
  unsafeAllow,
  withoutEffect,
} from './fields.ts'
import { isLocalEndpoint } from './endpoint.ts'
import { section } from './section.ts'
import { tlsClientSection, tlsServerSection } from './schema-tls.ts'

const serverParameters = section('How long an accepted connection lives.', {
  max_connection_idle: orElse(
    duration('limits.idle_timeout, for this listener.', {
      minMs: 1_000,
      zeroIsNever: true,
    }),
    '`limits.idle_timeout`',
  ),
  max_connection_age: orElse(
    duration('limits.max_connection_age, for this listener.', {
      minMs: 1_000,
      zeroIsNever: true,
    }),
    '`limits.max_connection_age`',
  ),
  max_connection_age_grace: orElse(
    duration('limits.max_connection_age_grace, for this listener.', {
      zeroIsNever: true,
    }),
    '`limits.max_connection_age_grace`',
  ),
  time: withoutEffect('idle and stalled peers are found by limits.idle_timeout and limits.stall_timeout'),
  timeout: withoutEffect('idle and stalled peers are found by limits.idle_timeout and limits.stall_timeout'),
})

const listenKeys = section(
  'Where this role listens.',
  {
    endpoint: endpoint('Address to listen on; localhost listens on 127.0.0.1 and ::1.'),
    transport: orElse(
      choice('Kind of address, as the endpoint already says.', ['tcp', 'unix']),
      'that of the endpoint',
    ),
    tls: tlsServerSection.optional(),
    max_recv_msg_size_mib: mebibytes('Largest message of a call, in MiB.').prefault(64),
    max_concurrent_streams: orElse(
      count('Calls at once on one connection; limits.max_concurrent_streams when left out.', 1, 1_000_000),
      '`limits.max_concurrent_streams`',
    ),
    keepalive: section('Life of accepted connections.', {
      server_parameters: serverParameters.prefault({}),
      enforcement_policy: withoutEffect(
        'PINGs are judged by limits.pings_per_work, which no honest client reaches',
      ),
    }).prefault({}),
    unsafe_allow: unsafeAllow(['plaintext']),
    read_buffer_size: withoutEffect('buffers follow the flow-control windows'),
    write_buffer_size: withoutEffect('buffers follow the flow-control windows'),
    include_metadata: withoutEffect('metadata is always forwarded'),
  },
  'configgrpc',
)

const upstreamKeys = section(
  'Whom this role forwards to.',
  {
    endpoint: endpoint('host:port, dns:///host:port (all its addresses, in turn) or unix:///path.'),
    tls: tlsClientSection.optional(),
    keepalive: section(
      'PINGs on connections with calls open. Never sent on loopback, where a stock collector would object.',
      {
        time: duration('A connection that was silent for so long is PINGed; 0 for never.', {
          minMs: 1_000,
          zeroIsNever: true,
        }).prefault('30s'),
        timeout: duration('How long the answer may take before the connection is replaced.', {
          minMs: 100,
        }).prefault('10s'),
        permit_without_stream: withoutEffect(
          'a connection that was idle is PINGed together with its next call',
        ),
      },
    ).prefault({}),
    balancer_name: choice('How calls are spread over the addresses of the endpoint.', [
      'round_robin',
      'pick_first',
    ]).prefault('round_robin'),
    authority: orElse(
      text('Value of :authority; host:port of the endpoint when left out.'),
      'host:port of the endpoint',
    ),
    headers: textMap('Metadata to set on every call.', { isSecret: true }).optional(),
    connect_timeout: duration('How long connecting and the TLS handshake may take.', { minMs: 100 }).prefault(
      '2s',
    ),
    compression: withoutEffect('messages are forwarded as they come'),
    sending_queue: withoutEffect('authgw keeps no queue; the collector’s exporter does'),
    retry_on_failure: withoutEffect('the collector’s exporter retries; authgw answers so that it can'),
    timeout: withoutEffect('the deadline of each call is kept'),
    wait_for_ready: withoutEffect('a call waits for a connection as long as limits.egress_wait says'),
    read_buffer_size: withoutEffect('buffers follow the flow-control windows'),
    write_buffer_size: withoutEffect('buffers follow the flow-control windows'),
  },
  'configgrpc',
)

/** What a role listens on. `isPlaintext`: there is no `tls`. */
export const listenSection = listenKeys.transform((listen) => ({
  ...listen,
  isPlaintext: listen.tls === undefined,
}))

/** Whom a role forwards to. Without `tls`, plaintext to loopback and UNIX sockets, TLS to everyone else. */
export const upstreamSection = upstreamKeys.transform((upstream) => ({
  ...upstream,
  isPlaintext: upstream.tls === undefined ? isLocalEndpoint(upstream.endpoint) : upstream.tls.insecure,
}))

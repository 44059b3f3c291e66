/**
 * The counters of the rooms into the metrics of the table.
 * Floor 7; counts nothing itself.
 */
import { grpcStatusName } from '../grpc/index.ts'
import type { CredentialGateStats, GateStats, KeyKeeper, TokenKeeper } from '../auth/index.ts'
import type { H2Stats } from '../h2/index.ts'
import type { Client, Relay, RelayStats } from '../relay/index.ts'
import { feedFaults, OTHER, type Metrics } from '../telemetry/index.ts'
import type { Machine } from './machine.ts'

/** Traffic of one relay. */
export function feedRelay(metrics: Metrics, relay: Relay): void {
  const { stats } = relay
  metrics.addFamily('rpc_server_call_duration_seconds', (emit) => {
    for (const series of stats.series()) {
      series.byStatus.forEach((histogram, status) => {
        if (histogram === null) return
        emit({ rpc_method: series.method, rpc_response_status_code: grpcStatusName(status) }, histogram)
      })
    }
  })
  metrics.addFamily('authgw_local_answers_total', (emit) => {
    for (const [reason, count] of Object.entries(stats.answers)) emit({ reason }, count)
  })
  metrics.addFamily('authgw_egress_refusals_total', (emit) => {
    for (const [reason, count] of Object.entries(stats.egressReasons)) {
      emit({ reason: reason === 'other' ? OTHER : reason }, count)
    }
  })
  metrics.addFamily('authgw_decisions_total', (emit) => {
    for (const { issuer, count } of stats.permits) emit({ decision: 'permit', reason: 'ok', issuer }, count)
  })
  feedClients(metrics, stats.clients)
  metrics.addGauge('authgw_open_calls', {}, () => stats.callsOpen)
  metrics.addGauge('authgw_waiting_calls', {}, () => stats.callsWaiting)
  metrics.addGauge('authgw_egress_connections', {}, () => relay.pool.connectionCount)
  metrics.addCounter('authgw_replays_total', {}, () => stats.replays)
  metrics.addCounter('authgw_unheld_calls_total', {}, () => stats.unheldCalls)
  metrics.addCounter('authgw_cache_hits_total', { cache: 'head' }, () => stats.memoHits)
  metrics.addCounter('authgw_cache_misses_total', { cache: 'head' }, () => stats.memoMisses)
  metrics.addCounter('authgw_bugs_total', {}, () => stats.bugs)
  feedLeg(metrics, 'ingress', relay.ingressStats)
  feedLeg(metrics, 'egress', relay.egressStats)
}

/** Clients with series of their own; those who came later are added up. */
const MAX_CLIENT_SERIES = 200

/** What each client sent. */
function feedClients(metrics: Metrics, clients: RelayStats['clients']): void {
  const add = (name: ClientMetric, valueOf: (client: Client) => number): void => {
    metrics.addFamily(name, (emit) => {
      let place = 0
      let rest = 0
      for (const client of clients.all()) {
        if (place++ < MAX_CLIENT_SERIES) emit({ issuer: client.issuer, client: client.name }, valueOf(client))
        else rest += valueOf(client)
      }
      if (place > MAX_CLIENT_SERIES) emit({ issuer: OTHER, client: OTHER }, rest)
    })
  }
  add('authgw_client_calls_total', (client) => client.callCount)
  add('authgw_client_request_bytes_total', (client) => client.requestBytes)
  add('authgw_client_refusals_total', (client) => client.refusedCount)
}

type ClientMetric =
  'authgw_client_calls_total' | 'authgw_client_request_bytes_total' | 'authgw_client_refusals_total'

/** HTTP/2 of one leg. */
function feedLeg(metrics: Metrics, leg: 'ingress' | 'egress', stats: H2Stats): void {
  metrics.addGauge('authgw_open_streams', { leg }, () => stats.streamsOpen)
  metrics.addCounter('authgw_streams_total', { leg }, () => stats.streamsOpened)
  metrics.addCounter('authgw_connections_total', { leg }, () => stats.connectionsOpened)
  metrics.addCounter('authgw_stream_resets_total', { leg, direction: 'received' }, () => stats.resetsIn)
  metrics.addCounter('authgw_stream_resets_total', { leg, direction: 'sent' }, () => stats.resetsOut)
  metrics.addCounter('authgw_goaways_total', { leg, direction: 'received' }, () => stats.goawaysIn)
  metrics.addCounter('authgw_goaways_total', { leg, direction: 'sent' }, () => stats.goawaysOut)
  feedFaults(metrics, (token) => stats.faults[token])
}

/** Certificates, of the process that owns them. */
export function feedReloads({ metrics, netStats }: Machine): void {
  metrics.addFamily('authgw_reloads_total', (emit) => {
    emit({ result: 'ok' }, netStats.reloads - netStats.reloadsFailed)
    emit({ result: 'failed' }, netStats.reloadsFailed)
  })
}

/** Sockets and memory of a process that serves calls. */
export function feedMachine(machine: Machine): void {
  const { metrics, netStats, held, replayBudget } = machine
  metrics.addGauge('authgw_held_bytes', {}, () => held.heldBytes)
  metrics.addGauge('authgw_held_limit_bytes', {}, () => held.maxBytes)
  metrics.addGauge('authgw_replay_held_bytes', {}, () => replayBudget.usedBytes)
  metrics.addGauge('authgw_ingress_connections', {}, () => netStats.ingressOpen)
  metrics.addFamily('authgw_io_bytes_total', (emit) => {
    emit({ leg: 'ingress', direction: 'received' }, netStats.ingressBytesIn)
    emit({ leg: 'ingress', direction: 'sent' }, netStats.ingressBytesOut)
    emit({ leg: 'egress', direction: 'received' }, netStats.egressBytesIn)
    emit({ leg: 'egress', direction: 'sent' }, netStats.egressBytesOut)
  })
  metrics.addFamily('authgw_egress_dials_total', (emit) => {
    emit({ result: 'ok' }, netStats.egressDials - netStats.egressDialsFailed)
    emit({ result: 'failed' }, netStats.egressDialsFailed)
  })
  metrics.addFamily('authgw_resolutions_total', (emit) => {
    emit({ result: 'ok' }, netStats.resolutions - netStats.resolutionsFailed)
    emit({ result: 'failed' }, netStats.resolutionsFailed)
  })
  metrics.addFamily('authgw_tls_handshake_failures_total', (emit) => {
    emit({ leg: 'ingress', reason: 'failed' }, netStats.handshakesFailed)
    emit({ leg: 'ingress', reason: 'timed_out' }, netStats.handshakesTimedOut)
    emit({ leg: 'ingress', reason: 'no_certificate' }, netStats.certificatesMissing)
    emit({ leg: 'ingress', reason: 'certificate_refused' }, netStats.certificatesRefused)
    emit({ leg: 'ingress', reason: 'name_refused' }, netStats.namesRefused)
    emit({ leg: 'ingress', reason: 'alpn' }, netStats.alpnRefused)
    emit({ leg: 'egress', reason: 'failed' }, netStats.egressHandshakesFailed)
    emit({ leg: 'egress', reason: 'timed_out' }, netStats.egressHandshakesTimedOut)
    emit({ leg: 'egress', reason: 'certificate_refused' }, netStats.egressCertificatesRefused)
    emit({ leg: 'egress', reason: 'name_refused' }, netStats.egressNamesRefused)
    emit({ leg: 'egress', reason: 'alpn' }, netStats.egressAlpnRefused)
  })
  metrics.addFamily('authgw_connections_refused_total', (emit) => {
    emit({ reason: 'total' }, netStats.refusedByTotal)
    emit({ reason: 'address' }, netStats.refusedByAddress)
    emit({ reason: 'handshakes' }, netStats.refusedByHandshakes)
    emit({ reason: 'draining' }, netStats.refusedByRelay)
    emit({ reason: 'accept_failed' }, netStats.acceptErrors)
  })
  metrics.addCounter('authgw_peers_closed_total', { reason: 'untrusted' }, () => netStats.peersUntrusted)
  metrics.addCounter('authgw_peers_closed_total', { reason: 'expired' }, () => netStats.peersExpired)
  metrics.addGauge('authgw_socket_waiting_bytes', {}, () => netStats.socketBytesWaiting)
  metrics.addCounter('authgw_read_pauses_total', {}, () => netStats.readPauses)
  metrics.addCounter('authgw_loop_late_total', {}, () => netStats.loopLate)
  metrics.addCounter('authgw_bugs_total', {}, () => netStats.bugs)
}

/** The gate of the control plane. */
export function feedGate(metrics: Metrics, stats: GateStats): void {
  metrics.addFamily('authgw_decisions_total', (emit) => {
    const nameless: Record<string, number> = { ...stats.refused }
    for (const [issuer, counts] of stats.refusedByIssuer)
      for (const [reason, count] of counts) {
        nameless[reason]! -= count
        emit({ decision: 'refuse', reason, issuer }, count)
      }
    for (const [reason, count] of Object.entries(nameless))
      emit({ decision: 'refuse', reason, issuer: '' }, count)
  })
  metrics.addCounter('authgw_cache_hits_total', { cache: 'token' }, () => stats.tokenHits)
  metrics.addCounter('authgw_cache_misses_total', { cache: 'token' }, () => stats.tokenMisses)
  metrics.addCounter('authgw_cache_hits_total', { cache: 'negative' }, () => stats.rejectionHits)
  metrics.addCounter('authgw_cache_hits_total', { cache: 'verdict' }, () => stats.verdictHits)
  // A call asks for a verdict, then whether its token was refused, then whether it was verified, until one answers.
  const tokenLookups = (): number => stats.tokenHits + stats.tokenMisses
  metrics.addCounter('authgw_cache_misses_total', { cache: 'negative' }, tokenLookups)
  metrics.addCounter(
    'authgw_cache_misses_total',
    { cache: 'verdict' },
    () => stats.rejectionHits + tokenLookups(),
  )
  metrics.addCounter('authgw_policy_findings_total', { finding: 'dry_run' }, () => stats.dryRunDenials)
  metrics.addCounter('authgw_policy_findings_total', { finding: 'audit' }, () => stats.audited)
  metrics.addCounter('authgw_token_oddities_total', { kind: 'clock_skew' }, () => stats.clockSkew)
  metrics.addCounter('authgw_token_oddities_total', { kind: 'long_lived' }, () => stats.longLived)
  metrics.addCounter('authgw_token_oddities_total', { kind: 'claim_too_long' }, () => stats.claimsTooLong)
  metrics.addCounter('authgw_signature_checks_total', {}, () => stats.verifications)
  metrics.addGauge('authgw_signature_checks_waiting', {}, () => stats.verificationsWaiting)
  metrics.addCounter('authgw_bugs_total', {}, () => stats.bugs)
}

/** The gate of one workload identity. */
export function feedCredentialGate(metrics: Metrics, stats: CredentialGateStats): void {
  metrics.addFamily('authgw_decisions_total', (emit) => {
    const refused = {
      policy_denied: stats.denied,
      credential_unavailable: stats.unavailable,
      credential_config: stats.misconfigured,
      credential_rejected: stats.heldBack,
    }
    for (const [reason, count] of Object.entries(refused))
      emit({ decision: 'refuse', reason, issuer: '' }, count)
  })
}

/** The keys of one issuer. */
export function feedKeys(metrics: Metrics, keeper: KeyKeeper, maxStaleMs: number): void {
  const { issuer } = keeper
  metrics.addFamily('authgw_key_set_age_seconds', (emit) => {
    const { ageMs, origin } = keeper.state
    if (ageMs !== Infinity && origin !== 'file') emit({ issuer }, ageMs / 1000)
  })
  metrics.addGauge('authgw_key_set_max_stale_seconds', { issuer }, () => maxStaleMs / 1000)
  metrics.addGauge('authgw_key_set_keys', { issuer }, () => keeper.state.keyCount)
  metrics.addFamily('authgw_key_fetches_total', (emit) => {
    for (const [result, count] of Object.entries(keeper.counts)) emit({ issuer, result }, count)
  })
}

/** The token of one identity. */
export function feedToken(metrics: Metrics, keeper: TokenKeeper): void {
  const { identity, stats } = keeper
  metrics.addFamily('authgw_token_expiry_timestamp_seconds', (emit) => {
    if (stats.tokenExpiryWallMs > 0) emit({ identity }, stats.tokenExpiryWallMs / 1000)
  })
  metrics.addCounter('authgw_token_rejections_total', { identity }, () => stats.rejected)
  metrics.addFamily('authgw_token_refreshes_total', (emit) => {
    emit({ identity, result: 'ok' }, stats.fetched)
    for (const [result, count] of Object.entries(stats.failures)) emit({ identity, result }, count)
  })
}

/**
 * What the two roles have in common: a listener, a relay and a dialer, started and ended together.
 * Floor 7; knows neither tokens nor keys: the gate is given.
 */
import type { Gate } from '../auth/index.ts'
import type { Config, LimitsConfig, ListenConfig, UpstreamConfig } from '../config/index.ts'
import {
  Dialer,
  formatEndpoint,
  isLoopbackEndpoint,
  Listener,
  parseEndpoint,
  type Endpoint,
  type ListenTls,
  type SocketIntake,
  type TlsContext,
} from '../net/index.ts'
import { PickFirst, Relay } from '../relay/index.ts'
import { feedRelay } from './feed.ts'
import { clientLimits, egressLimits, ingressLimits } from './limits.ts'
import type { Machine } from './machine.ts'
import type { GateTroubles } from './owners.ts'
import type { Sources } from './sources.ts'
import { roleTlsPlaces } from './tls.ts'

/** The roles, in the words of the configuration. */
export type RoleName = 'workload' | 'control_plane'

/** A role that runs. */
export interface Role {
  readonly name: RoleName
  readonly relay: Relay
  readonly listener: Listener
  /** Where it listens, as text, once it does. */
  readonly addresses: readonly string[]
  /** Binds the listener and begins to dial. */
  start(): Promise<void>
  /** Takes certificates that have changed (SIGHUP). */
  reload(): Promise<void>
  /** Why its gates cannot use the token of an identity. */
  troubles(): GateTroubles
  /** Ends everything now. */
  close(): Promise<void>
}

/** What differs between the roles. */
export interface RoleParts {
  readonly name: RoleName
  readonly listen: ListenConfig
  readonly upstream: UpstreamConfig
  readonly limits: LimitsConfig
  readonly intake: SocketIntake | null
  readonly gate: Gate
  readonly isGrpcOnly: boolean
  readonly renews: boolean
  readonly holdsDenied: boolean
  readonly dropsReason: boolean
  readonly strippedNames: ReadonlySet<string>
  readonly knownMethods: Iterable<string>
  readonly maxStreamDurationMs: number
  readonly onTrustChange: () => void
  readonly troubles: () => GateTroubles
  readonly close: () => void
}

/** Where a role's TLS material comes from, opened before its gate is made. */
export interface RoleTls {
  readonly ingress: TlsContext | null
  readonly egress: TlsContext | null
}

/** Takes the TLS material of both legs from its owner. */
export async function openRoleTls(config: Config, name: RoleName, sources: Sources): Promise<RoleTls> {
  const { ingress, egress } = roleTlsPlaces(config, name)
  return {
    ingress: ingress === null ? null : await sources.tls(ingress),
    egress: egress === null ? null : await sources.tls(egress),
  }
}

/** Joins the parts. Nothing listens or dials before `start`. */
export function createRole(machine: Machine, parts: RoleParts, tls: RoleTls): Role {
  const { clock, turn, wheel, netStats, held, replayBudget, workerCount } = machine
  // Connections are dealt out in turn, so that each worker sees its part of them.
  const shareOf = (limit: number): number => Math.ceil(limit / workerCount)
  const { listen, upstream, limits, name } = parts
  const log = machine.log.child({ role: name })
  const dialer = createDialer(machine, parts, tls.egress)
  const listenEndpoint = parseEndpoint(listen.endpoint.text)
  const isRemote = !isLoopbackEndpoint(parseEndpoint(upstream.endpoint.text))
  const { keepalive } = upstream
  const relay = new Relay({
    gate: parts.gate,
    dialer: upstream.balancerName === 'pick_first' ? new PickFirst(dialer) : dialer,
    turn,
    wheel,
    clock,
    log,
    ingressLimits: ingressLimits(limits, listen, isLoopbackEndpoint(listenEndpoint)),
    egressLimits: egressLimits(limits),
    held,
    replayBudget,
    maxMessageBytes: listen.maxRecvMsgBytes,
    perClient: clientLimits(limits),
    maxConnections: shareOf(limits.maxConnections),
    maxEgressConnections: limits.maxEgressConnections,
    egressWaitMs: limits.egressWaitMs,
    maxReplays: limits.maxReplays,
    isGrpcOnly: parts.isGrpcOnly,
    renews: parts.renews,
    holdsDenied: parts.holdsDenied,
    dropsReason: parts.dropsReason,
    strippedNames: parts.strippedNames,
    knownMethods: parts.knownMethods,
    maxStreamDurationMs: parts.maxStreamDurationMs,
    upstreamHeaders: Object.entries(upstream.headers ?? {}).map(([field, value]) => [
      field.toLowerCase(),
      value,
    ]),
    keepaliveMs: isRemote ? keepalive.timeMs : Infinity,
    keepaliveTimeoutMs: keepalive.timeoutMs,
  })
  const listener = new Listener({
    endpoint: listen.endpoint.text,
    tls: tls.ingress === null ? null : listenTls(listen, tls.ingress),
    acceptor: relay,
    limits: {
      maxConnections: shareOf(limits.maxConnections),
      maxConnectionsPerAddress: shareOf(limits.maxConnectionsPerAddress),
      maxPendingHandshakes: shareOf(limits.maxPendingHandshakes),
    },
    handshakeTimeoutMs: limits.handshakeTimeoutMs,
    intake: parts.intake,
    clock,
    turn,
    wheel,
    stats: netStats,
    log,
    onBug: (error) => machine.onBug(error),
  })
  feedRelay(machine.metrics, relay)
  const unfollow = followTrust(tls.ingress, parts.onTrustChange)
  let addresses: readonly string[] = []
  return {
    name,
    relay,
    listener,
    get addresses() {
      return addresses
    },
    async start() {
      addresses = (await listener.listen()).map((endpoint: Endpoint) => formatEndpoint(endpoint))
      log.info(
        {
          addresses,
          tls: tls.ingress !== null,
          upstream: upstream.endpoint.text,
          upstream_tls: tls.egress !== null,
        },
        'listening',
      )
      await dialer.start()
      relay.pool.warmUp()
    },
    async reload() {
      await Promise.all([tls.ingress?.reload(), tls.egress?.reload()])
    },
    troubles: parts.troubles,
    async close() {
      unfollow()
      parts.close()
      relay.close()
      await listener.close()
      dialer.close()
    },
  }
}

function createDialer(machine: Machine, parts: RoleParts, context: TlsContext | null): Dialer {
  const { clock, turn, netStats } = machine
  const { upstream } = parts
  return new Dialer({
    endpoint: upstream.endpoint.text,
    tls:
      context === null
        ? null
        : {
            context,
            serverNameOverride: upstream.tls?.serverNameOverride ?? null,
            allowedSans: upstream.tls?.allowedSans ?? [],
            insecureSkipVerify: upstream.tls?.insecureSkipVerify ?? false,
          },
    authority: upstream.authority ?? null,
    connectTimeoutMs: upstream.connectTimeoutMs,
    clock,
    turn,
    stats: netStats,
    log: machine.log.child({ role: parts.name }),
    onBug: (error) => machine.onBug(error),
  })
}

function listenTls(listen: ListenConfig, context: TlsContext): ListenTls {
  return { context, clientAuth: listen.tls!.clientAuth, allowedSans: listen.tls!.allowedSans ?? [] }
}

/** Calls back when the bundle that judges client certificates has changed. */
function followTrust(context: TlsContext | null, onChange: () => void): () => void {
  if (context === null) return () => {}
  let fingerprint = context.material.trustFingerprint
  return context.subscribe(({ value }) => {
    if (value.trustFingerprint === fingerprint) return
    fingerprint = value.trustFingerprint
    onChange()
  })
}

/**
 * A relay on loopback sockets with a gate of the test's choosing: what integration tests and micro benches put calls through.
 */
import { mintPermit, type PermitTerms } from '../../src/auth/verdict.ts'
import type { Gate, Verdict } from '../../src/auth/index.ts'
import { NO_LOG, type Log } from '../../src/base/index.ts'
import { ByteBudget, DEFAULT_H2_LIMITS, type H2Limits } from '../../src/h2/index.ts'
import { createTurn, createWheel, Dialer, Listener, NetStats, SystemClock } from '../../src/net/index.ts'
import { Relay, ReplayBudget, type RelayOptions } from '../../src/relay/index.ts'

/** A permit for tests. */
export const permitOf = (terms: Partial<PermitTerms> = {}): Verdict =>
  mintPermit({
    principal: { issuer: 'https://issuer.test', subject: 'workload', client: 'workload' },
    fields: [],
    dropsAuthorization: true,
    validUntilMs: Infinity,
    endsAtMs: Infinity,
    credentialGeneration: 1,
    egressIdentity: '',
    ...terms,
  })

const PERMIT = permitOf()

/** Lets everyone pass. */
export const OPEN_GATE: Gate = { admit: () => PERMIT, isCurrent: () => true, renew: () => null }

/** What a rig may be given besides the upstream. */
export interface RigOptions {
  readonly gate?: Gate
  readonly limits?: Partial<H2Limits>
  readonly log?: Log
  readonly relay?: Partial<RelayOptions>
}

/** A running relay. */
export interface RelayRig {
  readonly port: number
  readonly relay: Relay
  readonly netStats: NetStats
  close(): Promise<void>
}

/** Starts a relay in front of `127.0.0.1:upstreamPort`, listening on a free loopback port in plaintext. */
export async function startRelayRig(upstreamPort: number, options: RigOptions = {}): Promise<RelayRig> {
  const clock = new SystemClock()
  const turn = createTurn(clock)
  const wheel = createWheel({ clock, turn })
  const netStats = new NetStats()
  const log = options.log ?? NO_LOG
  const onBug = (error: unknown): void => log.error({ err: error }, 'bug')
  const dialer = new Dialer({
    endpoint: `127.0.0.1:${upstreamPort}`,
    tls: null,
    clock,
    turn,
    stats: netStats,
    log,
    onBug,
  })
  const limits = { ...DEFAULT_H2_LIMITS, maxConcurrentStreams: 1000, ...options.limits }
  const relay = new Relay({
    gate: options.gate ?? OPEN_GATE,
    dialer,
    turn,
    wheel,
    clock,
    log,
    ingressLimits: limits,
    egressLimits: limits,
    held: new ByteBudget(48 * 1024 * 1024),
    replayBudget: new ReplayBudget(),
    maxMessageBytes: 64 * 1024 * 1024,
    maxConnections: 10_000,
    isGrpcOnly: true,
    renews: false,
    holdsDenied: false,
    dropsReason: true,
    strippedNames: new Set(),
    knownMethods: [],
    keepaliveMs: Infinity,
    keepaliveTimeoutMs: 10_000,
    ...options.relay,
  })
  const listener = new Listener({
    endpoint: '127.0.0.1:0',
    tls: null,
    acceptor: relay,
    clock,
    turn,
    wheel,
    stats: netStats,
    log,
    onBug,
  })
  const [endpoint] = await listener.listen()
  if (endpoint?.kind !== 'tcp') throw new Error('a rig listens on TCP')
  return {
    port: endpoint.port,
    relay,
    netStats,
    close: async () => {
      relay.close()
      await listener.close()
      dialer.close()
    },
  }
}

/**
 * The workload role: its part of the configuration into a listener that puts a token on every call.
 * Floor 7; gets no token: it comes from `Sources`, and gates put it on.
 */
import { CredentialGate, OpenGate, OTLP_EXPORT_METHODS, RoutedGate, type Gate } from '../auth/index.ts'
import type { Config, WorkloadConfig } from '../config/index.ts'
import { feedCredentialGate } from './feed.ts'
import type { TlsContext } from '../net/index.ts'
import type { Machine } from './machine.ts'
import { createRole, openRoleTls, type Role } from './role.ts'
import type { Sources } from './sources.ts'
import { identitiesOf, type IdentityConfig } from './token-owner.ts'

/** One identity and the gate that puts its token on. */
interface Identity {
  readonly name: string
  readonly gate: CredentialGate
}

/** Builds the role. */
export async function createWorkload(machine: Machine, config: Config, sources: Sources): Promise<Role> {
  const own = config.workload!
  const tls = await openRoleTls(config, 'workload', sources)
  const identities = identitiesOf(own).map((identity) =>
    createIdentity(machine, own, identity, sources, tls.egress),
  )
  return createRole(
    machine,
    {
      name: 'workload',
      intake: sources.intake('workload'),
      listen: own.listen,
      upstream: own.upstream,
      limits: config.limits,
      gate: gateOf(own, identities),
      isGrpcOnly: identities.length > 0,
      renews: identities.length > 0,
      holdsDenied: own.onDenied === 'hold',
      dropsReason: false,
      strippedNames: new Set(),
      knownMethods: knownMethods(own),
      maxStreamDurationMs: own.maxStreamDurationMs,
      onTrustChange: () => {},
      troubles: () =>
        Object.fromEntries(
          identities.flatMap(({ name, gate }) =>
            gate.degraded === null ? [] : [[name, gate.degraded.reason]],
          ),
        ),
      close: () => {
        for (const { gate } of identities) gate.close()
      },
    },
    tls,
  )
}

function createIdentity(
  machine: Machine,
  own: WorkloadConfig,
  { name, bearer }: IdentityConfig,
  sources: Sources,
  egress: TlsContext | null,
): Identity {
  const gate = new CredentialGate({
    identity: name,
    port: sources.token(name),
    clock: machine.clock,
    header: bearer.header.toLowerCase(),
    scheme: bearer.scheme,
    existing: bearer.overwrite,
    allow: own.allowMethods ?? null,
    onInvalidClient: own.onInvalidClient,
    onRejected: own.onRejected,
    egressCertificate: () => egress?.material.certificateSha256 ?? null,
  })
  egress?.subscribe(() => gate.onEgressChange())
  feedCredentialGate(machine.metrics, gate.stats)
  return { name, gate }
}

function gateOf(own: WorkloadConfig, identities: readonly Identity[]): Gate {
  if (identities.length === 0) return new OpenGate(true)
  if (own.routes === undefined) return identities[0]!.gate
  const byName = new Map(identities.map(({ name, gate }) => [name, gate]))
  const routes = own.routes.map(({ prefix, identity }) => ({ prefix, gate: byName.get(identity)! }))
  if (!routes.some(({ prefix }) => prefix === '/')) routes.push({ prefix: '/', gate: identities[0]!.gate })
  return new RoutedGate(routes)
}

/** Methods that get a metric series of their own: OTLP Export, and those named in full. */
function knownMethods(own: WorkloadConfig): Set<string> {
  const named = (own.allowMethods ?? []).filter((method) => method.startsWith('/') && !method.includes('*'))
  return new Set([...OTLP_EXPORT_METHODS, ...named].map((path) => path.replace(/^\//, '')))
}

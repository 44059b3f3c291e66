/**
 * The control plane role: its part of the configuration into a listener that checks the token of every call.
 * Floor 7; decides nothing itself: the gate does, with keys that come from `Sources`.
 */
import {
  BearerGate,
  OpenGate,
  OTLP_EXPORT_METHODS,
  Policy,
  type Gate,
  type ProviderOptions,
  type RuleOptions,
} from '../auth/index.ts'
import type {
  Config,
  ControlPlaneConfig,
  OidcConfig,
  OidcProviderConfig,
  PolicyConfig,
} from '../config/index.ts'
import { feedGate } from './feed.ts'
import type { Machine } from './machine.ts'
import { createRole, openRoleTls, type Role } from './role.ts'
import type { Sources } from './sources.ts'

/** The role, whose policy can be replaced. */
export type ControlPlane = Role & { reloadPolicy(next: ControlPlaneConfig): Promise<void> }

/** Builds the role. */
export async function createControlPlane(
  machine: Machine,
  config: Config,
  sources: Sources,
): Promise<ControlPlane> {
  const own = config.controlPlane!
  const tls = await openRoleTls(config, 'control_plane', sources)
  const policy = await createPolicy(own)
  const checks = own.oidc === undefined ? null : createGate(machine, own, own.oidc, policy, sources)
  const gate: Gate = checks ?? new OpenGate(true)
  const role = createRole(
    machine,
    {
      name: 'control_plane',
      intake: sources.intake('control_plane'),
      listen: own.listen,
      upstream: own.upstream,
      limits: config.limits,
      gate,
      isGrpcOnly: checks !== null,
      renews: false,
      holdsDenied: false,
      dropsReason: true,
      strippedNames: checks?.identity.reservedNames ?? new Set(),
      knownMethods: knownMethods(own.policy),
      maxStreamDurationMs: own.maxStreamDurationMs,
      onTrustChange: () => checks?.invalidateTrust(),
      troubles: () => ({}),
      close: () => checks?.close(),
    },
    tls,
  )
  return Object.assign(role, {
    reloadPolicy: async (next: ControlPlaneConfig) => checks?.replacePolicy(await createPolicy(next)),
  })
}

function createGate(
  machine: Machine,
  own: ControlPlaneConfig,
  oidc: OidcConfig,
  policy: Policy,
  sources: Sources,
): BearerGate {
  const gate = new BearerGate(
    {
      providers: oidc.providers.map((provider) => providerOptions(oidc, provider)),
      policy,
      claimHeaders: oidc.claimToHeaders.map(({ headerName, claimName }) => ({ headerName, claimName })),
      forwardsToken: oidc.forward,
      onExpired: own.onExpired,
    },
    {
      clock: machine.clock,
      log: machine.log.child({ role: 'control_plane' }),
      keys: new Map(oidc.providers.map(({ issuerUrl }) => [issuerUrl, sources.keys(issuerUrl)])),
    },
  )
  feedGate(machine.metrics, gate.stats)
  return gate
}

/** How tokens of one provider are judged. */
export function providerOptions(oidc: OidcConfig, provider: OidcProviderConfig): ProviderOptions {
  return {
    issuer: provider.issuerUrl,
    audiences: provider.ignoreAudience ? null : provider.audiences,
    algorithms: provider.algorithms,
    leewaySeconds: oidc.clockSkewMs / 1000,
    maxLifetimeSeconds: oidc.maxLifetimeMs === Infinity ? null : oidc.maxLifetimeMs / 1000,
    requiresAccessTokenType: provider.requireTokenType !== undefined,
    allowedClients: provider.allowedClients ?? [],
    allowedSubjects: provider.allowedSubjects ?? [],
    sanClaim: provider.claimEqualsSan ?? null,
  }
}

/** The rules, compiled. @throws ConfigError */
export function createPolicy(own: ControlPlaneConfig): Promise<Policy> {
  return Policy.load({ rules: own.policy.rules.map(ruleOptions), isDryRun: own.policy.dryRun })
}

function ruleOptions(rule: PolicyConfig['rules'][number]): RuleOptions {
  const { name, action, to, from, when, expression } = rule
  return {
    action,
    ...(name !== undefined && { name }),
    ...(to !== undefined && { to: defined(to) }),
    ...(from !== undefined && { from: defined(from) }),
    ...(when !== undefined && { when: when.map(({ claim, anyOf }) => ({ claim, anyOf: anyOf ?? [] })) }),
    ...(expression !== undefined && { expression }),
  }
}

/** The members that are set: an option that is left out and one that is undefined are alike. */
function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as never
}

/** Methods that get a metric series of their own: OTLP Export, and what the policy names in full. */
function knownMethods(policy: PolicyConfig): Set<string> {
  const named = policy.rules
    .flatMap((rule) => rule.to?.methods ?? [])
    .filter((method) => !method.includes('*'))
  return new Set([...OTLP_EXPORT_METHODS, ...named].map((path) => path.replace(/^\//, '')))
}

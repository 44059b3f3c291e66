/**
 * The control plane role: its part of the configuration into a listener that checks the token of every call.
 * Floor 7; decides nothing itself: the gate does.
 */
import {
  BearerGate,
  KeyCache,
  KeyKeeper,
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
import { HttpClient, PrivateFiles, readFile } from '../net/index.ts'
import { feedGate, feedKeys } from './feed.ts'
import type { Machine } from './machine.ts'
import { createRole, openRoleTls, type Role } from './role.ts'
import { openTls } from './tls.ts'
import { watchFiles, type WatchedFiles } from './watch-files.ts'

/** Builds the role; `reloadPolicy` puts another policy in place. */
export async function createControlPlane(
  machine: Machine,
  config: Config,
): Promise<Role & { reloadPolicy(next: ControlPlaneConfig): void }> {
  const own = config.controlPlane!
  const tls = await openRoleTls(machine, 'control_plane', own.listen, own.upstream)
  const checks = own.oidc === undefined ? null : await createChecks(machine, own, own.oidc)
  const gate: Gate = checks?.gate ?? new OpenGate(true)
  const role = createRole(
    machine,
    {
      name: 'control_plane',
      path: 'control_plane',
      listen: own.listen,
      upstream: own.upstream,
      limits: config.limits,
      gate,
      isGrpcOnly: checks !== null,
      renews: false,
      holdsDenied: false,
      dropsReason: true,
      strippedNames: checks?.gate.identity.reservedNames ?? new Set(),
      knownMethods: knownMethods(own.policy),
      maxStreamDurationMs: own.maxStreamDurationMs,
      onTrustChange: () => checks?.gate.invalidateTrust(),
      report: () => {
        for (const keeper of checks?.keepers ?? []) reportKeys(machine, keeper)
      },
      reload: async () => {
        await Promise.all((checks?.keyFiles ?? []).map((keeper) => keeper.reload()))
      },
      close: () => {
        for (const files of checks?.watches ?? []) files.close()
        checks?.gate.close()
        for (const keeper of checks?.keepers ?? []) keeper.close()
        for (const client of checks?.clients ?? []) void client.close()
      },
    },
    tls,
  )
  for (const keeper of checks?.keepers ?? []) {
    keeper.snapshots.subscribe(() => reportKeys(machine, keeper))
    reportKeys(machine, keeper)
    keeper.start()
  }
  return Object.assign(role, {
    reloadPolicy: (next: ControlPlaneConfig) => checks?.gate.replacePolicy(createPolicy(next)),
  })
}

interface Checks {
  readonly gate: BearerGate
  readonly keepers: readonly KeyKeeper[]
  /** Those whose keys come from a local file. */
  readonly keyFiles: readonly KeyKeeper[]
  readonly watches: readonly WatchedFiles[]
  readonly clients: readonly HttpClient[]
}

async function createChecks(machine: Machine, own: ControlPlaneConfig, oidc: OidcConfig): Promise<Checks> {
  const clients: HttpClient[] = []
  const keepers: KeyKeeper[] = []
  const keyFiles: KeyKeeper[] = []
  const watches: WatchedFiles[] = []
  for (const [place, provider] of oidc.providers.entries()) {
    const path = `control_plane.oidc.providers[${place}]`
    const tls =
      provider.issuerCaPath === undefined
        ? null
        : await openTls(machine, 'client', { caFile: provider.issuerCaPath }, path, 'idp')
    const client = new HttpClient({ tls })
    clients.push(client)
    const keeper = createKeeper(machine, oidc, provider, client)
    feedKeys(machine.metrics, keeper, oidc.keyMaxStaleMs)
    keepers.push(keeper)
    if (provider.publicKeysFile === undefined) continue
    keyFiles.push(keeper)
    watches.push(await watchFiles(machine, [provider.publicKeysFile], () => void keeper.reload()))
  }
  const gate = new BearerGate(
    {
      providers: oidc.providers.map((provider) => providerOptions(oidc, provider)),
      policy: createPolicy(own),
      claimHeaders: oidc.claimToHeaders.map(({ headerName, claimName }) => ({ headerName, claimName })),
      forwardsToken: oidc.forward,
      onExpired: own.onExpired,
    },
    {
      clock: machine.clock,
      log: machine.log.child({ role: 'control_plane' }),
      keys: new Map(keepers.map((keeper) => [keeper.issuer, keeper])),
    },
  )
  feedGate(machine.metrics, gate.stats)
  return { gate, keepers, keyFiles, watches, clients }
}

function createKeeper(
  machine: Machine,
  oidc: OidcConfig,
  provider: OidcProviderConfig,
  client: HttpClient,
): KeyKeeper {
  const { clock, log } = machine
  const folder = oidc.keyCacheDirectory
  return new KeyKeeper(
    {
      issuer: provider.issuerUrl,
      jwksUri: provider.jwksUri ?? null,
      discoveryUrl: provider.discoveryUrl ?? null,
      publicKeysFile: provider.publicKeysFile ?? null,
      allowsHttp: (provider.unsafeAllow ?? []).includes('http_issuer'),
      maxStaleMs: oidc.keyMaxStaleMs,
    },
    {
      clock,
      log,
      fetch: client.fetch,
      readFile,
      cache: folder === undefined ? null : new KeyCache(folder, provider.issuerUrl, new PrivateFiles(), log),
    },
  )
}

function providerOptions(oidc: OidcConfig, provider: OidcProviderConfig): ProviderOptions {
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

function createPolicy(own: ControlPlaneConfig): Policy {
  return new Policy({ rules: own.policy.rules.map(ruleOptions), isDryRun: own.policy.dryRun })
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

/** No keys ever: unready. Keys, but the last fetch failed: degraded (no-loss.md, Readiness). */
function reportKeys(machine: Machine, keeper: KeyKeeper): void {
  const { failure, hadKeys } = keeper.state
  const name = `keys ${keeper.issuer}`
  if (!hadKeys) {
    machine.readiness.markUnready(
      name,
      'keys_never_loaded',
      failure === null ? 'the first fetch is under way' : `last attempt: ${failure}`,
    )
  } else if (failure !== null) {
    machine.readiness.markDegraded(name, failure, 'the last good keys are in use')
  } else machine.readiness.markReady(name)
}

/**
 * The options of the control plane's gate, and what an operator may have got wrong in them.
 * Floor 2; knows no token. roles/ turns the configuration into these.
 */
import type { Clock, ConfigFault, Log } from '../base/index.ts'
import { checkClaimHeaders, type ClaimHeader } from './identity.ts'
import type { ProviderKeys } from './jwks/cache.ts'
import { MAX_LEEWAY_SECONDS } from './jwt/claims.ts'
import type { Policy } from './policy/policy.ts'
import type { ProviderOptions } from './provider.ts'

/** How a gate decides. */
export interface BearerGateOptions {
  readonly providers: readonly ProviderOptions[]
  readonly policy: Policy
  /** `claim_to_headers`. */
  readonly claimHeaders?: readonly ClaimHeader[]
  /** Whether the token itself reaches the collector (`forward`); default false. */
  readonly forwardsToken?: boolean
  /** Row 9a: whether a stock client whose token has just expired is told to try again; default `retry`. */
  readonly onExpired?: 'retry' | 'fail'
}

/** What a gate needs. */
export interface BearerGatePorts {
  readonly clock: Clock
  readonly log: Log
  /** The keys of each provider, by issuer. */
  readonly keys: ReadonlyMap<string, ProviderKeys>
}

/** Every fault of the options, with the key to mend. */
export function faultsOf(options: BearerGateOptions, ports: BearerGatePorts): ConfigFault[] {
  const faults = checkClaimHeaders(options.claimHeaders ?? [], 'oidc.claim_to_headers')
  const add = (place: number, key: string, problem: string, remedy: string): void => {
    faults.push({ path: `oidc.providers[${place}].${key}`, position: null, problem, remedy })
  }
  const issuers = options.providers.map((provider) => provider.issuer)
  for (const [place, provider] of options.providers.entries()) {
    if (issuers.indexOf(provider.issuer) !== place)
      add(place, 'issuer_url', 'The issuer is listed twice.', 'Put its audiences into one entry (audiences).')
    if (!ports.keys.has(provider.issuer))
      add(place, 'issuer_url', 'Nobody keeps the keys of this issuer.', 'Report this as a bug in authgw.')
    if (provider.audiences?.length === 0)
      add(place, 'audience', 'There is no audience.', 'Name the audience that tokens for this gateway carry.')
    if ((provider.leewaySeconds ?? 0) < 0 || (provider.leewaySeconds ?? 0) > MAX_LEEWAY_SECONDS)
      add(place, 'clock_skew', 'The clock skew is out of range.', `Choose 0s to ${MAX_LEEWAY_SECONDS}s.`)
  }
  if (options.providers.length === 0)
    faults.push({
      path: 'oidc.providers',
      position: null,
      problem: 'There is no identity provider, so that no token could be valid.',
      remedy: 'List at least one provider with issuer_url and audience.',
    })
  return faults
}

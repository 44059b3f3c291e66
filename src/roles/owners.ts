/**
 * What must exist once, whatever the number of workers: the keepers of tokens and keys, and the watch on certificates.
 * Floor 7; knows no call. With one worker the roles use it in the same process, else the supervisor publishes it.
 */
import { invariant, type CredentialErrorCode } from '../base/index.ts'
import type { Config } from '../config/index.ts'
import type { TlsContext } from '../net/index.ts'
import { KeyOwner } from './key-owner.ts'
import type { Machine } from './machine.ts'
import type { Sources } from './sources.ts'
import { openTls, tlsPlaces, type TlsPlace } from './tls.ts'
import { identitiesOf, TokenOwner } from './token-owner.ts'

/** Why gates cannot use the token of an identity, by its name. Identities that are well are not in it. */
export type GateTroubles = Readonly<Record<string, CredentialErrorCode>>

/** Everything that is owned, by its name in the configuration. */
export class Owners implements Sources {
  readonly tokenOwners = new Map<string, TokenOwner>()
  readonly keyOwners = new Map<string, KeyOwner>()
  /** By the path of the section. */
  readonly contexts = new Map<string, TlsContext>()

  /**
   * Opens all that the configuration names; fetches nothing yet.
   * @throws ConfigError for what only shows when it is tried, such as a certificate that does not fit
   */
  static async open(machine: Machine, config: Config): Promise<Owners> {
    const owners = new Owners()
    try {
      for (const place of tlsPlaces(config)) owners.contexts.set(place.path, await openTls(machine, place))
      const { oidc } = config.controlPlane ?? {}
      for (const [at, provider] of oidc?.providers.entries() ?? []) {
        const path = `control_plane.oidc.providers[${at}]`
        owners.keyOwners.set(provider.issuerUrl, await KeyOwner.create(machine, oidc!, provider, path))
      }
      for (const identity of config.workload === undefined ? [] : identitiesOf(config.workload))
        owners.tokenOwners.set(identity.name, await TokenOwner.create(machine, identity))
      return owners
    } catch (error) {
      owners.close()
      throw error
    }
  }

  token(identity: string) {
    const owner = this.tokenOwners.get(identity)
    invariant(owner !== undefined, `no identity ${identity}`)
    return owner.keeper
  }

  keys(issuer: string) {
    const owner = this.keyOwners.get(issuer)
    invariant(owner !== undefined, `no issuer ${issuer}`)
    return owner.keeper
  }

  tls({ path }: TlsPlace): Promise<TlsContext> {
    const context = this.contexts.get(path)
    invariant(context !== undefined, `no certificates for ${path}`)
    return Promise.resolve(context)
  }

  intake(): null {
    return null
  }

  /** Begins to fetch, in the background. `onChange` is called whenever a token or keys have changed. */
  start(onChange: () => void): void {
    for (const { keeper } of this.tokenOwners.values()) {
      keeper.tokens.subscribe(onChange)
      keeper.start()
    }
    for (const { keeper } of this.keyOwners.values()) {
      keeper.snapshots.subscribe(onChange)
      keeper.start()
    }
  }

  /** Reports trouble and its end to readiness. */
  report(troubles: GateTroubles): void {
    for (const [name, owner] of this.tokenOwners) owner.report(troubles[name] ?? null)
    for (const owner of this.keyOwners.values()) owner.report()
  }

  /** Reads every file again (SIGHUP). Resolves when what has changed is in use or refused. */
  async reload(): Promise<void> {
    await Promise.all(
      [this.contexts, this.tokenOwners, this.keyOwners].flatMap((owned) =>
        [...owned.values()].map((one) => one.reload()),
      ),
    )
  }

  /** Ends everything now. */
  close(): void {
    for (const owned of [this.contexts, this.tokenOwners, this.keyOwners])
      for (const one of owned.values()) one.close()
  }
}

/**
 * What a role takes from whoever owns it: tokens, keys, certificates and listening sockets,
 * which exist once for all workers.
 * Floor 7; the owner is in this process (owners.ts), or in the supervisor's, at the other end of a line (remote.ts).
 */
import type { ProviderKeys, TokenPort } from '../auth/index.ts'
import type { SocketIntake, TlsContext } from '../net/index.ts'
import type { RoleName } from './role.ts'
import type { TlsPlace } from './tls.ts'

/** What exists once, as a role sees it. */
export interface Sources {
  /** The token of an identity of the configuration. */
  token(identity: string): TokenPort
  /** The keys of an issuer of the configuration. */
  keys(issuer: string): ProviderKeys
  /** The certificates of a leg. Whoever asks does not close them. @throws ConfigError */
  tls(place: TlsPlace): Promise<TlsContext>
  /** Where a role's connections come from when another process accepts them; null: the role listens itself. */
  intake(role: RoleName): SocketIntake | null
}

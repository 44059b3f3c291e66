/**
 * One token fetched, or one call explained, with a configuration that does not run: for the commands `token` and `explain`.
 * Floor 7; starts no role and listens nowhere. What is made is what a running gateway would make, so that it fails alike.
 */
import { Readiness } from '../admin/index.ts'
import {
  describeToken,
  explainCall,
  KeyCache,
  readKeyDocument,
  type DescribedToken,
  type Explanation,
  type PeerIdentity,
  type PublicKey,
} from '../auth/index.ts'
import { ConfigError, NO_LOG, type CredentialErrorCode, type Log } from '../base/index.ts'
import type { Config, ControlPlaneConfig, OidcConfig, OidcProviderConfig } from '../config/index.ts'
import { PrivateFiles, readFile } from '../net/index.ts'
import { Metrics } from '../telemetry/index.ts'
import { createPolicy, providerOptions } from './control-plane.ts'
import { KeyOwner } from './key-owner.ts'
import { createMachine, type Machine } from './machine.ts'
import { identitiesOf, TokenOwner } from './token-owner.ts'

/** A token, or why there is none. */
export type TriedToken =
  | {
      readonly kind: 'token'
      readonly identity: string
      /** Null for an opaque token. */
      readonly described: DescribedToken | null
      readonly lifeMs: number
      /** Unix ms until which a gateway would use it. */
      readonly usableUntilWallMs: number
      /** Unix ms of its end. */
      readonly expiresAtWallMs: number
      /** The certificate it is bound to (RFC 8705); null for a plain bearer token. */
      readonly certificateSha256: string | null
    }
  | {
      readonly kind: 'failure'
      readonly identity: string
      readonly reason: CredentialErrorCode
      /** What went wrong, with the address or the file; holds no secret. */
      readonly detail: string
    }

/** The names of the identities of a configuration. */
export function identityNames(config: Config): readonly string[] {
  return config.workload === undefined ? [] : identitiesOf(config.workload).map(({ name }) => name)
}

/** Asks for one token for the identity, as a gateway would. @throws ConfigError for what only shows when it is tried */
export async function tryToken(config: Config, identity: string): Promise<TriedToken> {
  const found = identitiesOf(config.workload!).find(({ name }) => name === identity)!
  const heard = new LastDetail()
  const owner = await TokenOwner.create(machineOf(config, heard.log), found)
  try {
    owner.keeper.start()
    const reply = await owner.keeper.requestToken({ rejectedGeneration: null, waitMs: 0 })
    if (reply.kind === 'failure')
      return { kind: 'failure', identity, reason: reply.reason, detail: heard.detail }
    const { accessToken, ...rest } = owner.keeper.tokens.current!.value
    return { kind: 'token', described: describeToken(accessToken), ...rest }
  } finally {
    owner.close()
  }
}

/** What is to be explained. */
export interface TriedQuestion {
  readonly token: string
  /** `/package.Service/Method`. */
  readonly path: string
  readonly peer: PeerIdentity
  readonly wallMs: number
  /** A key set (JWKS or PEM) to verify with, as text; null to take the provider's. */
  readonly keysText: string | null
  /** Whether the provider may be asked for its keys. */
  readonly isOnline: boolean
}

/** How a gateway with this configuration would decide about a call. */
export interface TriedExplanation extends Explanation {
  readonly isDryRun: boolean
  /** Where the keys came from, or why there are none. */
  readonly keysFrom: string
}

/** Explains a call. Asks nobody unless `isOnline`. @throws ConfigError for rules that do not compile */
export async function tryExplain(
  config: Config,
  oidc: OidcConfig,
  question: TriedQuestion,
): Promise<TriedExplanation> {
  const own: ControlPlaneConfig = config.controlPlane!
  const policy = await createPolicy(own)
  const issuer = describeToken(question.token)?.claims['iss']
  const place = oidc.providers.findIndex(({ issuerUrl }) => issuerUrl === issuer)
  const { keys, from } = await keysFor(config, oidc, place, question)
  const providers = oidc.providers.map((provider) => providerOptions(oidc, provider))
  const explanation = await explainCall(providers, policy, { ...question, keys })
  return { ...explanation, isDryRun: policy.isDryRun, keysFrom: from }
}

interface FoundKeys {
  readonly keys: readonly PublicKey[] | null
  readonly from: string
}

async function keysFor(
  config: Config,
  oidc: OidcConfig,
  place: number,
  { keysText, isOnline }: TriedQuestion,
): Promise<FoundKeys> {
  if (keysText !== null) return readKeys(keysText, '--keys')
  const provider = oidc.providers[place]
  if (provider === undefined) return { keys: null, from: 'the token names no configured issuer' }
  if (isOnline) return fetchKeys(config, oidc, provider, `control_plane.oidc.providers[${place}]`)
  const { publicKeysFile: file } = provider
  if (file !== undefined) return readKeys((await readFile(file)).toString('utf8'), file)
  return (await storedKeys(oidc, provider)) ?? { keys: null, from: 'none; give --keys FILE or --online' }
}

async function readKeys(text: string, from: string): Promise<FoundKeys> {
  const document = await readKeyDocument(text)
  return typeof document === 'string' ? { keys: null, from: `${from}: ${document}` } : { ...document, from }
}

/** The last good set that a gateway has kept on disk. */
async function storedKeys(oidc: OidcConfig, provider: OidcProviderConfig): Promise<FoundKeys | null> {
  const folder = oidc.keyCacheDirectory
  if (folder === undefined) return null
  const cache = new KeyCache(folder, provider.issuerUrl, new PrivateFiles(), NO_LOG)
  const stored = await cache.load()
  return stored === null ? null : readKeys(stored.text, cache.path)
}

async function fetchKeys(
  config: Config,
  oidc: OidcConfig,
  provider: OidcProviderConfig,
  path: string,
): Promise<FoundKeys> {
  const heard = new LastDetail()
  // Nothing is written into the cache of the gateway that runs.
  const owner = await KeyOwner.create(
    machineOf(config, heard.log),
    { ...oidc, keyCacheDirectory: undefined },
    provider,
    path,
  )
  try {
    owner.keeper.start()
    await owner.keeper.request({ waitMs: 0 })
    const { failure } = owner.keeper.state
    const keys = owner.keeper.snapshots.current?.value.keys ?? null
    return { keys, from: failure === null ? provider.issuerUrl : `${failure}: ${heard.detail}` }
  } finally {
    owner.close()
  }
}

function machineOf(config: Config, log: Log): Machine {
  return createMachine(config.limits, 1, {
    log,
    metrics: new Metrics(),
    readiness: new Readiness({ nowMs: () => 0 }),
  })
}

/** A log that keeps the last explanation of trouble and writes nothing. */
class LastDetail {
  detail = ''
  readonly log: Log

  constructor() {
    const hear: Log['warn'] = ({ detail, err }) => {
      if (typeof detail === 'string') this.detail = detail
      else if (err instanceof Error) this.detail = err.message
    }
    this.log = { debug: () => {}, info: () => {}, warn: hear, error: hear, child: () => this.log }
  }
}

/** Refuses a configuration that checks no tokens. @throws ConfigError */
export function checkedOidc(config: Config): OidcConfig {
  const oidc = config.controlPlane?.oidc
  if (oidc !== undefined) return oidc
  const problem = 'is not there: this configuration checks no token'
  throw new ConfigError([
    { path: 'control_plane.oidc', position: null, problem, remedy: 'give a control plane’s configuration' },
  ])
}

/**
 * The workload role's identities into keepers of their tokens: one of each, however many workers use them.
 * Floor 7; fetches no token itself: keepers do. What a gate needs of an identity is in workload.ts.
 */
import {
  isUsable,
  OAuthTokenSource,
  TokenFileSource,
  TokenKeeper,
  type ClientAuthentication,
  type Grant,
  type SecretRef,
  type SigningKey,
  type TokenSnapshot,
  type TokenSource,
} from '../auth/index.ts'
import { ConfigError, type Clock, type CredentialErrorCode } from '../base/index.ts'
import type { BearerTokenConfig, Oauth2ClientConfig, WorkloadConfig } from '../config/index.ts'
import { HttpClient, readFile, type TlsContext } from '../net/index.ts'
import { feedToken } from './feed.ts'
import type { Machine } from './machine.ts'
import { openTls } from './tls.ts'
import { watchFiles, type WatchedFiles } from './watch-files.ts'

/** One identity as the configuration has it. */
export interface IdentityConfig {
  readonly name: string
  readonly grant: Oauth2ClientConfig | undefined
  readonly bearer: BearerTokenConfig
  /** Where it stands in the configuration. */
  readonly path: string
}

/** The identities of the role. A single one is called `default`; there is none at all only under an `unsafe_allow`. */
export function identitiesOf(own: WorkloadConfig): IdentityConfig[] {
  const { oauth2client, bearertokenauth } = own
  if (own.identities !== undefined) {
    return own.identities.map(({ name, oauth2client: grant, bearertokenauth: bearer }, place) => ({
      name,
      grant,
      bearer: bearer ?? bearertokenauth,
      path: `workload.identities[${place}]`,
    }))
  }
  if (oauth2client === undefined && bearertokenauth.filename === undefined) return []
  return [{ name: 'default', grant: oauth2client, bearer: bearertokenauth, path: 'workload' }]
}

/** The owner of one identity's token, with all that it reads. */
export class TokenOwner {
  readonly keeper: TokenKeeper
  readonly #machine: Machine
  readonly #client: HttpClient | null
  readonly #tls: TlsContext | null
  readonly #files: WatchedFiles

  private constructor(
    machine: Machine,
    keeper: TokenKeeper,
    client: HttpClient | null,
    tls: TlsContext | null,
    files: WatchedFiles,
  ) {
    this.#machine = machine
    this.keeper = keeper
    this.#client = client
    this.#tls = tls
    this.#files = files
  }

  /** Makes one. Nothing is fetched before `keeper.start()`. @throws ConfigError */
  static async create(machine: Machine, { name, grant, bearer, path }: IdentityConfig): Promise<TokenOwner> {
    const { clock } = machine
    const log = machine.log.child({ role: 'workload' })
    const { client, tls } =
      grant === undefined ? { client: null, tls: null } : await createHttpClient(machine, grant, path)
    const keeper = new TokenKeeper({
      identity: name,
      source: createSource(machine, grant, bearer, client, path),
      clock,
      log,
      expiryBufferMs: grant?.expiryBufferMs ?? null,
      ...(grant !== undefined && { timeoutMs: grant.timeoutMs }),
    })
    feedToken(machine.metrics, keeper)
    // A token may be bound to the certificate that it was asked for with (RFC 8705).
    tls?.subscribe(() => void keeper.refreshNow())
    const files = await watchFiles(machine, filesOf(grant, bearer), () => void keeper.refreshNow())
    return new TokenOwner(machine, keeper, client, tls, files)
  }

  /**
   * Trouble with the provider, or with a gate's token, is degraded, never unready (no-loss.md, Readiness).
   * @param gateTrouble why the control plane does not take the token; null when it does
   */
  report(gateTrouble: CredentialErrorCode | null): void {
    const { keeper } = this
    const { readiness, clock } = this.#machine
    const condition = `token ${keeper.identity}`
    const reason = keeper.degraded?.reason ?? gateTrouble
    if (reason !== null) {
      readiness.markDegraded(condition, reason, tokenState(keeper.tokens.current?.value, clock))
    } else if (keeper.tokens.current === null) {
      readiness.markDegraded(condition, 'token_pending', 'the first token is on its way')
    } else readiness.markReady(condition)
  }

  /** Reads certificates, secrets and files again, and gets another token. */
  async reload(): Promise<void> {
    await this.#tls?.reload()
    await this.keeper.refreshNow()
  }

  close(): void {
    this.#files.close()
    this.keeper.close()
    this.#tls?.close()
    void this.#client?.close()
  }
}

/** Whatever a token is made from, other than certificates. */
function filesOf(grant: Oauth2ClientConfig | undefined, bearer: BearerTokenConfig): (string | undefined)[] {
  if (grant === undefined) return [bearer.filename]
  return [
    grant.clientIdFile,
    grant.clientSecretFile,
    grant.clientCertificateKeyFile,
    grant.clientAssertionFile,
    grant.subjectTokenFile,
  ]
}

async function createHttpClient(
  machine: Machine,
  grant: Oauth2ClientConfig,
  path: string,
): Promise<{ client: HttpClient; tls: TlsContext | null }> {
  const { tls: section } = grant
  if (section === undefined) return { client: new HttpClient({ tls: null }), tls: null }
  const place = { side: 'client', section, path: `${path}.oauth2client.tls`, role: 'idp' } as const
  const tls = await openTls(machine, place)
  const client = new HttpClient({
    tls,
    serverNameOverride: section.serverNameOverride ?? null,
    insecureSkipVerify: section.insecureSkipVerify,
  })
  return { client, tls }
}

function createSource(
  machine: Machine,
  grant: Oauth2ClientConfig | undefined,
  bearer: BearerTokenConfig,
  client: HttpClient | null,
  path: string,
): TokenSource {
  const { clock } = machine
  if (grant === undefined || client === null) {
    const file = bearer.filename
    if (file === undefined) throw missing(path, 'neither oauth2client nor bearertokenauth.filename is there')
    return new TokenFileSource({ file, readFile, clock })
  }
  return new OAuthTokenSource({
    grant: grantOf(grant, path),
    issuerUrl: grant.issuerUrl ?? null,
    discoveryUrl: grant.discoveryUrl ?? null,
    tokenUrl: grant.tokenUrl ?? null,
    clientId: secretOf(grant.clientId, grant.clientIdFile, `${path}.oauth2client.client_id`),
    authentication: authenticationOf(grant, path),
    scopes: grant.scopes ?? [],
    endpointParams: grant.endpointParams ?? {},
    allowsPlainHttp: (grant.unsafeAllow ?? []).includes('http_issuer'),
    presentsCertificate: grant.tls?.certFile !== undefined || grant.tls?.certPem !== undefined,
    fetch: client.fetch,
    readFile,
    clock,
  })
}

function grantOf(grant: Oauth2ClientConfig, path: string): Grant {
  if (grant.grantType === 'client_credentials') return { kind: 'client_credentials' }
  if (grant.grantType.endsWith('token-exchange')) {
    const file = grant.subjectTokenFile
    if (file === undefined)
      throw missing(`${path}.oauth2client.subject_token_file`, 'is needed for token-exchange')
    return { kind: 'token_exchange', subjectToken: { file } }
  }
  if (grant.subjectTokenFile !== undefined)
    return { kind: 'jwt_bearer', assertionFile: grant.subjectTokenFile }
  return {
    kind: 'jwt_bearer_signed',
    ...signingKeyOf(grant, path),
    ...(grant.iss !== undefined && { issuer: grant.iss }),
    ...(grant.audience !== undefined && { audience: grant.audience }),
    ...(grant.claims !== undefined && { claims: grant.claims }),
  }
}

/** auth_style, or what the credentials that are there suggest. */
function authenticationOf(grant: Oauth2ClientConfig, path: string): ClientAuthentication {
  const at = `${path}.oauth2client`
  const hasSecret = grant.clientSecret !== undefined || grant.clientSecretFile !== undefined
  const hasKey = grant.clientCertificateKey !== undefined || grant.clientCertificateKeyFile !== undefined
  const style = grant.authStyle ?? suggestedStyle(hasSecret, hasKey, grant.clientAssertionFile !== undefined)
  switch (style) {
    case 'basic':
    case 'post':
      return {
        kind: style,
        clientSecret: secretOf(grant.clientSecret, grant.clientSecretFile, `${at}.client_secret`),
      }
    case 'private_key_jwt':
      return {
        kind: 'private_key_jwt',
        ...signingKeyOf(grant, path),
        ...(grant.audience !== undefined && { audience: grant.audience }),
      }
    case 'client_assertion_file':
      if (grant.clientAssertionFile === undefined)
        throw missing(`${at}.client_assertion_file`, 'is not there')
      return { kind: 'client_assertion_file', file: grant.clientAssertionFile }
    case 'tls':
      return { kind: 'tls' }
    default:
      return { kind: 'none' }
  }
}

function signingKeyOf(grant: Oauth2ClientConfig, path: string): SigningKey {
  const { clientCertificateKey: value, clientCertificateKeyFile: file, clientCertificateKeyId: keyId } = grant
  return {
    key: secretOf(value, file, `${path}.oauth2client.client_certificate_key`),
    ...(grant.signatureAlgorithm !== undefined && { algorithm: grant.signatureAlgorithm }),
    ...(keyId !== undefined && { keyId }),
  }
}

function suggestedStyle(hasSecret: boolean, hasKey: boolean, hasAssertion: boolean): string {
  if (hasSecret) return 'basic'
  if (hasKey) return 'private_key_jwt'
  return hasAssertion ? 'client_assertion_file' : 'none'
}

function secretOf(value: string | undefined, file: string | undefined, path: string): SecretRef {
  if (file !== undefined) return { file }
  if (value !== undefined) return { value }
  throw missing(path, 'is not there')
}

function missing(path: string, problem: string): ConfigError {
  return new ConfigError([{ path, position: null, problem, remedy: 'Set it, or the file that holds it.' }])
}

function tokenState(current: TokenSnapshot | undefined, clock: Clock): string {
  if (current === undefined) return 'there is no token yet'
  return isUsable(current, clock.nowMs(), clock.wallMs())
    ? 'the last good token is used until it expires'
    : 'the last good token has expired; calls are answered UNAVAILABLE, to be sent again'
}

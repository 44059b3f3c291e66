/**
 * The workload role: its part of the configuration into a listener that puts a token on every call.
 * Floor 7; fetches no token itself: keepers do, and gates put them on.
 */
import {
  CredentialGate,
  isUsable,
  OAuthTokenSource,
  OpenGate,
  OTLP_EXPORT_METHODS,
  RoutedGate,
  TokenFileSource,
  TokenKeeper,
  type ClientAuthentication,
  type Gate,
  type Grant,
  type SecretRef,
  type SigningKey,
  type TokenSnapshot,
  type TokenSource,
} from '../auth/index.ts'
import { ConfigError, type Clock } from '../base/index.ts'
import type { BearerTokenConfig, Config, Oauth2ClientConfig, WorkloadConfig } from '../config/index.ts'
import { HttpClient, readFile, type TlsContext } from '../net/index.ts'
import { feedCredentialGate, feedToken } from './feed.ts'
import type { Machine } from './machine.ts'
import { createRole, openRoleTls, type Role } from './role.ts'
import { openTls } from './tls.ts'
import { watchFiles, type WatchedFiles } from './watch-files.ts'

/** One identity: its keeper and the gate that puts its token on. */
interface Identity {
  readonly name: string
  readonly keeper: TokenKeeper
  readonly gate: CredentialGate
  readonly client: HttpClient | null
  /** The files that its secrets and tokens come from. */
  readonly files: WatchedFiles
}

/** Builds the role. */
export async function createWorkload(machine: Machine, config: Config): Promise<Role> {
  const own = config.workload!
  const tls = await openRoleTls(machine, 'workload', own.listen, own.upstream)
  const identities = await createIdentities(machine, own)
  const role = createRole(
    machine,
    {
      name: 'workload',
      path: 'workload',
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
      report: () => {
        for (const identity of identities) reportToken(machine, identity)
      },
      reload: async () => {
        await Promise.all(identities.map(({ keeper }) => keeper.refreshNow()))
      },
      close: () => {
        for (const { keeper, gate, client, files } of identities) {
          files.close()
          gate.close()
          keeper.close()
          void client?.close()
        }
      },
    },
    tls,
  )
  for (const identity of identities) {
    identity.keeper.tokens.subscribe(() => reportToken(machine, identity))
    reportToken(machine, identity)
    identity.keeper.start()
  }
  return role
}

/** A single identity is called `default`. None at all only under an `unsafe_allow`. */
async function createIdentities(machine: Machine, own: WorkloadConfig): Promise<Identity[]> {
  const { oauth2client, bearertokenauth } = own
  if (own.identities !== undefined) {
    const made: Identity[] = []
    for (const [place, { name, oauth2client: grant, bearertokenauth: bearer }] of own.identities.entries()) {
      made.push(
        await createIdentity(
          machine,
          own,
          name,
          grant,
          bearer ?? bearertokenauth,
          `workload.identities[${place}]`,
        ),
      )
    }
    return made
  }
  if (oauth2client === undefined && bearertokenauth.filename === undefined) return []
  return [await createIdentity(machine, own, 'default', oauth2client, bearertokenauth, 'workload')]
}

async function createIdentity(
  machine: Machine,
  own: WorkloadConfig,
  name: string,
  grant: Oauth2ClientConfig | undefined,
  bearer: BearerTokenConfig,
  path: string,
): Promise<Identity> {
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
  const gate = new CredentialGate({
    identity: name,
    port: keeper,
    clock,
    header: bearer.header.toLowerCase(),
    scheme: bearer.scheme,
    existing: bearer.overwrite,
    allow: own.allowMethods ?? null,
    onInvalidClient: own.onInvalidClient,
    onRejected: own.onRejected,
  })
  feedCredentialGate(machine.metrics, gate.stats)
  // A token may be bound to the certificate that it was asked for with (RFC 8705).
  tls?.subscribe(() => void keeper.refreshNow())
  const files = await watchFiles(machine, filesOf(grant, bearer), () => void keeper.refreshNow())
  return { name, keeper, gate, client, files }
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
  const tls = await openTls(machine, 'client', section, `${path}.oauth2client.tls`, 'idp')
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

/** Trouble with the provider is degraded, never unready (no-loss.md, Readiness). */
function reportToken(machine: Machine, { name, keeper, gate }: Identity): void {
  const condition = `token ${name}`
  const trouble = keeper.degraded ?? gate.degraded
  if (trouble === null) {
    if (keeper.tokens.current === null)
      machine.readiness.markDegraded(condition, 'token_pending', 'the first token is on its way')
    else machine.readiness.markReady(condition)
    return
  }
  const detail = tokenState(keeper.tokens.current?.value, machine.clock)
  machine.readiness.markDegraded(condition, trouble.reason, detail)
}

function tokenState(current: TokenSnapshot | undefined, clock: Clock): string {
  if (current === undefined) return 'there is no token yet'
  return isUsable(current, clock.nowMs(), clock.wallMs())
    ? 'the last good token is used until it expires'
    : 'the last good token has expired; calls are answered UNAVAILABLE, to be sent again'
}

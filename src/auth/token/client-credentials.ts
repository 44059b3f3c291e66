/**
 * Tokens from a token endpoint: client_credentials, jwt-bearer and token exchange, through openid-client.
 * Floor 2; knows no schedule. Discovery is kept for 10 minutes and outlives its own failure.
 * @see RFC 6749 §4.4, RFC 7523 §2.1, RFC 8693, RFC 8414
 */
import * as client from 'openid-client'
import { CredentialError } from '../../base/index.ts'
import type { Clock } from '../../base/index.ts'
import { isAllowedUrl } from '../jwks/fetch.ts'
import type { HttpFetch, ReadFile } from '../ports.ts'
import { authenticateClient, readSigningKey, signAssertion } from './assertion.ts'
import type { ClientAuthentication, SigningKey } from './assertion.ts'
import { asCredentialError, knownOAuthError, readRetryAfter } from './failure.ts'
import type { SeenAnswer } from './failure.ts'
import { tokenFromResponse } from './response.ts'
import { SecretReader } from './source.ts'
import type { FetchedToken, SecretRef, TokenSource } from './source.ts'

/** What is exchanged for a token. */
export type Grant =
  | { readonly kind: 'client_credentials' }
  /** RFC 7523 §2.1 with an assertion that someone else made and renews. */
  | { readonly kind: 'jwt_bearer'; readonly assertionFile: string }
  /** RFC 7523 §2.1 with an assertion of ours: `iss` is the client, `aud` the token endpoint, unless said otherwise. */
  | ({
      readonly kind: 'jwt_bearer_signed'
      readonly issuer?: string
      readonly subject?: string
      readonly audience?: string
      readonly claims?: Readonly<Record<string, unknown>>
    } & SigningKey)
  /** RFC 8693. Token types default to `urn:ietf:params:oauth:token-type:jwt`; audience and resource are endpointParams. */
  | {
      readonly kind: 'token_exchange'
      readonly subjectToken: SecretRef
      readonly subjectTokenType?: string
      readonly actorToken?: SecretRef
      readonly actorTokenType?: string
    }

/** What an OAuthTokenSource needs. At least one of `issuerUrl` and `tokenUrl` is given. */
export interface OAuthTokenOptions {
  readonly grant: Grant
  /** The issuer, for discovery and for the audience of client assertions; null without one. */
  readonly issuerUrl: string | null
  /** Where to read the discovery document when it is not below `issuerUrl`; null for the well-known place. */
  readonly discoveryUrl: string | null
  /** The token endpoint; null to discover it. */
  readonly tokenUrl: string | null
  readonly clientId: SecretRef
  readonly authentication: ClientAuthentication
  readonly scopes: readonly string[]
  /** Further parameters of the request, such as `audience` or `resource`. */
  readonly endpointParams: Readonly<Record<string, string | readonly string[]>>
  /** Whether plain HTTP beyond loopback is allowed: `unsafe_allow_http_issuer`. */
  readonly allowsPlainHttp: boolean
  /**
   * Whether `fetch` presents a client certificate: then the endpoints for certificates are used (RFC 8705 §5), so that
   * the token is bound to it. Always so with the authentication `tls`; else false unless said otherwise.
   */
  readonly presentsCertificate?: boolean
  readonly fetch: HttpFetch
  readonly readFile: ReadFile
  readonly clock: Clock
}

/** How long a discovery document is used before it is read again. */
const DISCOVERY_LIFE_MS = 600_000
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const JWT_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:jwt'

/** What openid-client knows of a server, and when we learnt it. */
interface Discovered {
  readonly metadata: client.ServerMetadata
  readonly atMs: number
}

/** One identity at one token endpoint. */
export class OAuthTokenSource implements TokenSource {
  readonly kind: string
  readonly #options: OAuthTokenOptions
  readonly #secrets: SecretReader
  #discovered: Discovered | null = null

  constructor(options: OAuthTokenOptions) {
    const urls = [options.issuerUrl, options.discoveryUrl, options.tokenUrl].filter((url) => url !== null)
    if ((options.issuerUrl ?? options.tokenUrl) === null || !urls.every((url) => URL.canParse(url)))
      throw new TypeError('a token source needs issuerUrl or tokenUrl, as absolute URLs')
    this.kind = options.grant.kind
    this.#options = options
    this.#secrets = new SecretReader(options.readFile)
  }

  async fetchToken(signal: AbortSignal): Promise<FetchedToken> {
    const watched = new WatchedFetch(this.#options, signal)
    try {
      const clientId = await this.#secrets.read(this.#options.clientId, 'client id')
      const server = await this.#serverMetadata(clientId, watched)
      const authentication = await authenticateClient(this.#options.authentication, this.#secrets, {
        clientId,
        issuer: server.issuer,
        wallMs: this.#options.clock.wallMs(),
      })
      watched.forget()
      return await this.#request(server, clientId, authentication, watched)
    } catch (error) {
      if (!signal.aborted && hasMoved(watched.answer) && this.#discovered !== null)
        this.#discovered = { ...this.#discovered, atMs: -Infinity }
      throw asCredentialError(error, watched.answer)
    }
  }

  async #request(
    server: client.ServerMetadata,
    clientId: string,
    authentication: client.ClientAuth,
    watched: WatchedFetch,
  ): Promise<FetchedToken> {
    const { authentication: how, presentsCertificate = false } = this.#options
    const config = new client.Configuration(
      server,
      clientId,
      { use_mtls_endpoint_aliases: presentsCertificate || how.kind === 'tls' },
      authentication,
    )
    config.timeout = 0
    config[client.customFetch] = watched.fetch
    // Schemes are judged by WatchedFetch, URL by URL: loopback may be plain.
    client.allowInsecureRequests(config)
    const [grantType, parameters] = await this.#parameters(server, clientId)
    const response =
      grantType === 'client_credentials'
        ? await client.clientCredentialsGrant(config, parameters)
        : await client.genericGrantRequest(config, grantType, parameters)
    if (response.token_type === 'dpop')
      throw new CredentialError('token_unusable', 'the identity provider bound the token to a DPoP key')
    return tokenFromResponse(response.access_token, response.expires_in)
  }

  async #parameters(server: client.ServerMetadata, clientId: string): Promise<[string, URLSearchParams]> {
    const { grant, scopes, endpointParams, clock } = this.#options
    const parameters = new URLSearchParams()
    for (const [name, value] of Object.entries(endpointParams))
      for (const one of typeof value === 'string' ? [value] : value) parameters.append(name, one)
    if (scopes.length > 0) parameters.set('scope', scopes.join(' '))
    switch (grant.kind) {
      case 'client_credentials':
        return ['client_credentials', parameters]
      case 'jwt_bearer':
        parameters.set('assertion', await this.#secrets.read({ file: grant.assertionFile }, 'assertion'))
        return [JWT_BEARER, parameters]
      case 'jwt_bearer_signed': {
        const key = await readSigningKey(grant, this.#secrets)
        const claims = {
          iss: grant.issuer ?? clientId,
          sub: grant.subject ?? grant.issuer ?? clientId,
          aud: grant.audience ?? server.token_endpoint,
          ...grant.claims,
        }
        parameters.set('assertion', await signAssertion(key, claims, clock.wallMs()))
        return [JWT_BEARER, parameters]
      }
      default:
        parameters.set('subject_token', await this.#secrets.read(grant.subjectToken, 'subject token'))
        parameters.set('subject_token_type', grant.subjectTokenType ?? JWT_TOKEN_TYPE)
        if (grant.actorToken !== undefined) {
          parameters.set('actor_token', await this.#secrets.read(grant.actorToken, 'actor token'))
          parameters.set('actor_token_type', grant.actorTokenType ?? JWT_TOKEN_TYPE)
        }
        return [TOKEN_EXCHANGE, parameters]
    }
  }

  async #serverMetadata(clientId: string, watched: WatchedFetch): Promise<client.ServerMetadata> {
    const { issuerUrl, tokenUrl, clock } = this.#options
    if (tokenUrl !== null) return { issuer: issuerUrl ?? tokenUrl, token_endpoint: tokenUrl }
    const known = this.#discovered
    if (known !== null && clock.nowMs() - known.atMs < DISCOVERY_LIFE_MS) return known.metadata
    try {
      this.#discovered = { metadata: await this.#discover(clientId, watched), atMs: clock.nowMs() }
    } catch (error) {
      if (known === null) throw error
    }
    return this.#discovered!.metadata
  }

  async #discover(clientId: string, watched: WatchedFetch): Promise<client.ServerMetadata> {
    const issuerUrl = this.#options.issuerUrl!
    const { discoveryUrl } = this.#options
    const config = await client.discovery(
      new URL(discoveryUrl ?? issuerUrl),
      clientId,
      undefined,
      client.None(),
      {
        [client.customFetch]: watched.fetch,
        execute: [client.allowInsecureRequests],
      },
    )
    const { issuer, token_endpoint, mtls_endpoint_aliases } = config.serverMetadata()
    if (discoveryUrl !== null && issuer !== issuerUrl)
      throw new CredentialError('idp_issuer_mismatch', 'the discovery document names another issuer')
    if (token_endpoint === undefined || !URL.canParse(token_endpoint))
      throw new CredentialError('idp_malformed', 'the discovery document names no usable token endpoint')
    return {
      issuer,
      token_endpoint,
      ...(mtls_endpoint_aliases === undefined ? {} : { mtls_endpoint_aliases }),
    }
  }
}

/** The HTTP port for one attempt: judges the scheme, carries our own signal, and remembers what the answer said. */
class WatchedFetch {
  readonly fetch: client.CustomFetch
  /** The last answer; null while there is none, so that a failure is the connection's. */
  answer: SeenAnswer | null = null

  constructor(options: OAuthTokenOptions, signal: AbortSignal) {
    this.fetch = async (url, init) => {
      this.answer = null
      if (!isAllowedUrl(url, options.allowsPlainHttp))
        throw new CredentialError(
          'idp_tls',
          'the identity provider is not asked at a URL without TLS beyond this machine, or with a password in it',
        )
      const response = await options.fetch(url, { ...init, signal } as RequestInit)
      this.answer = await see(response, options.clock.wallMs())
      return response
    }
  }

  /** Forgets the answer of discovery: what fails next is the token request. */
  forget(): void {
    this.answer = null
  }
}

/** Whether the token endpoint seems to be elsewhere now: discovery is read again at the next attempt. */
function hasMoved(answer: SeenAnswer | null): boolean {
  if (answer === null) return true
  const { status } = answer
  return (status >= 300 && status < 400) || status === 404 || status === 405 || status === 410
}

async function see(response: Response, wallMs: number): Promise<SeenAnswer> {
  const retryAfterMs = readRetryAfter(response.headers.get('retry-after'), wallMs)
  let oauthError: string | null = null
  if (response.status >= 400 && response.status < 500) {
    const body: unknown = await response
      .clone()
      .json()
      .catch(() => null)
    oauthError = knownOAuthError((body as { error?: unknown } | null)?.error)
  }
  return { status: response.status, retryAfterMs, oauthError }
}

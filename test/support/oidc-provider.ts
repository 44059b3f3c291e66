/**
 * A real OpenID provider in this process, on a loopback port over plain HTTP: the certified `oidc-provider` package with
 * client_credentials, resource indicators and JWT access tokens (RFC 9068). It prints nothing, can be stopped and
 * started again on the same port with the same keys, rotates its signing keys, and can be made to misbehave.
 *
 * ```ts
 * const provider = await startProvider({
 *   audience: 'control-plane',
 *   tokenLifeSeconds: 10,
 *   clients: [{ clientId: 'workload', secret: 'not-a-secret' }],
 * })
 * provider.issuer          // http://127.0.0.1:40123, to be used as issuer_url on both sides
 * await provider.stop()    // connections are cut, the port refuses
 * await provider.start()   // same port, same keys: tokens from before still verify
 * await provider.close()
 * ```
 */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, importJWK, SignJWT } from 'jose'
import type { JWK } from 'jose'
import type * as oidc from 'oidc-provider'
import type { Adapter, AdapterPayload, ClientMetadata, Configuration } from 'oidc-provider'

const { Provider, errors } = await importQuietly()

/** One client of the provider. It may use the client_credentials grant and nothing else. */
export interface ProviderClient {
  readonly clientId: string
  /** How it authenticates; `client_secret_basic` unless said otherwise. */
  readonly auth?: 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt'
  /** For the two methods with a secret: printable ASCII (RFC 6749 Appendix A.2). */
  readonly secret?: string
  /** The public keys for `private_key_jwt`. */
  readonly publicKeys?: readonly JWK[]
  /** Claims put into its access tokens beside the standard ones, such as `{ realm_access: { roles: ['writer'] } }`. */
  readonly claims?: Readonly<Record<string, unknown>>
}

/** What to start. */
export interface ProviderOptions {
  /** The issuer identifier where clients reach it under another name, through a proxy; default its own address. */
  readonly issuer?: string
  /** The port; 0 (default) takes a free one. */
  readonly port?: number
  /** Life of an access token in seconds; 300 (Keycloak's default) unless said otherwise. */
  readonly tokenLifeSeconds?: number
  /** The audience of tokens whose request names no `resource`; also accepted as `resource` when it is a URI. */
  readonly audience: string
  /** Further URIs that a request may name as `resource` (RFC 8707); each becomes the `aud` of its token. */
  readonly resources?: readonly string[]
  readonly clients: readonly ProviderClient[]
  /** Scopes that a client may ask for; `otlp.write` unless said otherwise. */
  readonly scopes?: readonly string[]
}

/** How the provider misbehaves while `RunningProvider.fault` is set. */
export type ProviderFault =
  /** Accepts requests and never answers. */
  | { readonly kind: 'hang' }
  /** Answers every request with this. */
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly headers?: Readonly<Record<string, string>>
      readonly body?: string
    }

/** A provider that was started. */
export interface RunningProvider {
  /** The issuer identifier. Stays the same across stop and start. */
  readonly issuer: string
  /** The base URL, `http://127.0.0.1:<port>`: the issuer too, unless the options name another. */
  readonly url: string
  readonly port: number
  /** Path and count of the requests seen since the start: `{'/token': 3, '/jwks': 1}`. */
  readonly requestCounts: Readonly<Record<string, number>>
  /** Set to make every answer wrong, null to heal. */
  fault: ProviderFault | null
  /** Whether it listens. */
  readonly isListening: boolean
  /** Closes the port and cuts every connection. */
  stop(): Promise<void>
  /** Listens again on the same port. */
  start(): Promise<void>
  /**
   * Signs with a new key from now on. The old keys stay in the key set, so that older tokens verify, unless `forgetOld`.
   * @returns the kid of the new key
   */
  rotateKeys(options?: { readonly forgetOld?: boolean }): Promise<string>
  /**
   * A token that this provider would not issue: these claims over those of a valid one, signed with its key in use.
   * `undefined` takes a claim away. `header` goes over alg, typ and kid.
   */
  mintToken(
    claims: Readonly<Record<string, unknown>>,
    header?: Readonly<Record<string, unknown>>,
  ): Promise<string>
  /** Ends it for good. Harmless when it is stopped. */
  close(): Promise<void>
}

/** Starts a provider on 127.0.0.1. Rejects when the port is taken. */
export async function startProvider(options: ProviderOptions): Promise<RunningProvider> {
  const counts: Record<string, number> = {}
  let keys: JWK[] = [await makeSigningKey(1)]
  let keyCount = 1
  let server = await listen(options.port ?? 0, onRequest)
  const port = (server.address() as AddressInfo).port
  const url = `http://127.0.0.1:${port}`
  const issuer = options.issuer ?? url
  const stored = new Map<string, StoredItem>()
  let respond = makeProvider(issuer, options, keys, stored)

  function onRequest(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? '').split('?')[0]!
    counts[path] = (counts[path] ?? 0) + 1
    const fault = running.fault
    if (fault === null) respond(request, response)
    else if (fault.kind === 'answer') response.writeHead(fault.status, fault.headers).end(fault.body ?? '')
  }

  const running = {
    issuer,
    url,
    port,
    requestCounts: counts,
    fault: null as ProviderFault | null,
    get isListening() {
      return server.listening
    },
    async stop() {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
    async start() {
      if (!server.listening) server = await listen(port, onRequest)
    },
    async rotateKeys({ forgetOld = false } = {}) {
      const key = await makeSigningKey(++keyCount)
      keys = forgetOld ? [key] : [key, ...keys]
      respond = makeProvider(issuer, options, keys, stored)
      return key.kid!
    },
    mintToken: (claims: Readonly<Record<string, unknown>>, header: Readonly<Record<string, unknown>> = {}) =>
      mintToken(issuer, options, keys[0]!, claims, header),
    close: () => running.stop(),
  }
  return running
}

/** Imports the package without its remark on standard error about releases of Node that are not yet marked LTS. */
async function importQuietly(): Promise<typeof oidc> {
  const warn = console.warn
  console.warn = () => {}
  try {
    return await import('oidc-provider')
  } finally {
    console.warn = warn
  }
}

/** The resource that stands for the audience: RFC 8707 §2 wants an absolute URI, an audience is often a bare name. */
const DEFAULT_RESOURCE = 'urn:authgw:default-audience'

async function listen(
  port: number,
  onRequest: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Server> {
  const server = createServer(onRequest)
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}

async function makeSigningKey(number: number): Promise<JWK> {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true })
  return { ...(await exportJWK(privateKey)), kid: `signing-${number}`, alg: 'RS256', use: 'sig' }
}

async function mintToken(
  issuer: string,
  options: ProviderOptions,
  key: JWK,
  claims: Readonly<Record<string, unknown>>,
  header: Readonly<Record<string, unknown>>,
): Promise<string> {
  const clientId = options.clients[0]!.clientId
  const nowSeconds = Math.floor(Date.now() / 1000)
  const usual = {
    iss: issuer,
    sub: clientId,
    client_id: clientId,
    aud: options.audience,
    iat: nowSeconds,
    exp: nowSeconds + (options.tokenLifeSeconds ?? 300),
    jti: randomUUID(),
    scope: (options.scopes ?? ['otlp.write']).join(' '),
  }
  return new SignJWT({ ...usual, ...claims })
    .setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid: key.kid!, ...header })
    .sign(await importJWK(key))
}

type RequestListener = (request: IncomingMessage, response: ServerResponse) => void

function makeProvider(
  issuer: string,
  options: ProviderOptions,
  keys: readonly JWK[],
  stored: Map<string, StoredItem>,
): RequestListener {
  const scopes = options.scopes ?? ['otlp.write']
  const audiences = new Map([
    [DEFAULT_RESOURCE, options.audience],
    [options.audience, options.audience],
    ...(options.resources ?? []).map((resource) => [resource, resource] as const),
  ])
  const configuration: Configuration = {
    adapter: (name: string) => new MemoryAdapter(name, stored),
    clients: options.clients.map(toMetadata),
    // Signing keys in use come first; oidc-provider takes the first that fits.
    jwks: { keys: keys.map((key) => ({ ...key })) },
    scopes: [...scopes],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => DEFAULT_RESOURCE,
        useGrantedResource: () => true,
        getResourceServerInfo: (_context, resource) => {
          const audience = audiences.get(resource)
          if (audience === undefined) throw new errors.InvalidTarget('unknown resource')
          return {
            audience,
            scope: scopes.join(' '),
            accessTokenTTL: options.tokenLifeSeconds ?? 300,
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg: 'RS256' } },
          }
        },
      },
    },
    extraTokenClaims: (_context, token) =>
      options.clients.find((client) => client.clientId === token.clientId)?.claims ?? {},
    ttl: {
      ClientCredentials: (_context, token) =>
        token.resourceServer?.accessTokenTTL ?? options.tokenLifeSeconds ?? 300,
    },
    cookies: { keys: ['loopback-only'] },
  }
  const provider = new Provider(issuer, configuration)
  provider.silent = true
  const respond = provider.callback()
  return (request, response) => void respond(request, response)
}

function toMetadata(client: ProviderClient): ClientMetadata {
  return {
    client_id: client.clientId,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: client.auth ?? 'client_secret_basic',
    ...(client.secret === undefined ? {} : { client_secret: client.secret }),
    ...(client.publicKeys === undefined
      ? {}
      : {
          jwks: {
            keys: client.publicKeys.map((key) => ({ ...key })),
          },
        }),
  }
}

interface StoredItem {
  readonly payload: AdapterPayload
  readonly diesAtMs: number
}

/** Keeps what the provider must remember (the `jti` of client assertions) in memory, across key rotations. */
class MemoryAdapter implements Adapter {
  readonly #name: string
  readonly #stored: Map<string, StoredItem>
  constructor(name: string, stored: Map<string, StoredItem>) {
    this.#name = name
    this.#stored = stored
  }
  async upsert(id: string, payload: AdapterPayload, expiresInSeconds?: number): Promise<void> {
    const diesAtMs = expiresInSeconds === undefined ? Infinity : Date.now() + expiresInSeconds * 1000
    this.#stored.set(`${this.#name}:${id}`, { payload, diesAtMs })
  }
  async find(id: string): Promise<AdapterPayload | undefined> {
    const item = this.#stored.get(`${this.#name}:${id}`)
    return item === undefined || item.diesAtMs <= Date.now() ? undefined : item.payload
  }
  async findByUserCode(): Promise<undefined> {}
  async findByUid(): Promise<undefined> {}
  async consume(): Promise<void> {}
  async destroy(id: string): Promise<void> {
    this.#stored.delete(`${this.#name}:${id}`)
  }
  async revokeByGrantId(): Promise<void> {}
}

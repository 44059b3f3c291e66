import { Buffer } from 'node:buffer'
import {
  base64url,
  CompactSign,
  exportJWK,
  generateKeyPair,
  type CryptoKey,
  type GenerateKeyPairOptions,
  type JWK,
} from 'jose'
import type { HttpFetch } from '../../src/auth/index.ts'
import type { SignatureAlgorithm } from '../../src/base/index.ts'

/** Algorithms that the issuer can make keys for. */
export type IssuerAlgorithm = SignatureAlgorithm

export interface IssuerKey {
  readonly kid: string
  readonly alg: IssuerAlgorithm
  readonly privateKey: CryptoKey
  /** The public half, with `kid`, `alg` and `use`. */
  readonly publicJwk: JWK
}

export interface MintOptions {
  /** Which key signs: its kid; the newest one when left out. */
  readonly kid?: string
  /** Merged over `iss`, `sub`, `azp`, `client_id`, `aud`, `iat`, `exp`, `jti`; a value of undefined removes the claim. */
  readonly claims?: Readonly<Record<string, unknown>>
  /** Merged over `alg`, `kid`, `typ: JWT`; a value of undefined removes the parameter. */
  readonly header?: Readonly<Record<string, unknown>>
  /** Seconds from now to `exp`; 300 (Keycloak's default). Negative for an expired token. */
  readonly expiresInSeconds?: number
  /** Seconds that the token was issued ago; 0. */
  readonly issuedAgoSeconds?: number
}

/** What a fake route answers. Thrown errors are network errors. */
export type Route = (url: URL, init: RequestInit) => Response | Promise<Response>

export interface SeenRequest {
  readonly url: string
  readonly method: string
  readonly headers: Headers
  readonly body: string
}

export interface IssuerOptions {
  readonly issuer?: string
  readonly audience?: string | readonly string[]
  readonly alg?: IssuerAlgorithm
  readonly kid?: string
}

/** A pool of key pairs: RSA keys take a while to make, so tests share them by algorithm and place. */
const pairs = new Map<string, Promise<{ privateKey: CryptoKey; publicKey: CryptoKey }>>()

function keyPair(
  alg: IssuerAlgorithm,
  slot: number,
): Promise<{ privateKey: CryptoKey; publicKey: CryptoKey }> {
  const name = `${alg} ${slot}`
  let pair = pairs.get(name)
  if (pair === undefined) {
    const options: GenerateKeyPairOptions = { extractable: true }
    pair = generateKeyPair(alg, options)
    pairs.set(name, pair)
  }
  return pair
}

/** Compact JSON as a base64url segment. */
export const segment = (value: unknown): string => base64url.encode(JSON.stringify(value))

/** A JSON answer as an identity provider gives it. */
export function json(body: unknown, init: ResponseInit = {}): Response {
  return new Response(JSON.stringify(body), {
    status: 200,
    ...init,
    headers: { 'content-type': 'application/json', ...(init.headers as Record<string, string> | undefined) },
  })
}

let nextSlot = 0

/**
 * An identity provider without a network: makes keys and tokens, and answers discovery, key set and token
 * requests through `fetch`. `routes` replaces any answer by exact URL; `requests` remembers what was asked.
 */
export class TestIssuer {
  readonly issuer: string
  readonly audience: string | readonly string[]
  readonly keys: IssuerKey[] = []
  readonly routes = new Map<string, Route>()
  readonly requests: SeenRequest[] = []
  readonly #wallMs: () => number
  #serial = 0

  private constructor(issuer: string, audience: string | readonly string[], wallMs: () => number) {
    this.issuer = issuer
    this.audience = audience
    this.#wallMs = wallMs
  }

  /** @param clock whose wall time goes into `iat` and `exp`: a FakeClock, or `{wallMs: Date.now}` */
  static async create(clock: { wallMs(): number }, options: IssuerOptions = {}): Promise<TestIssuer> {
    const issuer = new TestIssuer(
      options.issuer ?? 'https://idp.example/realms/opentelemetry',
      options.audience ?? 'control-plane',
      () => clock.wallMs(),
    )
    await issuer.addKey(options.alg ?? 'RS256', options.kid)
    issuer.routes.set(issuer.discoveryUrl, () => json(issuer.discoveryDocument()))
    issuer.routes.set(issuer.jwksUri, () => json(issuer.jwks()))
    issuer.routes.set(issuer.tokenEndpoint, async () => json(await issuer.tokenResponse()))
    return issuer
  }

  get discoveryUrl(): string {
    return `${this.issuer}/.well-known/openid-configuration`
  }
  get jwksUri(): string {
    return `${this.issuer}/protocol/openid-connect/certs`
  }
  get tokenEndpoint(): string {
    return `${this.issuer}/protocol/openid-connect/token`
  }

  discoveryDocument(): Record<string, unknown> {
    return {
      issuer: this.issuer,
      jwks_uri: this.jwksUri,
      token_endpoint: this.tokenEndpoint,
      authorization_endpoint: `${this.issuer}/protocol/openid-connect/auth`,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
      grant_types_supported: ['client_credentials'],
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
    }
  }

  /** The public key set as it stands. */
  jwks(): { keys: JWK[] } {
    return { keys: this.keys.map((key) => key.publicJwk) }
  }

  /** The body of a successful client_credentials answer. */
  async tokenResponse(options: MintOptions = {}): Promise<Record<string, unknown>> {
    const expiresIn = options.expiresInSeconds ?? 300
    return { access_token: await this.mint(options), token_type: 'Bearer', expires_in: expiresIn }
  }

  /** Adds a key at the end; later tokens are signed with it. */
  async addKey(alg: IssuerAlgorithm = 'RS256', kid?: string): Promise<IssuerKey> {
    const { privateKey, publicKey } = await keyPair(alg, this.keys.length + (nextSlot++ % 3) * 8)
    const name = kid ?? `${alg.toLowerCase()}-${this.keys.length + 1}`
    const publicJwk = { ...(await exportJWK(publicKey)), kid: name, alg, use: 'sig' }
    const key = { kid: name, alg, privateKey, publicJwk }
    this.keys.push(key)
    return key
  }

  /** Takes a key out of the set. Its tokens can no longer be minted. */
  removeKey(kid: string): void {
    const at = this.keys.findIndex((key) => key.kid === kid)
    if (at >= 0) this.keys.splice(at, 1)
  }

  claims(options: MintOptions = {}): Record<string, unknown> {
    const nowSeconds = Math.floor(this.#wallMs() / 1000)
    return withoutUndefined({
      iss: this.issuer,
      sub: 'service-account-workload',
      azp: 'workload',
      client_id: 'workload',
      aud: this.audience,
      iat: nowSeconds - (options.issuedAgoSeconds ?? 0),
      exp: nowSeconds + (options.expiresInSeconds ?? 300),
      jti: `token-${++this.#serial}`,
      ...options.claims,
    })
  }

  /** A properly signed token. */
  mint(options: MintOptions = {}): Promise<string> {
    const key = this.#keyFor(options.kid)
    return this.#sign(key, key.privateKey, options)
  }

  /** Like `mint`, but signed by a key that is not in the set, under the kid of one that is. */
  async forge(options: MintOptions = {}): Promise<string> {
    const key = this.#keyFor(options.kid)
    const { privateKey } = await keyPair(key.alg, 1000)
    return this.#sign(key, privateKey, options)
  }

  /** Header and claims as given, with any signature segment: for what no library signs (`none`, HS*, JWE look-alikes). */
  raw(options: MintOptions = {}, signature = 'c2lnbmF0dXJl'): string {
    const key = this.#keyFor(options.kid)
    return `${segment(this.#header(key, options))}.${segment(this.claims(options))}.${signature}`
  }

  /** A token whose header and payload are these texts, properly signed: for JSON that no serializer writes. */
  async signText(headerText: string, payloadText: string, kid?: string): Promise<string> {
    const key = this.#keyFor(kid)
    const input = `${base64url.encode(headerText)}.${base64url.encode(payloadText)}`
    const hash = `SHA-${/\d+$/.exec(key.alg)?.[0] ?? '512'}`
    const signature = await crypto.subtle.sign(
      { name: key.privateKey.algorithm.name, hash, saltLength: 32 },
      key.privateKey,
      Buffer.from(input),
    )
    return `${input}.${base64url.encode(new Uint8Array(signature))}`
  }

  /** `fetch` for this issuer: answers by `routes`, counts in `requests`; an unknown URL is a 404. */
  readonly fetch: HttpFetch = async (url, init = {}) => {
    const headers = new Headers(init.headers)
    this.requests.push({
      url,
      method: init.method ?? 'GET',
      headers,
      body:
        init.body instanceof URLSearchParams
          ? init.body.toString()
          : typeof init.body === 'string'
            ? init.body
            : '',
    })
    init.signal?.throwIfAborted()
    const route = this.routes.get(url)
    return route === undefined ? new Response('not found', { status: 404 }) : route(new URL(url), init)
  }

  /** How often `url` was asked for. */
  requestCount(url: string): number {
    return this.requests.filter((request) => request.url === url).length
  }

  /** Every route fails as an unreachable host does, until the function that is returned is called. */
  goDown(): () => void {
    const saved = new Map(this.routes)
    const refuse: Route = () => {
      throw new TypeError('fetch failed', {
        cause: Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }),
      })
    }
    for (const url of saved.keys()) this.routes.set(url, refuse)
    return () => {
      for (const [url, route] of saved) this.routes.set(url, route)
    }
  }

  #keyFor(kid: string | undefined): IssuerKey {
    const key = kid === undefined ? this.keys.at(-1) : this.keys.find((candidate) => candidate.kid === kid)
    if (key === undefined) throw new Error(`the issuer has no key ${kid ?? 'at all'}`)
    return key
  }

  #header(key: IssuerKey, options: MintOptions): Record<string, unknown> {
    return withoutUndefined({ alg: key.alg, typ: 'JWT', kid: key.kid, ...options.header })
  }

  async #sign(key: IssuerKey, privateKey: CryptoKey, options: MintOptions): Promise<string> {
    const header = this.#header(key, options)
    const { alg, ...rest } = header
    const payload = Buffer.from(JSON.stringify(this.claims(options)))
    if (alg !== key.alg || 'crit' in rest || 'b64' in rest)
      return this.signText(JSON.stringify(header), payload.toString(), key.kid)
    return new CompactSign(payload).setProtectedHeader({ alg: key.alg, ...rest }).sign(privateKey)
  }
}

function withoutUndefined(record: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined))
}

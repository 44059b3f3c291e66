/**
 * HTTP requests to identity providers into bounded responses: own trust bundle, client certificate, proxies, size caps.
 * Floor 4; knows neither OIDC nor tokens: auth/ asks through the HttpFetch port. undici is loaded at the first request.
 */
import { createSecureContext } from 'node:tls'
import type * as Undici from 'undici'
import type { HttpFetch } from '../auth/index.ts'
import type { TlsContext } from './tls-context.ts'
import { systemCertificates } from './tls-material.ts'

/** Where proxies are named: HTTPS_PROXY, HTTP_PROXY and NO_PROXY, in lower or upper case. */
export type ProxyEnvironment = Readonly<Record<string, string | undefined>>

/** What requests are made with. */
export interface HttpFetchOptions {
  /** Trust and client certificate; followed when it changes. Null: the system's trust store, no certificate. */
  readonly tls: TlsContext | null
  /** Default 2 000 ms, TLS included. */
  readonly connectTimeoutMs?: number
  /** Octets of a body, unpacked. Default 1 MiB. */
  readonly maxBodyBytes?: number
  /** Default: the environment of the process. */
  readonly environment?: ProxyEnvironment
  /** The name that the server's certificate must carry in place of the URL's host. */
  readonly serverNameOverride?: string | null
  /** Talks to whoever answers. Guarded by `unsafe_allow` in the configuration. */
  readonly insecureSkipVerify?: boolean
}

/** Default of `maxBodyBytes`: a key set of 64 RSA keys with chains is a tenth of it. */
export const MAX_BODY_BYTES = 1024 * 1024
const CONNECT_TIMEOUT_MS = 2_000
/** Until the head, and between pieces of the body; callers bound the whole with a signal. */
const STALL_MS = 10_000
const MAX_REDIRECTS = 3
/** This machine is never reached through a proxy, as in Go's net/http. */
const NEVER_PROXIED = ['localhost', '127.0.0.1', '[::1]']

/** A response that is too large or leads elsewhere. `code` stands where undici puts the system's. */
class FetchError extends Error {
  readonly code: string
  constructor(code: string, message: string) {
    super(message)
    this.name = 'FetchError'
    this.code = code
  }
}

/** HTTP with one set of trust and proxies. `fetch` is the port; it rejects with a TypeError whose `cause` has a `code`. */
export class HttpClient {
  readonly fetch: HttpFetch
  readonly #options: HttpFetchOptions
  readonly #unsubscribe: () => void
  #agent: Undici.EnvHttpProxyAgent | null = null
  #isClosed = false

  constructor(options: HttpFetchOptions) {
    this.#options = options
    this.fetch = (url, init) => this.#fetch(url, init)
    this.#unsubscribe =
      options.tls?.subscribe(() => {
        this.#retireAgent()
      }) ?? (() => {})
  }

  /** Cuts what is under way. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#unsubscribe()
    await this.#agent?.destroy()
  }

  async #fetch(url: string, init: RequestInit = {}): Promise<Response> {
    let target = new URL(url)
    for (let redirects = 0; ; redirects++) {
      const response = await this.#request(target, init)
      const location =
        response.status >= 300 && response.status < 400 ? response.headers.get('location') : null
      if (location === null || init.redirect === 'manual') return response
      await response.body?.cancel()
      target = this.#follow(target, location, init, redirects)
    }
  }

  /** Only GET and HEAD, only within one origin: another host would have to be trusted as this one is. */
  #follow(from: URL, location: string, init: RequestInit, redirects: number): URL {
    const method = (init.method ?? 'GET').toUpperCase()
    const target = URL.canParse(location, from) ? new URL(location, from) : null
    let problem: string | null = null
    if (init.redirect === 'error' || (method !== 'GET' && method !== 'HEAD'))
      problem = 'answers with a redirect'
    else if (target?.origin !== from.origin) problem = 'redirects to another host'
    else if (redirects >= MAX_REDIRECTS) problem = `redirects more than ${MAX_REDIRECTS} times`
    if (problem === null) return target!
    throw failed(new FetchError('ERR_REDIRECT', `${from.origin} ${problem}, which is not followed`))
  }

  async #request(target: URL, init: RequestInit): Promise<Response> {
    const undici = await import('undici')
    if (this.#isClosed) throw failed(new FetchError('ERR_CLOSED', 'authgw is stopping'))
    this.#agent ??= this.#createAgent(undici)
    const headers = new undici.Headers(init.headers)
    // What is not packed cannot burst.
    if (!headers.has('accept-encoding')) headers.set('accept-encoding', 'identity')
    const response = await undici.fetch(target, {
      ...(init as unknown as Parameters<typeof undici.fetch>[1]),
      headers,
      redirect: 'manual',
      dispatcher: this.#agent,
    })
    if (response.body === null) return response
    const { status, statusText } = response
    const body = response.body.pipeThrough(this.#bodyCap(target))
    const capped = new undici.Response(body, { status, statusText, headers: response.headers })
    return capped
  }

  #bodyCap(target: URL): TransformStream<Uint8Array, Uint8Array> {
    const { maxBodyBytes = MAX_BODY_BYTES } = this.#options
    let bytes = 0
    return new TransformStream({
      transform(chunk, controller) {
        bytes += chunk.length
        if (bytes <= maxBodyBytes) controller.enqueue(chunk)
        else controller.error(failed(new FetchError('ERR_BODY_TOO_LARGE', tooLarge(target, maxBodyBytes))))
      },
    })
  }

  #createAgent(undici: typeof Undici): Undici.EnvHttpProxyAgent {
    const { tls, connectTimeoutMs = CONNECT_TIMEOUT_MS, maxBodyBytes = MAX_BODY_BYTES } = this.#options
    const { serverNameOverride, insecureSkipVerify, environment = process.env } = this.#options
    const connect = {
      secureContext: tls?.material.context ?? createSecureContext({ ca: systemCertificates() }),
      ...(serverNameOverride && { servername: serverNameOverride }),
      ...(insecureSkipVerify === true && { rejectUnauthorized: false }),
      timeout: connectTimeoutMs,
      allowH2: false,
      // A resumed session would carry the certificate of before a rotation.
      maxCachedSessions: 0,
    }
    return new undici.EnvHttpProxyAgent({
      connect,
      requestTls: connect,
      proxyTls: { timeout: connectTimeoutMs, allowH2: false },
      allowH2: false,
      connections: 8,
      pipelining: 1,
      headersTimeout: STALL_MS,
      bodyTimeout: STALL_MS,
      maxResponseSize: maxBodyBytes,
      httpProxy: proxyFrom(environment, 'http_proxy'),
      httpsProxy: proxyFrom(environment, 'https_proxy'),
      noProxy: [proxyFrom(environment, 'no_proxy'), ...NEVER_PROXIED].join(','),
    })
  }

  /** New requests get new connections with the new certificate; those under way end in their own time. */
  #retireAgent(): void {
    const retired = this.#agent
    this.#agent = null
    retired?.close().catch(() => {})
  }
}

function proxyFrom(environment: ProxyEnvironment, name: string): string {
  return environment[name] ?? environment[name.toUpperCase()] ?? ''
}

function tooLarge(target: URL, maxBodyBytes: number): string {
  return `${target.origin} answered with more than ${maxBodyBytes} octets`
}

/** The shape in which WHATWG fetch fails. */
function failed(cause: FetchError): TypeError {
  return new TypeError('fetch failed', { cause })
}

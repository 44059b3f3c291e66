/**
 * An HTTP proxy in front of an OpenID provider that misbehaves on demand: it delays, cuts, hangs, answers in the
 * provider's place, and rewrites the discovery document. It remembers when it was asked for what.
 *
 * ```ts
 * const proxy = await startFaultProxy()
 * const provider = await startProvider({ issuer: proxy.url, … })
 * proxy.target = provider.url
 * proxy.misbehave('/token', tooManyRequests(30))
 * proxy.heal()
 * proxy.attempts('/token').length
 * ```
 */
import { once } from 'node:events'
import { createServer, request as httpRequest } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** Where OpenID Connect Discovery puts its document, below the issuer. */
export const DISCOVERY_PATH = '/.well-known/openid-configuration'
/** Where `oidc-provider` has its token endpoint and its key set. */
export const TOKEN_PATH = '/token'
export const KEYS_PATH = '/jwks'

/** What happens to a request. */
export type ProxyFault =
  /** It is passed on after so long. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** It is read and never answered. */
  | { readonly kind: 'hang' }
  /** The connection is broken instead of an answer. */
  | { readonly kind: 'cut' }
  /** The connection is broken after so many octets of the provider's answer. */
  | { readonly kind: 'cut_within'; readonly bytes: number }
  /** The provider is not asked. */
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly headers?: Readonly<Record<string, string>>
      readonly body?: string
    }

/** 429 with Retry-After in seconds. */
export const tooManyRequests = (retryAfterSeconds: number): ProxyFault => ({
  kind: 'answer',
  status: 429,
  headers: { 'retry-after': String(retryAfterSeconds) },
  body: 'slow down',
})

/** What a load balancer says when nobody is behind it. */
export const SERVER_ERROR: ProxyFault = { kind: 'answer', status: 500, body: 'internal error' }

/** A page for people, with status 200: a captive portal, a login page, a maintenance page. */
export const HTML_PAGE: ProxyFault = {
  kind: 'answer',
  status: 200,
  headers: { 'content-type': 'text/html; charset=utf-8' },
  body: '<!doctype html><title>We will be back soon</title><p>Maintenance.',
}

/** JSON that breaks off. */
export const GARBAGE: ProxyFault = {
  kind: 'answer',
  status: 200,
  headers: { 'content-type': 'application/json' },
  body: '{"access_token": \u0000\u0001"',
}

/** Nothing at all, with status 200. */
export const EMPTY_ANSWER: ProxyFault = {
  kind: 'answer',
  status: 200,
  headers: { 'content-type': 'application/json' },
}

/** An OAuth error (RFC 6749 §5.2). */
export const oauthError = (error: string, status = 400): ProxyFault => ({
  kind: 'answer',
  status,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ error }),
})

/** A token answer that carries this token. */
export const tokenAnswer = (token: string, expiresInSeconds: unknown = 300): ProxyFault => ({
  kind: 'answer',
  status: 200,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ access_token: token, token_type: 'Bearer', expires_in: expiresInSeconds }),
})

/** A proxy that was started. */
export interface FaultProxy {
  /** `http://127.0.0.1:<port>`; stays the same across stop and start. */
  readonly url: string
  /** Base URL of the provider; null answers 502. */
  target: string | null
  /** Changes the discovery document on its way; null leaves it. */
  rewriteDiscovery: ((document: Record<string, unknown>) => Record<string, unknown>) | null
  /** Makes requests to `path` go wrong from now on, or all with `*`; a fault of a path goes before that of `*`. */
  misbehave(path: string, fault: ProxyFault): void
  /** Makes requests to `path` go right again; all of them when it is left out. */
  heal(path?: string): void
  /** Monotonic ms of each request to `path`, oldest first, whatever became of it. */
  attempts(path: string): readonly number[]
  /** Closes the port and cuts every connection: dialling it is refused. */
  stop(): Promise<void>
  /** Listens again on the same port. */
  start(): Promise<void>
  /** Ends it for good. Harmless when it is stopped. */
  close(): Promise<void>
}

/** Starts a proxy on a free port of 127.0.0.1, without a target yet. */
export async function startFaultProxy(): Promise<FaultProxy> {
  const faults = new Map<string, ProxyFault>()
  const seen = new Map<string, number[]>()
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    const path = (request.url ?? '').split('?')[0]!
    const times = seen.get(path) ?? []
    times.push(performance.now())
    seen.set(path, times)
    request.on('error', () => {})
    response.on('error', () => {})
    void serve(proxy, path, faults.get(path) ?? faults.get('*') ?? null, request, response)
  }
  let server = await listen(0, onRequest)
  const { port } = server.address() as AddressInfo
  const proxy: FaultProxy = {
    url: `http://127.0.0.1:${port}`,
    target: null,
    rewriteDiscovery: null,
    misbehave: (path, fault) => void faults.set(path, fault),
    heal: (path) => {
      if (path === undefined) faults.clear()
      else faults.delete(path)
    },
    attempts: (path) => seen.get(path) ?? [],
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
    close: () => proxy.stop(),
  }
  return proxy
}

async function listen(
  port: number,
  onRequest: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Server> {
  const server = createServer(onRequest)
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}

async function serve(
  proxy: FaultProxy,
  path: string,
  fault: ProxyFault | null,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (fault?.kind === 'hang') return
  if (fault?.kind === 'cut') return void request.socket.destroy()
  if (fault?.kind === 'answer')
    return void response.writeHead(fault.status, fault.headers).end(fault.body ?? '')
  if (fault?.kind === 'delay') await sleep(fault.ms)
  if (proxy.target === null) return void response.writeHead(502).end('no target')
  const answer = await forward(proxy.target, request).catch(() => null)
  if (answer === null) return void response.writeHead(502).end('the provider does not answer')
  const { status, headers } = answer
  const body = path === DISCOVERY_PATH && status === 200 ? rewritten(proxy, answer.body) : answer.body
  response.writeHead(status, { ...headers, 'content-length': String(body.length) })
  if (fault?.kind !== 'cut_within') return void response.end(body)
  response.write(body.subarray(0, fault.bytes), () => request.socket.destroy())
}

function rewritten(proxy: FaultProxy, body: Buffer): Buffer {
  if (proxy.rewriteDiscovery === null) return body
  const document = JSON.parse(body.toString()) as Record<string, unknown>
  return Buffer.from(JSON.stringify(proxy.rewriteDiscovery(document)))
}

interface ForwardedAnswer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

/** Asks the provider under the Host that the client used, so that its document names the proxy's endpoints. */
async function forward(target: string, request: IncomingMessage): Promise<ForwardedAnswer> {
  const asked = httpRequest(new URL(request.url ?? '/', target), {
    method: request.method ?? 'GET',
    headers: request.headers,
    agent: false,
  })
  request.pipe(asked)
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  const pieces: Buffer[] = []
  for await (const piece of answer) pieces.push(piece as Buffer)
  const { connection: _, 'transfer-encoding': __, ...headers } = answer.headers
  return { status: answer.statusCode ?? 502, headers, body: Buffer.concat(pieces) }
}

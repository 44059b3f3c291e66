/**
 * The twin: a control-plane gateway on node:http2 with both legs, written as well as node:http2 allows, to compare authgw with.
 * Same duties: token validated by jose with a verified-token cache, OTLP Export methods only, heads, DATA, trailers and
 * cancels forwarded with back-pressure, the same statuses for a lost upstream. Also a program: `node node-http2.ts CONFIG.json`.
 */
import { readFileSync } from 'node:fs'
import http2 from 'node:http2'
import type { ClientHttp2Session, Http2Session, IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { createLocalJWKSet, jwtVerify } from 'jose'
import type { JSONWebKeySet } from 'jose'
import { LRUCache } from 'lru-cache'

/** What the twin listens on, forwards to and accepts. Files are PEM. */
export interface TwinOptions {
  /** Default 127.0.0.1. */
  listenHost?: string
  /** Default 0: any free port. */
  listenPort?: number
  /** TLS towards callers; `clientCaFile` makes a client certificate required. Plaintext when left out. */
  listenTls?: { certFile: string; keyFile: string; clientCaFile?: string }
  /** host:port of the server behind. */
  upstream: string
  /** TLS towards the server behind; plaintext when left out. */
  upstreamTls?: { caFile: string; serverName?: string }
  /** Whose tokens are accepted; without it nothing is checked. */
  oidc?: { publicKeysFile: string; issuer: string; audience: string }
  /** Full methods that may pass, beside OTLP Export; a trailing * matches any rest. */
  methods?: string[]
}

/** A running twin. */
export interface Twin {
  port: number
  stop(): Promise<void>
}

/** What a session may hold: with node's 10 MB, calls of 100 KiB are refused by the hundred. */
const SESSION_MEGABYTES = 256

const { NGHTTP2_CANCEL, NGHTTP2_NO_ERROR, NGHTTP2_REFUSED_STREAM } = http2.constants
const END_STREAM = 0x1
const OTLP_EXPORT = new Set(
  ['trace.v1.Trace', 'metrics.v1.Metrics', 'logs.v1.Logs', 'profiles.v1development.Profiles'].map(
    (service) => `/opentelemetry.proto.collector.${service}Service/Export`,
  ),
)
const UNIMPLEMENTED = 12
const UNAVAILABLE = 14
const UNAUTHENTICATED = 16
const WINDOWS = { streamBytes: 1 << 20, connectionBytes: 4 << 20 }
const MAX_CONCURRENT_STREAMS = 1000

type Head = string[] & { [http2.sensitiveHeaders]?: string[] }
type Check = (authorization: string | undefined) => boolean | Promise<boolean>

/** Starts a twin in this process. @throws whatever reading its files or listening throws. */
export async function startNodeHttp2Twin(options: TwinOptions): Promise<Twin> {
  const check = options.oidc === undefined ? () => true : makeCheck(options.oidc)
  const passes = makeMethodCheck(options.methods ?? [])
  const upstream = makeUpstream(options)
  const sessions = new Set<Http2Session>()
  const settings = { initialWindowSize: WINDOWS.streamBytes, maxConcurrentStreams: MAX_CONCURRENT_STREAMS }
  const server =
    options.listenTls === undefined
      ? http2.createServer({ settings, maxSessionMemory: SESSION_MEGABYTES })
      : http2.createSecureServer({
          settings,
          maxSessionMemory: SESSION_MEGABYTES,
          cert: readFileSync(options.listenTls.certFile),
          key: readFileSync(options.listenTls.keyFile),
          ...(options.listenTls.clientCaFile !== undefined && {
            ca: readFileSync(options.listenTls.clientCaFile),
            requestCert: true,
            rejectUnauthorized: true,
          }),
        })
  server.on('session', (session) => {
    sessions.add(session)
    session.setLocalWindowSize(WINDOWS.connectionBytes)
    session.on('error', () => session.destroy())
    session.once('close', () => sessions.delete(session))
  })
  server.on('sessionError', () => undefined)
  server.on(
    'stream',
    (ingress: ServerHttp2Stream, fields: IncomingHttpHeaders, flags: number, rawFields: string[]) => {
      ingress.on('error', () => undefined)
      const contentType = fields['content-type']
      if (contentType === undefined || !contentType.startsWith('application/grpc')) {
        ingress.respond({ ':status': 415 }, { endStream: true })
        return
      }
      if (!passes(fields[':path'] as string)) {
        refuse(ingress, UNIMPLEMENTED, 'method not allowed')
        return
      }
      const admit = (isValid: boolean): void => {
        if (ingress.destroyed) return
        if (isValid) relay(ingress, upstream(), rawFields as Head, (flags & END_STREAM) !== 0)
        else refuse(ingress, UNAUTHENTICATED, 'unauthenticated')
      }
      const verdict = check(fields.authorization)
      if (typeof verdict === 'boolean') admit(verdict)
      else void verdict.then(admit)
    },
  )
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.listenPort ?? 0, options.listenHost ?? '127.0.0.1', () => resolve())
  })
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      for (const session of sessions) session.destroy()
      upstream.stop()
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
    },
  }
}

/** Signature, issuer, audience and time by jose; a token that passed is not verified again until it expires. */
function makeCheck(oidc: NonNullable<TwinOptions['oidc']>): Check {
  const keys = createLocalJWKSet(JSON.parse(readFileSync(oidc.publicKeysFile, 'utf8')) as JSONWebKeySet)
  const verified = new LRUCache<string, number>({ max: 10_000 })
  const rules = {
    issuer: oidc.issuer,
    audience: oidc.audience,
    algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
  }
  return (authorization) => {
    if (authorization === undefined) return false
    const expiresAtMs = verified.get(authorization)
    if (expiresAtMs !== undefined && Date.now() < expiresAtMs) return true
    if (!/^bearer /i.test(authorization)) return false
    return jwtVerify(authorization.slice(7), keys, { ...rules, requiredClaims: ['exp'] }).then(
      ({ payload }) => {
        verified.set(authorization, payload.exp! * 1000)
        return true
      },
      () => false,
    )
  }
}

function makeMethodCheck(methods: string[]): (path: string) => boolean {
  const exact = new Set([...OTLP_EXPORT, ...methods.filter((method) => !method.endsWith('*'))])
  const prefixes = methods.filter((method) => method.endsWith('*')).map((method) => method.slice(0, -1))
  return (path) => exact.has(path) || prefixes.some((prefix) => path.startsWith(prefix))
}

/** One session to the server behind, dialled when first needed and again after it went away. */
function makeUpstream(options: TwinOptions): (() => ClientHttp2Session) & { stop(): void } {
  let current: ClientHttp2Session | null = null
  const all = new Set<ClientHttp2Session>()
  const dial = (): ClientHttp2Session => {
    const tls = options.upstreamTls
    const session = http2.connect(`${tls === undefined ? 'http' : 'https'}://${options.upstream}`, {
      maxSessionMemory: SESSION_MEGABYTES,
      settings: { enablePush: false, initialWindowSize: WINDOWS.streamBytes },
      peerMaxConcurrentStreams: MAX_CONCURRENT_STREAMS,
      ...(tls !== undefined && {
        ca: readFileSync(tls.caFile),
        ...(tls.serverName !== undefined && { servername: tls.serverName }),
      }),
    })
    const retire = (): void => {
      if (current === session) current = null
    }
    all.add(session)
    session.once('connect', () => session.setLocalWindowSize(WINDOWS.connectionBytes))
    session.on('error', retire)
    session.on('goaway', retire)
    session.once('close', () => {
      retire()
      all.delete(session)
    })
    return session
  }
  const upstream = (): ClientHttp2Session => (current ??= dial())
  return Object.assign(upstream, {
    stop() {
      for (const session of all) session.destroy()
    },
  })
}

/** Ends a call that was not forwarded. */
function refuse(ingress: ServerHttp2Stream, status: number, message: string): void {
  if (ingress.destroyed) return
  const head = {
    ':status': 200,
    'content-type': 'application/grpc',
    'grpc-status': String(status),
    'grpc-message': message,
  }
  ingress.respond(head, { endStream: true })
  if (!ingress.readableEnded) ingress.close(NGHTTP2_NO_ERROR)
}

/** Forwards one call both ways until both legs are closed. */
function relay(
  ingress: ServerHttp2Stream,
  session: ClientHttp2Session,
  rawFields: Head,
  endStream: boolean,
): void {
  const egress = session.request(egressHead(rawFields), { endStream })
  let trailers: readonly string[] | null = null
  let isAnswered = false
  let isEgressClosed = false
  let isAwaitingTrailers = false

  const sendTrailers = (): void => {
    isAwaitingTrailers = false
    if (ingress.destroyed) return
    ingress.sendTrailers(
      trailers === null
        ? { 'grpc-status': String(UNAVAILABLE), 'grpc-message': 'upstream ended the call without a status' }
        : toFields(trailers),
    )
  }
  egress.on('response', (_fields, flags, raw) => {
    isAnswered = true
    if (ingress.destroyed) return
    const isTrailersOnly = (flags & END_STREAM) !== 0
    ingress.respond(raw, {
      endStream: isTrailersOnly,
      waitForTrailers: !isTrailersOnly,
    })
    if (isTrailersOnly) egress.resume()
  })
  egress.on('data', (chunk: Buffer) => {
    if (!ingress.write(chunk)) egress.pause()
  })
  ingress.on('drain', () => egress.resume())
  egress.on('trailers', (_fields, _flags, raw) => {
    trailers = raw
  })
  egress.on('end', () => {
    if (!ingress.writableEnded && isAnswered) ingress.end()
  })
  ingress.on('wantTrailers', () => {
    if (trailers !== null || isEgressClosed) sendTrailers()
    else isAwaitingTrailers = true
  })
  egress.on('error', () => undefined)
  egress.on('close', () => {
    isEgressClosed = true
    if (ingress.destroyed) return
    if (!isAnswered) {
      if (egress.rstCode === NGHTTP2_REFUSED_STREAM) ingress.close(NGHTTP2_REFUSED_STREAM)
      else refuse(ingress, UNAVAILABLE, 'upstream is not reachable')
    } else if (isAwaitingTrailers) sendTrailers()
    else if (!ingress.writableEnded) ingress.end()
    if (!ingress.readableEnded) ingress.once('finish', () => ingress.close(NGHTTP2_NO_ERROR))
  })

  if (!endStream) {
    ingress.on('data', (chunk: Buffer) => {
      if (!egress.write(chunk)) ingress.pause()
    })
    egress.on('drain', () => ingress.resume())
    ingress.on('end', () => egress.end())
  }
  ingress.on('close', () => {
    if (!isEgressClosed) egress.close(NGHTTP2_CANCEL)
  })
}

/** The head for the server behind: its own :authority and :scheme by node, no token, no host. */
function egressHead(raw: Head): Head {
  const head = [] as unknown as Head
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index]!
    if (name === ':authority' || name === ':scheme' || name === 'authorization' || name === 'host') continue
    head.push(name, raw[index + 1]!)
  }
  return head
}

/** Trailers as an object, duplicates as arrays: node:http2 takes no list here. */
function toFields(raw: readonly string[]): http2.OutgoingHttpHeaders {
  const fields: Record<string, string | string[]> = {}
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index]!
    const before = fields[name]
    fields[name] = before === undefined ? raw[index + 1]! : [before, raw[index + 1]!].flat()
  }
  return fields
}

if (import.meta.main) {
  const options = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as TwinOptions
  const twin = await startNodeHttp2Twin(options)
  process.stdout.write(`listening on ${twin.port}\n`)
  const stop = (): void => void twin.stop()
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
}

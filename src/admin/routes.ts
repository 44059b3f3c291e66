/**
 * Turns a request to the admin endpoint into a reply: metrics, probes, status page, masked configuration.
 * Floor 6; knows no socket. Probes and metrics answer anybody; what tells more answers only on this machine, and those who
 * have shown a certificate.
 * RFC 9110 §9.3.1, §9.3.2 (GET, HEAD), §15.5.6 (405), §15.5.20 (421); RFC 9112 §3.2 (request target).
 */
import type { Log } from '../base/index.ts'
import { METRICS_CONTENT_TYPE, redactText } from '../telemetry/index.ts'
import { isLoopbackHost } from './endpoint.ts'
import type { Readiness } from './readiness.ts'
import { renderConditions, renderStatusHtml, renderStatusText, type StatusSection } from './status-page.ts'

/** What a route looks at of a request. */
export interface AdminRequest {
  readonly method: string
  /** The request target as it came: a path with its query, or an absolute URI. */
  readonly target: string
  /** The Host header. */
  readonly host: string | undefined
  /** Whether both ends of the connection are loopback addresses. */
  readonly isLocal: boolean
  /** Whether the caller has shown a client certificate that verifies. */
  readonly isVerified: boolean
  /** Whether a proxy on this machine brought it from elsewhere. */
  readonly isForwarded: boolean
  readonly wantsHtml: boolean
}

/** What is answered. */
export interface AdminReply {
  readonly status: number
  readonly contentType: string
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

/** Where the routes get what they show. */
export interface AdminPorts {
  readonly readiness: Readiness
  /** All metrics in the Prometheus text format: of this process, or merged over the workers. */
  readonly renderMetrics: () => Promise<string>
  /** The configuration in use, secrets masked. */
  readonly renderConfig: () => string
  /** What the status page shows beside readiness. */
  readonly statusSections: () => readonly StatusSection[]
  readonly log: Log
}

const TEXT = 'text/plain; charset=utf-8'
const text = (status: number, body: string, headers?: Record<string, string>): AdminReply => ({
  status,
  contentType: TEXT,
  body: `${body}\n`,
  ...(headers === undefined ? {} : { headers }),
})

/** The routes of the admin endpoint. */
export class AdminRoutes {
  readonly #ports: AdminPorts
  #rendering: Promise<string> | null = null

  constructor(ports: AdminPorts) {
    this.#ports = ports
  }

  /** Answers a request. Never rejects: a page that fails is a 500 and a log line. */
  async answer(request: AdminRequest): Promise<AdminReply> {
    try {
      return await this.#answer(request)
    } catch (err) {
      this.#ports.log.error({ err, path: request.target.slice(0, 200) }, 'admin page failed')
      return text(500, 'this page failed; the log says why')
    }
  }

  async #answer(request: AdminRequest): Promise<AdminReply> {
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return text(405, 'only GET and HEAD are answered here', { allow: 'GET, HEAD' })
    const target = parseTarget(request)
    if (target === null) return text(400, 'the request target is neither a path nor a URI')
    const { readiness } = this.#ports
    switch (target.path) {
      case '/metrics':
        return { status: 200, contentType: METRICS_CONTENT_TYPE, body: await this.#renderMetrics() }
      // Says only that this process still answers. Nothing that others do may restart it.
      case '/livez':
        return this.#probe(target, request, true, 'live')
      case '/startupz':
        return this.#probe(target, request, readiness.isStarted, readiness.isStarted ? 'started' : 'starting')
      case '/readyz':
        return this.#probe(
          target,
          request,
          readiness.isReady,
          readiness.isReady ? 'ready' : unreadyText(readiness),
        )
      case '/config':
        return (
          refuseFromOutside(request, target.host) ??
          text(200, redactText(this.#ports.renderConfig()).trimEnd())
        )
      case '/':
        return refuseFromOutside(request, target.host) ?? this.#statusPage(request)
      default:
        return text(404, 'not found')
    }
  }

  #probe(target: Target, request: AdminRequest, isWell: boolean, word: string): AdminReply {
    const status = isWell ? 200 : 503
    if (!target.isVerbose) return text(status, word)
    return (
      refuseFromOutside(request, target.host) ??
      text(status, `${renderConditions(this.#ports.readiness)}\n${target.path.slice(1)}: ${word}`)
    )
  }

  #statusPage({ wantsHtml }: AdminRequest): AdminReply {
    const { readiness, statusSections } = this.#ports
    const sections = statusSections()
    return wantsHtml
      ? { status: 200, contentType: 'text/html; charset=utf-8', body: renderStatusHtml(readiness, sections) }
      : { status: 200, contentType: TEXT, body: renderStatusText(readiness, sections) }
  }

  /** Scrapes that come while one is being made share it: many askers cost no more than one. */
  #renderMetrics(): Promise<string> {
    this.#rendering ??= this.#ports.renderMetrics().finally(() => {
      this.#rendering = null
    })
    return this.#rendering
  }
}

/** Outside this machine only the class of the cause is told, no name of a provider. */
function unreadyText(readiness: Readiness): string {
  if (readiness.state !== 'ready') return readiness.state
  const holding = readiness.conditions.filter((one) => !one.isReady || (readiness.isStrict && one.isDegraded))
  return `not ready: ${[...new Set(holding.map((one) => one.reason))].join(', ')}`
}

interface Target {
  readonly path: string
  readonly host: string | undefined
  readonly isVerbose: boolean
}

/** The authority of an absolute target replaces the Host header (RFC 9112 §3.2.2). */
function parseTarget({ target, host }: AdminRequest): Target | null {
  const isPath = target.startsWith('/')
  const url = isPath ? URL.parse(`http://localhost${target}`) : URL.parse(target)
  if (url === null || (!isPath && url.protocol !== 'http:' && url.protocol !== 'https:')) return null
  return { path: url.pathname, host: isPath ? host : url.host, isVerbose: url.searchParams.has('verbose') }
}

/** The reply to somebody who is not on this machine; null for somebody who is, or who has shown a certificate. */
function refuseFromOutside(request: AdminRequest, host: string | undefined): AdminReply | null {
  if (request.isVerified) return null
  if (!request.isLocal)
    return text(
      403,
      'this page answers only on loopback: use `kubectl port-forward` or a shell on the machine, or a client certificate (admin.tls.client_ca_file)',
    )
  if (request.isForwarded || !isLoopbackHost(host))
    return text(421, 'this page answers only on loopback: ask for it as localhost, without a proxy')
  return null
}

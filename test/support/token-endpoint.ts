/**
 * A token endpoint without a network: an HttpFetch that answers discovery and token requests as it is told, under
 * openid-client as it is. Records every request with its form.
 */
import type { HttpFetch } from '../../src/auth/index.ts'

/** A request as the endpoint saw it. */
export interface SeenRequest {
  readonly url: string
  readonly method: string
  readonly headers: Headers
  readonly form: URLSearchParams
}

/** Makes the answer to a token request. May wait, reject or look at the request. */
export type Answerer = (request: SeenRequest, count: number) => Response | Promise<Response>

export const ISSUER = 'https://idp.example/realms/otel'
export const TOKEN_URL = `${ISSUER}/protocol/token`

/** A JSON answer. */
export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { 'content-type': 'application/json', ...headers },
  })
}

/** A token answer: `token-<count>` for 300 s unless told otherwise. */
export function tokenAnswer(fields: Record<string, unknown> = {}): Answerer {
  return (_request, count) =>
    json({ access_token: `token-${count}`, token_type: 'Bearer', expires_in: 300, ...fields })
}

/** An unsigned-looking JWT with these claims: what is under test reads claims and verifies nothing. */
export function jwt(claims: Record<string, unknown>): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'RS256', typ: 'at+jwt' })}.${part(claims)}.c2lnbmF0dXJl`
}

/** A connection failure as undici reports it. */
export function connectionError(code: string): Error {
  return new TypeError('fetch failed', { cause: Object.assign(new Error(`connect ${code}`), { code }) })
}

/** The endpoint. */
export class TokenEndpoint {
  /** Requests to the token endpoint, oldest first. */
  readonly requests: SeenRequest[] = []
  /** How often discovery was read. */
  discoveryCount = 0
  answer: Answerer = tokenAnswer()
  discovery: () => Response | Promise<Response> = () => json({ issuer: ISSUER, token_endpoint: TOKEN_URL })
  /** The signal of the last request. */
  lastSignal: AbortSignal | null = null

  readonly fetch: HttpFetch = async (url, init = {}) => {
    this.lastSignal = init.signal ?? null
    if (url.includes('/.well-known/')) {
      this.discoveryCount++
      return await this.discovery()
    }
    const seen = {
      url,
      method: init.method ?? 'GET',
      headers: new Headers(init.headers),
      form: new URLSearchParams(String(init.body as URLSearchParams)),
    }
    this.requests.push(seen)
    return await this.answer(seen, this.requests.length)
  }

  /** The last request's form, as a plain object. */
  get lastForm(): Record<string, string> {
    return Object.fromEntries(this.requests.at(-1)!.form)
  }
}

/** Files for a ReadFile port; a missing one fails as the system does. */
export class FakeFiles {
  readonly files: Record<string, string>
  constructor(files: Record<string, string> = {}) {
    this.files = files
  }
  readonly read = (path: string): Promise<Buffer> => {
    const text = this.files[path]
    return text === undefined
      ? Promise.reject(Object.assign(new Error(`ENOENT: no such file, open '${path}'`), { code: 'ENOENT' }))
      : Promise.resolve(Buffer.from(text))
  }
}

/** Keeps every log line as text, for assertions on what is said and on what must never be. */
export class RecordingLog {
  readonly lines: string[] = []
  readonly #add =
    (level: string) =>
    (fields: object, message: string): void => {
      this.lines.push(`${level} ${message} ${JSON.stringify(fields)}`)
    }
  readonly debug = this.#add('debug')
  readonly info = this.#add('info')
  readonly warn = this.#add('warn')
  readonly error = this.#add('error')
  readonly child = (): this => this
}

/**
 * From whatever goes wrong between us and an identity provider to a CredentialError with a stable code.
 * Floor 2; copies nothing that the provider wrote into a message, and keeps no cause that might hold a body.
 * @see RFC 6749 §5.2, RFC 9110 §10.2.3 (Retry-After)
 */
import { ClientError } from 'openid-client'
import { CredentialError, TransportError } from '../../base/index.ts'
import type { CredentialErrorCode } from '../../base/index.ts'

/** What was seen of the last HTTP answer, for the code and the delay. */
export interface SeenAnswer {
  readonly status: number
  readonly retryAfterMs: number | null
  /** `error` of an OAuth error body when it is a name that RFC 6749, 8693 or 8707 registers; else null. */
  readonly oauthError: string | null
}

/** The longest Retry-After that is honoured: a provider that asks for more is asked again after this. */
const MAX_RETRY_AFTER_MS = 300_000

/** The error names that may be repeated in our own messages: a fixed list, never the provider's own words. */
const CLIENT_REFUSED = new Set(['invalid_client', 'unauthorized_client'])
const GRANT_REFUSED = new Set([
  'invalid_request',
  'invalid_grant',
  'invalid_scope',
  'invalid_target',
  'unsupported_grant_type',
  'access_denied',
])
const OTHERS = new Set(['server_error', 'temporarily_unavailable', 'slow_down'])

/** `name` when it is a registered OAuth error, else null. */
export function knownOAuthError(name: unknown): string | null {
  if (typeof name !== 'string') return null
  return CLIENT_REFUSED.has(name) || GRANT_REFUSED.has(name) || OTHERS.has(name) ? name : null
}

/**
 * Reads Retry-After: seconds or an HTTP date.
 * @returns ms from `wallMs`, 0 … 300 000; null when it is absent or malformed
 */
export function readRetryAfter(value: string | null, wallMs: number): number | null {
  if (value === null) return null
  const atMs = /^\d{1,9}$/.test(value) ? wallMs + Number(value) * 1000 : parseHttpDate(value)
  return atMs === null ? null : Math.min(Math.max(atMs - wallMs, 0), MAX_RETRY_AFTER_MS)
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** Unix ms of an IMF-fixdate, such as `Sun, 06 Nov 1994 08:49:37 GMT`; null for anything else. */
function parseHttpDate(text: string): number | null {
  const match = /^[A-Z][a-z]{2}, (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT$/.exec(text)
  const month = match === null ? -1 : MONTHS.indexOf(match[2]!)
  if (match === null || month < 0) return null
  const [day, year, hour, minute, second] = [1, 3, 4, 5, 6].map((group) => Number(match[group]))
  // Days since 1970-01-01 in the Gregorian calendar, with years that begin in March so that leap days come last.
  const marchYear = month < 2 ? year! - 1 : year!
  const leapDays = Math.floor(marchYear / 4) - Math.floor(marchYear / 100) + Math.floor(marchYear / 400)
  const dayOfYear = Math.floor((153 * ((month + 10) % 12) + 2) / 5) + day! - 1
  const days = marchYear * 365 + leapDays + dayOfYear - 719_468
  return (((days * 24 + hour!) * 60 + minute!) * 60 + second!) * 1000
}

/** Makes a CredentialError of an HTTP answer that is not a token. */
export function failureOfAnswer(answer: SeenAnswer): CredentialError {
  const { status, oauthError, retryAfterMs } = answer
  const options = retryAfterMs === null ? {} : { retryAfterMs }
  const said = oauthError === null ? '' : ` (${oauthError})`
  const make = (code: CredentialErrorCode): CredentialError =>
    new CredentialError(code, `the identity provider answered ${status}${said}`, options)
  if (status === 429 || oauthError === 'slow_down') return make('idp_rate_limited')
  if (status >= 500) return make('idp_status')
  if (oauthError !== null && GRANT_REFUSED.has(oauthError)) return make('grant_refused')
  if (status === 401 || (oauthError !== null && CLIENT_REFUSED.has(oauthError))) return make('invalid_client')
  return make('idp_status')
}

/** Makes a CredentialError of what `openid-client` or the HTTP port threw. */
export function asCredentialError(error: unknown, answer: SeenAnswer | null): CredentialError {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++)
    if (at instanceof CredentialError) return at
  if (answer !== null && answer.status !== 200) return failureOfAnswer(answer)
  if (answer === null) return failureOfConnection(error)
  if (error instanceof ClientError) {
    if (error.code === 'OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED')
      return new CredentialError('idp_issuer_mismatch', 'the discovery document names another issuer')
    if (error.code === 'OAUTH_UNSUPPORTED_OPERATION')
      return new CredentialError(
        'token_unusable',
        'the identity provider gave a token of an unsupported type',
      )
  }
  if (error instanceof ClientError && error.code === 'OAUTH_PARSE_ERROR') {
    const code = connectionCode(error)
    if (code === 'ERR_BODY_TOO_LARGE')
      return new CredentialError('idp_malformed', "the identity provider's answer is too large")
    if (code !== null) return failureOfConnection(error)
  }
  return new CredentialError('idp_malformed', `the identity provider's answer ${malformation(error)}`)
}

/** What is wrong with a 200, without a word of it. */
function malformation(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : null
  if (code === 'OAUTH_PARSE_ERROR' || code === 'OAUTH_RESPONSE_IS_NOT_JSON') return 'is not JSON'
  return 'lacks access_token or token_type, or has a field of the wrong type'
}

const TLS_CODES = /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|EPROTO)/
const TIMEOUT_CODES = new Set(['ETIMEDOUT', 'connect_timeout', 'no_response'])

function failureOfConnection(error: unknown): CredentialError {
  const code = connectionCode(error)
  if (code === null || code === '')
    return new CredentialError('idp_unreachable', 'cannot reach the identity provider')
  const what = `cannot reach the identity provider (${code})`
  if (TIMEOUT_CODES.has(code) || code.endsWith('_TIMEOUT')) return new CredentialError('idp_timeout', what)
  if (TLS_CODES.test(code) || code === 'tls_handshake' || code === 'peer_name')
    return new CredentialError('idp_tls', what)
  return new CredentialError('idp_unreachable', what)
}

/** The innermost code of the system, the TLS library or the HTTP client; only shapes that can hold nobody's text. */
function connectionCode(error: unknown): string | null {
  let found: string | null = null
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if (at instanceof TransportError) found = at.code
    else if ('code' in at && typeof at.code === 'string' && /^(?!OAUTH_)[A-Z][A-Z0-9_]{2,40}$/.test(at.code))
      found = at.code
  }
  return found
}

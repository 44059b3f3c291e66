/**
 * The limits of this room that no configuration changes, as rows of docs/limits.md.
 * Floor 2; enforces none: each value is the constant of the file that does.
 */
import { MAX_KEY_SET_BYTES, MAX_KEYS } from './jwks/document.ts'
import { FETCH_COOLDOWN_MS } from './jwks/refresh.ts'
import { MAX_LEEWAY_SECONDS } from './jwt/claims.ts'
import { MAX_TOKEN_BYTES, MAX_TOKEN_HEADER_BYTES } from './jwt/extract.ts'
import { MAX_JSON_DEPTH } from './jwt/strict-json.ts'
import { MAX_CACHED_TOKENS, MAX_ENTRY_MS, REJECTION_MS } from './jwt/verified-cache.ts'
import {
  FORGERY_PAUSE_MS,
  MAX_FORGERIES_PER_PEER,
  MAX_VERIFICATIONS,
  MAX_VERIFICATIONS_PER_PEER,
  MAX_WAITING_PER_PEER,
} from './jwt/verify.ts'
import { MAX_WAIT_MS } from './provider.ts'

/** One limit as operators read it. */
export interface FixedLimit {
  /** What is limited. */
  readonly subject: string
  readonly unit: 'count' | 'bytes' | 'ms'
  readonly value: number
  /** What happens on a breach, and what the limit protects. */
  readonly text: string
}

const limit = (subject: string, unit: FixedLimit['unit'], value: number, text: string): FixedLimit => ({
  subject,
  unit,
  value,
  text,
})

/** Fixed limits of tokens, keys and verdicts. */
export const FIXED_AUTH_LIMITS: readonly FixedLimit[] = [
  limit('token', 'bytes', MAX_TOKEN_BYTES, 'Larger: `token_too_large`, before anything of it is parsed.'),
  limit('header of a token', 'bytes', MAX_TOKEN_HEADER_BYTES, 'Larger: `token_too_large`.'),
  limit('depth of JSON in a token', 'count', MAX_JSON_DEPTH, 'Deeper: `token_malformed`.'),
  limit('`clock_skew`', 'ms', MAX_LEEWAY_SECONDS * 1000, 'The most that can be configured.'),
  limit(
    'signatures verified at once',
    'count',
    MAX_VERIFICATIONS,
    'A worker. Others wait, and then get `verification_overload`.',
  ),
  limit('the same for one connection', 'count', MAX_VERIFICATIONS_PER_PEER, 'One caller cannot take all.'),
  limit(
    'calls of a connection that wait for their signature',
    'count',
    MAX_WAITING_PER_PEER,
    'More: `verification_overload` at once.',
  ),
  limit(
    'forged signatures of one connection',
    'count',
    MAX_FORGERIES_PER_PEER,
    'More: `verification_overload` without a check; one is forgiven every 2 s. By its glitches it is cut as well.',
  ),
  limit(
    'pause of a connection after a forged signature',
    'ms',
    FORGERY_PAUSE_MS,
    'From the fifth on. Meanwhile `verification_overload` for tokens that are not known yet.',
  ),
  limit(
    'wait of a call for a key or a signature',
    'ms',
    MAX_WAIT_MS,
    'And never more than 60 % of its own deadline.',
  ),
  limit('verified tokens remembered', 'count', MAX_CACHED_TOKENS, 'A worker. The oldest are forgotten.'),
  limit('age of a remembered verdict', 'ms', MAX_ENTRY_MS, 'It ends with its token, key or certificate too.'),
  limit(
    'age of a remembered rejection',
    'ms',
    REJECTION_MS,
    'Only of what neither time nor keys can change.',
  ),
  limit('key set', 'bytes', MAX_KEY_SET_BYTES, 'Larger: the fetch fails, and the last good keys stay.'),
  limit('keys of a set', 'count', MAX_KEYS, 'More: the fetch fails, and the last good keys stay.'),
  limit(
    'pause between fetches for unknown key identifiers',
    'ms',
    FETCH_COOLDOWN_MS,
    'So many forged tokens as may come, the provider is asked no more often.',
  ),
]

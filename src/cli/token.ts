/**
 * `authgw token`: fetches a token once, as the gateway would, and says what is in it; never the token itself.
 * Floor 8; loaded only by this command.
 */
import { CREDENTIAL_ERRORS } from '../base/index.ts'
import { identityNames, tryToken } from '../roles/index.ts'
import type { TriedToken } from '../roles/index.ts'
import { EXIT, UsageError } from './io.ts'
import type { CliIo } from './io.ts'
import { loadChosen } from './run.ts'
import type { ConfigChoice } from './run.ts'

/** Options of `authgw token`. */
export interface TokenOptions extends ConfigChoice {
  /** Which identity; all of them when left out. */
  readonly identity?: string
}

/** Clocks further apart than that are pointed at: the control plane's `clock_skew` ends there. */
const CLOCK_SKEW_SECONDS = 30

/** Fetches and prints. Gives 1 when a token cannot be had. @throws ConfigError, UsageError */
export async function runToken(options: TokenOptions, io: CliIo): Promise<number> {
  const { config } = loadChosen(options, io)
  const names = identityNames(config)
  if (names.length === 0)
    throw new UsageError(
      'the configuration has no identity to fetch a token for',
      'give a workload’s configuration, with oauth2client or bearertokenauth.filename',
    )
  const { identity } = options
  if (identity !== undefined && !names.includes(identity))
    throw new UsageError(`there is no identity "${identity}"`, `write one of ${names.join(', ')}`)
  let exitCode: number = EXIT.ok
  for (const name of identity === undefined ? names : [identity]) {
    const tried = await tryToken(config, name)
    if (tried.kind === 'token') io.out(tokenText(tried, io.nowMs()))
    else {
      io.err(failureText(tried))
      exitCode = EXIT.failed
    }
  }
  return exitCode
}

function failureText({ identity, reason, detail }: TriedToken & { readonly kind: 'failure' }): string {
  const why = detail === '' ? '' : `: ${detail}`
  const { cause, remedy } = CREDENTIAL_ERRORS[reason]
  return `${identity}: ${reason}${why}\n  ${cause} ${remedy}\n`
}

function tokenText(token: TriedToken & { readonly kind: 'token' }, nowMs: number): string {
  const { identity, described, lifeMs, expiresAtWallMs, usableUntilWallMs, certificateSha256 } = token
  const issuedAt = described?.claims['iat']
  const skewSeconds = typeof issuedAt === 'number' ? Math.round(nowMs / 1000 - issuedAt) : 0
  const rows: [string, string][] = [
    ['identity', identity],
    ['lives', `${Math.round(lifeMs / 1000)} s, until ${at(expiresAtWallMs)}`],
    ['used', `until ${at(usableUntilWallMs)}, and refreshed well before`],
  ]
  if (skewSeconds < -CLOCK_SKEW_SECONDS)
    rows.push([
      'clocks',
      `it was issued ${-skewSeconds} s in the future: this machine or the provider is wrong`,
    ])
  if (certificateSha256 !== null) rows.push(['bound to', `the certificate with SHA-256 ${certificateSha256}`])
  if (described === null) rows.push(['claims', 'unknown: it is no JWT, and a control plane would refuse it'])
  const parts = rows.map(([name, text]) => `${name.padEnd(9)} ${text}\n`)
  if (described !== null)
    parts.push(
      `header    ${JSON.stringify(described.header)}\n`,
      `claims    ${JSON.stringify(described.claims, null, 2)}\n`,
    )
  return parts.join('')
}

const at = (wallMs: number): string => new Date(wallMs).toISOString().replace(/\.\d+Z$/, 'Z')

/**
 * `authgw explain`: which check or which rule decides about a token and a method, without sending a call.
 * Floor 8; loaded only by this command.
 */
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { anonymousPeer, OTLP_EXPORT_PATHS, REFUSAL_REASONS } from '../auth/index.ts'
import type { PeerIdentity } from '../auth/index.ts'
import { certificatePeer } from '../net/index.ts'
import { checkedOidc, tryExplain } from '../roles/index.ts'
import type { TriedExplanation } from '../roles/index.ts'
import { EXIT, UsageError } from './io.ts'
import type { CliIo } from './io.ts'
import { loadChosen } from './run.ts'
import type { ConfigChoice } from './run.ts'

/** Options of `authgw explain`. */
export interface ExplainOptions extends ConfigChoice {
  /** A signal, or `/package.Service/Method`. */
  readonly method: string
  /** File with the token; the standard input when left out. */
  readonly tokenFile?: string
  /** File with the issuer's keys. */
  readonly keys?: string
  /** Fetch the issuer's keys. */
  readonly online?: boolean
  /** File with the certificate that the caller shows. */
  readonly clientCert?: string
}

/** Explains one call. Gives 0 when it would pass, 1 when not. @throws ConfigError, UsageError */
export async function runExplain(options: ExplainOptions, io: CliIo): Promise<number> {
  const { config } = loadChosen(options, io, false)
  const oidc = checkedOidc(config)
  const path = methodPath(options.method)
  const written =
    options.tokenFile === undefined ? await io.readInput() : readFileSync(options.tokenFile, 'utf8')
  const token = written.trim().replace(/^(?:authorization:\s*)?bearer\s+/i, '')
  if (token === '') throw new UsageError('there is no token', 'give --token-file FILE, or pipe one in')
  const explained = await tryExplain(config, oidc, {
    token,
    path,
    peer: options.clientCert === undefined ? anonymousPeer('', false) : callerWith(options.clientCert),
    wallMs: io.nowMs(),
    keysText: options.keys === undefined ? null : readFileSync(options.keys, 'utf8'),
    isOnline: options.online === true,
  })
  const verdict = verdictOf(explained)
  io.out(explanationText(path, explained, verdict))
  return verdict.passes ? EXIT.ok : EXIT.failed
}

function methodPath(method: string): string {
  const path = Object.hasOwn(OTLP_EXPORT_PATHS, method)
    ? OTLP_EXPORT_PATHS[method as keyof typeof OTLP_EXPORT_PATHS]
    : method
  if (/^\/[^/\s]+\/[^/\s]+$/.test(path)) return path
  throw new UsageError(
    `"${method}" is neither a signal nor a method`,
    'write traces, metrics, logs, profiles, or /package.Service/Method',
  )
}

function callerWith(file: string): PeerIdentity {
  const pem = readFileSync(file)
  try {
    return certificatePeer(new X509Certificate(pem), '', false)
  } catch {
    throw new UsageError(`${file} holds no certificate`, 'give a PEM file with the client certificate')
  }
}

interface Verdict {
  readonly passes: boolean
  readonly text: string
}

/** The first check that fails decides; then the policy. */
function verdictOf({ checks, decision, isDryRun }: TriedExplanation): Verdict {
  const failed = checks.find(({ outcome }) => outcome !== 'passed' && outcome !== 'open')
  if (failed !== undefined) return { passes: false, text: `refused: ${failed.outcome}` }
  if (decision === null) return { passes: false, text: 'refused' }
  const open = checks.some(({ outcome }) => outcome === 'open') ? ', if the signature is good' : ''
  if (decision.isAllowed) return { passes: true, text: `allowed by ${ruleName(decision.rule)}${open}` }
  return isDryRun
    ? { passes: true, text: `allowed by the dry run; ${ruleName(decision.rule)} would deny it${open}` }
    : { passes: false, text: `denied by ${ruleName(decision.rule)}: policy_denied` }
}

const BUILT_IN: Readonly<Record<string, string>> = {
  default: 'the default (without a rule that allows: OTLP Export; with one: only what a rule allows)',
  otel_arrow: 'the guard of OTel-Arrow (a rule has to name its service)',
  allowed_sans: 'allowed_sans (the certificate’s names)',
}

const ruleName = (rule: string): string => BUILT_IN[rule] ?? `the rule "${rule}"`

function explanationText(path: string, explained: TriedExplanation, verdict: Verdict): string {
  const { checks, rules, decision, keysFrom } = explained
  const lines = [`method     ${path}`, `keys       ${keysFrom}`]
  for (const { check, outcome, detail } of checks) lines.push(`${check.padEnd(10)} ${outcome}: ${detail}`)
  for (const { rule, action, mismatch } of rules)
    lines.push(
      `rule       ${rule} (${action}): ${mismatch === null ? 'matches' : `does not match, by its ${mismatch}`}`,
    )
  if (decision !== null && decision.audited.length > 0)
    lines.push(`audit      ${decision.audited.join(', ')}`)
  lines.push(`verdict    ${verdict.text}`)
  const reason = checks.find(({ outcome }) => Object.hasOwn(REFUSAL_REASONS, outcome))?.outcome
  if (reason !== undefined) lines.push(`           docs/errors.md#${reason}`)
  return `${lines.join('\n')}\n`
}

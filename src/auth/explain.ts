/**
 * Turns a token and a method into the list of checks and rules that decide about them, for `authgw explain`.
 * Floor 2; asks nobody: without keys the signature is left open. Runs the same checks as the gate, all of them, where
 * the gate stops at the first that fails.
 */
import { compactVerify, decodeJwt, decodeProtectedHeader } from 'jose'
import { findKeys, ImportedKeys } from './jwks/cache.ts'
import type { PublicKey } from './jwks/document.ts'
import { judgeClaims, judgeTime, leewayMs } from './jwt/claims.ts'
import { parseToken, type ParsedToken } from './jwt/extract.ts'
import { claimEqualsSan, isBoundToPeer } from './jwt/peer-binding.ts'
import { ownMember } from './jwt/strict-json.ts'
import type { Policy, PolicyDecision, RuleTrace } from './policy/policy.ts'
import { calledMethod } from './policy/subject.ts'
import type { PeerIdentity } from './ports.ts'
import type { ProviderOptions } from './provider.ts'
import { REFUSAL_REASONS, type Principal, type RefusalReason } from './verdict.ts'

/** What is to be explained. */
export interface ExplainQuestion {
  readonly token: string
  /** `/package.Service/Method`. */
  readonly path: string
  readonly peer: PeerIdentity
  readonly wallMs: number
  /** The issuer's keys where they are known; null leaves the signature open. */
  readonly keys: readonly PublicKey[] | null
}

/** One check: passed, failed (with a reason), or left open. */
export interface ExplainedCheck {
  readonly check: 'shape' | 'issuer' | 'claims' | 'binding' | 'time' | 'signature'
  readonly outcome: 'passed' | 'open' | RefusalReason
  /** In one sentence. */
  readonly detail: string
}

/** How a call would be decided. */
export interface Explanation {
  readonly checks: readonly ExplainedCheck[]
  /** null when the token names no configured issuer or its claims are of no use. */
  readonly principal: Principal | null
  /** How each rule takes the call; empty where the claims are of no use. */
  readonly rules: readonly RuleTrace[]
  /** What the policy decides, were the token valid; null where the claims are of no use. */
  readonly decision: PolicyDecision | null
}

const passed = (check: ExplainedCheck['check'], detail: string): ExplainedCheck => ({
  check,
  outcome: 'passed',
  detail,
})
const failed = (check: ExplainedCheck['check'], outcome: RefusalReason): ExplainedCheck => ({
  check,
  outcome,
  detail: REFUSAL_REASONS[outcome].cause,
})

/** Explains what a gate with these providers and this policy would say. Never says the token itself. */
export async function explainCall(
  providers: readonly ProviderOptions[],
  policy: Policy,
  question: ExplainQuestion,
): Promise<Explanation> {
  const parsed = parseToken(question.token)
  if (typeof parsed === 'string') return undecided([failed('shape', parsed)])
  const checks = [
    passed('shape', `A signed JWT, alg ${parsed.header.alg}, kid ${parsed.header.kid ?? 'absent'}.`),
  ]
  const provider = providers.find(({ issuer }) => issuer === ownMember(parsed.claims, 'iss'))
  if (provider === undefined) return undecided([...checks, failed('issuer', 'token_issuer')])
  checks.push(passed('issuer', `The provider ${provider.issuer}.`))
  const claims = judgeClaims(provider, parsed.header, parsed.claims, question.wallMs)
  checks.push(await checkSignature(question.keys, parsed))
  if (typeof claims === 'string') return undecided([...checks, failed('claims', claims)])
  const { principal } = claims
  checks.push(
    passed('claims', `Audience, type, client and lifetime fit; client "${principal.client}".`),
    checkBinding(provider, parsed, question.peer),
    checkTime(judgeTime(claims, question.wallMs, leewayMs(provider))),
  )
  const subject = {
    method: calledMethod(question.path),
    principal,
    claims: claims.all,
    peer: question.peer,
  }
  return { checks, principal, rules: policy.explain(subject), decision: policy.decide(subject) }
}

function undecided(checks: readonly ExplainedCheck[]): Explanation {
  return { checks, principal: null, rules: [], decision: null }
}

function checkBinding(provider: ProviderOptions, parsed: ParsedToken, peer: PeerIdentity): ExplainedCheck {
  const sanClaim = provider.sanClaim ?? null
  const isRight =
    isBoundToPeer(parsed.claims, peer) && (sanClaim === null || claimEqualsSan(parsed.claims, sanClaim, peer))
  return isRight ? passed('binding', 'This peer may present it.') : failed('binding', 'token_binding')
}

function checkTime(time: ReturnType<typeof judgeTime>): ExplainedCheck {
  if (time === 'current') return passed('time', 'Neither expired nor from the future.')
  if (time === 'expired_recently') return failed('time', 'token_expired_recently')
  return failed('time', time === 'expired' ? 'token_expired' : 'token_not_yet_valid')
}

async function checkSignature(
  keys: readonly PublicKey[] | null,
  parsed: ParsedToken,
): Promise<ExplainedCheck> {
  const { alg, kid } = parsed.header
  const match = keys === null ? 'no_keys' : findKeys(keys, kid, alg)
  if (match === 'no_keys')
    return { check: 'signature', outcome: 'open', detail: 'Not checked: the keys are not at hand.' }
  if (typeof match === 'string')
    return failed('signature', match === 'unknown' ? 'token_unknown_key' : 'token_key_unusable')
  const imported = new ImportedKeys()
  for (const key of match) {
    try {
      await compactVerify(parsed.token, await imported.import(key, alg), { algorithms: [alg] })
      return passed('signature', `It verifies with the key ${key.kid ?? key.thumbprint}.`)
    } catch {
      // The next key may be the one.
    }
  }
  return failed('signature', 'token_signature')
}

/** What a token says of itself. Nothing of it is verified, and the signature is not in it. */
export interface DescribedToken {
  readonly header: Readonly<Record<string, unknown>>
  readonly claims: Readonly<Record<string, unknown>>
}

/** Reads a token without judging it, for operators; null for an opaque one. */
export function describeToken(token: string): DescribedToken | null {
  try {
    return { header: { ...decodeProtectedHeader(token) }, claims: decodeJwt(token) }
  } catch {
    return null
  }
}

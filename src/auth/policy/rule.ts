/**
 * Turns one rule of the configuration into a test of a call.
 * Floor 2; knows neither the other rules nor what follows from a match. Fields AND, lists OR, as in Istio.
 */
import { invariant, type ConfigFault } from '../../base/index.ts'
import { isOtlpExport, OTLP_EXPORT_PATHS, type OtlpSignal } from '../otlp-methods.ts'
import type { JsonObject } from '../jwt/strict-json.ts'
import type { Condition, LoadExpression } from './expression.ts'
import { ARROW_PACKAGE, ARROW_SERVICE, type CalledMethod, type PolicySubject } from './subject.ts'
import { claimValues, matchesAny, matchesPeer, patternProblem, principalProblem } from './match.ts'

/** What a rule does to the calls that it matches; `audit` only logs them. */
export type RuleAction = 'allow' | 'deny' | 'audit'

/** One rule. A field that is left out matches everything, but see `to`. */
export interface RuleOptions {
  /** In log lines and in the refusal's text; default `rule-<place, from 1>`. */
  readonly name?: string
  readonly action: RuleAction
  /** Which methods. Left out of an `allow` rule: the OTLP Export methods; of another rule: every method. */
  readonly to?: {
    readonly signals?: readonly OtlpSignal[]
    /** Patterns of `package.Service`. */
    readonly services?: readonly string[]
    /** Patterns of a method's name, or with a slash in them of `/package.Service/Method`. */
    readonly methods?: readonly string[]
  }
  /** Which callers. */
  readonly from?: {
    readonly issuers?: readonly string[]
    readonly clients?: readonly string[]
    readonly subjects?: readonly string[]
    /** SPIFFE IDs and other subject alternative names of the verified client certificate. */
    readonly principals?: readonly string[]
  }
  /** Claims by path, each with a value that matches one of the patterns. */
  readonly when?: readonly { readonly claim: string; readonly anyOf: readonly string[] }[]
  /** A CEL expression that must give true. An error counts as a match of `deny`, and as none of the others. */
  readonly expression?: string
}

/** Which field of a rule did not match; null when all did. */
export type Mismatch = 'to' | 'from' | 'when' | 'expression' | null

/** A loaded rule. */
export interface Rule {
  readonly name: string
  readonly action: RuleAction
  /** Whether its `to` names the OTel-Arrow services themselves: a wildcard does not let them in. */
  readonly namesArrow: boolean
  mismatch(subject: PolicySubject): Mismatch
}

/**
 * Loads the rule at `place` (from 0); faults are added to `faults` with paths under `policy.rules`.
 * @param loadExpression null when no rule has an expression
 */
export function loadRule(
  options: RuleOptions,
  place: number,
  faults: ConfigFault[],
  loadExpression: LoadExpression | null,
): Rule {
  const at = `policy.rules[${place}]`
  checkLists(options, at, faults)
  const condition = loadCondition(options.expression, `${at}.expression`, faults, loadExpression)
  const isDeny = options.action === 'deny'
  return {
    name: options.name ?? `rule-${place + 1}`,
    action: options.action,
    namesArrow: namesArrow(options.to),
    mismatch(subject) {
      if (!matchesTo(options, subject.method)) return 'to'
      if (!matchesFrom(options.from, subject)) return 'from'
      if (!matchesWhen(options.when, subject.claims)) return 'when'
      const outcome = condition === null || condition(subject)
      return outcome === true || (outcome === 'error' && isDeny) ? null : 'expression'
    },
  }
}

function matchesTo(options: RuleOptions, method: CalledMethod): boolean {
  const { to } = options
  if (to === undefined) return options.action !== 'allow' || isOtlpExport(method.path)
  if (to.signals !== undefined && (method.signal === null || !to.signals.includes(method.signal)))
    return false
  if (to.services !== undefined && !matchesAny(to.services, method.service)) return false
  return (
    to.methods === undefined ||
    to.methods.some((pattern) => matchesAny([pattern], pattern.includes('/') ? method.path : method.name))
  )
}

function matchesFrom(from: RuleOptions['from'], subject: PolicySubject): boolean {
  if (from === undefined) return true
  const { principal, peer } = subject
  return (
    (from.issuers === undefined || matchesAny(from.issuers, principal.issuer)) &&
    (from.clients === undefined || matchesAny(from.clients, principal.client)) &&
    (from.subjects === undefined || matchesAny(from.subjects, principal.subject)) &&
    (from.principals === undefined || matchesPeer(from.principals, peer))
  )
}

function matchesWhen(when: RuleOptions['when'], claims: JsonObject): boolean {
  return (when ?? []).every(({ claim, anyOf }) =>
    claimValues(claims, claim).some((value) => matchesAny(anyOf, value)),
  )
}

function namesArrow(to: RuleOptions['to']): boolean {
  const patterns = [
    ...(to?.services ?? []),
    ...(to?.methods ?? []).map((method) => method.replace(/^\//, '')),
  ]
  return patterns.some((pattern) => pattern.startsWith(ARROW_PACKAGE) || ARROW_SERVICE.test(pattern))
}

function checkLists(options: RuleOptions, at: string, faults: ConfigFault[]): void {
  const check = (
    path: string,
    patterns: readonly string[] | undefined,
    judge: (text: string) => string | null,
  ) => {
    if (patterns?.length === 0)
      faults.push(
        fault(path, 'The list is empty, so that nothing matches.', 'Leave the key out, or fill it.'),
      )
    for (const pattern of patterns ?? []) {
      const problem = judge(pattern)
      if (problem !== null)
        faults.push(fault(path, `"${pattern}" ${problem}.`, 'Write a value, prefix*, *suffix or *.'))
    }
  }
  check(`${at}.to.signals`, options.to?.signals, (signal) =>
    Object.hasOwn(OTLP_EXPORT_PATHS, signal) ? null : 'is no signal: traces, metrics, logs or profiles',
  )
  check(`${at}.to.services`, options.to?.services, patternProblem)
  check(`${at}.to.methods`, options.to?.methods, patternProblem)
  check(`${at}.from.issuers`, options.from?.issuers, patternProblem)
  check(`${at}.from.clients`, options.from?.clients, patternProblem)
  check(`${at}.from.subjects`, options.from?.subjects, patternProblem)
  check(`${at}.from.principals`, options.from?.principals, principalProblem)
  for (const [index, { anyOf }] of (options.when ?? []).entries())
    check(`${at}.when[${index}].any_of`, anyOf, patternProblem)
}

function loadCondition(
  text: string | undefined,
  path: string,
  faults: ConfigFault[],
  loadExpression: LoadExpression | null,
): Condition | null {
  if (text === undefined) return null
  invariant(loadExpression !== null, 'a policy with expressions is made by Policy.load')
  const loaded = loadExpression(text)
  if (typeof loaded === 'function') return loaded
  faults.push(fault(path, `The expression ${loaded.problem}.`, 'Correct it; cel.dev describes the language.'))
  return () => 'error'
}

function fault(path: string, problem: string, remedy: string): ConfigFault {
  return { path, position: null, problem, remedy }
}

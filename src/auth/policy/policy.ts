/**
 * Turns rules into the decision on a valid token: may this caller call this method?
 * Floor 2; knows neither signatures nor calls. Deny by default: with no rule, OTLP Export and nothing else.
 */
import { ConfigError, type ConfigFault } from '../../base/index.ts'
import { isOtlpExport } from '../otlp-methods.ts'
import type { LoadExpression } from './expression.ts'
import { matchesPeer, principalProblem } from './match.ts'
import { loadRule, type Mismatch, type Rule, type RuleOptions } from './rule.ts'
import { ARROW_GUARD, isArrowMethod, type PolicySubject } from './subject.ts'

/** Who may do what. */
export interface PolicyOptions {
  readonly rules?: readonly RuleOptions[]
  /** Names of which the client certificate must carry one (`allowed_sans`); empty or left out for no such demand. */
  readonly allowedSans?: readonly string[]
  /** Whether what is denied is only logged; default false. */
  readonly isDryRun?: boolean
}

/** What decided when no rule did: the certificate's names, the OTel-Arrow guard, the default. */
export const BUILT_IN_RULES = ['allowed_sans', ARROW_GUARD, 'default'] as const

/** The decision on a call. */
export interface PolicyDecision {
  readonly isAllowed: boolean
  /** The rule that decided: its name, or one of BUILT_IN_RULES. */
  readonly rule: string
  /** Rules with action `audit` that matched. */
  readonly audited: readonly string[]
}

/** How one rule took a call, for `authgw explain`. */
export interface RuleTrace {
  readonly rule: string
  readonly action: Rule['action']
  /** The field that did not match; null when the rule matched. */
  readonly mismatch: Mismatch
}

/** Loaded rules. Immutable; a reload makes a new one. */
export class Policy {
  readonly isDryRun: boolean
  readonly #allowedSans: readonly string[]
  readonly #rules: readonly Rule[]
  /** In the order of evaluation. */
  readonly #denying: readonly Rule[]
  readonly #allowing: readonly Rule[]
  readonly #auditing: readonly Rule[]

  /** Makes a policy, after loading CEL when a rule has an expression. @throws ConfigError as the constructor does */
  static async load(options: PolicyOptions): Promise<Policy> {
    const hasExpression = options.rules?.some(({ expression }) => expression !== undefined) ?? false
    return new Policy(options, hasExpression ? (await import('./expression.ts')).loadExpression : null)
  }

  /**
   * @param loadExpression needed when a rule has an expression; `Policy.load` gives it
   * @throws ConfigError with every fault of every rule
   */
  constructor(options: PolicyOptions = {}, loadExpression: LoadExpression | null = null) {
    const faults: ConfigFault[] = []
    this.#rules = (options.rules ?? []).map((rule, place) => loadRule(rule, place, faults, loadExpression))
    this.#allowedSans = options.allowedSans ?? []
    for (const pattern of this.#allowedSans) {
      const problem = principalProblem(pattern)
      if (problem !== null)
        faults.push({
          path: 'allowed_sans',
          position: null,
          problem: `"${pattern}" ${problem}.`,
          remedy: 'Write a name, prefix*, *suffix or a SPIFFE ID.',
        })
    }
    faults.push(...duplicateNames(this.#rules))
    if (faults.length > 0) throw new ConfigError(faults)
    this.isDryRun = options.isDryRun ?? false
    this.#denying = this.#rules.filter((rule) => rule.action === 'deny')
    this.#allowing = this.#rules.filter((rule) => rule.action === 'allow')
    this.#auditing = this.#rules.filter((rule) => rule.action === 'audit')
  }

  /** Decides, without regard to the dry run. Order: certificate names, deny rules, allow rules, default. */
  decide(subject: PolicySubject): PolicyDecision {
    const audited = this.#auditing.filter((rule) => rule.mismatch(subject) === null).map((rule) => rule.name)
    const decided = (isAllowed: boolean, rule: string): PolicyDecision => ({ isAllowed, rule, audited })
    if (this.#allowedSans.length > 0 && !matchesPeer(this.#allowedSans, subject.peer))
      return decided(false, 'allowed_sans')
    const denying = this.#denying.find((rule) => rule.mismatch(subject) === null)
    if (denying !== undefined) return decided(false, denying.name)
    const isArrow = isArrowMethod(subject.method)
    const allowing = this.#allowing.find(
      (rule) => (!isArrow || rule.namesArrow) && rule.mismatch(subject) === null,
    )
    if (allowing !== undefined) return decided(true, allowing.name)
    if (isArrow) return decided(false, ARROW_GUARD)
    // Once one rule allows, only what a rule allows passes.
    return decided(this.#allowing.length === 0 && isOtlpExport(subject.method.path), 'default')
  }

  /** How each rule takes the call, in the order in which they were written. */
  explain(subject: PolicySubject): readonly RuleTrace[] {
    return this.#rules.map((rule) => ({
      rule: rule.name,
      action: rule.action,
      mismatch: rule.mismatch(subject),
    }))
  }
}

/** Two rules of one name could not be told apart in a log. */
function duplicateNames(rules: readonly Rule[]): ConfigFault[] {
  const names = rules.map((rule) => rule.name)
  return names.flatMap((name, place) =>
    names.indexOf(name) === place && !(BUILT_IN_RULES as readonly string[]).includes(name)
      ? []
      : [
          {
            path: `policy.rules[${place}].name`,
            position: null,
            problem: `The name "${name}" is taken.`,
            remedy: 'Give each rule a name of its own.',
          },
        ],
  )
}

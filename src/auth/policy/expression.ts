/**
 * Turns a CEL expression into a condition on a call, checked when it is loaded.
 * Floor 2; knows no rule. Evaluated once per verdict, not per call. Imported only when a rule has an expression: the
 * library takes longer to load than all else that a gateway needs.
 * @see https://github.com/google/cel-spec
 */
import { celEnv, isCelError, parse, plan, type CelInput } from '@bufbuild/cel'
import { spiffeId } from '../jwt/peer-binding.ts'
import { isJsonObject } from '../jwt/strict-json.ts'
import type { PolicySubject } from './subject.ts'

/** The outcome of a condition; `error` when it reads a claim that is not there, or gives no boolean. */
export type ConditionOutcome = boolean | 'error'

/** A loaded expression. */
export type Condition = (subject: PolicySubject) => ConditionOutcome

/** Loads an expression; or says what is wrong with it, for the operator. */
export type LoadExpression = (text: string) => Condition | { readonly problem: string }

/** What an expression may name. */
const VARIABLES = ['claims', 'peer', 'issuer', 'subject', 'client', 'path', 'service', 'method', 'signal']
const TYPES = ['bool', 'int', 'uint', 'double', 'string', 'bytes', 'list', 'map', 'null_type', 'type']
const MAX_EXPRESSION_LENGTH = 4_096

/** Loads an expression; or says what is wrong with it, for the operator. */
export function loadExpression(text: string): Condition | { readonly problem: string } {
  if (text.length > MAX_EXPRESSION_LENGTH)
    return { problem: `is longer than ${MAX_EXPRESSION_LENGTH} characters` }
  const env = celEnv()
  try {
    const parsed = parse(text)
    const names = namesIn(parsed.expr)
    const unknown = [...names.identifiers].find((name) => !names.bound.has(name) && !isKnown(name))
    if (unknown !== undefined)
      return { problem: `names ${unknown}, which does not exist; there are ${VARIABLES.join(', ')}` }
    const missing = [...names.functions].find(
      (name) => /^\w+$/.test(name) && env.funcs.find(name) === undefined,
    )
    if (missing !== undefined) return { problem: `calls ${missing}, which does not exist` }
    const evaluate = plan(env, parsed)
    return (subject) => {
      const result = evaluate(bindingsOf(subject))
      return isCelError(result) || typeof result !== 'boolean' ? 'error' : result
    }
  } catch (error) {
    return { problem: `is not CEL: ${error instanceof Error ? error.message : String(error)}` }
  }
}

function isKnown(name: string): boolean {
  return VARIABLES.includes(name) || TYPES.includes(name)
}

interface Names {
  readonly identifiers: Set<string>
  readonly functions: Set<string>
  /** Variables of macros such as `exists(r, …)`. */
  readonly bound: Set<string>
}

/** The names in a syntax tree, without regard to scope: enough to tell a typing error from a claim. */
function namesIn(
  node: unknown,
  names: Names = { identifiers: new Set(), functions: new Set(), bound: new Set() },
): Names {
  if (Array.isArray(node)) for (const item of node as unknown[]) namesIn(item, names)
  if (!isJsonObject(node)) return names
  const type = node['$typeName']
  if (type === 'cel.expr.Expr.Ident') names.identifiers.add(String(node['name']))
  if (type === 'cel.expr.Expr.Call') names.functions.add(String(node['function']))
  if (type === 'cel.expr.Expr.Comprehension')
    for (const part of ['accuVar', 'iterVar', 'iterVar2']) names.bound.add(String(node[part]))
  for (const value of Object.values(node)) if (typeof value === 'object') namesIn(value, names)
  return names
}

function bindingsOf(subject: PolicySubject): Record<string, CelInput> {
  const { principal, method, peer } = subject
  return {
    claims: toCel(subject.claims),
    peer: toCel({
      spiffe_id: spiffeId(peer) ?? '',
      uris: peer.isVerified ? peer.uris : [],
      dns_names: peer.isVerified ? peer.dnsNames : [],
      verified: peer.isVerified,
    }),
    issuer: principal.issuer,
    subject: principal.subject,
    client: principal.client,
    path: method.path,
    service: method.service,
    method: method.name,
    signal: method.signal ?? '',
  }
}

/** JSON as CEL values: objects become maps with string keys, numbers are doubles (CEL compares them with ints). */
function toCel(value: unknown): CelInput {
  if (Array.isArray(value)) return (value as unknown[]).map(toCel)
  if (isJsonObject(value))
    return new Map(Object.entries(value).map(([name, member]) => [name, toCel(member)]))
  return value as string | number | boolean | null
}

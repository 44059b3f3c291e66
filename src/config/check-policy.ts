/**
 * The checks of a policy: rules that can never match, or whose names are not distinct.
 * Floor 1; decides nothing.
 */
import type { Findings } from './findings.ts'
import type { PolicyConfig } from './schema.ts'
import type { KeyPath } from './tree.ts'

/** Checks a policy. `clientAuth`: whether callers show certificates. */
export function checkPolicy(
  policy: PolicyConfig,
  path: KeyPath,
  clientAuth: string,
  findings: Findings,
): void {
  const names = policy.rules.map(({ name }) => name)
  for (const [index, rule] of policy.rules.entries()) {
    const at = [...path, 'rules', index]
    if (rule.name !== undefined && names.indexOf(rule.name) !== index) {
      findings.fault([...at, 'name'], `${rule.name} is there twice`, 'give each rule its own name')
    }
    if (rule.from?.principals !== undefined && clientAuth === 'none') {
      const remedy = 'set listen.tls.client_auth to require'
      findings.fault([...at, 'from', 'principals'], 'can never match: callers show no certificate', remedy)
    }
  }
  if (policy.dryRun) {
    findings.warn([...path, 'dry_run'], 'denials are only logged', 'remove dry_run once the log looks right')
  }
}

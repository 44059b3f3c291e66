/**
 * Who may do what, in Istio's words.
 * Floor 1; decides nothing: auth/policy does.
 * @see https://istio.io/latest/docs/reference/config/security/authorization-policy/
 */
import { z } from 'zod'
import { choice, flag, orElse, text, words } from './fields.ts'
import { section } from './section.ts'

const condition = section('A condition on a claim.', {
  claim: text('Claim to look at; a dot steps into an object, such as realm_access.roles.'),
  any_of: words('Patterns of which one of its values must match; * stands for any rest.'),
})

const rule = section('A rule. Its conditions all hold; within a list any one is enough.', {
  name: orElse(
    text('Name of the rule, as refusals, logs and metrics give it; rule-1 and so on when left out.'),
    '`rule-1`, `rule-2`, …',
  ),
  action: choice('What to do with a call that the rule matches. deny is looked at first; audit only logs.', [
    'allow',
    'deny',
    'audit',
  ]).prefault('allow'),
  from: section('Who calls.', {
    issuers: words('Issuers of the token.').optional(),
    clients: words('client_id or azp of the token.').optional(),
    subjects: words('sub of the token.').optional(),
    principals: words(
      'SPIFFE IDs or other subject alternative names of the verified client certificate; a trailing * matches any rest.',
    ).optional(),
  }).optional(),
  to: section('What is called.', {
    signals: words('OTLP signals.', ['traces', 'metrics', 'logs', 'profiles']).optional(),
    services: words('Full names of gRPC services, such as grpc.health.v1.Health.').optional(),
    methods: words(
      'Methods: Export, or in full /grpc.health.v1.Health/Check; * stands for any rest.',
    ).optional(),
  }).optional(),
  when: z.array(condition).describe('Conditions on claims; all must hold.').optional(),
  expression: text(
    'A CEL expression over claims, method and peer that must be true, where lists are not enough.',
  ).optional(),
})

/** The policy of a role. */
export const policySection = section(
  'Who may call what. Without rules a valid token may call the OTLP Export methods and nothing else.',
  {
    rules: z.array(rule).describe('Rules. Once one allows, only what a rule allows passes.').prefault([]),
    dry_run: flag('Log what would be denied, and let it pass.').prefault(false),
  },
  'Istio',
)

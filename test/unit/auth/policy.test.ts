import { expect, test } from 'vitest'
import { calledMethod, Policy } from '../../../src/auth/index.ts'
import type { PeerIdentity, PolicyOptions, PolicySubject, RuleOptions } from '../../../src/auth/index.ts'
import { InvariantError, type ConfigError } from '../../../src/base/index.ts'
import { loadExpression } from '../../../src/auth/policy/expression.ts'
import { gateBench, permitted, TRACES, verifiedPeer } from '../../support/gate-bench.ts'

const METRICS = '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export'
const LOGS = '/opentelemetry.proto.collector.logs.v1.LogsService/Export'
const PROFILES = '/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export'
const HEALTH = '/grpc.health.v1.Health/Check'
const ARROW = '/opentelemetry.proto.experimental.arrow.v1.ArrowTracesService/ArrowTraces'

const CLAIMS = {
  iss: 'https://idp.example',
  sub: 'sa-workload',
  azp: 'workload',
  scope: 'otlp.write otlp.read',
  groups: ['a', 'ops'],
  realm_access: { roles: ['telemetry', 'x'] },
  'https://example.com/roles': ['writer'],
  level: 3,
  active: true,
}

function subject(path: string, over: Partial<PolicySubject> = {}): PolicySubject {
  return {
    method: calledMethod(path),
    principal: { issuer: CLAIMS.iss, subject: CLAIMS.sub, client: CLAIMS.azp },
    claims: CLAIMS,
    peer: verifiedPeer(),
    ...over,
  }
}

const policyOf = (options: PolicyOptions): Policy => new Policy(options, loadExpression)
const decide = (options: PolicyOptions, path = TRACES, over?: Partial<PolicySubject>): string => {
  const { isAllowed, rule } = policyOf(options).decide(subject(path, over))
  return `${isAllowed ? 'allow' : 'deny'} ${rule}`
}
const rules = (...list: RuleOptions[]): PolicyOptions => ({ rules: list })

test('with no rule, OTLP Export of the four signals passes and nothing else', () => {
  for (const path of [TRACES, METRICS, LOGS, PROFILES]) expect(decide({}, path)).toBe('allow default')
  for (const path of [HEALTH, TRACES.replace('Export', 'Exports'), `${TRACES}2`])
    expect(decide({}, path)).toBe('deny default')
  expect(decide({}, TRACES.toLowerCase())).toBe('deny default')
})

test('deny comes first, then allow; once one rule allows, only what a rule allows passes', () => {
  const allow: RuleOptions = { name: 'a', action: 'allow', to: { signals: ['traces'] } }
  const deny: RuleOptions = { name: 'd', action: 'deny', from: { clients: ['workload'] } }
  expect(decide(rules(allow))).toBe('allow a')
  expect(decide(rules(allow), METRICS)).toBe('deny default')
  expect(decide(rules(allow, deny))).toBe('deny d')
  expect(decide(rules(deny), METRICS)).toBe('deny d')
  expect(decide(rules({ ...deny, from: { clients: ['other'] } }), METRICS)).toBe('allow default')
})

test('an audit rule decides nothing and is reported', () => {
  const policy = policyOf(
    rules({ action: 'audit', name: 'watch' }, { action: 'audit', to: { signals: ['logs'] } }),
  )
  expect(policy.decide(subject(TRACES))).toEqual({ isAllowed: true, rule: 'default', audited: ['watch'] })
})

test('an allow rule without "to" speaks of OTLP Export; a deny rule without it of every method', () => {
  expect(decide(rules({ action: 'allow', from: { clients: ['workload'] } }))).toBe('allow rule-1')
  expect(decide(rules({ action: 'allow', from: { clients: ['workload'] } }), HEALTH)).toBe('deny default')
  expect(decide(rules({ action: 'deny' }), HEALTH)).toBe('deny rule-1')
})

test.each<[string, RuleOptions['to'], string, boolean]>([
  ['a service', { services: ['grpc.health.v1.Health'] }, HEALTH, true],
  ['a service by prefix', { services: ['grpc.*'] }, HEALTH, true],
  ['a service by suffix', { services: ['*.Health'] }, HEALTH, true],
  ['another service', { services: ['grpc.health.v1.Healthy'] }, HEALTH, false],
  ['every service', { services: ['*'] }, HEALTH, true],
  ['a method by name', { methods: ['Check'] }, HEALTH, true],
  ['a method by path', { methods: [HEALTH] }, HEALTH, true],
  ['methods by path prefix', { methods: ['/grpc.health.v1.Health/*'] }, HEALTH, true],
  ['another method', { methods: ['Watch'] }, HEALTH, false],
  ['service and method', { services: ['grpc.*'], methods: ['Watch', 'Check'] }, HEALTH, true],
  ['service but not method', { services: ['grpc.*'], methods: ['Watch'] }, HEALTH, false],
  ['a signal', { signals: ['logs', 'traces'] }, TRACES, true],
  ['another signal', { signals: ['logs'] }, TRACES, false],
  ['a signal and a method that is none', { signals: ['traces'] }, HEALTH, false],
])('to: %s', (_what, to, path, isAllowed) => {
  expect(policyOf(rules({ action: 'allow', to: to! })).decide(subject(path)).isAllowed).toBe(isAllowed)
})

test.each<[string, Partial<RuleOptions>, boolean]>([
  ['the issuer', { from: { issuers: ['https://idp.example'] } }, true],
  ['another issuer', { from: { issuers: ['https://idp.example/'] } }, false],
  ['the client', { from: { clients: ['a', 'workload'] } }, true],
  ['the client by prefix', { from: { clients: ['work*'] } }, true],
  ['the subject', { from: { subjects: ['sa-workload'] } }, true],
  ['client and another subject', { from: { clients: ['workload'], subjects: ['x'] } }, false],
  ['a nested claim', { when: [{ claim: 'realm_access.roles', anyOf: ['admin', 'telemetry'] }] }, true],
  ['a nested claim without the value', { when: [{ claim: 'realm_access.roles', anyOf: ['admin'] }] }, false],
  [
    'a claim with dots in its name',
    { when: [{ claim: 'https://example.com/roles', anyOf: ['writer'] }] },
    true,
  ],
  ['a scope', { when: [{ claim: 'scope', anyOf: ['otlp.write'] }] }, true],
  ['half a scope', { when: [{ claim: 'scope', anyOf: ['otlp'] }] }, false],
  ['a number', { when: [{ claim: 'level', anyOf: ['3'] }] }, true],
  ['a boolean', { when: [{ claim: 'active', anyOf: ['true'] }] }, true],
  ['an object', { when: [{ claim: 'realm_access', anyOf: ['*'] }] }, false],
  ['a missing claim', { when: [{ claim: 'a.b.c', anyOf: ['*'] }] }, false],
  ['a member of the prototype', { when: [{ claim: 'constructor.name', anyOf: ['*'] }] }, false],
  ['a claim that is there', { when: [{ claim: 'groups', anyOf: ['*'] }] }, true],
  [
    'two claims, one of which fails',
    {
      when: [
        { claim: 'groups', anyOf: ['ops'] },
        { claim: 'x', anyOf: ['*'] },
      ],
    },
    false,
  ],
  ['CEL over arrays', { expression: '"ops" in claims.groups && client == "workload"' }, true],
  [
    'CEL over nested claims',
    { expression: 'claims.realm_access.roles.exists(r, r.startsWith("tele"))' },
    true,
  ],
  ['CEL with numbers', { expression: 'claims.level >= 3 && claims.active' }, true],
  [
    'CEL with the method',
    { expression: 'signal == "traces" && method == "Export" && service.endsWith("TraceService")' },
    true,
  ],
  ['CEL with a regular expression', { expression: 'subject.matches("^sa-[a-z]+$") && issuer != path' }, true],
  ['CEL with has()', { expression: 'has(claims.tenant) && claims.tenant == "x"' }, false],
  ['CEL that reads a missing claim', { expression: 'claims.tenant == "x"' }, false],
  ['CEL that gives no boolean', { expression: 'claims.level' }, false],
  [
    'CEL with the peer',
    { expression: 'peer.verified && peer.spiffe_id == "" && size(peer.uris) == 0' },
    true,
  ],
])('a caller is told by %s', (_what, rule, matches) => {
  expect(policyOf(rules({ action: 'allow', ...rule })).decide(subject(TRACES)).isAllowed).toBe(matches)
})

test('an expression that fails makes a deny rule match, and no other', () => {
  const expression = 'claims.tenant == "x"'
  expect(decide(rules({ action: 'deny', expression }))).toBe('deny rule-1')
  expect(decide(rules({ action: 'allow', expression }))).toBe('deny default')
  expect(policyOf(rules({ action: 'audit', expression })).decide(subject(TRACES)).audited).toEqual([])
})

const peer = (over: Partial<PeerIdentity>): PeerIdentity => verifiedPeer(over)

test.each<[string, string[], Partial<PeerIdentity>, boolean]>([
  ['a SPIFFE ID', ['spiffe://td.example/ns/a'], { uris: ['spiffe://td.example/ns/a'] }, true],
  ['a SPIFFE ID by path prefix', ['spiffe://td.example/ns/*'], { uris: ['spiffe://td.example/ns/a'] }, true],
  ['a trust domain', ['spiffe://td.example'], { uris: ['spiffe://td.example/ns/a'] }, true],
  ['another trust domain', ['spiffe://td.example'], { uris: ['spiffe://td.example.evil/ns/a'] }, false],
  [
    'two URIs are no identity',
    ['spiffe://td.example/*'],
    { uris: ['spiffe://td.example/a', 'spiffe://x/b'] },
    false,
  ],
  ['a DNS name', ['w.example.org'], { dnsNames: ['w.example.org'] }, true],
  ['a DNS name in other case', ['W.example.org'], { dnsNames: ['w.example.org'] }, true],
  ['DNS names by suffix', ['*.example.org'], { dnsNames: ['w.example.org'] }, true],
  ['a suffix does not match a URI', ['*/a'], { uris: ['spiffe://evil.example/a'] }, false],
  ['another URI', ['urn:uuid:1'], { uris: ['urn:uuid:1'] }, true],
  ['any verified certificate', ['*'], {}, true],
  ['an unverified certificate', ['*'], { isVerified: false, dnsNames: ['w.example.org'] }, false],
  ['an unverified name', ['w.example.org'], { isVerified: false, dnsNames: ['w.example.org'] }, false],
  [
    'a malformed SPIFFE ID',
    ['spiffe://TD.example/*'.toLowerCase()],
    { uris: ['spiffe://td.example/a b'] },
    false,
  ],
])('principals: %s', (_what, principals, over, isAllowed) => {
  const policy = policyOf(rules({ action: 'allow', from: { principals } }))
  expect(policy.decide(subject(TRACES, { peer: peer(over) })).isAllowed).toBe(isAllowed)
  const sans = policyOf({ allowedSans: principals })
  expect(sans.decide(subject(TRACES, { peer: peer(over) }))).toMatchObject({
    isAllowed,
    rule: isAllowed ? 'default' : 'allowed_sans',
  })
})

test('OTel-Arrow passes only where a rule names its service: its batches carry headers of their own', () => {
  expect(decide({}, ARROW)).toBe('deny otel_arrow')
  expect(decide(rules({ action: 'allow', to: { services: ['*'] } }), ARROW)).toBe('deny otel_arrow')
  expect(decide(rules({ action: 'allow', to: { methods: ['*'] } }), ARROW)).toBe('deny otel_arrow')
  const service = ARROW.slice(1, ARROW.lastIndexOf('/'))
  for (const to of [
    { services: [service] },
    { methods: [ARROW] },
    { services: [`${service.slice(0, 40)}*`] },
  ])
    expect(decide(rules({ action: 'allow', to }), ARROW)).toBe('allow rule-1')
})

test('faults of rules are all listed, with path and remedy', () => {
  const bad: RuleOptions[] = [
    {
      action: 'allow',
      name: 'twice',
      to: { services: ['a*b', ''], methods: ['*x*'], signals: ['spans' as 'traces'] },
    },
    {
      action: 'allow',
      name: 'twice',
      from: { principals: ['spiffe://td*', 'spiffe://td.example*'], clients: [] },
    },
    { action: 'deny', when: [{ claim: 'x', anyOf: ['*a*'] }], expression: 'claims.x ==' },
    { action: 'deny', expression: 'claim.x == 1' },
    { action: 'deny', expression: 'includes(claims.x, 1)' },
    { action: 'deny', name: 'default', expression: 'x'.repeat(5_000) },
  ]
  let faults: ConfigError['faults'] = []
  try {
    expect(policyOf({ rules: bad, allowedSans: ['a*b'] })).toBeUndefined()
  } catch (error) {
    faults = (error as ConfigError).faults
  }
  expect(faults.map((fault) => fault.path)).toEqual([
    'policy.rules[0].to.signals',
    'policy.rules[0].to.services',
    'policy.rules[0].to.services',
    'policy.rules[0].to.methods',
    'policy.rules[1].from.clients',
    'policy.rules[1].from.principals',
    'policy.rules[1].from.principals',
    'policy.rules[2].when[0].any_of',
    'policy.rules[2].expression',
    'policy.rules[3].expression',
    'policy.rules[4].expression',
    'policy.rules[5].expression',
    'allowed_sans',
    'policy.rules[1].name',
    'policy.rules[5].name',
  ])
  expect(faults.find(({ path }) => path === 'policy.rules[3].expression')?.problem).toContain('names claim,')
  expect(faults.find(({ path }) => path === 'policy.rules[4].expression')?.problem).toContain(
    'calls includes',
  )
  expect(faults.every((fault) => fault.remedy !== '')).toBe(true)
})

test('explain says for each rule which field did not match', () => {
  const policy = policyOf(
    rules(
      { action: 'deny', to: { signals: ['logs'] } },
      { action: 'allow', from: { clients: ['x'] } },
      { action: 'allow', when: [{ claim: 'x', anyOf: ['y'] }] },
      { action: 'allow', expression: 'false' },
      { action: 'audit', name: 'all' },
    ),
  )
  expect(policy.explain(subject(TRACES))).toEqual([
    { rule: 'rule-1', action: 'deny', mismatch: 'to' },
    { rule: 'rule-2', action: 'allow', mismatch: 'from' },
    { rule: 'rule-3', action: 'allow', mismatch: 'when' },
    { rule: 'rule-4', action: 'allow', mismatch: 'expression' },
    { rule: 'all', action: 'audit', mismatch: null },
  ])
})

test('a dry run lets pass what the policy would deny, counts it and says so once in 10 s', async () => {
  const { admitMinted, gate, lines } = await gateBench({
    policy: {
      isDryRun: true,
      rules: [
        { action: 'deny', name: 'no' },
        { action: 'audit', name: 'eye' },
      ],
    },
  })
  permitted(await admitMinted())
  permitted(await admitMinted())
  expect(gate.stats).toMatchObject({ dryRunDenials: 2, audited: 2, accepted: 2 })
  expect(lines.filter((line) => line['reason'] === 'dry_run no')).toHaveLength(1)
  expect(lines.filter((line) => line['rule'] === 'eye')).toHaveLength(1)
})

test('a policy is loaded with CEL when a rule has an expression; without the language it is a bug to make one', async () => {
  const withExpression = rules({ name: 'cel', action: 'allow', expression: 'client == "workload"' })
  const loaded = await Policy.load(withExpression)
  expect(loaded.decide(subject(TRACES)).rule).toBe('cel')
  expect((await Policy.load({})).decide(subject(TRACES)).rule).toBe('default')
  expect(() => new Policy(withExpression)).toThrow(InvariantError)
  await expect(Policy.load(rules({ action: 'deny', expression: 'claim.x' }))).rejects.toThrow(
    'configuration has 1 fault',
  )
})

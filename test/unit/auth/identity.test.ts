import { expect, test } from 'vitest'
import { checkClaimHeaders, IdentityFields, isReservedFieldName } from '../../../src/auth/index.ts'
import { fieldValue } from '../../../src/auth/identity.ts'
import { gateBench, permitted } from '../../support/gate-bench.ts'

test.each<[string, unknown, string | null]>([
  ['a string', 'acme', 'acme'],
  ['a number', 7, '7'],
  ['a boolean', false, 'false'],
  ['an array', ['a', 'b'], 'a,b'],
  ['an array with a comma in a member cannot become two', ['a,b'], 'a%2Cb'],
  ['a member that looks encoded already', ['a%2Cb'], 'a%252Cb'],
  ['a comma outside an array', 'a,b', 'a,b'],
  ['CR, LF and NUL', 'a\r\nx-admin: 1\0', 'a%0D%0Ax-admin: 1%00'],
  ['non-ASCII', 'Jürgen', 'J%C3%BCrgen'],
  ['a lone surrogate', 'a\uD800', 'a%EF%BF%BD'],
  ['a percent sign', '100%', '100%25'],
  ['spaces at the ends', ' a b ', '%20a b%20'],
  ['DEL', '\x7f', '%7F'],
  ['an object', { a: 1 }, null],
  ['an array of objects', [{ a: 1 }], null],
  ['null', null, null],
  ['a missing claim', undefined, null],
  ['an empty array', [], ''],
])('%s becomes a safe field value', (_what, claim, value) => {
  expect(fieldValue(claim)).toBe(value)
})

test('claim_to_headers puts nested claims into fields of their own, lower-cased', async () => {
  const { admitMinted, gate } = await gateBench({
    gate: {
      claimHeaders: [
        { headerName: 'X-Scope-OrgID', claimName: 'tenant' },
        { headerName: 'x-roles', claimName: 'realm_access.roles' },
        { headerName: 'x-absent', claimName: 'nope' },
        { headerName: 'x_authgw_subject', claimName: 'email' },
        { headerName: 'x-long', claimName: 'long' },
      ],
    },
  })
  const claims = {
    tenant: 'acme',
    realm_access: { roles: ['a', 'b,c'] },
    email: 'a@b.example',
    long: 'x'.repeat(3_000),
  }
  expect(
    permitted(await admitMinted({ claims })).fields.filter(([name]) => name !== 'x-authgw-issuer'),
  ).toEqual([
    ['x_authgw_subject', 'a@b.example'],
    ['x-authgw-client', 'workload'],
    ['x-scope-orgid', 'acme'],
    ['x-roles', 'a,b%2Cc'],
  ])
  expect(gate.stats.claimsTooLong).toBe(1)
})

test('callers cannot send identity themselves: the namespace and every mapped name is reserved, "_" as "-"', () => {
  const fields = new IdentityFields([{ headerName: 'X-Scope-OrgID', claimName: 'tenant' }])
  for (const name of [
    'x-authgw-anything',
    'X-Authgw-Subject',
    'x_authgw_subject',
    'x-authgw_hop',
    'x-scope_orgid',
    'x-scope-orgid',
    'x-forwarded-client-cert',
    'X_Forwarded_Client_Cert',
  ])
    expect([name, fields.isReserved(name)]).toEqual([name, true])
  for (const name of ['x-authg', 'x-scope', 'authorization', 'user-agent'])
    expect([name, fields.isReserved(name)]).toEqual([name, false])
  expect([...fields.reservedNames]).toEqual(['x-forwarded-client-cert', 'x-scope-orgid'])
  expect(isReservedFieldName('x-authgw-subject')).toBe(true)
  expect(isReservedFieldName('x-scope-orgid')).toBe(false)
})

test('names that have a meaning of their own are refused at load', () => {
  const names = [
    ':path',
    'grpc-timeout',
    'GRPC_Status',
    'te',
    'Content-Type',
    'content_type',
    'host',
    'connection',
    'Keep-Alive',
    'transfer-encoding',
    'upgrade',
    'authorization',
    'x-forwarded-client-cert',
    'authgw-reason',
    'trace-bin',
    'with space',
    'ümlaut',
    '',
  ]
  for (const headerName of names)
    expect([headerName, checkClaimHeaders([{ headerName, claimName: 'sub' }], 'p').length]).toEqual([
      headerName,
      1,
    ])
  expect(
    checkClaimHeaders(
      [
        { headerName: 'x-a', claimName: 'a' },
        { headerName: 'X_A', claimName: '' },
      ],
      'oidc.claim_to_headers',
    ).map(({ path, problem }) => [path, problem]),
  ).toEqual([
    ['oidc.claim_to_headers[1].header_name', '"X_A" is named twice ("_" equals "-").'],
    ['oidc.claim_to_headers[1].claim_name', 'The claim has no name.'],
  ])
})

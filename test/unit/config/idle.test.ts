import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  controlPlaneYaml,
  makeConfigFolder,
  workloadYaml,
  type ConfigFolder,
} from '../../support/config-folder.ts'

let folder: ConfigFolder
beforeAll(async () => {
  folder = await makeConfigFolder()
  folder.write('keys.json', '{"keys": [{}]}')
  folder.write('assertion', 'x.y.z')
})
afterAll(() => folder.remove())

/** Places and problems of the warnings about keys without effect. */
const idle = (yaml: string): string[] =>
  folder
    .load(yaml)
    .warnings.filter(({ problem }) => problem.startsWith('has no effect'))
    .map(({ path, problem }) => `${path} ${problem}`)

const grant = (more: string): string => workloadYaml().replace('    client_id: workload\n', `$&${more}`)
const provider = (more: string): string =>
  controlPlaneYaml().replace('audience: control-plane', `$&, ${more}`)
const signing = 'client_certificate_key_file: client-key.pem'

test.each<[what: string, yaml: () => string, warnings: string[]]>([
  ['what is in order says nothing', () => workloadYaml(), []],
  [
    'claims of a JWT that nobody signs',
    () => grant('    claims: {a: b}\n    iss: me\n'),
    ['iss', 'claims'].map(
      (key) =>
        `workload.oauth2client.${key} has no effect unless the client signs the JWT of a jwt-bearer grant`,
    ),
  ],
  [
    'a signing key beside a secret',
    () => grant(`    ${signing}\n    signature_algorithm: ES256\n    audience: x\n`),
    ['client_certificate_key_file', 'signature_algorithm', 'audience'].map(
      (key) => `workload.oauth2client.${key} has no effect where the client signs no JWT`,
    ),
  ],
  [
    'a signing key that is used',
    () => grant(`    ${signing}\n    auth_style: private_key_jwt\n`),
    ['workload.oauth2client.client_secret_file has no effect with auth_style: private_key_jwt'],
  ],
  [
    'a token to exchange with client credentials, and an assertion beside a secret',
    () =>
      grant(
        '    subject_token_file: assertion\n    client_assertion_file: assertion\n    auth_style: post\n',
      ),
    [
      'workload.oauth2client.subject_token_file has no effect with grant_type: client_credentials',
      'workload.oauth2client.client_assertion_file has no effect with auth_style: post',
    ],
  ],
  [
    'discovery beside the address that it would find',
    () =>
      grant('    token_url: https://idp.example.com/token\n    discovery_url: https://idp.example.com/d\n'),
    ['workload.oauth2client.discovery_url has no effect with token_url'],
  ],
  [
    'an authority and discovery beside a local key file',
    () =>
      provider(
        'public_keys_file: keys.json, issuer_ca_path: ca.pem, discovery_url: https://idp.example.com/d',
      ),
    ['discovery_url', 'issuer_ca_path'].map(
      (key) => `control_plane.oidc.providers[0].${key} has no effect with public_keys_file`,
    ),
  ],
  [
    'names and versions of TLS beside insecure',
    () =>
      workloadYaml()
        .replace('control-plane.example.com:4317', 'localhost:5317')
        .replace('tls: {', 'tls: {insecure: true, server_name_override: x, min_version: "1.3", '),
    ['ca_file', 'cert_file', 'key_file', 'min_version', 'server_name_override'].map(
      (key) => `workload.upstream.tls.${key} has no effect with insecure: true`,
    ),
  ],
])('%s', (_what, yaml, warnings) => {
  expect(idle(yaml()).sort()).toEqual([...warnings].sort())
})

test('a listener trusts clients by client_ca_file alone: ca_file beside it gives a warning, and is not read', () => {
  const yaml = controlPlaneYaml().replace('client_ca_file: ca.pem', '$&, ca_file: stranger-ca.pem')
  const { warnings } = folder.load(yaml)
  expect(warnings).toMatchObject([
    { path: 'control_plane.listen.tls.ca_file', problem: expect.stringContaining('client_ca_file') },
  ])
})

test('rules, lists and authorities that nobody would apply are refused, not ignored', () => {
  const open = controlPlaneYaml()
    .replace(/ {2}oidc:[\s\S]*/, '')
    .concat('  unsafe_allow: [no_authentication]\n  policy: {rules: [{name: none, action: deny}]}\n')
  expect(folder.faults(open)).toMatchObject([
    { path: 'control_plane.policy', problem: 'would not be applied: without oidc every call passes' },
  ])
  const bare = workloadYaml()
    .replace(/ {2}oauth2client:[\s\S]*/, '')
    .concat('  unsafe_allow: [no_credential]\n  allow_methods: [a.B]\n')
  expect(folder.faults(bare)).toMatchObject([
    { path: 'workload.allow_methods', problem: 'would not be applied: without a token every method passes' },
  ])
  const unasked = controlPlaneYaml().replace('client_ca_file: ca.pem', '$&, client_auth: none')
  expect(folder.faults(unasked)).toMatchObject([
    { path: 'control_plane.listen.tls.client_ca_file', problem: 'has no effect without client certificates' },
  ])
})

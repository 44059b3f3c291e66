import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { controlPlaneYaml, makeConfigFolder, workloadYaml } from '../../support/config-folder.ts'
import type { ConfigFolder } from '../../support/config-folder.ts'

let folder: ConfigFolder
beforeAll(async () => {
  folder = await makeConfigFolder()
})
afterAll(() => folder.remove())

const replaced = (yaml: string, from: string, to: string): string => {
  expect(yaml).toContain(from)
  return yaml.replace(from, to)
}

/** What is changed in a sound configuration, and the one fault that it must give. */
type Case = readonly [title: string, from: string, to: string, fault: Record<string, string | RegExp>]

const expected = (fault: Record<string, string | RegExp>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(fault).map(([key, value]) => [
      key,
      value instanceof RegExp ? expect.stringMatching(value) : value,
    ]),
  )

const WORKLOAD: readonly Case[] = [
  [
    'an unknown key is refused with a suggestion',
    'client_id:',
    'clientid:',
    {
      path: 'workload.oauth2client.clientid',
      position: 'config.yaml:8:5',
      problem: 'is an unknown key',
      remedy: 'did you mean client_id?',
    },
  ],
  [
    'a key from another section is sent there',
    '  oauth2client:\n',
    '  clock_skew: 30s\n  oauth2client:\n',
    {
      path: 'workload.clock_skew',
      position: 'config.yaml:6:3',
      remedy: 'move it: clock_skew stands in control_plane.oidc',
    },
  ],
  [
    'a key of the top level in a section is sent there',
    '  oauth2client:\n',
    '  workers: 2\n  oauth2client:\n',
    { path: 'workload.workers', remedy: 'move it to the top level: workers stands in no section' },
  ],
  [
    'a size with a unit in a key that counts MiB is refused',
    'listen: {endpoint: localhost:4317}',
    'listen: {endpoint: localhost:4317, max_recv_msg_size_mib: 4MiB}',
    {
      path: 'workload.listen.max_recv_msg_size_mib',
      problem: 'is "4MiB", not a number of MiB',
      remedy: 'write a whole number, without a unit: 4 is 4 MiB',
    },
  ],
  [
    'a size beyond what gRPC can carry is out of range, in the unit of its key',
    'listen: {endpoint: localhost:4317}',
    'listen: {endpoint: localhost:4317, max_recv_msg_size_mib: 4096}',
    {
      path: 'workload.listen.max_recv_msg_size_mib',
      problem: 'is 4096 MiB, out of range',
      remedy: 'write 1 to 2048',
    },
  ],
  [
    'the address of the discovery document is no issuer',
    'https://keycloak.example.com/realms/opentelemetry',
    'https://keycloak.example.com/realms/opentelemetry/.well-known/openid-configuration',
    {
      path: 'workload.oauth2client.issuer_url',
      remedy: 'write https://keycloak.example.com/realms/opentelemetry; the rest is found from there',
    },
  ],
  [
    'a number where a section belongs is a wrong type',
    'listen: {endpoint: localhost:4317}',
    'listen: 4317',
    {
      path: 'workload.listen',
      position: 'config.yaml:2:3',
      problem: 'is 4317, not a section',
      remedy: /indented/,
    },
  ],
  [
    'a bare number as a duration gets its unit suggested',
    'client_id: workload',
    'client_id: workload\n    timeout: 5',
    {
      path: 'workload.oauth2client.timeout',
      position: 'config.yaml:9:5',
      problem: 'is 5, not a duration',
      remedy: 'write its unit: 5s',
    },
  ],
  [
    'an unquoted number as a name is to be quoted',
    'client_id: workload',
    'client_id: 0123',
    { path: 'workload.oauth2client.client_id', remedy: 'put it in quotes' },
  ],
  [
    'a missing file is named with its absolute path',
    'ca_file: ca.pem',
    'ca_file: nope.pem',
    {
      path: 'workload.upstream.tls.ca_file',
      position: 'config.yaml:5:11',
      problem: 'nope.pem does not exist',
      remedy: /put the file there/,
    },
  ],
  [
    'a folder in the place of a file is refused',
    'ca_file: ca.pem',
    'ca_file: .',
    { path: 'workload.upstream.tls.ca_file', problem: /is a folder$/ },
  ],
  [
    'a key that does not match its certificate is refused',
    'key_file: client-key.pem',
    'key_file: stray-key.pem',
    {
      path: 'workload.upstream.tls.key_file',
      position: 'config.yaml:5:51',
      problem: 'is not the private key of client.pem',
      remedy: 'name the key that was made together with the certificate',
    },
  ],
  [
    'a certificate in the place of a key is refused',
    'key_file: client-key.pem',
    'key_file: client.pem',
    { path: 'workload.upstream.tls.key_file', problem: 'holds no private key in PEM' },
  ],
  [
    'a key in the place of a certificate is refused',
    'cert_file: client.pem',
    'cert_file: client-key.pem',
    { path: 'workload.upstream.tls.cert_file', remedy: 'name the certificate; this is a private key' },
  ],
  [
    'a certificate without its key is refused',
    ', key_file: client-key.pem',
    '',
    { path: 'workload.upstream.tls.key_file', problem: 'is required with cert_file' },
  ],
  [
    'a plaintext listener that the network reaches is refused',
    'endpoint: localhost:4317',
    'endpoint: 0.0.0.0:4317',
    {
      path: 'workload.listen.endpoint',
      position: 'config.yaml:2:12',
      problem: '0.0.0.0:4317 would be open to the network in plaintext',
      remedy: /unsafe_allow: \[plaintext\]/,
    },
  ],
  [
    'a plaintext upstream off this machine is refused',
    'tls: {ca_file: ca.pem, cert_file: client.pem, key_file: client-key.pem}',
    'tls: {insecure: true}',
    {
      path: 'workload.upstream.tls.insecure',
      position: 'config.yaml:5:11',
      problem: 'calls to control-plane.example.com:4317 would leave this machine in plaintext',
      remedy: /unsafe_allow: \[insecure\]/,
    },
  ],
  [
    'an unverified upstream is refused',
    'tls: {',
    'tls: {insecure_skip_verify: true, ',
    { path: 'workload.upstream.tls.insecure_skip_verify', remedy: /unsafe_allow: \[insecure_skip_verify\]/ },
  ],
  [
    'an http issuer off this machine is refused',
    'https://keycloak',
    'http://keycloak',
    {
      path: 'workload.oauth2client.issuer_url',
      position: 'config.yaml:7:5',
      problem: /is not https/,
      remedy: /unsafe_allow: \[http_issuer\]/,
    },
  ],
  [
    'a URL with a password in it is refused without being shown',
    'https://keycloak',
    'https://user:hunter2@keycloak',
    { path: 'workload.oauth2client.issuer_url', problem: 'holds a user name or password' },
  ],
  [
    'an upstream that is the listener itself is refused',
    'endpoint: control-plane.example.com:4317',
    'endpoint: 127.0.0.1:4317',
    { path: 'workload.upstream.endpoint', problem: 'is the address this role listens on' },
  ],
  [
    'an environment variable that is not set is one fault, not two',
    'client_id: workload',
    'client_id: ${env:NOT_SET}',
    {
      path: 'workload.oauth2client.client_id',
      position: 'config.yaml:8:5',
      problem: 'the environment variable NOT_SET is not set',
    },
  ],
  [
    'a client without a secret is refused',
    '    client_secret_file: secret\n',
    '',
    { path: 'workload.oauth2client.client_secret_file', problem: 'is required and missing' },
  ],
  [
    'an authentication without its material is refused',
    'client_id: workload',
    'client_id: workload\n    auth_style: private_key_jwt',
    {
      path: 'workload.oauth2client.client_certificate_key_file',
      problem: 'is required with auth_style: private_key_jwt',
    },
  ],
  [
    'a token exchange without a token to exchange is refused',
    'client_id: workload',
    'client_id: workload\n    grant_type: urn:ietf:params:oauth:grant-type:token-exchange',
    { path: 'workload.oauth2client.subject_token_file' },
  ],
  [
    'two ways to a token are refused',
    '  oauth2client:\n',
    '  bearertokenauth: {filename: secret}\n  oauth2client:\n',
    { path: 'workload.bearertokenauth.filename', problem: /two ways to a token/ },
  ],
  [
    'a token in a field of the protocol is refused',
    '  oauth2client:\n',
    '  bearertokenauth: {header: content-type}\n  oauth2client:\n',
    { path: 'workload.bearertokenauth.header', problem: '"content-type" belongs to the protocol' },
  ],
  [
    'a route to an identity that is not there is refused',
    '  oauth2client:\n',
    '  routes: [{prefix: /, identity: other}]\n  oauth2client:\n',
    {
      path: 'workload.routes[0].identity',
      position: 'config.yaml:6:24',
      problem: 'no identity is called other',
    },
  ],
]

describe('the workload role', () => {
  test('the sound configuration has no fault', () => {
    expect(folder.faults(workloadYaml())).toEqual([])
  })

  test.each(WORKLOAD)('%s', (_, from, to, fault) => {
    expect(folder.faults(replaced(workloadYaml(), from, to))).toEqual([
      expect.objectContaining(expected(fault)),
    ])
  })

  test('a role without any way to a token is refused', () => {
    const yaml = workloadYaml().replace(/ {2}oauth2client:[\s\S]*/, '')
    expect(folder.faults(yaml)).toMatchObject([
      { path: 'workload.oauth2client', position: 'config.yaml:1:1' },
    ])
  })
})

const CONTROL_PLANE: readonly Case[] = [
  [
    'a provider without an audience is refused',
    ', audience: control-plane',
    '',
    {
      path: 'control_plane.oidc.providers[0].audience',
      position: 'config.yaml:7:17',
      remedy: /such as control-plane/,
    },
  ],
  [
    'tokens for anyone are refused',
    'audience: control-plane',
    'ignore_audience: true',
    { path: 'control_plane.oidc.providers[0].ignore_audience', remedy: /unsafe_allow: \[ignore_audience\]/ },
  ],
  [
    'TLS without a CA for clients is refused, unless that is said',
    ', client_ca_file: ca.pem',
    '',
    {
      path: 'control_plane.listen.tls.client_ca_file',
      problem: /clients must show a certificate/,
      remedy: /client_auth: none/,
    },
  ],
  [
    'a mistyped word is refused with the one that was meant',
    'client_ca_file: ca.pem',
    'client_ca_file: ca.pem, client_auth: requires',
    {
      path: 'control_plane.listen.tls.client_auth',
      problem: /not one of require, optional, none/,
      remedy: 'did you mean require?',
    },
  ],
  [
    'an unreadable set of keys is refused',
    'audience: control-plane',
    'audience: control-plane, public_keys_file: secret',
    { path: 'control_plane.oidc.providers[0].public_keys_file', problem: 'holds no key set' },
  ],
  [
    'the same issuer twice is refused',
    'providers: [',
    'providers: [{issuer_url: https://keycloak.example.com/realms/opentelemetry, audience: a}, ',
    { path: 'control_plane.oidc.providers[1].issuer_url', problem: 'is there twice' },
  ],
  [
    'both forms of provider at once are refused',
    '  oidc:\n',
    '  oidc:\n    issuer_url: https://a.example.com\n',
    { path: 'control_plane.oidc.issuer_url', problem: 'contradicts providers' },
  ],
  [
    'a claim in a field of the protocol is refused',
    '  oidc:\n',
    '  oidc:\n    claim_to_headers: [{header_name: grpc-status, claim_name: sub}]\n',
    { path: 'control_plane.oidc.claim_to_headers[0].header_name', problem: /belongs to the protocol/ },
  ],
  [
    'clocks that differ by more than five minutes are refused',
    '  oidc:\n',
    '  oidc:\n    clock_skew: 10m\n',
    { path: 'control_plane.oidc.clock_skew', remedy: 'write at most 300s' },
  ],
  [
    'a rule about certificates that nobody shows is refused',
    'client_ca_file: ca.pem}',
    'client_auth: none}\n  policy: {rules: [{from: {principals: [x]}}]}',
    {
      path: 'control_plane.policy.rules[0].from.principals',
      problem: 'can never match: callers show no certificate',
    },
  ],
  [
    'a cipher that HTTP/2 forbids is refused',
    'client_ca_file: ca.pem',
    'client_ca_file: ca.pem, cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]',
    { path: 'control_plane.listen.tls.cipher_suites', problem: /TLS_RSA_WITH_AES_128_CBC_SHA/ },
  ],
  [
    'the admin endpoint on the port of a role is refused',
    'control_plane:\n',
    'admin: {endpoint: localhost:4317}\ncontrol_plane:\n',
    {
      path: 'admin.endpoint',
      position: 'config.yaml:1:9',
      problem: 'localhost:4317 is taken by control_plane.listen.endpoint',
      remedy: 'give each its own port',
    },
  ],
  [
    'a stream window above that of its connection is refused',
    'control_plane:\n',
    'limits: {max_stream_window: 8MiB}\ncontrol_plane:\n',
    { path: 'limits.max_stream_window', problem: 'is above limits.connection_window' },
  ],
  [
    'a drain that ends before it begins is refused',
    'control_plane:\n',
    'drain: {delay: 30s}\ncontrol_plane:\n',
    { path: 'drain.delay', problem: 'is not shorter than drain.timeout' },
  ],
  [
    'a section of a collector is refused as such',
    'control_plane:\n',
    'receivers: {}\ncontrol_plane:\n',
    { path: 'receivers', remedy: /belongs to a collector/ },
  ],
]

describe('the control plane role', () => {
  test('the sound configuration has no fault', () => {
    expect(folder.faults(controlPlaneYaml())).toEqual([])
  })

  test.each(CONTROL_PLANE)('%s', (_, from, to, fault) => {
    expect(folder.faults(replaced(controlPlaneYaml(), from, to))).toEqual([
      expect.objectContaining(expected(fault)),
    ])
  })

  test('a role that checks no token is refused, and let through when that is meant', () => {
    const yaml = controlPlaneYaml().replace(/ {2}oidc:[\s\S]*/, '')
    expect(folder.faults(yaml)).toMatchObject([{ path: 'control_plane.oidc' }])
    const { warnings } = folder.load(`${yaml}  unsafe_allow: [no_authentication]\n`)
    expect(warnings).toMatchObject([{ path: 'control_plane.unsafe_allow' }])
  })
})

describe('both roles and the file as a whole', () => {
  test('two roles on one port are refused', () => {
    expect(folder.faults(workloadYaml(controlPlaneYaml()))).toEqual([
      {
        path: 'control_plane.listen.endpoint',
        position: 'config.yaml:12:5',
        problem: '0.0.0.0:4317 is taken by workload.listen.endpoint',
        remedy: 'give each its own port',
      },
    ])
  })

  test('a role with a mistyped name is one fault, not two', () => {
    const yaml = replaced(workloadYaml(), 'workload:', 'workloads:')
    expect(folder.faults(yaml)).toMatchObject([{ path: 'workloads', remedy: 'did you mean workload?' }])
  })

  test('a key that is there twice is named, each time', () => {
    const twice = 'admin: {endpoint: localhost:9464}\n'
    expect(folder.faults(`${workloadYaml()}${twice}${twice}${twice}`)).toMatchObject(
      [{ problem: 'admin is there twice', remedy: /^keep one/ }, { problem: 'admin is there twice' }].map(
        (fault) => expected(fault),
      ),
    )
  })

  test.each([
    ['a tab', '  listen:', '\tlisten:', 'config.yaml:2:1', 'indent by spaces'],
    [
      'an open brace',
      '{endpoint: localhost:4317}',
      '{endpoint: localhost:4317',
      'config.yaml:3:3',
      /^close the \{/,
    ],
    [
      'a key out of line',
      '    client_id:',
      '   client_id:',
      'config.yaml:8:1',
      /^mend the YAML; indentation/,
    ],
  ])('%s is one fault of form, with its place', (_, from, to, position, remedy) => {
    const faults = folder.faults(replaced(workloadYaml(), from, to))
    expect(faults).toMatchObject([expected({ position, remedy })])
  })

  test('a file that is not UTF-8 says so', () => {
    const file = join(folder.path, 'latin1.yaml')
    writeFileSync(file, Buffer.from('workload: {client_id: B\xfcro}', 'latin1'))
    expect(folder.faults('', { files: [file] })).toMatchObject([{ problem: 'the file is not UTF-8' }])
  })

  test('no role at all is refused', () => {
    expect(folder.faults('admin: {endpoint: localhost:9464}')).toMatchObject([
      { path: '', position: 'config.yaml:1:1', problem: 'no role is configured' },
    ])
  })

  test('faults of every kind are listed at once, in the order of the lines', () => {
    const yaml = controlPlaneYaml()
      .replace('0.0.0.0:4317', 'localhost')
      .replace('client_ca_file', 'client_ca_fil')
      .replace('upstream:', 'upstreem:')
      .replace('server-key.pem', 'gone.pem')
      .replace(', audience: control-plane', '')
      .replace('https://', 'http://')
    expect(
      folder.faults(`${yaml}limits: {frame_timeout: soon}\n`).map(({ position, path }) => [position, path]),
    ).toEqual([
      ['config.yaml:3:5', 'control_plane.listen.endpoint'],
      ['config.yaml:4:34', 'control_plane.listen.tls.key_file'],
      ['config.yaml:4:54', 'control_plane.listen.tls.client_ca_fil'],
      ['config.yaml:5:3', 'control_plane.upstreem'],
      ['config.yaml:7:17', 'control_plane.oidc.providers[0].audience'],
      ['config.yaml:7:18', 'control_plane.oidc.providers[0].issuer_url'],
      ['config.yaml:8:10', 'limits.frame_timeout'],
    ])
  })

  test.each([
    ['a: [1', 'config.yaml:1:6'],
    ['workload:\n  listen: x\n  listen: y\n', 'config.yaml:3:3'],
    ['- a\n- b\n', 'config.yaml:1:1'],
    ['__proto__: {a: b}\nadmin: {}\n', 'config.yaml:1:1'],
  ])('%j is refused with its place', (yaml, position) => {
    expect(folder.faults(yaml)).toEqual(expect.arrayContaining([expect.objectContaining({ position })]))
    expect(({} as Record<string, unknown>)['a']).toBeUndefined()
  })

  test('an alias bomb is refused', () => {
    const levels = Array.from(
      { length: 8 },
      (_, i) => `l${i + 1}: &l${i + 1} [${Array(9).fill(`*l${i}`).join(', ')}]`,
    )
    const faults = folder.faults(`l0: &l0 [x]\n${levels.join('\n')}\n`)
    expect(faults).toEqual(
      expect.arrayContaining([expect.objectContaining({ problem: 'the file is too large' })]),
    )
  })

  test('a configuration file that is not there is a fault like any other', () => {
    const [fault] = folder.faults('', { files: [join(folder.path, 'none.yaml')] })
    expect(fault).toMatchObject({ position: 'none.yaml', problem: 'the file does not exist' })
  })

  test('a file for a secret with nothing in it is refused at start, not by the provider', () => {
    folder.write('empty-secret', '\n')
    const yaml = replaced(workloadYaml(), 'client_secret_file: secret', 'client_secret_file: empty-secret')
    expect(folder.faults(yaml)).toMatchObject([
      { path: 'workload.oauth2client.client_secret_file', problem: 'empty-secret is empty' },
    ])
  })

  test('no fault shows a secret', () => {
    const yaml = replaced(workloadYaml(), 'client_secret_file: secret', 'client_secret: {hunter2: hunter2}')
    const all = JSON.stringify([
      folder.faults(yaml),
      folder.faults(replaced(workloadYaml(), 'client_secret_file: secret', 'client_secret: *hunter2')),
      folder.faults(replaced(workloadYaml(), 'upstream:\n', 'upstream:\n    headers: {a: [hunter2]}\n')),
    ])
    expect(all).not.toContain('hunter2')
    expect(all).toContain('workload.oauth2client.client_secret')
  })
})

describe('files', () => {
  test.skipIf(process.getuid?.() === 0)('a file that this user may not read is refused', () => {
    const file = folder.write('locked', 'x')
    chmodSync(file, 0)
    const yaml = replaced(workloadYaml(), 'client_secret_file: secret', 'client_secret_file: locked')
    expect(folder.faults(yaml)).toMatchObject([{ problem: 'locked cannot be read' }])
  })

  test('a secret that everyone may read, and certificates near or past their end, give warnings', () => {
    chmodSync(folder.write('open-secret', 'x'), 0o644)
    const yaml = workloadYaml()
      .replace('client_secret_file: secret', 'client_secret_file: open-secret')
      .replace(
        'cert_file: client.pem, key_file: client-key.pem',
        'cert_file: expired-client.pem, key_file: expired-client-key.pem',
      )
    expect(folder.load(yaml).warnings).toMatchObject([
      { path: 'workload.upstream.tls.cert_file', problem: expect.stringContaining('has expired on') },
      { path: 'workload.oauth2client.client_secret_file', remedy: expect.stringContaining('chmod 600') },
    ])
    const nowMs = Date.now() + 362 * 86_400_000
    expect(folder.load(workloadYaml(), { nowMs }).warnings).toMatchObject([
      { path: 'workload.upstream.tls.cert_file', problem: expect.stringContaining('expires on') },
    ])
  })

  test('a key under a passphrase is refused with the way to take it off', () => {
    // In parts: scanners for secrets take the whole for one.
    const label = ['ENCRYPTED', 'PRIVATE', 'KEY-----'].join(' ')
    folder.write('locked-key.pem', `-----BEGIN ${label}\nMIIB\n-----END ${label}\n`)
    const yaml = replaced(workloadYaml(), 'client-key.pem', 'locked-key.pem')
    expect(folder.faults(yaml)).toMatchObject([{ problem: 'holds a private key under a passphrase' }])
  })

  test('a CA file without a certificate, and one with a leaf, are told apart', () => {
    const noCa = replaced(workloadYaml(), 'ca_file: ca.pem', 'ca_file: secret')
    expect(folder.faults(noCa)).toMatchObject([
      { path: 'workload.upstream.tls.ca_file', problem: 'holds no certificate in PEM' },
    ])
    const leaf = replaced(workloadYaml(), 'ca_file: ca.pem', 'ca_file: server.pem')
    expect(folder.load(leaf).warnings).toMatchObject([
      { problem: 'certificate 1 in it is not that of an authority' },
    ])
  })

  test('the folder of kept keys must be a folder', () => {
    mkdirSync(join(folder.path, 'keys'), { recursive: true })
    const withCache = (name: string): string =>
      replaced(controlPlaneYaml(), '  oidc:\n', `  oidc:\n    key_cache_directory: ${name}\n`)
    expect(folder.faults(withCache('keys'))).toEqual([])
    expect(folder.faults(withCache('secret'))).toMatchObject([{ problem: 'secret is no folder' }])
  })

  test('without looking at files, missing ones are no fault', () => {
    const yaml = replaced(workloadYaml(), 'ca_file: ca.pem', 'ca_file: nope.pem')
    expect(folder.faults(yaml, { checksFiles: false })).toEqual([])
  })
})

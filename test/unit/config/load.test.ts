import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { SIGNATURE_ALGORITHMS } from '../../../src/base/index.ts'
import { MASK, printConfig, renderConfigurationPage, renderJsonSchema } from '../../../src/config/index.ts'
import { CONFIG_SCHEMA } from '../../../src/config/schema.ts'
import { shapeOf } from '../../../src/config/section.ts'
import type { Shape } from '../../../src/config/section.ts'
import { controlPlaneYaml, makeConfigFolder, workloadYaml } from '../../support/config-folder.ts'
import type { ConfigFolder } from '../../support/config-folder.ts'

let folder: ConfigFolder
beforeAll(async () => {
  folder = await makeConfigFolder()
})
afterAll(() => folder.remove())

test('durations are read as ms, sizes as bytes, paths from the folder of their file', () => {
  const { config } = folder.load(
    `${workloadYaml('  max_stream_duration: 1h30m\n')}limits: {max_header_list_size: 32KiB, frame_timeout: 1.5s}\n`,
  )
  expect(config.workload).toMatchObject({
    maxStreamDurationMs: 5_400_000,
    listen: { isPlaintext: true, maxRecvMsgBytes: 64 * 2 ** 20 },
    upstream: { isPlaintext: false, tls: { caFile: join(folder.path, 'ca.pem'), minVersion: '1.2' } },
    oauth2client: { timeoutMs: 5_000, clientSecretFile: join(folder.path, 'secret') },
  })
  expect(config.limits).toMatchObject({
    maxHeaderListBytes: 32_768,
    frameTimeoutMs: 1_500,
    stallBytesBytes: 16_384,
  })
  expect(config.drain).toEqual({ delayMs: 3_000, timeoutMs: 25_000 })
})

test('a duration of 0 is never, where never has a meaning', () => {
  const { config } = folder.load(`${workloadYaml()}limits: {idle_timeout: 0}\n`)
  expect(config.limits.idleTimeoutMs).toBe(Infinity)
  expect(config.workload?.maxStreamDurationMs).toBe(Infinity)
})

test('an upstream without tls is dialled in plaintext on this machine, with TLS elsewhere', () => {
  const away = workloadYaml().replace(/\n {4}tls: .*/, '')
  const near = away.replace('control-plane.example.com:4317', 'unix:///run/otlp.sock')
  expect(folder.load(away).config.workload?.upstream.isPlaintext).toBe(false)
  expect(folder.load(near).config.workload?.upstream.isPlaintext).toBe(true)
})

test('an empty tls section asks for TLS with the trust of the system', () => {
  const yaml = workloadYaml().replace(/tls: \{.*\}/, 'tls:')
  expect(folder.load(yaml).config.workload?.upstream).toMatchObject({
    isPlaintext: false,
    tls: { insecure: false },
  })
})

test('client certificates are required where their CA is named', () => {
  const tlsOf = (yaml: string) => folder.load(yaml).config.controlPlane?.listen.tls
  expect(tlsOf(controlPlaneYaml())?.clientAuth).toBe('require')
  expect(tlsOf(controlPlaneYaml().replace('client_ca_file: ca.pem', 'client_auth: none'))?.clientAuth).toBe(
    'none',
  )
})

test('the old form with one issuer is read as one provider, and audience as one of audiences', () => {
  const yaml = controlPlaneYaml().replace(
    /providers: .*/,
    'issuer_url: https://a.example.com\n    audience: control-plane\n    audiences: [other]',
  )
  expect(folder.load(yaml).config.controlPlane?.oidc?.providers).toMatchObject([
    { issuerUrl: 'https://a.example.com', audiences: ['control-plane', 'other'], ignoreAudience: false },
  ])
})

test('every algorithm that a signature can be verified with can be configured', () => {
  const list = SIGNATURE_ALGORITHMS.join(', ')
  const yaml = controlPlaneYaml().replace('audience: control-plane', `$&, algorithms: [${list}]`)
  const [provider] = folder.load(yaml).config.controlPlane!.oidc!.providers
  expect(provider!.algorithms).toEqual([...SIGNATURE_ALGORITHMS])
  expect(provider!.algorithms).toContain('Ed25519')
})

test('later files win key by key, lists are replaced whole, and relative paths keep their own folder', () => {
  folder.write(
    'base.yaml',
    `${workloadYaml('  allow_methods: [a.B, c.D]\n')}admin: {endpoint: localhost:1}\n`,
  )
  folder.write('over.yaml', 'workload: {allow_methods: [e.F], oauth2client: {client_id: other}}\n')
  const files = ['base.yaml', 'over.yaml'].map((name) => join(folder.path, name))
  const { config } = folder.load('', { files })
  expect(config.workload).toMatchObject({
    allowMethods: ['e.F'],
    oauth2client: { clientId: 'other', clientSecretFile: join(folder.path, 'secret') },
  })
  expect(config.admin.endpoint).toMatchObject({ port: 1 })
})

test('settings of the command line win over files, and their faults say so', () => {
  const settings = ['admin.endpoint=localhost:2', 'workload.oauth2client.scopes=[a, b]', 'workers=3']
  const { config } = folder.load(workloadYaml(), { settings })
  expect(config.admin.endpoint).toMatchObject({ port: 2 })
  expect(config.workload?.oauth2client?.scopes).toEqual(['a', 'b'])
  expect(config.workers).toBe(3)
  expect(folder.faults(workloadYaml(), { settings: ['workload.oauth2client.timeout=5'] })).toMatchObject([
    { path: 'workload.oauth2client.timeout', position: '--set workload.oauth2client.timeout' },
  ])
  expect(folder.faults(workloadYaml(), { settings: ['no-value'] })).toMatchObject([{ position: '--set' }])
  expect(folder.faults(workloadYaml(), { settings: ['__proto__.x=1'] })).toMatchObject([
    { position: '--set' },
  ])
})

test('a setting reaches into a list', () => {
  const settings = ['control_plane.oidc.providers.0.audience=other']
  const { config } = folder.load(controlPlaneYaml(), { settings })
  expect(config.controlPlane?.oidc?.providers[0]?.audiences).toEqual(['other'])
})

test('values from the environment and from files are taken for numbers and booleans too', () => {
  folder.write('id.txt', 'workload-7\n')
  const yaml = workloadYaml('  bearertokenauth: {overwrite: "${env:OVERWRITE}"}\n').replace(
    'client_id: workload',
    'client_id: ${file:id.txt}',
  )
  const { config } = folder.load(
    `${yaml}workers: \${env:WORKERS:-2}\nlimits: {max_connections: "\${env:MAX}"}\n`,
    {
      env: { OVERWRITE: 'false', MAX: '17' },
    },
  )
  expect(config).toMatchObject({
    workers: 2,
    limits: { maxConnections: 17 },
    workload: { oauth2client: { clientId: 'workload-7' }, bearertokenauth: { overwrite: 'keep' } },
  })
})

test('what the environment holds stays a value: it cannot add keys', () => {
  const yaml = workloadYaml().replace('client_id: workload', 'client_id: ${env:ID}')
  const { config } = folder.load(yaml, { env: { ID: 'a\nunsafe_allow: [http_issuer]' } })
  expect(config.workload?.oauth2client).toMatchObject({ clientId: 'a\nunsafe_allow: [http_issuer]' })
  expect(config.workload?.oauth2client?.unsafeAllow).toBeUndefined()
})

test('anchors, aliases and merge keys are understood', () => {
  const yaml = `${controlPlaneYaml()}workload:
  listen: &listen {endpoint: localhost:6317, max_recv_msg_size_mib: 4}
  upstream: {<<: *listen, endpoint: localhost:7317, max_recv_msg_size_mib: 4}
  unsafe_allow: [no_credential]
`
  expect(folder.faults(yaml)).toMatchObject([{ path: 'workload.upstream.max_recv_msg_size_mib' }])
})

test("a collector's own words without effect here are taken with a warning", () => {
  const yaml = workloadYaml().replace(
    '    tls:',
    '    compression: gzip\n    sending_queue: {enabled: true}\n    retry_on_failure: {enabled: true}\n    tls:',
  )
  expect(
    folder.load(yaml).warnings.map(({ path, position }) => [path, position?.replace(/.*\//, '')]),
  ).toEqual([
    ['workload.upstream.compression', 'config.yaml:5:5'],
    ['workload.upstream.sending_queue', 'config.yaml:6:5'],
    ['workload.upstream.retry_on_failure', 'config.yaml:7:5'],
  ])
})

test.each([
  ['workload.listen', workloadYaml().replace('localhost:4317}', '0.0.0.0:4317, unsafe_allow: [plaintext]}')],
  [
    'workload.upstream.tls',
    workloadYaml().replace(/tls: .*/, 'tls: {insecure: true, unsafe_allow: [insecure]}'),
  ],
  [
    'workload.upstream.tls',
    workloadYaml().replace(
      'tls: {',
      'tls: {insecure_skip_verify: true, unsafe_allow: [insecure_skip_verify], ',
    ),
  ],
  ['workload.oauth2client', workloadYaml('    unsafe_allow: [http_issuer]\n').replace('https://', 'http://')],
  [
    'control_plane.oidc.providers',
    controlPlaneYaml().replace(
      'audience: control-plane',
      'ignore_audience: true, unsafe_allow: [ignore_audience]',
    ),
  ],
])('a weakening word in %s that is meant loads, with a warning', (path, yaml) => {
  expect(folder.load(yaml).warnings).toEqual([
    expect.objectContaining({ path: expect.stringContaining(path) }),
  ])
})

test('plaintext to a collector on this machine and an http issuer on loopback need no leave', () => {
  const yaml = workloadYaml()
    .replace('https://keycloak.example.com', 'http://127.0.0.1:8080')
    .replace('control-plane.example.com:4317', 'localhost:5317')
    .replace(/tls: .*/, 'tls: {insecure: true}')
  expect(folder.load(yaml).warnings).toEqual([])
})

test('a printed configuration shows what is in force, and no secret', () => {
  const yaml = workloadYaml('  bearertokenauth: {}\n')
    .replace(
      'client_secret_file: secret',
      'client_secret: hunter2\n    endpoint_params: {audience: a, api_key: hunter2}',
    )
    .replace('    tls:', '    headers: {x-tenant: hunter2}\n    tls:')
  const { tree } = folder.load(yaml)
  const text = printConfig(tree)
  expect(text).not.toContain('hunter2')
  expect(parse(text)).toMatchObject({
    workload: {
      oauth2client: {
        client_id: 'workload',
        client_secret: MASK,
        endpoint_params: { audience: 'a', api_key: MASK },
        timeout: '5s',
      },
      upstream: { headers: { 'x-tenant': MASK } },
      bearertokenauth: { scheme: 'Bearer' },
    },
    drain: { delay: '3s' },
    limits: { max_header_list_size: '64KiB' },
  })
  expect(parse(printConfig(tree, false))).not.toHaveProperty('limits')
})

test('a printed configuration can be loaded again', () => {
  const { tree, config } = folder.load(workloadYaml())
  expect(folder.load(printConfig(tree)).config).toEqual(config)
})

/** Every key of the schema, with the section it stands in. */
function leaves(shape: Shape, path: string): { path: string; shape: Shape }[] {
  const own = shape.item === null ? [] : leaves(shapeOf(shape.item), `${path}[]`)
  return Object.entries(shape.keys).reduce((all, [key, schema]) => {
    const inner = shapeOf(schema)
    const at = path === '' ? key : `${path}.${key}`
    return [...all, { path: at, shape: inner }, ...leaves(inner, at)]
  }, own)
}

test('every key has a sentence that says what it means', () => {
  const all = leaves(shapeOf(CONFIG_SCHEMA), '')
  expect(all.length).toBeGreaterThan(150)
  expect(
    all
      .filter(({ shape }) => !/^\S.{8,}[.:]$/s.test(shape.description) && shape.kind === 'leaf')
      .map(({ path }) => path),
  ).toEqual([])
})

test('the generated page says what holds where a key is left out', () => {
  const page = renderConfigurationPage()
  const dashed = leaves(shapeOf(CONFIG_SCHEMA), '').filter(
    ({ shape }) =>
      shape.isOptional && shape.meta?.noEffect === undefined && shape.meta?.fallback === undefined,
  )
  // A sentence that says so, and a column that shows nothing, would contradict each other.
  expect(dashed.filter(({ shape }) => shape.description.includes('when left out'))).toEqual([])
  expect(page).toContain(
    '| `client_auth` | one of require, optional, none | `require` with client_ca_file, else `none` |',
  )
  expect(page).toMatch(
    /\| `max_concurrent_streams` \| whole number \| 250; 1000 on loopback and UNIX sockets \|/,
  )
  expect(page).toMatch(/\| `key_cache_directory` \| path \| – \| .*mode 0700/)
})

test('the generated page names every key once, and the schema for editors refuses unknown ones', () => {
  const page = renderConfigurationPage()
  for (const { path } of leaves(shapeOf(CONFIG_SCHEMA), '')) {
    expect(page).toContain(`| \`${path.split('.').at(-1)!.replace('[]', '')}\` |`)
  }
  const headings = page.match(/^## .*$/gm) ?? []
  expect(new Set(headings).size).toBe(headings.length)
  const schema = JSON.parse(renderJsonSchema()) as {
    additionalProperties: unknown
    properties: object
    $schema: string
  }
  expect(schema.additionalProperties).toBe(false)
  expect(schema.$schema).toContain('2020-12')
  expect(Object.keys(schema.properties)).toEqual(Object.keys(shapeOf(CONFIG_SCHEMA).keys))
})

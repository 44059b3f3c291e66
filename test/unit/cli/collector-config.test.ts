import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { runProgram } from '../../../src/cli/index.ts'
import { captureIo } from '../../support/capture-io.ts'
import { controlPlaneYaml, makeConfigFolder, workloadYaml } from '../../support/config-folder.ts'
import type { ConfigFolder } from '../../support/config-folder.ts'

/** The parts of a collector's configuration that are looked at. */
interface CollectorYaml {
  readonly receivers: { readonly otlp: { readonly protocols: { readonly grpc: object } } }
  readonly exporters: { readonly otlp_grpc: { readonly endpoint: string; readonly tls: object } }
  readonly processors: {
    readonly 'resource/authgw': { readonly attributes: readonly object[] }
    readonly batch: { readonly metadata_keys: readonly string[] }
  }
  readonly service: {
    readonly extensions: readonly string[]
    readonly pipelines: Readonly<Record<string, { readonly processors: readonly string[] }>>
  }
}

let folder: ConfigFolder
beforeAll(async () => {
  folder = await makeConfigFolder()
})
afterAll(() => folder.remove())

async function print(yaml: string, ...args: string[]) {
  const { io, text } = captureIo()
  const file = folder.write('collector.yaml', yaml)
  const parts = { io, startRoles: () => Promise.reject(new Error()), pages: () => Promise.resolve([]) }
  const code = await runProgram(['print-collector-config', '-c', file, ...args], parts)
  return { code, text, yaml: (text.out === '' ? {} : parse(text.out)) as CollectorYaml }
}

test('beside the workload role: an exporter that never gives up, with a queue on disk', async () => {
  const { code, yaml } = await print(workloadYaml())
  expect(code).toBe(0)
  expect(yaml.exporters.otlp_grpc).toMatchObject({
    endpoint: 'localhost:4317',
    tls: { insecure: true },
    retry_on_failure: { enabled: true, max_elapsed_time: 0 },
    sending_queue: { enabled: true, storage: 'file_storage' },
  })
  expect(yaml.service.extensions).toEqual(['file_storage'])
  expect(Object.keys(yaml.service.pipelines)).toEqual(['traces', 'metrics', 'logs'])
})

test.each([
  ['unix:///run/authgw/otlp.sock', 'unix:///run/authgw/otlp.sock'],
  ["'[::1]:4317'", '[::1]:4317'],
  ["'0.0.0.0:4317', unsafe_allow: [plaintext]", 'localhost:4317'],
])('a listener at %s is dialled at %s', async (listens, dialled) => {
  const { yaml } = await print(workloadYaml().replace('{endpoint: localhost:4317}', `{endpoint: ${listens}}`))
  expect(yaml.exporters.otlp_grpc.endpoint).toBe(dialled)
})

test('a workload listener with TLS is dialled with TLS', async () => {
  const listen = '{endpoint: localhost:4317, tls: {cert_file: server.pem, key_file: server-key.pem}}'
  const { yaml } = await print(workloadYaml().replace('{endpoint: localhost:4317}', listen))
  expect(yaml.exporters.otlp_grpc.tls).toEqual({ ca_file: 'ca.pem' })
})

test('behind the control plane role: metadata of the call becomes attributes that no sender can forge', async () => {
  const claims = 'claim_to_headers: [{header_name: X-Scope-OrgID, claim_name: tenant.id}]'
  const { yaml } = await print(controlPlaneYaml(`    ${claims}\n`))
  expect(yaml.receivers.otlp.protocols.grpc).toEqual({
    endpoint: 'localhost:5317',
    max_recv_msg_size_mib: 64,
    include_metadata: true,
  })
  expect(yaml.processors['resource/authgw'].attributes.slice(-2)).toEqual([
    { key: 'authgw.tenant.id', action: 'delete' },
    { key: 'authgw.tenant.id', from_context: 'metadata.x-scope-orgid', action: 'insert' },
  ])
  expect(yaml.processors.batch.metadata_keys).toEqual([
    'x-authgw-client',
    'x-authgw-subject',
    'x-authgw-issuer',
    'x-scope-orgid',
  ])
  expect(yaml.service.pipelines['logs']?.processors).toEqual(['resource/authgw', 'batch'])
})

test.each([
  ['unix:///run/otelcol.sock', { endpoint: '/run/otelcol.sock', transport: 'unix' }],
  ['dns:///collector.internal:5317', { endpoint: '0.0.0.0:5317', tls: { cert_file: 'collector.pem' } }],
])('an upstream at %s is received where it is dialled', async (endpoint, expected) => {
  const { yaml } = await print(
    controlPlaneYaml().replace('{endpoint: localhost:5317}', `{endpoint: ${endpoint}}`),
  )
  expect(yaml.receivers.otlp.protocols.grpc).toMatchObject(expected)
})

test('with both roles the operator says which is meant', async () => {
  const both = workloadYaml() + controlPlaneYaml().replace('0.0.0.0:4317', '0.0.0.0:14317')
  const unclear = await print(both)
  expect(unclear.code).toBe(2)
  expect(unclear.text.err).toContain('both roles')
  expect((await print(both, '--role', 'control-plane')).yaml).toHaveProperty('processors')
  expect((await print(both, '--role', 'workload')).yaml).toHaveProperty('exporters.otlp_grpc')
  expect((await print(workloadYaml(), '--role', 'control-plane')).code).toBe(2)
})

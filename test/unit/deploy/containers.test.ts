import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { PROJECT, projectFiles, readProjectFile } from '../../support/project-files.ts'

interface Service {
  image: string
  read_only?: boolean
  cap_drop?: string[]
  stop_grace_period?: string
  ulimits?: { core?: number }
  network_mode?: string
  volumes?: string[]
  ports?: string[]
  environment?: Record<string, string>
}
const compose = parse(readProjectFile('deploy/compose/compose.yaml'), { merge: true }) as {
  services: Record<string, Service>
}
const services = Object.entries(compose.services)

test('the image is not root, has no shell form, and asks authgw itself for its health', () => {
  const lines = readProjectFile('Dockerfile').split('\n')
  const last = lines.slice(lines.findLastIndex((line) => line.startsWith('FROM ')))
  expect(last[0]).toMatch(/distroless\/nodejs26/)
  expect(last).toContain('USER 65532:65532')
  expect(last.filter((line) => line.startsWith('RUN '))).toEqual([])
  for (const line of last.filter((one) => /^(ENTRYPOINT|CMD|\s+CMD) /.test(one)))
    expect(JSON.parse(line.slice(line.indexOf('[')))).toBeInstanceOf(Array)
  expect(last.join(' ')).toMatch(/HEALTHCHECK .*"healthcheck", "--config", "\/etc\/authgw\/config\.yaml"/)
})

test('the image is built from what the build reads and from nothing else', () => {
  const rules = readProjectFile('.dockerignore')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  expect(rules[0]).toBe('*')
  const allowed = rules.slice(1).map((rule) => rule.slice(1))
  const copied = [...readProjectFile('Dockerfile').matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((match) =>
    match[1]!.split(' '),
  )
  expect(allowed.sort()).toEqual([...new Set(copied)].sort())
  for (const file of allowed) expect([file, existsSync(join(PROJECT, file))]).toEqual([file, true])
})

test('no authgw of the composition may leave a core dump, nor the image by the command that it names', () => {
  const ours = services.filter(([, { image }]) => image.startsWith('authgw:'))
  expect(ours.map(([name]) => name)).toEqual(['certs', 'workload-authgw', 'control-plane-authgw'])
  for (const [name, { ulimits }] of ours) expect([name, ulimits]).toEqual([name, { core: 0 }])
  expect(readProjectFile('Dockerfile')).toMatch(/^# {3}docker run .*--ulimit core=0 .* authgw$/m)
  expect(readProjectFile('docs/operations/running.md')).toMatch(/^LimitCORE=0$/m)
})

test('every image of the composition has a version', () => {
  for (const [name, { image }] of services)
    expect([name, image]).toEqual([name, expect.stringMatching(/:v?\d+\.\d+/)])
})

test('what it mounts is there, or is made as its README says', () => {
  const made = /^\.\/(certs|queue)(\/|$)/
  for (const [name, { volumes = [] }] of services)
    for (const volume of volumes) {
      const source = volume.split(':')[0]!
      const isThere = made.test(source) || existsSync(join(PROJECT, 'deploy/compose', source))
      expect([name, source, isThere]).toEqual([name, source, true])
    }
})

test('authgw and the collectors can write nothing, have no capabilities, and time to drain', () => {
  const ours = services.filter(([name]) => /authgw|agent|collector/.test(name))
  expect(ours).toHaveLength(5)
  for (const [, service] of ours)
    expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], stop_grace_period: '30s' })
})

test('authgw shares the network of its collector, so that plaintext between them stays on loopback', () => {
  expect(compose.services['workload-authgw']!.network_mode).toBe('service:workload-collector')
  expect(compose.services['control-plane-collector']!.network_mode).toBe('service:control-plane-authgw')
})

test('every port is published on loopback only', () => {
  for (const [name, { ports = [] }] of services)
    for (const port of ports) expect([name, port]).toEqual([name, expect.stringMatching(/^127\.0\.0\.1:/)])
})

test('no secret stands in a file of the deployment: each comes from the operator', () => {
  for (const file of [...projectFiles('.yaml', 'deploy'), ...projectFiles('.json', 'deploy')]) {
    const text = readProjectFile(file).replaceAll(/(^|\s)#.*$/gm, '')
    expect(text).not.toMatch(/-----BEGIN/)
    for (const match of text.matchAll(/["']?(?:client_)?(?:secret|password)["']?: *["']?([^\s"',}]+)/gi))
      expect([file, match[1]]).toEqual([file, expect.stringMatching(/^(\$\{|\{|\[|null$)/)])
  }
})

test('the realm gives the client "workload" tokens for the audience "control-plane", and nothing else to log in with', () => {
  const realm = JSON.parse(readProjectFile('deploy/pattern-5/opentelemetry-realm.json')) as {
    clients: { clientId: string; [key: string]: unknown }[]
  }
  const client = realm.clients.find(({ clientId }) => clientId === 'workload')!
  expect(client).toMatchObject({
    secret: '${WORKLOAD_CLIENT_SECRET}',
    publicClient: false,
    serviceAccountsEnabled: true,
    standardFlowEnabled: false,
    implicitFlowEnabled: false,
    directAccessGrantsEnabled: false,
  })
  expect(JSON.stringify(client['protocolMappers'])).toContain('"included.client.audience":"control-plane"')
})

test('the pattern’s certificate requests are those of certs/', () => {
  for (const [copy, original] of [
    ['ca', 'ca.csr'],
    ['control-plane', 'control-plane.csr'],
    ['workload', 'workload.csr'],
    ['signing', 'signing'],
  ] as const)
    expect(readProjectFile(`deploy/pattern-5/csr/${copy}.json`)).toBe(
      readProjectFile(`certs/${original}.json`),
    )
})

test('the workload’s exporter never gives up and keeps its queue on disk, everywhere', () => {
  for (const file of [
    'deploy/pattern-5/workload-collector.yaml',
    'deploy/kubernetes/workload/files/collector.yaml',
  ]) {
    const { exporters } = parse(readProjectFile(file)) as { exporters: Record<string, object> }
    expect(exporters['otlp_grpc']).toMatchObject({
      retry_on_failure: { max_elapsed_time: 0 },
      sending_queue: { storage: 'file_storage' },
    })
  }
})

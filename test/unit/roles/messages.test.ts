import { afterAll, beforeAll, expect, test } from 'vitest'
import { withoutCredentials } from '../../../src/roles/messages.ts'
import { reloadable } from '../../../src/roles/reload.ts'
import {
  controlPlaneYaml,
  makeConfigFolder,
  workloadYaml,
  type ConfigFolder,
} from '../../support/config-folder.ts'
import { plainConfig } from '../../support/worker-bench.ts'

let folder: ConfigFolder
beforeAll(async () => {
  folder = await makeConfigFolder()
})
afterAll(() => folder.remove())

test('a configuration survives the way to a worker, infinities and all', () => {
  const { config } = folder.load(`${workloadYaml()}${controlPlaneYaml().replace('4317', '4318')}workers: 2\n`)
  expect(config.controlPlane!.maxStreamDurationMs).toBe(Infinity)
  expect(structuredClone(config)).toEqual(config)
})

test('a worker gets none of the client’s credentials, of whichever identity', () => {
  const grant = `oauth2client:
    issuer_url: https://keycloak.example.com/realms/opentelemetry
    client_id: workload
    client_secret: marker-secret
    endpoint_params: {password: marker-parameter}
`
  const identities = `  identities:
    - name: one
      oauth2client: {issuer_url: 'https://idp.example.com', client_id: a, client_secret: marker-one}
    - name: two
      bearertokenauth: {filename: secret}
  routes: [{prefix: /, identity: one}]
`
  const upstream = `workload:
  listen: {endpoint: localhost:4317}
  upstream: {endpoint: localhost:5317}
`
  const one = folder.load(`${upstream}  ${grant}`).config
  const several = folder.load(`${upstream}${identities}`).config
  for (const config of [one, several]) {
    expect(JSON.stringify(config)).toContain('marker')
    expect(JSON.stringify(withoutCredentials(config))).not.toContain('marker')
  }
  expect(withoutCredentials(one).workload!.oauth2client!.clientId).toBe('workload')
  expect(withoutCredentials(several).workload!.identities!.map(({ name }) => name)).toEqual(['one', 'two'])
  const control = folder.load(controlPlaneYaml()).config
  expect(withoutCredentials(control)).toBe(control)
  const tls = 'cert_file: server.pem, key_pem: marker-key, client_ca_file: ca.pem'
  for (const role of [controlPlaneYaml(), workloadYaml()]) {
    const { config } = folder.load(`${role}admin: {tls: {${tls}}}\n`, { checksFiles: false })
    expect(JSON.stringify(config)).toContain('marker-key')
    expect(JSON.stringify(withoutCredentials(config))).not.toContain('marker-key')
  }
})

test('what a reload cannot change is what runs, also for a worker that comes later', () => {
  const running = folder.load(controlPlaneYaml()).config
  const yaml = `${controlPlaneYaml(`  policy: {dry_run: true}\n`)}drain: {timeout: 20s}
service: {telemetry: {logs: {level: debug, encoding: console}}}
`
  const next = reloadable(running, folder.load(yaml).config)
  expect(next.controlPlane!.policy.dryRun).toBe(true)
  expect(next.service.telemetry.logs).toEqual({ level: 'debug', encoding: 'json' })
  expect(next.drain).toEqual(running.drain)
  expect(reloadable(plainConfig(), running)).toEqual(plainConfig())
})

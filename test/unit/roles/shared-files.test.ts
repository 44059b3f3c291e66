import { afterAll, beforeAll, expect, test } from 'vitest'
import { ConfigError } from '../../../src/base/index.ts'
import type { Config } from '../../../src/config/index.ts'
import { Owners } from '../../../src/roles/owners.ts'
import { tlsPlaces } from '../../../src/roles/tls.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'
import { controlPlaneYaml, makeConfigFolder, type ConfigFolder } from '../../support/config-folder.ts'
import { until } from '../../support/gate-bench.ts'
import { connectWorker, NOTHING, quietMachine } from '../../support/worker-bench.ts'

const PATH = 'control_plane.listen.tls'
let folder: ConfigFolder
let config: Config

beforeAll(async () => {
  folder = await makeConfigFolder()
  config = folder.load(controlPlaneYaml()).config
})
afterAll(() => folder.remove())

async function setUp() {
  const owners = await Owners.open(quietMachine(config, 2), config)
  const clock = new FakeClock()
  const worker = await connectWorker({ ...NOTHING, files: owners.contexts }, clock, { copy: 'clone' })
  const [place] = tlsPlaces(config)
  const context = await worker.sources.tls(place!)
  return { owners, owner: owners.contexts.get(PATH)!, worker, context }
}

test('a worker has the certificates of the owner without reading a file', async () => {
  const { owners, owner, context, worker } = await setUp()
  expect(Object.keys(worker.orders.files)).toEqual([PATH])
  expect(context.material.certificateSha256).toBe(owner.material.certificateSha256)
  expect(context.material.trustFingerprint).toBe(owner.material.trustFingerprint)
  worker.sources.close()
  owners.close()
})

test('a new certificate reaches workers once it fits together, and never while it does not', async () => {
  const { owners, owner, context, worker } = await setUp()
  const first = context.material.certificateSha256
  const { ca } = folder.pki
  const key = folder.pki.server.keyPem
  const renewed = await ca.issue('server', { use: 'server', san: 'DNS:localhost' })
  folder.write('server-key.pem', key)
  await owner.reload()
  await settle()
  await context.reload()
  expect(owner.isLastReloadOk).toBe(false)
  expect(context.material.certificateSha256).toBe(first)
  expect(context.isLastReloadOk).toBe(true)

  folder.write('server-key.pem', renewed.keyPem)
  await owner.reload()
  await settle()
  await context.reload()
  expect(owner.material.certificateSha256).not.toBe(first)
  expect(context.material.certificateSha256).toBe(owner.material.certificateSha256)
  worker.sources.close()
  owners.close()
})

test('a worker notices by itself what has arrived', async () => {
  const { owners, owner, context, worker } = await setUp()
  const first = context.material.certificateSha256
  await folder.pki.ca.issue('server', { use: 'server', san: 'DNS:localhost' })
  await owner.reload()
  await until(() => context.material.certificateSha256 !== first)
  expect(context.material.certificateSha256).toBe(owner.material.certificateSha256)
  worker.sources.close()
  owners.close()
})

test('a worker that starts while the files are broken gets those that last fitted together', async () => {
  const { owners, owner } = await setUp()
  folder.write('server.pem', 'half a certi')
  await owner.reload()
  expect(owner.isLastReloadOk).toBe(false)
  const late = await connectWorker({ ...NOTHING, files: owners.contexts }, new FakeClock(), { copy: 'clone' })
  const context = await late.sources.tls(tlsPlaces(config)[0]!)
  expect(context.material.certificateSha256).toBe(owner.material.certificateSha256)
  late.sources.close()
  owners.close()
  await expect(Owners.open(quietMachine(config), config)).rejects.toThrow(ConfigError)
  await folder.pki.ca.issue('server', { use: 'server', san: 'DNS:localhost' })
})

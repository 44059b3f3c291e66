import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { PROJECT, projectFiles, readProjectFile } from '../../support/project-files.ts'

const FOLDER = 'deploy/kubernetes'

interface Container {
  name: string
  image: string
  args?: string[]
  restartPolicy?: string
  securityContext?: Record<string, unknown>
  startupProbe?: { httpGet: { path: string } }
  livenessProbe?: { httpGet: { path: string } }
  readinessProbe?: { httpGet: { path: string } }
  resources?: { limits?: Record<string, string>; requests?: Record<string, string> }
  volumeMounts: { name: string; mountPath: string; readOnly?: boolean }[]
}
interface PodSpec {
  automountServiceAccountToken: boolean
  terminationGracePeriodSeconds: number
  securityContext: Record<string, unknown>
  initContainers: Container[]
  containers: Container[]
  volumes: { name: string }[]
}
interface Kustomization {
  resources?: string[]
  components?: string[]
  configMapGenerator?: { files: string[] }[]
}
interface Selecting {
  kind: string
  spec: { selector?: { matchLabels?: object }; podSelector?: { matchLabels?: object } }
}

const podOf = (file: string): PodSpec =>
  (parse(readProjectFile(`${FOLDER}/${file}`)) as { spec: { template: { spec: PodSpec } } }).spec.template
    .spec
const workload = podOf('workload/collector.yaml')
const controlPlane = podOf('control-plane/deployment.yaml')
const authgwOf = (pod: PodSpec): Container =>
  [...pod.initContainers, ...pod.containers].find(({ name }) => name === 'authgw')!

test('every file that a kustomization names is there, and every YAML file is named by one', () => {
  const named = new Set<string>()
  for (const file of projectFiles('kustomization.yaml', FOLDER)) {
    const {
      resources = [],
      components = [],
      configMapGenerator = [],
    } = parse(readProjectFile(file)) as Kustomization
    const generated = configMapGenerator.flatMap(({ files }) => files.map((one) => one.split('=').at(-1)!))
    for (const path of [...resources, ...components, ...generated]) {
      const full = join(dirname(file), path)
      expect([file, path, existsSync(join(PROJECT, full))]).toEqual([file, path, true])
      named.add(full)
    }
    named.add(file)
  }
  expect(projectFiles('.yaml', FOLDER).filter((file) => !named.has(file))).toEqual([])
})

test.each([
  ['workload', workload],
  ['control plane', controlPlane],
])('%s: no container is root, can become it, or can write where it need not', (_, pod) => {
  expect(pod.automountServiceAccountToken).toBe(false)
  expect(pod.securityContext).toMatchObject({
    runAsNonRoot: true,
    seccompProfile: { type: 'RuntimeDefault' },
  })
  for (const container of [...pod.initContainers, ...pod.containers]) {
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
    expect(container.resources?.limits?.['memory']).toMatch(/^\d+(Mi|Gi)$/)
    expect(container.resources?.requests?.['cpu']).toMatch(/^\d+m$/)
    for (const { mountPath, readOnly } of container.volumeMounts)
      expect([mountPath, readOnly === true || /^\/(tmp|var\/lib\/)/.test(mountPath)]).toEqual([
        mountPath,
        true,
      ])
  }
})

test('at the workload authgw starts before the collector and ends after it; at the control plane it is the other way round', () => {
  expect(workload.initContainers.map(({ name, restartPolicy }) => [name, restartPolicy])).toEqual([
    ['authgw', 'Always'],
  ])
  expect(controlPlane.initContainers.map(({ name, restartPolicy }) => [name, restartPolicy])).toEqual([
    ['key-folder', undefined],
    ['collector', 'Always'],
  ])
})

test('the key cache has a folder below its volume that nobody else can write to, whatever the volume was given', () => {
  const { control_plane } = parse(readProjectFile(`${FOLDER}/control-plane/files/authgw.yaml`)) as {
    control_plane: { oidc: { key_cache_directory: string } }
  }
  const folder = control_plane.oidc.key_cache_directory
  const { args, volumeMounts } = controlPlane.initContainers.find(({ name }) => name === 'key-folder')!
  const keys = ({ volumeMounts: mounts }: Container): string =>
    mounts.find(({ name }) => name === 'authgw-keys')!.mountPath
  expect(volumeMounts.map(({ name }) => name)).toEqual(['authgw-keys'])
  expect(dirname(folder)).toBe(keys(authgwOf(controlPlane)))
  const script = args![0]!
  expect(script).toContain(`'${folder}'`)
  const own = mkdtempSync(join(tmpdir(), 'authgw-keys-'))
  try {
    const run = (): Buffer =>
      execFileSync(process.execPath, ['-e', script.replace(`'${folder}'`, `'${own}/keys'`)])
    const modeOf = (path: string): number => statSync(join(own, path)).mode & 0o777
    run()
    expect(modeOf('keys')).toBe(0o700)
    // What fsGroup makes of a volume that has been used before.
    writeFileSync(join(own, 'keys/a.json'), '{}')
    chmodSync(join(own, 'keys/a.json'), 0o660)
    chmodSync(join(own, 'keys'), 0o770)
    run()
    expect([modeOf('keys'), modeOf('keys/a.json')]).toEqual([0o700, 0o600])
  } finally {
    rmSync(own, { recursive: true })
  }
})

test.each([
  ['workload', workload],
  ['control plane', controlPlane],
])('%s: probes ask what does not depend on others, and the drain has its time', (_, pod) => {
  const { startupProbe, livenessProbe, readinessProbe } = authgwOf(pod)
  expect(startupProbe!.httpGet.path).toBe('/startupz')
  expect(livenessProbe!.httpGet.path).toBe('/livez')
  expect(readinessProbe!.httpGet.path).toBe('/readyz')
  expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(30)
})

test('every selector selects something of its own', () => {
  const documents = ['workload', 'control-plane'].flatMap((part) =>
    projectFiles('.yaml', `${FOLDER}/${part}`).flatMap((file) =>
      parseAllDocuments(readProjectFile(file)).map((one) => one.toJS() as Selecting),
    ),
  )
  for (const { kind, spec } of documents) {
    if (kind === 'NetworkPolicy') expect(spec.podSelector?.matchLabels).toBeDefined()
    if (kind === 'PodDisruptionBudget') expect(spec.selector?.matchLabels).toBeDefined()
  }
  expect(documents.filter(({ kind }) => kind === 'NetworkPolicy')).toHaveLength(2)
})

test('the variant without a secret differs from the base by how the client authenticates, and by nothing else', () => {
  const base = readProjectFile(`${FOLDER}/workload/files/authgw.yaml`)
  const variant = readProjectFile(`${FOLDER}/components/projected-token/authgw.yaml`)
  const lines = (text: string): string[] =>
    text.split('\n').filter((line) => !/client_secret_file|auth_style|client_assertion_file|^#/.test(line))
  expect(lines(variant)).toEqual(lines(base))
  expect(variant).not.toContain('client_secret')
})

/**
 * The Dockerfile and the files under deploy/ and certs/, each read by the program that it is for: stock collector, kustomize with
 * Kubernetes' own types, the Compose loader, BuildKit with all its rules, promtool, cfssl. What is not here is named loudly. Each check is first shown a damaged file, and
 * must refuse it. Exit code 1 if a file is refused, ABSENT if no program is here.
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { parse } from 'yaml'
import { PROJECT, projectFiles, readProjectFile } from '../support/project-files.ts'
import { ensure, programPath } from './tools/cache.ts'
import { cfssl, deployCheck } from './tools/catalog.ts'
import { collector } from './tools/collector.ts'
import { ABSENT, isOnPath, run } from './tools/run.ts'
import { table } from './tools/table.ts'

/** What became of one file. */
interface Row {
  check: string
  file: string
  /** Empty if it was taken. */
  refusal: string
}

const rows: Row[] = []
const absent: string[] = []
const scratch = mkdtempSync(join(tmpdir(), 'authgw-deploy-'))

/** What the operator provides to the composition. */
const SECRETS = { WORKLOAD_CLIENT_SECRET: 'x', KEYCLOAK_ADMIN_PASSWORD: 'x', GRAFANA_ADMIN_PASSWORD: 'x' }

/** Runs a check; what it says is the refusal. */
async function refusalOf(program: string, args: string[], cwd = PROJECT): Promise<string> {
  const result = await run(program, args, { cwd, env: { ...process.env, ...SECRETS }, timeoutMs: 60_000 })
  if (result.code === 0) return ''
  return (result.trouble ?? (result.stderr || result.stdout)).trim().slice(-400) || `exit code ${result.code}`
}

/** Checks one file, and notes the outcome. */
async function check(
  name: string,
  file: string,
  program: string,
  args: string[],
  cwd?: string,
): Promise<void> {
  rows.push({ check: name, file, refusal: await refusalOf(program, args, cwd) })
}

/** Shows the check a damaged file: taking it is a failure of the check. */
async function checkRefuses(name: string, program: string, args: string[]): Promise<void> {
  const refusal = await refusalOf(program, args)
  rows.push({ check: name, file: '(a damaged file)', refusal: refusal === '' ? 'was taken' : '' })
}

/** The path of a program, or null, with a word about it. */
async function have(component: typeof collector, program: string): Promise<string | null> {
  const standing = await ensure(component, isOnPath)
  const path = programPath(component, program)
  if (path === null) absent.push(`${component.name} ${component.version}: ${standing.remark}`)
  return path
}

async function checkCollectors(): Promise<void> {
  const program = await have(collector, 'otelcol')
  if (program === null) return
  const files = projectFiles('.yaml', 'deploy').filter((file) => /^receivers:/m.test(readProjectFile(file)))
  const damaged = join(scratch, 'collector.yaml')
  writeFileSync(damaged, readProjectFile(files[0]!).replaceAll('otlp_grpc', 'otlp_pigeon'))
  await checkRefuses('otelcol validate', program, ['validate', '--config', damaged])
  for (const file of files)
    await check('otelcol validate', file, program, ['validate', '--config', join(PROJECT, file)], scratch)
}

async function checkKubernetesAndCompose(): Promise<void> {
  const program = await have(deployCheck, 'main')
  if (program === null) return
  const damaged = join(scratch, 'kubernetes')
  cpSync(join(PROJECT, 'deploy/kubernetes/workload'), damaged, { recursive: true })
  const manifest = join(damaged, 'collector.yaml')
  writeFileSync(manifest, readFileSync(manifest, 'utf8').replaceAll('readOnlyRootFilesystem', 'readOnlyRoot'))
  await checkRefuses('kustomize, strict types', program, ['kustomize', damaged])
  for (const file of projectFiles('kustomization.yaml', 'deploy/kubernetes')) {
    // A component is no configuration by itself: the overlays use it.
    if ((parse(readProjectFile(file)) as { kind: string }).kind !== 'Kustomization') continue
    await check('kustomize, strict types', dirname(file), program, [
      'kustomize',
      join(PROJECT, dirname(file)),
    ])
  }
  const composition = 'deploy/compose/compose.yaml'
  const damagedComposition = join(scratch, 'compose.yaml')
  writeFileSync(
    damagedComposition,
    readProjectFile(composition).replaceAll('read_only: true', 'readonly: true'),
  )
  await checkRefuses('compose', program, ['compose', damagedComposition])
  await check('compose', composition, program, ['compose', join(PROJECT, composition)])
}

async function checkDockerfile(): Promise<void> {
  const program = programPath(deployCheck, 'main')
  if (program === null) return
  const damaged = join(scratch, 'Dockerfile')
  writeFileSync(damaged, readProjectFile('Dockerfile').replace('CMD ["--config', 'CMD --config ["'))
  await checkRefuses('BuildKit', program, ['dockerfile', damaged])
  await check('BuildKit', 'Dockerfile', program, ['dockerfile', join(PROJECT, 'Dockerfile')])
}

async function checkPrometheus(): Promise<void> {
  if (!(await isOnPath('promtool'))) {
    absent.push('promtool: not on this machine (Debian package prometheus)')
    return
  }
  // Laid out as the composition mounts it.
  for (const file of ['deploy/compose/prometheus.yaml', 'deploy/prometheus/alerts.yaml'])
    cpSync(join(PROJECT, file), join(scratch, basename(file)))
  const damaged = join(scratch, 'damaged-prometheus.yaml')
  writeFileSync(damaged, 'scrape_configs: [{ job: authgw }]\n')
  await checkRefuses('promtool', 'promtool', ['check', 'config', damaged])
  await check('promtool', 'deploy/compose/prometheus.yaml', 'promtool', [
    'check',
    'config',
    join(scratch, 'prometheus.yaml'),
  ])
}

/** The commands of deploy/pattern-5/README.md, step 1, with cfssl; and authgw takes what comes out. */
async function checkCertificates(): Promise<void> {
  const program = await have(cfssl, 'cfssl')
  const writer = await have(cfssl, 'cfssljson')
  if (program === null || writer === null) return
  const folder = join(scratch, 'pattern-5')
  cpSync(join(PROJECT, 'deploy/pattern-5'), folder, { recursive: true })
  mkdirSync(join(folder, 'certs'), { recursive: true })
  writeFileSync(join(folder, 'client-secret'), 'x', { mode: 0o600 })
  const signed = '-ca certs/ca.pem -ca-key certs/ca-key.pem -config csr/signing.json -profile'
  const script = [
    `"$0" gencert -initca csr/ca.json | "$1" -bare certs/ca`,
    `"$0" gencert ${signed} server csr/control-plane.json | "$1" -bare certs/control-plane`,
    `"$0" gencert ${signed} client csr/workload.json | "$1" -bare certs/workload`,
  ].join(' && ')
  await check('cfssl', 'deploy/pattern-5/csr', 'sh', ['-c', script, program, writer], folder)
  for (const role of ['workload', 'control-plane']) {
    const file = join(folder, `${role}-authgw.yaml`)
    const args = [join(PROJECT, 'src/main.ts'), 'validate', '--config', file]
    await check('authgw validate', `deploy/pattern-5/${role}-authgw.yaml`, process.execPath, args)
  }
}

async function main(): Promise<number> {
  try {
    await checkCollectors()
    await checkKubernetesAndCompose()
    await checkDockerfile()
    await checkPrometheus()
    await checkCertificates()
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
  for (const { check: name, file, refusal } of rows.filter((row) => row.refusal !== ''))
    console.log(`REFUSED by ${name}: ${file}\n${refusal}\n`)
  for (const remark of absent) console.log(`ABSENT, so its files are NOT checked: ${remark}`)
  console.log(
    table(
      ['check', 'file', 'verdict'],
      rows.map(({ check: name, file, refusal }) => [
        name,
        file,
        refusal === '' ? 'as it should be' : 'REFUSED',
      ]),
    ),
  )
  if (rows.some(({ refusal }) => refusal !== '')) return 1
  return rows.length === 0 ? ABSENT : 0
}

process.exitCode = await main()

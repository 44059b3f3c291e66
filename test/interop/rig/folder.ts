/**
 * A copy of deploy/pattern-5 to run in: certificates from its cfssl profiles, a client's secret, ports that are free.
 * What the files leave to the environment is set there; of the files themselves only the collectors' own metrics ports change.
 */
import { randomBytes } from 'node:crypto'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { takePort } from './ports.ts'
import { PROJECT } from '../../support/project-files.ts'
import { mustRun } from '../tools/run.ts'
import type { Programs } from './programs.ts'

const COLLECTORS = { agent: 8881, 'workload-collector': 8882, 'control-plane-collector': 8883 } as const
/** A stock collector of the pattern. */
export type CollectorName = keyof typeof COLLECTORS

/** A folder that was made. */
export interface RunFolder {
  readonly path: string
  readonly secret: string
  /** Name → port. */
  readonly ports: Readonly<
    Record<
      | 'agent'
      | 'workloadCollector'
      | 'workloadAuthgw'
      | 'controlPlane'
      | 'controlPlaneCollector'
      | 'jaeger'
      | 'keycloak'
      | 'workloadAdmin'
      | 'controlPlaneAdmin',
      number
    >
  >
  /** Where each collector tells its metrics. */
  readonly metricsPorts: Readonly<Record<CollectorName, number>>
  /** For every program of the pattern. */
  readonly env: Readonly<Record<string, string>>
}

/** Makes `path` such a folder. */
export async function makeRunFolder(path: string, programs: Programs): Promise<RunFolder> {
  cpSync(join(PROJECT, 'deploy/pattern-5'), path, { recursive: true })
  await makeCertificates(path, programs, 'certs')
  const secret = randomBytes(24).toString('hex')
  writeFileSync(join(path, 'client-secret'), `${secret}\n`, { mode: 0o600 })
  const ports = {
    agent: await takePort(),
    workloadCollector: await takePort(),
    workloadAuthgw: await takePort(),
    controlPlane: await takePort(),
    controlPlaneCollector: await takePort(),
    jaeger: await takePort(),
    keycloak: await takePort(),
    workloadAdmin: await takePort(),
    controlPlaneAdmin: await takePort(),
  }
  const metricsPorts = { agent: 0, 'workload-collector': 0, 'control-plane-collector': 0 }
  for (const [name, port] of Object.entries(COLLECTORS)) {
    metricsPorts[name as CollectorName] = await takePort()
    const file = join(path, `${name}.yaml`)
    const text = readFileSync(file, 'utf8')
    const changed = text.replace(`port: ${port}`, `port: ${metricsPorts[name as CollectorName]}`)
    if (changed === text) throw new Error(`${name}.yaml does not name the metrics port ${port}`)
    writeFileSync(file, changed)
  }
  const at = (port: number): string => `localhost:${port}`
  const env = {
    ISSUER: `http://localhost:${ports.keycloak}/realms/opentelemetry`,
    AGENT_LISTEN: at(ports.agent),
    WORKLOAD_COLLECTOR: at(ports.workloadCollector),
    WORKLOAD_COLLECTOR_LISTEN: at(ports.workloadCollector),
    WORKLOAD_AUTHGW: at(ports.workloadAuthgw),
    WORKLOAD_AUTHGW_LISTEN: at(ports.workloadAuthgw),
    CONTROL_PLANE: at(ports.controlPlane),
    CONTROL_PLANE_LISTEN: at(ports.controlPlane),
    CONTROL_PLANE_COLLECTOR: at(ports.controlPlaneCollector),
    CONTROL_PLANE_COLLECTOR_LISTEN: at(ports.controlPlaneCollector),
    JAEGER: at(ports.jaeger),
    WORKLOAD_ADMIN: at(ports.workloadAdmin),
    CONTROL_PLANE_ADMIN: at(ports.controlPlaneAdmin),
  }
  return { path, secret, ports, metricsPorts, env }
}

/** The commands of the README's step 1, with cfssl: a CA, the control plane's certificate and the workload's, in `path/name`. */
export async function makeCertificates(path: string, programs: Programs, name: string): Promise<void> {
  mkdirSync(join(path, name), { recursive: true })
  const signed = `-ca ${name}/ca.pem -ca-key ${name}/ca-key.pem -config csr/signing.json -profile`
  const script = [
    `"$0" gencert -initca csr/ca.json | "$1" -bare ${name}/ca`,
    `"$0" gencert ${signed} server csr/control-plane.json | "$1" -bare ${name}/control-plane`,
    `"$0" gencert ${signed} client csr/workload.json | "$1" -bare ${name}/workload`,
  ].join(' && ')
  const { cfssl, cfssljson } = programs
  await mustRun('sh', ['-c', script, cfssl, cfssljson], { cwd: path, timeoutMs: 30_000 })
}

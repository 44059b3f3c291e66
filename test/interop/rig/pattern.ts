/**
 * All of deploy/pattern-5, running: agent → workload collector → authgw → mTLS → authgw → control-plane collector → Jaeger, and
 * Keycloak beside. Real programs all.
 */
import type { Programs } from './programs.ts'
import { makeRunFolder } from './folder.ts'
import type { RunFolder } from './folder.ts'
import { Keycloak } from './keycloak.ts'
import { authgw, jaegerAllInOne, otelcol } from './parts.ts'
import type { Service } from './service.ts'

/** What may differ from the files. */
export interface PatternOptions {
  /** An empty folder. */
  readonly path: string
  readonly programs: Programs
  readonly tokenLifeSeconds: number
  /** Further clients of Keycloak: id → whom their tokens are for. */
  readonly clients?: Readonly<Record<string, string>>
  /** Further realms. */
  readonly realms?: readonly string[]
  readonly onStarted?: (service: Service) => void
}

/** What was started. */
export interface RunningPattern {
  readonly folder: RunFolder
  readonly programs: Programs
  readonly keycloak: Keycloak
  /** Jaeger's query API, `http://host:port`. */
  readonly jaegerQuery: string
  readonly workload: Service
  readonly controlPlane: Service
  /** In the order of their start. */
  readonly services: Service[]
  /** Ends everything in the order of the flow. */
  close(): Promise<void>
}

/** Starts everything in the README's order; what was started is stopped when a part fails. */
export async function startPattern5(options: PatternOptions): Promise<RunningPattern> {
  const { programs, onStarted = () => {} } = options
  const folder = await makeRunFolder(options.path, programs)
  const { ports, secret } = folder
  const keycloak = new Keycloak({
    program: programs.keycloak,
    folder: folder.path,
    port: ports.keycloak,
    secret,
    tokenLifeSeconds: options.tokenLifeSeconds,
    clients: options.clients ?? {},
    realms: options.realms ?? [],
  })
  const jaeger = await jaegerAllInOne(folder, programs.jaeger)
  const stock = (name: string, port: number): Service =>
    otelcol(folder, programs.otelcol, { name, file: `${name}.yaml`, port })
  const gateway = (name: string, admin: number): Service =>
    authgw(folder, { name, file: `${name}.yaml`, admin })
  const controlPlane = gateway('control-plane-authgw', ports.controlPlaneAdmin)
  const workload = gateway('workload-authgw', ports.workloadAdmin)
  const services = [
    keycloak.service,
    jaeger.service,
    stock('control-plane-collector', ports.controlPlaneCollector),
    controlPlane,
    workload,
    stock('workload-collector', ports.workloadCollector),
    stock('agent', ports.agent),
  ]
  const close = async (): Promise<void> => {
    for (const service of [...services].reverse()) await service.stop()
  }
  try {
    for (const service of services) {
      await service.start()
      onStarted(service)
    }
  } catch (error) {
    await close()
    throw error
  }
  return { folder, programs, keycloak, jaegerQuery: jaeger.query, workload, controlPlane, services, close }
}

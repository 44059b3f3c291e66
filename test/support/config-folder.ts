import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ConfigError } from '../../src/base/index.ts'
import type { ConfigFault } from '../../src/base/index.ts'
import { loadConfig } from '../../src/config/index.ts'
import type { LoadOptions, LoadedConfig } from '../../src/config/index.ts'
import { makePki } from './dev-pki.ts'
import type { Pki } from './dev-pki.ts'

/** A folder with certificates, a client secret and the configuration files that a test writes into it. */
export interface ConfigFolder {
  readonly path: string
  readonly pki: Pki
  /** Writes a file; returns its path. */
  write(name: string, text: string, mode?: number): string
  /** Writes config.yaml and loads it. */
  load(yaml: string, options?: Partial<LoadOptions>): LoadedConfig
  /** Writes config.yaml, and gives the faults of loading it; empty when it loads. Positions lose the folder. */
  faults(yaml: string, options?: Partial<LoadOptions>): ConfigFault[]
  remove(): void
}

/** Makes one in the system's temporary folder. */
export async function makeConfigFolder(): Promise<ConfigFolder> {
  const path = mkdtempSync(join(tmpdir(), 'authgw-config-'))
  const pki = await makePki(path)
  const write = (name: string, text: string, mode = 0o600): string => {
    writeFileSync(join(path, name), text, { mode })
    return join(path, name)
  }
  write('secret', 'hush\n')
  const load = (yaml: string, options: Partial<LoadOptions> = {}): LoadedConfig =>
    loadConfig({ files: [write('config.yaml', yaml)], env: {}, nowMs: Date.now(), ...options })
  return {
    path,
    pki,
    write,
    load,
    faults: (yaml, options) => {
      try {
        load(yaml, options)
        return []
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error
        const bare = (text: string): string => text.replaceAll(`${path}/`, '')
        return error.faults.map((fault) => ({
          ...fault,
          position: fault.position && bare(fault.position),
          problem: bare(fault.problem),
        }))
      }
    },
    remove: () => rmSync(path, { recursive: true }),
  }
}

/** A workload role that is in order. `more` goes below it, indented by two. */
export const workloadYaml = (more = ''): string => `workload:
  listen: {endpoint: localhost:4317}
  upstream:
    endpoint: control-plane.example.com:4317
    tls: {ca_file: ca.pem, cert_file: client.pem, key_file: client-key.pem}
  oauth2client:
    issuer_url: https://keycloak.example.com/realms/opentelemetry
    client_id: workload
    client_secret_file: secret
${more}`

/** A control plane role that is in order. */
export const controlPlaneYaml = (more = ''): string => `control_plane:
  listen:
    endpoint: 0.0.0.0:4317
    tls: {cert_file: server.pem, key_file: server-key.pem, client_ca_file: ca.pem}
  upstream: {endpoint: localhost:5317}
  oidc:
    providers: [{issuer_url: https://keycloak.example.com/realms/opentelemetry, audience: control-plane}]
${more}`

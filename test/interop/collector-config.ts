/**
 * `node test/interop/collector-config.ts`: what `authgw print-collector-config` prints is put before `validate` of a stock
 * collector, for listeners and upstreams of every kind. Ends in a table; exit code 1 on a refusal, 77 where there is no collector.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { programPath } from './tools/cache.ts'
import { collector } from './tools/collector.ts'
import { ABSENT, run } from './tools/run.ts'
import { table } from './tools/table.ts'

const MAIN = join(import.meta.dirname, '../../src/main.ts')

const workload = (listen: string): string => `workload:
  listen: ${listen}
  upstream: {endpoint: control-plane.example.com:4317}
  oauth2client: {issuer_url: https://idp.example.com/realms/x, client_id: workload, client_secret: not-a-secret}
`
const controlPlane = (upstream: string, more = ''): string => `control_plane:
  listen: {endpoint: 'localhost:4317'}
  upstream: ${upstream}
  oidc:
    providers: [{issuer_url: https://idp.example.com/realms/x, audience: control-plane}]
${more}`

const CLAIMS = `    claim_to_headers:
      - {header_name: X-Scope-OrgID, claim_name: tenant}
      - {header_name: x-roles, claim_name: realm_access.roles}
      - {header_name: x-odd, claim_name: 'https://example.com/odd, {claim}'}
`

const CASES: Readonly<Record<string, string>> = {
  'workload on loopback': workload('{endpoint: localhost:4317}'),
  'workload on IPv6': workload("{endpoint: '[::1]:4317'}"),
  'workload on a UNIX socket': workload('{endpoint: unix:///run/authgw/otlp.sock}'),
  'control plane to loopback': controlPlane('{endpoint: localhost:5317}'),
  'control plane to a UNIX socket': controlPlane('{endpoint: unix:///run/otelcol/otlp.sock}'),
  'control plane to another host, TLS': controlPlane('{endpoint: dns:///collector.example.com:5317}'),
  'control plane with claims': controlPlane('{endpoint: localhost:5317}', CLAIMS),
}

/** What the collector says against the case; empty when it is content. */
async function complaint(otelcol: string, folder: string, yaml: string): Promise<string> {
  const ours = join(folder, 'authgw.yaml')
  const theirs = join(folder, 'collector.yaml')
  writeFileSync(ours, yaml)
  const printed = await run(process.execPath, [MAIN, 'print-collector-config', '--config', ours])
  if (printed.code !== 0) return `authgw: ${printed.trouble ?? printed.stderr}`
  // The files that it names are the operator's: the collector looks for them when it starts.
  writeFileSync(theirs, printed.stdout.replace('/var/lib/otelcol/queue', join(folder, 'queue')))
  const judged = await run(otelcol, ['validate', '--config', theirs], { cwd: folder, timeoutMs: 60_000 })
  return judged.code === 0 ? '' : (judged.trouble ?? judged.stderr).trim()
}

async function main(): Promise<number> {
  const otelcol = programPath(collector, 'otelcol')
  if (otelcol === null) {
    console.log('ABSENT: no stock collector in the cache; npm run tools builds one')
    return ABSENT
  }
  const folder = mkdtempSync(join(tmpdir(), 'authgw-collector-'))
  try {
    const rows: string[][] = []
    for (const [name, yaml] of Object.entries(CASES)) {
      const text = await complaint(otelcol, folder, yaml)
      rows.push([name, text === '' ? 'valid' : 'REFUSED', text.split('\n')[0] ?? ''])
      if (text !== '') console.log(`${name}:\n${text}\n`)
    }
    console.log(table(['configuration', `otelcol ${collector.version}`, ''], rows))
    return rows.every(([, verdict]) => verdict === 'valid') ? 0 : 1
  } finally {
    rmSync(folder, { recursive: true })
  }
}

process.exitCode = await main()

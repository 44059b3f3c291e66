/**
 * What is left when the curtain falls: files to look at, or all of it running with commands to try.
 */
import { rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { readMetrics } from '../support/gateway-readings.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { CLIENT_ID, CLIENT_SECRET } from '../support/whole-pattern.ts'
import type { WholePattern } from '../support/whole-pattern.ts'
import type { Screen } from './screen.ts'

const PROTO = resolve(import.meta.dirname, '../../proto')

const named = ({ workload, controlPlane }: WholePattern): [string, GatewayProcess][] => [
  ['workload', workload],
  ['control-plane', controlPlane],
]

/** Keeps each gateway's /metrics as a file in the demo's folder. */
export async function saveMetrics(pattern: WholePattern): Promise<void> {
  for (const [name, gateway] of named(pattern)) {
    const { text } = await readMetrics(gateway.ports['admin']!)
    writeFileSync(join(pattern.folder, `${name}.metrics`), text)
  }
}

/** Keeps the logs, and takes keys and secret away: nothing uses them any more. */
export function tidyFolder(pattern: WholePattern): void {
  for (const [name, gateway] of named(pattern))
    writeFileSync(join(pattern.folder, `${name}.log`), gateway.logs())
  for (const name of ['ca-key.pem', 'control-plane-key.pem', 'workload-key.pem', 'client-secret'])
    rmSync(join(pattern.folder, name), { force: true })
}

/** Says where to look next. */
export function showFiles({ folder }: WholePattern, screen: Screen): void {
  screen.title('Where to look next')
  const rows = [
    ['configuration', `${folder}/workload.yaml and control-plane.yaml`],
    ['/metrics', `${folder}/workload.metrics and control-plane.metrics, as they stood at the end`],
    ['logs', `${folder}/workload.log and control-plane.log`],
    ['live', 'npm run demo -- --keep leaves all of it running, with commands to try'],
  ]
  for (const [label, where] of rows) screen.note(`${label!.padEnd(14)} ${where}`)
}

/** Prints commands for what runs. */
export function showCommands(pattern: WholePattern, screen: Screen): void {
  const { folder, provider, collector, workload, controlPlane } = pattern
  const admin = (gateway: GatewayProcess): string => `http://127.0.0.1:${gateway.ports['admin']}`
  const grpcurl = [
    'grpcurl -cacert ca.pem -cert workload.pem -key workload-key.pem',
    `-import-path ${PROTO} -proto opentelemetry/proto/collector/trace/v1/trace_service.proto -d '{}'`,
  ].join(' ')
  const target = `localhost:${controlPlane.ports['ingress']} opentelemetry.proto.collector.trace.v1.TraceService/Export`
  screen.title('All of it keeps running, and telemetry flows, until Ctrl-C. Try:')
  const groups: [string, string[]][] = [
    ['the configuration files', [`cat ${folder}/workload.yaml ${folder}/control-plane.yaml`]],
    [
      'the token of the workload gateway',
      [`curl -s ${admin(workload)}/metrics | grep ^authgw_token | grep -v ' 0$'`],
    ],
    [
      'who was refused and why',
      [`curl -s ${admin(controlPlane)}/metrics | grep ^authgw_decisions | grep -v ' 0$'`],
    ],
    ['how well they feel', [`curl '${admin(workload)}/readyz?verbose'`, `curl '${admin(controlPlane)}/'`]],
    ['a call without a token, refused', [`cd ${folder}`, `${grpcurl} ${target}`]],
    [
      'the same call with a token',
      [
        `TOKEN=$(curl -s -u ${CLIENT_ID}:${CLIENT_SECRET} -d grant_type=client_credentials -d scope=otlp.write ${provider.issuer}/token | sed 's/.*access_token":"\\([^"]*\\).*/\\1/')`,
        `${grpcurl} -H "authorization: Bearer $TOKEN" ${target}`,
      ],
    ],
    [
      'your own telemetry, through both gateways',
      [`OTEL_EXPORTER_OTLP_ENDPOINT=http://${collector.endpoint}`],
    ],
    [
      'configuration read again; drained and ended',
      [`kill -HUP ${workload.pid}`, `kill ${controlPlane.pid}`],
    ],
  ]
  for (const [label, commands] of groups) {
    screen.note(`# ${label}`)
    for (const command of commands) screen.note(command)
  }
}

/** Prints the last lines that the gateways wrote. */
export function showLogs(pattern: WholePattern, screen: Screen): void {
  for (const [name, gateway] of named(pattern)) {
    screen.title(`The last lines of the ${name} gateway`)
    for (const line of gateway.logs().trim().split('\n').slice(-12)) screen.note(line.slice(0, 400))
  }
}

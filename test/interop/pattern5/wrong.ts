/**
 * The pattern with one thing wrong at a time: nothing arrives, and the log of the side that refuses names the reason.
 */
import { join } from 'node:path'
import { takePort } from '../rig/ports.ts'
import { readCollector, traceIds } from '../rig/counts.ts'
import { makeCertificates } from '../rig/folder.ts'
import { generate } from '../rig/generate.ts'
import { authgw } from '../rig/parts.ts'
import type { RunningPattern } from '../rig/pattern.ts'
import { becomes } from '../rig/service.ts'
import type { Service } from '../rig/service.ts'
import type { Report } from './report.ts'

/** A client of the right realm whose tokens are for another audience. */
const OTHER_CLIENT = 'billing-only'
/** Clients that Keycloak must have for this: id → whom their tokens are for. */
export const WRONG_CLIENTS = { [OTHER_CLIENT]: 'https://billing.example.org' }
/** A realm that Keycloak must have for this: the control plane does not trust it. */
export const WRONG_REALM = 'another'

/** One way to be wrong. */
interface Wrong {
  readonly name: string
  /** Settings of the workload's gateway that make it so. */
  readonly set: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** What stands in the log of the control plane's gateway. */
  readonly reason: RegExp
}

/** Sends through a gateway of the workload that has one thing wrong, and directly without one. */
export async function oneThingWrong(pattern: RunningPattern, report: Report): Promise<void> {
  const { folder, programs, keycloak } = pattern
  report.title('One thing wrong at a time: nothing arrives')
  await makeCertificates(folder.path, programs, 'stranger-certs')
  const certificates = join(folder.path, 'stranger-certs')
  const cases: Wrong[] = [
    {
      name: 'certificate of another CA',
      set: [
        `workload.upstream.tls.cert_file=${join(certificates, 'workload.pem')}`,
        `workload.upstream.tls.key_file=${join(certificates, 'workload-key.pem')}`,
      ],
      reason: /trust bundle/,
    },
    {
      name: 'token of another realm',
      set: [],
      env: { ISSUER: keycloak.issuer(WRONG_REALM) },
      reason: /token_issuer/,
    },
    {
      name: 'token for another audience',
      set: [`workload.oauth2client.client_id=${OTHER_CLIENT}`],
      reason: /token_audience/,
    },
  ]
  const rows: string[][] = []
  for (const wrong of cases) rows.push(await tryWrong(pattern, report, wrong))
  const withCertificate = [
    '--mtls',
    '--client-cert',
    join(folder.path, 'certs/workload.pem'),
    '--client-key',
    join(folder.path, 'certs/workload-key.pem'),
  ]
  rows.push(await tryDirect(pattern, report, 'no token', withCertificate, /token_missing/))
  // The last one: handshakes that fail within 10 s of another are told at level debug.
  rows.push(await tryDirect(pattern, report, 'no client certificate', [], /sent no certificate/))
  report.table(['wrong', 'arrived', 'what the control plane says'], rows)
}

async function tryWrong(pattern: RunningPattern, report: Report, wrong: Wrong): Promise<string[]> {
  const { folder } = pattern
  const port = await takePort()
  const admin = await takePort()
  // It connects when it starts, and a handshake that fails again and again is told once.
  const from = pattern.controlPlane.log().length
  const gateway = authgw(folder, {
    name: `workload-${wrong.name.replaceAll(' ', '-')}`,
    file: 'workload-authgw.yaml',
    admin,
    args: wrong.set.flatMap((setting) => ['--set', setting]),
    env: {
      ...wrong.env,
      WORKLOAD_AUTHGW_LISTEN: `localhost:${port}`,
      WORKLOAD_ADMIN: `localhost:${admin}`,
    },
  })
  await gateway.start()
  try {
    const flags = ['--otlp-insecure']
    return await observe(pattern, report, { ...wrong, from, endpoint: `localhost:${port}`, flags })
  } finally {
    await gateway.stop()
  }
}

function tryDirect(
  pattern: RunningPattern,
  report: Report,
  name: string,
  flags: string[],
  reason: RegExp,
): Promise<string[]> {
  const { folder, controlPlane } = pattern
  return observe(pattern, report, {
    name,
    reason,
    from: controlPlane.log().length,
    endpoint: `localhost:${folder.ports.controlPlane}`,
    flags: ['--ca-cert', join(folder.path, 'certs/ca.pem'), ...flags],
  })
}

/** Where to send to, how, and what to look for from which place of the log on. */
interface Attempt {
  readonly name: string
  readonly reason: RegExp
  readonly from: number
  readonly endpoint: string
  readonly flags: readonly string[]
}

async function observe(pattern: RunningPattern, report: Report, attempt: Attempt): Promise<string[]> {
  const { name, reason, from, endpoint, flags } = attempt
  const { folder, programs, jaegerQuery, controlPlane } = pattern
  const service = `wrong-${name.replaceAll(' ', '-')}`
  const metrics = folder.metricsPorts['control-plane-collector']
  const before = await readCollector(metrics)
  await generate({
    program: programs.telemetrygen,
    endpoint,
    signal: 'traces',
    count: 5,
    service,
    flags: [...flags, '--timeout', '3s'],
    timeoutMs: 5_000,
  })
  const arrived =
    (await readCollector(metrics)).accepted.traces -
    before.accepted.traces +
    (await traceIds(jaegerQuery, service)).length
  await becomes(() => reason.test(controlPlane.log().slice(from)), 3_000)
  const said = wordsOf(controlPlane, from, reason)
  report.check(arrived === 0 && said !== '', `${name}: ${arrived} arrived; ${said || 'NO WORD of it'}`)
  return [name, String(arrived), said]
}

/** The reason and message of the log line that matches. */
function wordsOf(service: Service, from: number, reason: RegExp): string {
  const line = service
    .log()
    .slice(from)
    .split('\n')
    .find((each) => reason.test(each))
  if (line === undefined) return ''
  try {
    const fields = JSON.parse(line) as { reason?: string; msg?: string; message?: string }
    return `${fields.reason ?? ''}: ${fields.msg ?? fields.message ?? ''}`
  } catch {
    return line
  }
}

/**
 * One side at a time: authgw against the stock collector's own extensions on the other side, so that a user can move one
 * side first. Workload authgw → stock collector with `oidc` and mTLS; stock collectors with `oauth2client`, and with
 * `bearertokenauth` from a file, → control-plane authgw.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { takePort } from '../rig/ports.ts'
import { resourceTag, traceById, traceIds } from '../rig/counts.ts'
import { generate, SPANS_A_TRACE } from '../rig/generate.ts'
import { authgw, otelcol } from '../rig/parts.ts'
import type { RunningPattern } from '../rig/pattern.ts'
import { becomes } from '../rig/service.ts'
import type { Service } from '../rig/service.ts'
import { checkerYaml, senderYaml } from '../rig/stock.ts'
import type { ExporterOptions } from '../rig/stock.ts'
import { fetchToken } from '../rig/token.ts'
import type { Report } from './report.ts'

const TRACES = 50

/** Sends from the workload's gateway to a stock collector, and from stock collectors to the control plane's gateway. */
export async function trustBothWays(pattern: RunningPattern, report: Report): Promise<void> {
  const { folder, keycloak } = pattern
  report.title('One side at a time, the stock collector on the other')
  await toStock(pattern, report)
  const tokenUrl = `${keycloak.issuer()}/protocol/openid-connect/token`
  await fromStock(pattern, report, 'oauth2client', { tokenUrl, clientId: 'workload' })
  const tokenFile = 'token'
  writeFileSync(join(folder.path, tokenFile), await fetchToken(tokenUrl, 'workload', folder.secret), {
    mode: 0o600,
  })
  await fromStock(pattern, report, 'bearertokenauth', { tokenFile })
}

async function toStock(pattern: RunningPattern, report: Report): Promise<void> {
  const { folder, programs, keycloak } = pattern
  const [checkerPort, metricsPort, port, admin] = await fourPorts()
  const yaml = checkerYaml(checkerPort, metricsPort, keycloak.issuer(), `localhost:${folder.ports.jaeger}`)
  writeFileSync(join(folder.path, 'oidc.yaml'), yaml)
  const checker = otelcol(folder, programs.otelcol, {
    name: 'stock-oidc',
    file: 'oidc.yaml',
    port: checkerPort,
  })
  const gateway = authgw(folder, {
    name: 'workload-to-stock',
    file: 'workload-authgw.yaml',
    admin,
    env: {
      WORKLOAD_AUTHGW_LISTEN: `localhost:${port}`,
      WORKLOAD_ADMIN: `localhost:${admin}`,
      CONTROL_PLANE: `localhost:${checkerPort}`,
    },
  })
  await during([checker, gateway], () =>
    judge(pattern, report, 'workload authgw → stock collector with oidc', 'to-oidc', port, undefined),
  )
}

async function fromStock(
  pattern: RunningPattern,
  report: Report,
  extension: string,
  credentials: ExporterOptions['credentials'],
): Promise<void> {
  const { folder, programs } = pattern
  const [port, metricsPort] = await fourPorts()
  const file = `${extension}.yaml`
  const endpoint = `localhost:${folder.ports.controlPlane}`
  const queue = `queue-${extension}`
  writeFileSync(
    join(folder.path, file),
    senderYaml(port, metricsPort, { endpoint, endurance: 'recommended', queue, credentials }),
  )
  const sender = otelcol(folder, programs.otelcol, { name: `stock-${extension}`, file, port })
  await during([sender], () =>
    judge(
      pattern,
      report,
      `stock collector with ${extension} → control-plane authgw`,
      `from-${extension}`,
      port,
      'workload',
    ),
  )
}

async function judge(
  { programs, jaegerQuery }: RunningPattern,
  report: Report,
  name: string,
  service: string,
  port: number,
  client: string | undefined,
): Promise<void> {
  const endpoint = `localhost:${port}`
  const sent = await generate({
    program: programs.telemetrygen,
    endpoint,
    signal: 'traces',
    count: TRACES,
    service,
  })
  await becomes(async () => (await traceIds(jaegerQuery, service)).length === TRACES, 15_000)
  const traces = await Promise.all(
    (await traceIds(jaegerQuery, service)).map((id) => traceById(jaegerQuery, id)),
  )
  const good = traces.filter(
    (trace) => trace?.spans.length === SPANS_A_TRACE && resourceTag(trace, 'authgw.client') === client,
  ).length
  report.check(sent.code === 0 && good === TRACES, `${name}: ${good} of ${TRACES} traces in Jaeger`)
}

async function during(services: Service[], act: () => Promise<void>): Promise<void> {
  try {
    for (const service of services) await service.start()
    await act()
  } finally {
    for (const service of services.toReversed()) await service.stop()
  }
}

async function fourPorts(): Promise<[number, number, number, number]> {
  return [await takePort(), await takePort(), await takePort(), await takePort()]
}

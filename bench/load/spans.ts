/**
 * Turns Export requests over TLS with a token into the CPU that a whole control plane spends on 1000 spans: authgw in front of a
 * stock collector without authentication, against the stock collector that does TLS and `oidc` itself. Both in turns.
 */
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { otlpService } from '../../test/support/otlp-proto.ts'
import { freePort } from '../../test/support/free-port.ts'
import { programPath } from '../../test/interop/tools/cache.ts'
import { collector } from '../../test/interop/tools/collector.ts'
import { controlPlaneYaml, startAuthgw } from '../peers/authgw.ts'
import { cpuSeconds, startListening } from './fleet.ts'
import type { Running } from './fleet.ts'
import { AUDIENCE } from './ground.ts'
import type { Ground } from './ground.ts'
import type { Load } from './profiles.ts'
import { putH2load } from './profiles.ts'

const SPANS_PER_CALL = 100
const ROUNDS = 4
const SETTLE_MS = 500
const LOAD: Load = { seconds: 3, connections: 4, concurrency: 10, size: 0, isTls: true }

/** One way to run the control plane. */
export interface SpanFigures {
  name: string
  /** CPU of all its processes for 1000 spans, a figure a turn. */
  cpuMillisPer1000Spans: number[]
  /** What of that is the collector's. */
  collectorMillis: number[]
  failed: number
}

/** Both ways; null with the reason where it could not be measured. */
export interface SpanReport {
  requestBytes: number
  ways: SpanFigures[]
}

interface Way {
  figures: SpanFigures
  port: number
  collector: Running
  running: Running[]
}

/** Runs both. @throws Error where the collector cannot be started */
export async function measureSpans(
  ground: Ground,
  say: (line: string) => void,
): Promise<SpanReport | { absent: string }> {
  const program = programPath(collector, 'otelcol')
  if (program === null) return { absent: 'otelcol is not built: node test/interop/tools/install.ts otelcol' }
  say(`\nCPU per 1000 spans, TLS and a token, ${SPANS_PER_CALL} spans a call`)
  const { server, issuer } = await startIssuer(ground)
  const tokened = { ...ground, token: await ground.mint(issuer) }
  const bodyFile = join(ground.folder, 'spans')
  const body = exportRequest()
  writeFileSync(bodyFile, body)
  const ways: Way[] = []
  try {
    ways.push(await startWithAuthgw(ground, program, issuer), await startOidc(ground, program, issuer))
    for (let round = -1; round < ROUNDS; round++)
      for (const way of ways) {
        const before = way.running.map(({ pid }) => cpuSeconds(pid))
        const { calls, failed } = await putH2load(tokened, way.port, { ...LOAD, bodyFile }, [])
        await sleep(SETTLE_MS)
        const used = way.running.map(({ pid }, index) => cpuSeconds(pid) - before[index]!)
        const per1000 = (seconds: number): number => (seconds * 1000 * 1000) / (calls * SPANS_PER_CALL)
        const total = per1000(used.reduce((sum, seconds) => sum + seconds, 0))
        if (calls === 0 || failed > 0) way.figures.failed += Math.max(1, failed)
        // The first turn warms up.
        if (round < 0) continue
        way.figures.cpuMillisPer1000Spans.push(total)
        way.figures.collectorMillis.push(per1000(used[way.running.indexOf(way.collector)]!))
        say(`  ${way.figures.name.padEnd(28)} ${total.toFixed(2)} ms CPU per 1000 spans`)
      }
    return { requestBytes: body.length, ways: ways.map(({ figures }) => figures) }
  } finally {
    await Promise.all(ways.flatMap(({ running }) => running.map((each) => each.stop())))
    server.close()
  }
}

/** An identity provider as far as a collector looks at one: discovery and keys. */
async function startIssuer(ground: Ground): Promise<{ server: Server; issuer: string }> {
  const keys = readFileSync(ground.publicKeysFile)
  const server = createServer((request, response) => {
    response.setHeader('content-type', 'application/json')
    if (request.url === '/jwks') return response.end(keys)
    const document = {
      issuer,
      jwks_uri: `${issuer}/jwks`,
      authorization_endpoint: `${issuer}/auth`,
      token_endpoint: `${issuer}/token`,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
    }
    return response.end(JSON.stringify(document))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { server, issuer }
}

/** The collector's configuration: receives on `port`, and throws away. */
async function startCollector(
  ground: Ground,
  program: string,
  name: string,
  receiver: string,
  extensions: string,
  port: number,
): Promise<Running> {
  const config = join(ground.folder, `${name}.yaml`)
  writeFileSync(
    config,
    `${extensions}receivers:
  otlp: {protocols: {grpc: ${receiver}}}
exporters: {debug: {verbosity: basic}}
service:
  ${extensions === '' ? '' : 'extensions: [oidc]\n  '}telemetry: {logs: {level: error}, metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], exporters: [debug]}}
`,
  )
  // One core, as one worker of authgw has.
  const env = { ...process.env, GOMAXPROCS: '1' }
  return startListening(program, ['--config', config], port, {
    logFile: `${config}.log`,
    maxSeconds: 30,
    env,
  })
}

const figuresOf = (name: string): SpanFigures => ({
  name,
  cpuMillisPer1000Spans: [],
  collectorMillis: [],
  failed: 0,
})

async function startWithAuthgw(ground: Ground, program: string, issuer: string): Promise<Way> {
  const upstreamPort = await freePort()
  const receiver = `{endpoint: '127.0.0.1:${upstreamPort}'}`
  const plain = await startCollector(ground, program, 'collector-plain', receiver, '', upstreamPort)
  const port = await freePort()
  const adminPort = await freePort()
  const yaml = controlPlaneYaml({ ground, port, adminPort, upstreamPort, isTls: true, issuer })
  // h2load shows no certificate; the collector beside it asks for none either.
  const serverOnly = yaml
    .replace(/client_ca_file: [^}]+/, 'client_auth: none')
    .replace('    providers:\n', '    unsafe_allow: [http_issuer]\n    providers:\n')
  const gateway = await startAuthgw(ground, 'spans-authgw', serverOnly, port)
  const running = [gateway, plain]
  return { figures: figuresOf('authgw + collector'), port, collector: plain, running }
}

async function startOidc(ground: Ground, program: string, issuer: string): Promise<Way> {
  const port = await freePort()
  const tls = `tls: {cert_file: ${ground.certFile}, key_file: ${ground.keyFile}}`
  const receiver = `{endpoint: '127.0.0.1:${port}', ${tls}, auth: {authenticator: oidc}}`
  const extensions = `extensions:
  oidc: {issuer_url: ${issuer}, audience: ${AUDIENCE}, username_claim: sub}
`
  const alone = await startCollector(ground, program, 'collector-oidc', receiver, extensions, port)
  return { figures: figuresOf('collector with TLS and oidc'), port, collector: alone, running: [alone] }
}

/** One Export request behind its prefix: spans with the names and attributes of an HTTP server. */
function exportRequest(): Buffer {
  const spans = Array.from({ length: SPANS_PER_CALL }, (_, index) => ({
    traceId: Buffer.alloc(16, index + 1),
    spanId: Buffer.alloc(8, index + 1),
    name: 'GET /api/v1/orders/{id}',
    kind: 2,
    startTimeUnixNano: 1_760_000_000_000,
    endTimeUnixNano: 1_760_000_000_250,
    attributes: [
      { key: 'http.request.method', value: { stringValue: 'GET' } },
      { key: 'http.route', value: { stringValue: '/api/v1/orders/{id}' } },
      { key: 'http.response.status_code', value: { intValue: 200 } },
      { key: 'server.address', value: { stringValue: 'orders.shop.example.com' } },
      { key: 'order.number', value: { intValue: index } },
    ],
  }))
  const attributes = [{ key: 'service.name', value: { stringValue: 'orders' } }]
  const request = {
    resourceSpans: [{ resource: { attributes }, scopeSpans: [{ scope: { name: 'bench' }, spans }] }],
  }
  const message = otlpService('traces')['Export']!.requestSerialize(request)
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}

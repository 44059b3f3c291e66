/**
 * `node test/interop/clients.ts`: real clients through both gateways to a stock collector: the SDKs for JavaScript and Python (gRPC's C
 * core), grpcurl, and stock exporters with gzip, zstd, and keepalive pings every 10 s on an idle connection; messages of just under
 * the 4 MiB that a collector takes. Every span is counted behind the last collector. Exit code 1 on a miss, 77 without a collector.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startOtelcol } from '../demo/otelcol.ts'
import { readMetrics } from '../support/gateway-readings.ts'
import { NumberedTelemetry } from '../support/numbered-telemetry.ts'
import { PROJECT } from '../support/project-files.ts'
import { startPattern } from '../support/whole-pattern.ts'
import { takePort } from './rig/ports.ts'
import { generate, SPANS_A_TRACE } from './rig/generate.ts'
import { becomes, isListening, Service } from './rig/service.ts'
import { programPath } from './tools/cache.ts'
import { grpcurl, pythonSdk, telemetrygen } from './tools/catalog.ts'
import { collector } from './tools/collector.ts'
import { ABSENT, run } from './tools/run.ts'
import { table } from './tools/table.ts'

const PYTHON = `
import sys
import grpc
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
endpoint, count, size, compression = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
exporter = OTLPSpanExporter(endpoint=endpoint, insecure=True, compression=getattr(grpc.Compression, compression))
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(exporter))
tracer = provider.get_tracer("clients")
for number in range(count):
    with tracer.start_as_current_span("order") as span:
        span.set_attribute("filling", "x" * size)
provider.shutdown()
`

/** Just under the 4 MiB that a collector's receiver takes at most. */
const LARGE_BYTES = 4 * 1024 * 1024 - 2_048
/** How long the exporter with keepalive has nothing to send. */
const IDLE_MS = 35_000

/** Where clients send to, and what they need. */
interface Ground {
  readonly folder: string
  readonly port: number
  readonly otelcol: string
  readonly telemetrygen: string
}

/** Sends, and gives how many spans; null when the client is not here. */
type Client = (ground: Ground) => Promise<number | null>

const python =
  (count: number, size: number, compression: 'NoCompression' | 'Gzip'): Client =>
  async ({ folder, port }) => {
    const lib = programPath(pythonSdk, 'sdk')
    if (lib === null) return null
    const script = join(folder, 'send.py')
    writeFileSync(script, PYTHON)
    const args = [script, `localhost:${port}`, String(count), String(size), compression]
    const env = { ...process.env, PYTHONPATH: dirname(dirname(lib)) }
    return okCount(await run('python3', args, { env, timeoutMs: 60_000 }), count)
  }

const sdkForJavaScript: Client = async ({ port }) => {
  const telemetry = new NumberedTelemetry({ endpoint: `localhost:${port}` })
  for (let number = 0; number < 200; number++) telemetry.emit()
  await telemetry.close()
  return 200
}

const byHand: Client = async ({ port }) => {
  const program = programPath(grpcurl, 'grpcurl')
  if (program === null) return null
  const spans = [{ traceId: 'AAAAAAAAAAAAAAAAAAAAAQ==', spanId: 'AAAAAAAAAAE=', name: 'by hand' }]
  const request = JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans }] }] })
  const service = 'opentelemetry/proto/collector/trace/v1/trace_service.proto'
  const method = 'opentelemetry.proto.collector.trace.v1.TraceService/Export'
  const args = ['-plaintext', '-import-path', join(PROJECT, 'proto'), '-proto', service, '-d', request]
  return okCount(await run(program, [...args, `localhost:${port}`, method], { timeoutMs: 20_000 }), 1)
}

/** A stock collector whose exporter has these settings; `idleMs` between two halves of what it sends. */
const exporter =
  (name: string, settings: string, idleMs = 0): Client =>
  async ({ folder, port, otelcol, telemetrygen: generator }) => {
    const own = await takePort()
    const file = join(folder, `${name}.yaml`)
    writeFileSync(file, exporterYaml(own, port, settings))
    const service = new Service({
      name,
      program: otelcol,
      args: ['--config', file],
      folder,
      isReady: () => isListening(own),
    })
    await service.start()
    try {
      const send = (): ReturnType<typeof generate> =>
        generate({ program: generator, endpoint: `localhost:${own}`, signal: 'traces', count: 100 })
      const first = await send()
      if (idleMs === 0) return okCount(first, 100 * SPANS_A_TRACE)
      await sleep(idleMs)
      const second = await send()
      return okCount(first, 100 * SPANS_A_TRACE) + okCount(second, 100 * SPANS_A_TRACE)
    } finally {
      // Its last flush is part of its stop.
      await service.stop()
    }
  }

const exporterYaml = (own: number, port: number, settings: string): string => `receivers:
  otlp: {protocols: {grpc: {endpoint: 'localhost:${own}'}}}
exporters:
  otlp_grpc: {endpoint: 'localhost:${port}', tls: {insecure: true}, ${settings}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], exporters: [otlp_grpc]}}
`

const CLIENTS: Readonly<Record<string, Client>> = {
  'SDK for JavaScript': sdkForJavaScript,
  'SDK for Python, C core': python(500, 10, 'NoCompression'),
  'SDK for Python, gzip': python(500, 10, 'Gzip'),
  'SDK for Python, 4 MiB in a message': python(1, LARGE_BYTES, 'NoCompression'),
  'SDK for Python, 4 MiB, gzip': python(1, LARGE_BYTES, 'Gzip'),
  grpcurl: byHand,
  'stock exporter, gzip': exporter('gzip', 'compression: gzip'),
  'stock exporter, zstd': exporter('zstd', 'compression: zstd'),
  'stock exporter, keepalive 10 s': exporter(
    'keepalive',
    'keepalive: {time: 10s, timeout: 5s, permit_without_stream: true}',
    IDLE_MS,
  ),
}

function okCount(
  result: { code: number | null; stderr: string; trouble: string | null },
  count: number,
): number {
  if (result.code === 0) return count
  console.log(result.trouble ?? result.stderr.slice(-400))
  return -1
}

async function main(): Promise<number> {
  const otelcol = programPath(collector, 'otelcol')
  const generator = programPath(telemetrygen, 'telemetrygen')
  if (otelcol === null || generator === null) {
    console.log('ABSENT: no stock collector or telemetrygen in the cache; npm run tools gets them')
    return ABSENT
  }
  const folder = mkdtempSync(join(tmpdir(), 'authgw-clients-'))
  let arrived = 0
  const pattern = await startPattern({
    folder,
    tokenLifeSeconds: 30,
    startMiddle: (endpoint) => startOtelcol(otelcol, folder, endpoint),
    onArrival: ({ signal, itemCount }) => {
      if (signal === 'traces') arrived += itemCount
    },
  })
  const ground = {
    folder,
    port: pattern.workload.ports['ingress']!,
    otelcol,
    telemetrygen: generator,
  }
  const rows: string[][] = []
  try {
    for (const [name, client] of Object.entries(CLIENTS)) {
      const before = arrived
      const sent = await client(ground)
      if (sent !== null) await becomes(() => arrived - before >= sent, 10_000)
      const isGood = sent === null || (sent > 0 && arrived - before === sent)
      rows.push([
        name,
        sent === null ? 'absent' : String(sent),
        String(arrived - before),
        isGood ? 'good' : 'NOT',
      ])
    }
    const readings = await readMetrics(pattern.workload.ports['admin']!)
    const calm = readings.sum('authgw_limit_breaches_total')
    rows.push(['limits broken, as the workload gateway says', '0', String(calm), calm === 0 ? 'good' : 'NOT'])
  } finally {
    await pattern.close()
    rmSync(folder, { recursive: true, force: true })
  }
  console.log(table(['client', 'spans sent', 'spans arrived', ''], rows))
  return rows.every((row) => row[3] === 'good') ? 0 : 1
}

// What it started ends with this process, however that ends.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
process.exitCode = await main()

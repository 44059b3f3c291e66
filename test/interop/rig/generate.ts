/**
 * Real senders: telemetrygen for the three signals, and the OpenTelemetry SDK for traces whose ids are known beforehand.
 */
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { SIGNALS } from '../../support/otlp-proto.ts'
import type { Signal } from '../../support/otlp-proto.ts'
import { run } from '../tools/run.ts'
import type { RunResult } from '../tools/run.ts'

/** What telemetrygen is to send. */
export interface GenerateOptions {
  readonly program: string
  /** `host:port`. */
  readonly endpoint: string
  readonly signal: Signal
  /** How many traces (of two spans each), metrics or log records. */
  readonly count: number
  /** A second; default 0, as fast as it goes (its own default is 1). */
  readonly rate?: number
  readonly service?: string
  /** Flags for TLS; default plaintext. */
  readonly flags?: readonly string[]
  readonly timeoutMs?: number
}

/** Spans in a trace of telemetrygen. */
export const SPANS_A_TRACE = 2

/** Runs telemetrygen to its end. */
export function generate(options: GenerateOptions): Promise<RunResult> {
  const { program, endpoint, signal, count, rate = 0, service, timeoutMs = 120_000 } = options
  const flags = options.flags ?? ['--otlp-insecure']
  return run(
    program,
    [
      signal,
      '--otlp-endpoint',
      endpoint,
      `--${signal}`,
      String(count),
      ...flags,
      '--rate',
      String(rate),
      ...(service === undefined ? [] : ['--service', service]),
    ],
    { timeoutMs },
  )
}

/** Runs telemetrygen for all three signals at once. Gives what went wrong, or an empty text. */
export async function generateAll(options: Omit<GenerateOptions, 'signal'>): Promise<string> {
  const results = await Promise.all(SIGNALS.map((signal) => generate({ ...options, signal })))
  const bad = results.find(({ code }) => code !== 0)
  return bad === undefined ? '' : (bad.trouble ?? bad.stderr.slice(-500))
}

/** Sends `count` traces of one span with the SDK for JavaScript. Gives their ids. */
export async function sendWithSdk(endpoint: string, serviceName: string, count: number): Promise<string[]> {
  const exporter = new OTLPTraceExporter({ url: `http://${endpoint}` })
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': serviceName }),
    spanProcessors: [new BatchSpanProcessor({ exporter, maxQueueSize: count })],
  })
  const tracer = provider.getTracer('pattern5')
  const ids: string[] = []
  for (let number = 0; number < count; number++) {
    const span = tracer.startSpan('order')
    ids.push(span.spanContext().traceId)
    span.end()
  }
  await provider.shutdown()
  return ids
}

/**
 * A real application: the OpenTelemetry SDK with its OTLP gRPC exporters, which sends spans, data points and log records
 * that carry a number each. The SDK's gRPC exporter does not retry: a collector stands between it and a gateway.
 *
 * ```ts
 * const telemetry = new NumberedTelemetry({ endpoint: '127.0.0.1:4317' })
 * telemetry.emit()              // one of each signal, under the next number
 * await telemetry.flush()
 * telemetry.sent                // numbers 0 … sent − 1 of each signal have been emitted
 * await telemetry.close()
 * ```
 */
import { SeverityNumber } from '@opentelemetry/api'
import type { Counter, Logger, Tracer } from '@opentelemetry/api'
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-grpc'
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-grpc'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-grpc'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs'
import {
  AggregationTemporality,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { NUMBER_ATTRIBUTE } from './otlp-receiver.ts'

/** Where it sends, and how often. */
export interface NumberedTelemetryOptions {
  /** `host:port`, in plaintext. */
  readonly endpoint: string
  /** Ms between two exports of a signal; default 200. */
  readonly exportEveryMs?: number
  /** Default `demo-app`. */
  readonly serviceName?: string
  /** The number of the first item; default 0. */
  readonly firstNumber?: number
}

/** The application. */
export class NumberedTelemetry {
  readonly #traces: TracerProvider
  readonly #metrics: MeterProvider
  readonly #logs: LoggerProvider
  readonly #tracer: Tracer
  readonly #counter: Counter
  readonly #logger: Logger
  readonly #firstNumber: number
  #sent = 0
  #timer: NodeJS.Timeout | null = null

  constructor({
    endpoint,
    exportEveryMs = 200,
    serviceName = 'demo-app',
    firstNumber = 0,
  }: NumberedTelemetryOptions) {
    const url = `http://${endpoint}`
    const resource = resourceFromAttributes({ 'service.name': serviceName })
    const batch = { scheduledDelayMillis: exportEveryMs, maxQueueSize: 100_000 }
    this.#traces = new TracerProvider({
      resource,
      spanProcessors: [new BatchSpanProcessor({ exporter: new OTLPTraceExporter({ url }), ...batch })],
    })
    this.#logs = new LoggerProvider({
      resource,
      processors: [new BatchLogRecordProcessor({ exporter: new OTLPLogExporter({ url }), ...batch })],
    })
    this.#metrics = new MeterProvider({
      resource,
      readers: [
        new PeriodicExportingMetricReader({
          // Delta: each number is told once, in the export after it was counted.
          exporter: new OTLPMetricExporter({ url, temporalityPreference: AggregationTemporality.DELTA }),
          exportIntervalMillis: exportEveryMs,
          exportTimeoutMillis: exportEveryMs,
        }),
      ],
    })
    this.#tracer = this.#traces.getTracer('numbered')
    this.#counter = this.#metrics.getMeter('numbered').createCounter('demo.orders')
    this.#logger = this.#logs.getLogger('numbered')
    this.#firstNumber = firstNumber
  }

  /** How many items of each signal were emitted. */
  get sent(): number {
    return this.#sent
  }

  /** Emits a span, a data point and a log record under the next number. */
  emit(): void {
    const attributes = { [NUMBER_ATTRIBUTE]: this.#firstNumber + this.#sent++ }
    this.#tracer.startSpan('order', { attributes }).end()
    this.#counter.add(1, attributes)
    this.#logger.emit({ severityNumber: SeverityNumber.INFO, body: 'order taken', attributes })
  }

  /** Emits at a steady rate until `pause`. */
  run(perSecond: number): void {
    this.pause()
    this.#timer = setInterval(() => this.emit(), 1_000 / perSecond)
  }

  pause(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  /** Tries once to export what has been emitted. A failure is not told: what is missing shows on the other side. */
  async flush(): Promise<void> {
    await Promise.allSettled([this.#traces.forceFlush(), this.#metrics.forceFlush(), this.#logs.forceFlush()])
  }

  /** Ends it. What was not flushed is given one last try, whose failure is not told. */
  async close(): Promise<void> {
    this.pause()
    await Promise.allSettled([this.#traces.shutdown(), this.#metrics.shutdown(), this.#logs.shutdown()])
  }
}

/**
 * A stock collector in front of the workload gateway, as sidecars have it: its own exporter, queue and retries, and the
 * counters in which it admits what it has thrown away.
 */
import { startOtelcol } from '../demo/otelcol.ts'
import { freePort } from '../support/free-port.ts'

/** What was started. */
export interface StockCollectors {
  /** Where the sender sends to. */
  readonly front: string
  /** Spans that it has given up so far, by its own account: failed to send, or to queue. */
  failures(): Promise<number>
  stop(): Promise<void>
}

const FAILURES = /^otelcol_exporter_(?:send|enqueue)_failed_spans(?:_total)?(?:\{[^}]*\})? (\S+)$/gm

const configure =
  (metricsPort: number, isShort: boolean) =>
  (port: number, upstream: string): string => `receivers:
  otlp: {protocols: {grpc: {endpoint: '127.0.0.1:${port}'}}}
exporters:
  otlp:
    endpoint: '${upstream}'
    tls: {insecure: true}
    compression: none
    sending_queue: {queue_size: 120000, num_consumers: 10}
    retry_on_failure: {initial_interval: ${isShort ? '1s' : '5s'}, max_interval: ${isShort ? '6s' : '30s'}, max_elapsed_time: 0s}
service:
  telemetry:
    logs: {level: error}
    metrics:
      level: normal
      readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: ${metricsPort}}}}}]
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp]}
`

/** Starts it. @throws Error with what it wrote when it does not listen. */
export async function startStock(
  program: string,
  folder: string,
  upstream: string,
  isShort: boolean,
): Promise<StockCollectors> {
  const metricsPort = await freePort()
  const collector = await startOtelcol(program, folder, upstream, configure(metricsPort, isShort))
  return {
    front: collector.endpoint,
    stop: () => collector.stop(),
    async failures() {
      const answer = await fetch(`http://127.0.0.1:${metricsPort}/metrics`, {
        signal: AbortSignal.timeout(5_000),
      })
      const text = await answer.text()
      return [...text.matchAll(FAILURES)].reduce((total, [, value]) => total + Number(value), 0)
    },
  }
}

/**
 * The OTLP services and the messages of google.rpc, read from `proto/`: bytes into objects, by @grpc/proto-loader.
 */
import { resolve } from 'node:path'
import type { ServiceDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { MessageTypeDefinition } from '@grpc/proto-loader'
import { OTLP_EXPORT_PATHS } from '../../src/auth/index.ts'

/** The signals that the OTLP SDKs export. */
export const SIGNALS = ['traces', 'metrics', 'logs'] as const
export type Signal = (typeof SIGNALS)[number]

/** The `:path` of a signal's Export method. */
export const exportPath = (signal: Signal): string => OTLP_EXPORT_PATHS[signal]

const definitions = loadSync(
  [
    ...['trace', 'metrics', 'logs'].map(
      (word) => `opentelemetry/proto/collector/${word}/v1/${word}_service.proto`,
    ),
    'google/rpc/status.proto',
    'google/rpc/error_details.proto',
  ],
  {
    includeDirs: [resolve(import.meta.dirname, '../../proto')],
    longs: Number,
    bytes: Buffer,
    defaults: true,
  },
)

/** The service of a signal, for a grpc-js server that decodes. */
export function otlpService(signal: Signal): ServiceDefinition {
  const name = exportPath(signal).split('/')[1]!
  return definitions[name] as ServiceDefinition
}

/** An attribute as OTLP writes it. */
export interface KeyValue {
  readonly key: string
  readonly value: { readonly intValue?: number; readonly stringValue?: string } | null
}
interface Attributed {
  readonly attributes: readonly KeyValue[]
}
interface Points {
  readonly dataPoints: readonly Attributed[]
}
interface MetricMessage {
  readonly gauge?: Points
  readonly sum?: Points
  readonly histogram?: Points
  readonly exponentialHistogram?: Points
  readonly summary?: Points
}

/** A decoded Export request of any of the three signals. */
export interface ExportRequest {
  readonly resourceSpans?: readonly { scopeSpans: readonly { spans: readonly Attributed[] }[] }[]
  readonly resourceLogs?: readonly { scopeLogs: readonly { logRecords: readonly Attributed[] }[] }[]
  readonly resourceMetrics?: readonly { scopeMetrics: readonly { metrics: readonly MetricMessage[] }[] }[]
}

/** The items of a request: spans, log records, or data points of all metrics. */
export function itemsOf(request: ExportRequest): readonly Attributed[] {
  const spans = request.resourceSpans ?? []
  const logs = request.resourceLogs ?? []
  const metrics = request.resourceMetrics ?? []
  return [
    ...spans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)),
    ...logs.flatMap(({ scopeLogs }) => scopeLogs.flatMap((scope) => scope.logRecords)),
    ...metrics.flatMap(({ scopeMetrics }) =>
      scopeMetrics.flatMap((scope) => scope.metrics.flatMap((metric) => pointsOf(metric))),
    ),
  ]
}

function pointsOf(metric: MetricMessage): readonly Attributed[] {
  const kinds = [metric.gauge, metric.sum, metric.histogram, metric.exponentialHistogram, metric.summary]
  return kinds.flatMap((points) => points?.dataPoints ?? [])
}

interface RpcStatus {
  readonly code: number
  readonly details: readonly { readonly type_url: string; readonly value: Buffer }[]
}
interface RetryInfo {
  readonly retryDelay: { readonly seconds: number; readonly nanos: number } | null
}

/** Ms of the RetryInfo inside the value of `grpc-status-details-bin`; null when there is none. Throws on broken bytes. */
export function retryDelayMs(details: Buffer): number | null {
  for (const { type_url: typeUrl, value } of message<RpcStatus>('google.rpc.Status').deserialize(details)
    .details) {
    if (typeUrl !== 'type.googleapis.com/google.rpc.RetryInfo') continue
    const delay = message<RetryInfo>('google.rpc.RetryInfo').deserialize(value).retryDelay
    return delay === null ? 0 : delay.seconds * 1000 + delay.nanos / 1e6
  }
  return null
}

function message<T extends object>(name: string): MessageTypeDefinition<object, T> {
  return definitions[name] as MessageTypeDefinition<object, T>
}

/**
 * The room of what operators see: log lines and metrics.
 * Floor 5; imports base only. Numbers reach it as functions that read them, so that it knows no room that counts.
 */
export { Logger, LOG_LEVELS } from './logger.ts'
export type { LogEncoding, LoggerOptions, LogLevel, LogStats } from './logger.ts'
export { REDACTED, redactFields, redactText } from './redact.ts'
export { METRICS, OTHER, renderMetricsDoc } from './metric-names.ts'
export type {
  LabelsOf,
  MetricAggregation,
  MetricEntry,
  MetricName,
  MetricNameOf,
  MetricType,
} from './metric-names.ts'
export {
  feedFaults,
  feedLog,
  MAX_SERIES_PER_METRIC,
  Metrics,
  METRICS_CONTENT_TYPE,
  mergeSnapshots,
  renderSnapshots,
} from './metrics.ts'
export type { Emit, MetricsOptions, MetricsSnapshot, ReadingOf } from './metrics.ts'

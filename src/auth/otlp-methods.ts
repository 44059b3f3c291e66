/**
 * The gRPC methods that may pass when nobody has said otherwise: OTLP Export of traces, metrics, logs and profiles.
 * Floor 2; knows no policy, only names. Both gates deny by default and start from this list.
 * @see https://opentelemetry.io/docs/specs/otlp/ (services), opentelemetry-proto 1.x
 */

/** The signals of OTLP, in the words of the collector's pipelines. */
export type OtlpSignal = 'traces' | 'metrics' | 'logs' | 'profiles'

/** The `:path` of each signal's Export method. Profiles are in development upstream, under a versioned package. */
export const OTLP_EXPORT_PATHS: Readonly<Record<OtlpSignal, string>> = {
  traces: '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
  metrics: '/opentelemetry.proto.collector.metrics.v1.MetricsService/Export',
  logs: '/opentelemetry.proto.collector.logs.v1.LogsService/Export',
  profiles: '/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export',
}

/** The paths of `OTLP_EXPORT_PATHS` as a set, for the check per distinct head. */
export const OTLP_EXPORT_METHODS: ReadonlySet<string> = new Set(Object.values(OTLP_EXPORT_PATHS))

/** Whether `path` is an OTLP Export method. Repeating such a call loses nothing: OTLP accepts duplicates. */
export function isOtlpExport(path: string): boolean {
  return OTLP_EXPORT_METHODS.has(path)
}

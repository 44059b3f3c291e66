/**
 * The limits of the configuration into those of connections, name by name.
 * Floor 7; judges nothing: the schema has checked the ranges, and a test compares the names and the defaults.
 */
import type { LimitsConfig, ListenConfig } from '../config/index.ts'
import { NO_CLIENT_LIMITS, type ClientLimits } from '../relay/index.ts'
import { LIMITS, type H2Limits, type LimitEntry } from '../h2/index.ts'

/** Streams of one connection unless the configuration says otherwise: a collector beside us is trusted with more. */
const MAX_STREAMS_REMOTE = 250
const MAX_STREAMS_LOCAL = 1000

/** Limits of accepted connections. gRPC's own words (configgrpc) stand above those of `limits`. */
export function ingressLimits(limits: LimitsConfig, listen: ListenConfig, isLocal: boolean): H2Limits {
  const { maxConnectionIdleMs, maxConnectionAgeMs, maxConnectionAgeGraceMs } =
    listen.keepalive.serverParameters
  const defaultStreams = isLocal ? MAX_STREAMS_LOCAL : MAX_STREAMS_REMOTE
  return {
    ...connectionLimits(limits),
    maxConcurrentStreams: listen.maxConcurrentStreams ?? limits.maxConcurrentStreams ?? defaultStreams,
    ...(maxConnectionIdleMs !== undefined && { idleTimeoutMs: maxConnectionIdleMs }),
    ...(maxConnectionAgeMs !== undefined && { maxAgeMs: maxConnectionAgeMs }),
    ...(maxConnectionAgeGraceMs !== undefined && { ageGraceMs: maxConnectionAgeGraceMs }),
  }
}

/** Limits of dialled connections: they neither grow idle nor old, but what the upstream sends is bounded all the same. */
export function egressLimits(limits: LimitsConfig): H2Limits {
  return { ...connectionLimits(limits), idleTimeoutMs: Infinity, maxAgeMs: Infinity }
}

/** Limits of one client; what is left out is not limited. */
export function clientLimits({ perClient }: LimitsConfig): ClientLimits {
  const { callsPerSecond, sizePerSecondBytes: bytesPerSecond, concurrentCalls } = perClient
  return {
    callsPerSecond: callsPerSecond ?? NO_CLIENT_LIMITS.callsPerSecond,
    bytesPerSecond: bytesPerSecond ?? NO_CLIENT_LIMITS.bytesPerSecond,
    concurrentCalls: concurrentCalls ?? NO_CLIENT_LIMITS.concurrentCalls,
  }
}

/** Every entry of LIMITS under the name that the configuration gives it; the default where it says nothing. */
function connectionLimits(limits: LimitsConfig): H2Limits {
  const configured = limits as unknown as Readonly<Record<string, number | undefined>>
  const values = Object.entries(LIMITS).map(([name, entry]) => [
    name,
    configured[configName(entry)] ?? entry.default,
  ])
  return Object.fromEntries(values) as H2Limits
}

/** `max_header_list_size` in bytes is read as `maxHeaderListBytes`, `stall_timeout` in ms as `stallTimeoutMs`. */
export function configName({ key, unit }: Pick<LimitEntry, 'key' | 'unit'>): string {
  const bare = unit === 'bytes' ? key.replace(/_size(?:_mib)?$/, '') : key
  const camel = bare.replaceAll(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
  return camel + (unit === 'bytes' ? 'Bytes' : unit === 'ms' ? 'Ms' : '')
}

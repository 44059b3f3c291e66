/**
 * Turns a call into what rules look at: a method taken apart, and a caller whose token has verified.
 * Floor 2; knows no rule.
 */
import type { JsonObject } from '../jwt/strict-json.ts'
import { OTLP_EXPORT_PATHS, type OtlpSignal } from '../otlp-methods.ts'
import type { PeerIdentity } from '../ports.ts'
import type { Principal } from '../verdict.ts'

/** A method as rules see it. */
export interface CalledMethod {
  readonly path: string
  readonly service: string
  readonly name: string
  /** null for what is not an OTLP Export method. */
  readonly signal: OtlpSignal | null
}

/** Who calls what. */
export interface PolicySubject {
  readonly method: CalledMethod
  readonly principal: Principal
  readonly claims: JsonObject
  readonly peer: PeerIdentity
}

const SIGNALS = Object.entries(OTLP_EXPORT_PATHS) as [OtlpSignal, string][]
const SIGNAL_BY_PATH = new Map(SIGNALS.map(([signal, path]) => [path, signal]))
/** The package of the OTel-Arrow services. */
export const ARROW_PACKAGE = 'opentelemetry.proto.experimental.arrow.'
/** How OTel-Arrow services are called, in whatever package they end up. */
export const ARROW_SERVICE = /(?:^|[./])Arrow\w+/

/** Takes `/package.Service/Method` apart. */
export function calledMethod(path: string): CalledMethod {
  const slash = path.lastIndexOf('/')
  return {
    path,
    service: path.slice(1, slash),
    name: path.slice(slash + 1),
    signal: SIGNAL_BY_PATH.get(path) ?? null,
  }
}

/** Name of the guard that denies what of OTel-Arrow no rule names. */
export const ARROW_GUARD = 'otel_arrow'

/** Whether `method` is of OTel-Arrow, whose batches carry headers that override the stream's (auth.md §4). */
export function isArrowMethod(method: CalledMethod): boolean {
  return method.service.startsWith(ARROW_PACKAGE) || ARROW_SERVICE.test(method.service)
}

/**
 * Heads into plans: what a request head means for the relay, found out once per distinct head of a connection.
 * Floor 3; knows no stream and asks no gate. Real clients repeat themselves: the same list object, or the same field
 * objects with another grpc-timeout, is recognised by identity, and its verdict and egress form are already known.
 */
import type { CallFacts, PeerIdentity, Permit } from '../auth/index.ts'
import { isGrpcContentType, parseGrpcTimeout, parseMethodPath } from '../grpc/index.ts'
import type { HeaderField, HeaderList } from '../hpack/index.ts'
import { foldName, HOP_FIELD } from './head-rewrite.ts'
import type { RelayReason } from './reasons.ts'
import type { Client } from './clients.ts'
import type { MethodSeries, PermitCount, RelayStats } from './stats.ts'

/** Distinct heads kept for one connection. A client has a handful; a hostile one gains nothing by more. */
const MAX_PLANS = 64
/** Octets of the heads that are kept for one connection, counted as header lists are: a stranger needs no token for them. */
const MAX_KEPT_BYTES = 128 * 1024

/** What a head means, apart from its deadline. Shared by all calls with the same fields. */
export class HeadPlan {
  readonly fields: readonly HeaderField[]
  readonly sizeBytes: number
  /** Position of grpc-timeout in `fields`; -1 without. */
  readonly timeoutIndex: number
  /** Why the head cannot be a call, before any token is looked at; null when it can. */
  readonly problem: RelayReason | null
  readonly path: string
  readonly authorization: string | null
  readonly authorizationCount: number
  readonly isAuthgwHop: boolean
  readonly series: MethodSeries
  /** The last Permit for these facts; valid only while the gate says so. */
  permit: Permit | null = null
  /** Counts calls under that Permit. */
  permits: PermitCount | null = null
  /** Whose calls they are, as the Permit says; null where no token does. */
  client: Client | null = null
  /** The egress head made with that Permit; null until it is needed. */
  egress: HeaderList | null = null
  readonly #stats: RelayStats

  constructor(list: HeaderList, stats: RelayStats, isGrpcOnly: boolean) {
    this.#stats = stats
    this.fields = list.fields
    this.sizeBytes = list.sizeBytes
    let path = ''
    let method = ''
    let contentType: string | null = null
    let authorization: string | null = null
    let authorizationCount = 0
    let timeoutIndex = -1
    let isAuthgwHop = false
    list.fields.forEach((field, index) => {
      const { name, value } = field
      if (name === ':path') path = value
      else if (name === ':method') method = value
      else if (name === 'content-type') contentType ??= value
      else if (name === 'authorization') {
        authorization = value
        authorizationCount++
      } else if (name === 'grpc-timeout') timeoutIndex = index
      else if (foldName(name) === HOP_FIELD) isAuthgwHop = true
    })
    this.path = path
    this.authorization = authorization
    this.authorizationCount = authorizationCount
    this.timeoutIndex = timeoutIndex
    this.isAuthgwHop = isAuthgwHop
    this.series = stats.seriesOf(path.slice(1))
    this.problem = isGrpcOnly ? problemOf(method, contentType, path) : null
  }

  /** Takes the latest Permit for these facts; what was made with an earlier one is made anew. */
  usePermit(permit: Permit): void {
    if (this.permit === permit) return
    this.permit = permit
    this.permits = this.#stats.permitsOf(permit.principal.issuer)
    this.client = this.#stats.clients.of(permit.principal)
    this.egress = null
  }

  /** Whether `fields` are these fields, whatever the deadline says. */
  matches(fields: readonly HeaderField[]): boolean {
    const own = this.fields
    if (fields.length !== own.length) return false
    for (let i = 0; i < own.length; i++) {
      if (fields[i] !== own[i] && (i !== this.timeoutIndex || fields[i]!.name !== 'grpc-timeout'))
        return false
    }
    return true
  }

  /** The facts for the gate. */
  facts(peer: PeerIdentity, receivedAtMs: number, timeoutMs: number): CallFacts {
    return {
      path: this.path,
      authorization: this.authorization,
      authorizationCount: this.authorizationCount,
      isAuthgwHop: this.isAuthgwHop,
      peer,
      receivedAtMs,
      timeoutMs,
    }
  }
}

/** http2.md §1, order of checks: 415 before the path. */
function problemOf(method: string, contentType: string | null, path: string): RelayReason | null {
  if (method !== 'POST' || contentType === null || !isGrpcContentType(contentType)) return 'not_grpc'
  return parseMethodPath(path).isValid ? null : 'bad_path'
}

/** A plan with one call's deadline: what a list object stands for. Kept in `HeaderList.annotation`. */
export class HeadReading {
  readonly plan: HeadPlan
  readonly timeout: HeaderField | null
  /** Ms that the caller gave; Infinity without a deadline, NaN for a malformed one. */
  readonly timeoutMs: number

  constructor(plan: HeadPlan, timeout: HeaderField | null) {
    this.plan = plan
    this.timeout = timeout
    this.timeoutMs = timeout === null ? Infinity : (parseGrpcTimeout(timeout.value) ?? NaN)
  }
}

/** The plans of one ingress connection. */
export class Intake {
  readonly #stats: RelayStats
  readonly #isGrpcOnly: boolean
  /** Null before the first head: an idle connection has none. */
  #plans: Map<HeaderField, HeadPlan> | null = null
  #keptBytes = 0

  /** @param isGrpcOnly false lifts the 415 and path rules (an `unsafe_` option, for conformance suites) */
  constructor(stats: RelayStats, isGrpcOnly: boolean) {
    this.#stats = stats
    this.#isGrpcOnly = isGrpcOnly
  }

  /** Octets of the heads that are kept. */
  get keptBytes(): number {
    return this.#keptBytes
  }

  /** Reads a checked, whole head. */
  read(list: HeaderList): HeadReading {
    const known = list.annotation
    if (known !== null) {
      this.#stats.memoHits++
      return known as HeadReading
    }
    const path = pathFieldOf(list)
    let plan = path === null ? undefined : this.#plans?.get(path)
    if (plan !== undefined && plan.matches(list.fields)) this.#stats.memoHits++
    else plan = this.#makePlan(list, path)
    const timeout = plan.timeoutIndex < 0 ? null : list.fields[plan.timeoutIndex]!
    const reading = new HeadReading(plan, timeout)
    list.annotation = reading
    return reading
  }

  #makePlan(list: HeaderList, path: HeaderField | null): HeadPlan {
    this.#stats.memoMisses++
    const plan = new HeadPlan(list, this.#stats, this.#isGrpcOnly)
    if (path === null) return plan
    const before = this.#plans?.get(path)
    // Metadata that differs from call to call (a trace context) makes a new plan; the verdict need not be asked for again.
    if (before !== undefined && before.permit !== null && hasSameFacts(before, plan))
      plan.usePermit(before.permit)
    this.#keep(path, plan, before)
    return plan
  }

  #keep(path: HeaderField, plan: HeadPlan, before: HeadPlan | undefined): void {
    const plans = (this.#plans ??= new Map<HeaderField, HeadPlan>())
    this.#keptBytes += plan.sizeBytes - (before?.sizeBytes ?? 0)
    if (plans.size >= MAX_PLANS || this.#keptBytes > MAX_KEPT_BYTES) {
      plans.clear()
      this.#keptBytes = plan.sizeBytes
    }
    plans.set(path, plan)
  }
}

/** Whether a gate that sees only CallFacts would see the same. */
function hasSameFacts(a: HeadPlan, b: HeadPlan): boolean {
  return (
    a.path === b.path &&
    a.authorization === b.authorization &&
    a.authorizationCount === b.authorizationCount &&
    a.isAuthgwHop === b.isAuthgwHop &&
    a.problem === b.problem
  )
}

/** RFC 9113 §8.3: pseudo-headers come first, so it is among the first four of a checked head. */
function pathFieldOf(list: HeaderList): HeaderField | null {
  const { fields } = list
  for (let i = 0; i < fields.length; i++) {
    const { name } = fields[i]!
    if (name === ':path') return fields[i]!
    if (name.charCodeAt(0) !== 0x3a) return null
  }
  return null
}

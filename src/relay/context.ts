/**
 * What calls share: the gate, the pool, the clocks, the budgets and the counters of one relay.
 * Floor 3; types only.
 */
import type { Gate, PeerIdentity, Permit } from '../auth/index.ts'
import type { DeadlineWheel, Turn } from '../base/index.ts'
import type { HeaderList } from '../hpack/index.ts'
import type { EgressPool } from './egress-pool.ts'
import type { HeadPlan } from './intake.ts'
import type { ReplayBudget } from './replay.ts'
import type { RelayStats } from './stats.ts'

/** Who is at the other end of an ingress connection. */
export interface IngressPeer {
  readonly identity: PeerIdentity
  /** Whether it may read more than "unauthenticated": a verified certificate, or this machine. */
  readonly seesDetails: boolean
}

/** One relay, as its calls see it. */
export interface RelayContext {
  readonly gate: Gate
  readonly pool: EgressPool
  readonly turn: Turn
  readonly wheel: DeadlineWheel
  readonly stats: RelayStats
  readonly replayBudget: ReplayBudget
  /** Longest gRPC message, its prefix not counted. */
  readonly maxMessageBytes: number
  /** False only under an `unsafe_` option: HTTP responses without a gRPC status pass too. */
  readonly isGrpcOnly: boolean
  /** Whether UNAUTHENTICATED from egress is ours to mend (workload role, row 5). */
  readonly renews: boolean
  /** Whether PERMISSION_DENIED from egress is turned into a retry (`on_denied: hold`, row 6). */
  readonly holdsDenied: boolean
  /** Whether `authgw-reason` from egress is dropped (control plane role, auth.md §5). */
  readonly dropsReason: boolean
  /** A call ends after so many ms; Infinity for never. */
  readonly maxStreamDurationMs: number
  /** A call waits so many ms at most for an egress connection (row 21). */
  readonly egressWaitMs: number
  /** Times that one call may be begun again (rows 5 and 14). */
  readonly maxReplays: number
  /** Monotonic ms at which calls under `permit` end; Infinity for never. */
  endsAtMs(permit: Permit): number
  egressHead(plan: HeadPlan, permit: Permit): HeaderList
  /** Whether a path is an OTLP Export, which may be sent twice. */
  isOtlp(path: string): boolean
  /** Counts an `authgw-reason` seen on egress. */
  countReason(reason: string): void
  onBug(error: unknown): void
}

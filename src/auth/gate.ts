/**
 * The Gate: facts about a call in, a Verdict out.
 * Floor 2; knows neither frames, streams nor sockets. The relay asks, and forwards only with a Permit.
 */
import type { PeerIdentity } from './ports.ts'
import type { Permit, Refusal, Verdict } from './verdict.ts'

/** What a gate may know about a call. Made once per distinct head, not per call. */
export interface CallFacts {
  /** `:path`, already checked to be `/package.Service/Method`. */
  readonly path: string
  /** Value of the `authorization` field; null when there is none. */
  readonly authorization: string | null
  /** How many `authorization` fields there are: more than one is refused (auth.md §2). */
  readonly authorizationCount: number
  /** Whether the caller is an authgw in the workload role (`x-authgw-hop`): selects only the status (row 9a). */
  readonly isAuthgwHop: boolean
  readonly peer: PeerIdentity
  /** Unix ms at which the request head was received: a key fetch older than it proves nothing (row 9). */
  readonly receivedAtMs: number
  /** Ms that the caller gave the call (grpc-timeout); Infinity without a deadline. A gate waits at most min(60 %, 2 s). */
  readonly timeoutMs: number
}

/** Decides on every call. */
export interface Gate {
  /** Synchronous when nothing has to be fetched or verified. Never rejects: what goes wrong is a Refusal. */
  admit(call: CallFacts): Verdict | Promise<Verdict>
  /** Whether a permit given earlier for the same facts still holds: neither expired nor made under older keys, policy or trust. */
  isCurrent(permit: Permit, wallMs: number): boolean
  /**
   * The control plane refused `permit` with UNAUTHENTICATED (no-loss.md row 5). Gives a permit with a newer credential
   * to replay under, or the refusal to answer with. Null: the answer is to be passed on as it is.
   */
  renew(permit: Permit): Promise<Verdict> | Refusal | null
}

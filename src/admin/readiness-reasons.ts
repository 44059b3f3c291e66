/**
 * The words by which readiness says why: a label of `authgw_degraded`, and headings of docs/errors.md.
 * Floor 6; judges nothing.
 */
import { explained, type CredentialErrorCode, type Explanation } from '../base/index.ts'

/** Reasons beside those of credentials and keys. */
export const READINESS_REASONS = {
  token_pending: explained(
    'The first token is on its way; calls wait for it for a moment, then they are answered UNAVAILABLE.',
    'Nothing, for the first seconds. After that the reason is that of the provider.',
  ),
  keys_never_loaded: explained(
    'No key of this issuer was ever had, neither from the network nor from disk: the control plane is not ready.',
    'The text beside it says why the last attempt failed: reach the issuer from here. For the next time: `key_cache_directory`.',
  ),
  worker_missing: explained(
    'Fewer workers serve than are configured; another one is started.',
    'Look at `authgw_worker_restarts_total`, and in the log at why it ended: memory that is spent, or a bug.',
  ),
  no_worker: explained(
    'No worker serves: connections wait, and are refused when there are too many.',
    'Look in the log at why they end, and at the memory of the machine. They are started again and again.',
  ),
} as const satisfies Record<string, Explanation>

/** Why a part of the process is not well. */
export type ReadinessReason = keyof typeof READINESS_REASONS | CredentialErrorCode

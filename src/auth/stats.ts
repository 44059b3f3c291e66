/**
 * Counters of the control plane's gate: plain numbers, read at scrape.
 * Floor 2; knows no metric library and no label.
 */
import { REFUSAL_REASONS, type RefusalReason } from './verdict.ts'

/** Stands for every issuer that no provider is configured for: a caller must not choose our label values. */
export const OTHER_ISSUER = '_OTHER'

/** What a gate has done since it was made. Every field only grows, but `verificationsActive` and `verificationsWaiting`. */
export class GateStats {
  /** Calls that were given a permit. */
  accepted = 0
  /** Calls that were refused, by reason. */
  readonly refused = Object.fromEntries(Object.keys(REFUSAL_REASONS).map((reason) => [reason, 0])) as Record<
    RefusalReason,
    number
  >
  /** Of those, the ones whose token names an issuer: of a configured provider, or OTHER_ISSUER. */
  readonly refusedByIssuer = new Map<string, Map<RefusalReason, number>>()
  /** Calls answered from the cache of verdicts. */
  verdictHits = 0
  /** Calls whose token was in the cache of verified tokens. */
  tokenHits = 0
  /** Calls answered from the negative cache. */
  rejectionHits = 0
  /** Calls whose token was in no cache. */
  tokenMisses = 0
  /** Signatures checked. */
  verifications = 0
  /** Signatures being checked now. */
  verificationsActive = 0
  /** Calls that wait for their turn to be checked. */
  verificationsWaiting = 0
  /** Times that the owner of the keys was asked for newer ones. */
  keyRequests = 0
  /** Tokens whose nbf or iat lies in the future beyond the leeway. */
  clockSkew = 0
  /** Verdicts that a dry run turned round; one for many calls with the same token and method. */
  dryRunDenials = 0
  /** Verdicts that matched a rule with action `audit`. */
  audited = 0
  /** Verdicts on tokens that live longer than an hour. */
  longLived = 0
  /** Claims that were too long to be put into a field. */
  claimsTooLong = 0
  /** Defects of our own that were caught here; each cost one call. */
  bugs = 0

  /** Counts a refused call. @param issuer empty where the token names none */
  refuse(reason: RefusalReason, issuer: string): void {
    this.refused[reason]++
    if (issuer === '') return
    let counts = this.refusedByIssuer.get(issuer)
    if (counts === undefined) this.refusedByIssuer.set(issuer, (counts = new Map<RefusalReason, number>()))
    counts.set(reason, (counts.get(reason) ?? 0) + 1)
  }
}

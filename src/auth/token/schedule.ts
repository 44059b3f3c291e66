/**
 * When a token is replaced and how long it is used: from its life to moments on the monotonic clock.
 * Floor 2; reads no clock and sets no timer.
 */

/** The longest life that is believed: a longer one is refreshed daily all the same. */
export const MAX_TOKEN_LIFE_MS = 24 * 3_600_000
/** Lives below this are refreshed at half of them: the margins below would leave nothing. */
const SHORT_LIFE_MS = 50_000
/**
 * Between two refreshes, whatever their causes, as far as half of the life allows: a control plane that refuses everything must
 * not flood the provider (no-loss.md row 5). Within that the schedule's jitter gives way.
 */
export const MIN_REFRESH_GAP_MS = 5_000
/** Bounds of the lead: below 10 s a slow provider makes calls wait, above 300 s long-lived tokens are wasted. */
const MIN_LEAD_MS = 10_000
const MAX_LEAD_MS = 300_000
/** Share of the life that the lead may take, and share that is drawn at random so that pods do not ask together. */
const LEAD_SHARE = 0.2
const JITTER_SHARE = 0.05
/** At most this long before its end a token is no longer sent: it has to reach the control plane alive. */
const MAX_UNUSED_MS = 10_000
const UNUSED_SHARE = 0.1

/** How long before its end a token of this life is no longer used, in ms. */
export function unusedTailMs(lifeMs: number): number {
  return Math.min(MAX_UNUSED_MS, lifeMs * UNUSED_SHARE)
}

/** Whether an `expiry_buffer` is larger than the part of the life that it may take. */
export function isBufferCapped(expiryBufferMs: number, lifeMs: number): boolean {
  return expiryBufferMs > lifeMs * LEAD_SHARE
}

/**
 * Ms from the start of the request for a token to the start of the request for its successor.
 * @param expiryBufferMs the operator's own lead, capped at 20 % of the life; null for the default
 * @param random a number in [0, 1)
 */
export function refreshAfterMs(lifeMs: number, expiryBufferMs: number | null, random: number): number {
  const jitterMs = random * JITTER_SHARE * lifeMs
  if (lifeMs < SHORT_LIFE_MS) {
    const halfMs = lifeMs / 2
    return halfMs < MIN_REFRESH_GAP_MS ? halfMs - jitterMs : Math.max(halfMs - jitterMs, MIN_REFRESH_GAP_MS)
  }
  const shareMs = lifeMs * LEAD_SHARE
  const leadMs =
    expiryBufferMs === null
      ? Math.min(Math.max(shareMs, MIN_LEAD_MS), MAX_LEAD_MS)
      : Math.max(Math.min(expiryBufferMs, shareMs), unusedTailMs(lifeMs))
  return lifeMs - leadMs - jitterMs
}

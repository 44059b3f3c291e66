/**
 * Turns single observations into counts per bucket: plain numbers that a scrape reads later.
 * Floor 0; knows no metric name and no label. One instance per series, kept by the room that counts.
 */

/**
 * The bucket bounds that OpenTelemetry advises for the duration of an RPC, in seconds.
 * @see https://opentelemetry.io/docs/specs/semconv/rpc/rpc-metrics/
 */
export const RPC_DURATION_BOUNDS_SECONDS: readonly number[] = [
  0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10,
]

/** What a scrape reads of a histogram. All three belong to the owner and change under the reader's eyes. */
export interface HistogramReading {
  /** Upper bounds, ascending, each inclusive; the last bucket, above them all, has none. */
  readonly bounds: readonly number[]
  /** Observations per bucket, not cumulative: `counts.length === bounds.length + 1`. */
  readonly counts: readonly number[]
  /** Sum of all observations, in the unit of `bounds`. */
  readonly sum: number
}

/**
 * Counts observations in fixed buckets. `observe` allocates nothing.
 * A linear search wins: most calls end in the first buckets, and there are fifteen in all.
 */
export class Histogram implements HistogramReading {
  readonly bounds: readonly number[]
  readonly counts: number[]
  sum: number

  /** @param bounds ascending; default `RPC_DURATION_BOUNDS_SECONDS` */
  constructor(bounds: readonly number[] = RPC_DURATION_BOUNDS_SECONDS) {
    this.bounds = bounds
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0)
    this.sum = 0
  }

  /** How many observations there were. */
  get count(): number {
    let count = 0
    for (let i = 0; i < this.counts.length; i++) count += this.counts[i]!
    return count
  }

  /** Counts `value`, in the unit of the bounds. Negative or not a number counts as 0. */
  observe(value: number): void {
    const observed = value > 0 ? value : 0
    const bounds = this.bounds
    let bucket = 0
    while (bucket < bounds.length && observed > bounds[bucket]!) bucket++
    this.counts[bucket]!++
    this.sum += observed
  }
}

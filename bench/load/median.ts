/** Medians: the middle of figures that were taken in turns. */

/** The middle of a list of numbers; the lower one of two. */
export function median(values: number[]): number {
  const sorted = [...values].sort((left, right) => left - right)
  return sorted[(sorted.length - 1) >> 1] ?? Number.NaN
}

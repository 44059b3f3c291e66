/**
 * Lets many askers share one piece of work that is under way.
 * Floor 0; knows neither time nor what the work is.
 */

/** At most one run of a task at a time; whoever asks meanwhile gets the same promise. */
export class SingleFlight<T> {
  #inFlight: Promise<T> | null = null

  /** Whether a run is under way. */
  get isFlying(): boolean {
    return this.#inFlight !== null
  }

  /** Joins the run under way, or starts `task`. A rejection reaches everyone who joined. */
  run(task: () => Promise<T>): Promise<T> {
    if (this.#inFlight !== null) return this.#inFlight
    const flight = task().finally(() => {
      this.#inFlight = null
    })
    this.#inFlight = flight
    return flight
  }
}

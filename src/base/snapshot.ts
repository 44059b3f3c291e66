/**
 * A snapshot port: one owner publishes immutable values with a generation, any number of consumers read the latest.
 * Floor 0; knows no process boundary: with several workers an adapter in roles/ carries the same snapshots over IPC.
 */

/** An immutable value and its generation: a number that grows with each change and never repeats. */
export interface Snapshot<T> {
  readonly generation: number
  readonly value: T
}

/** What a consumer sees of a published value. */
export interface SnapshotSource<T> {
  /** The latest snapshot; null before the first. */
  readonly current: Snapshot<T> | null
  /** Calls `listener` after each change. Returns the function that ends it. */
  subscribe(listener: (snapshot: Snapshot<T>) => void): () => void
}

/** The owner's end: holds the latest snapshot and tells the consumers of a new one. */
export class Published<T> implements SnapshotSource<T> {
  #current: Snapshot<T> | null = null
  readonly #listeners = new Set<(snapshot: Snapshot<T>) => void>()

  get current(): Snapshot<T> | null {
    return this.#current
  }

  /** Publishes `value` under the next generation. */
  publish(value: T): Snapshot<T> {
    const snapshot = { generation: (this.#current?.generation ?? 0) + 1, value }
    this.#current = snapshot
    for (const listener of this.#listeners) listener(snapshot)
    return snapshot
  }

  subscribe(listener: (snapshot: Snapshot<T>) => void): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }
}

/**
 * What every stable word that authgw refuses or complains with is explained by, in log, command line and documentation.
 * Floor 0; knows no word.
 */

/** A word's meaning for an operator. Both are whole sentences. */
export interface Explanation {
  /** What has happened. */
  readonly cause: string
  /** What to do about it. */
  readonly remedy: string
}

/** Makes one. */
export function explained(cause: string, remedy: string): Explanation {
  return { cause, remedy }
}

/**
 * Turns a broken assumption of our own into an InvariantError.
 * Floor 0; knows no protocol, and never judges what a peer sent: that is a fault, not a bug.
 */
import { InvariantError } from './errors.ts'

/**
 * Throws InvariantError unless `condition` holds. For states that no input can reach.
 * @param what the sentence that should have been true
 */
export function invariant(condition: boolean, what: string): asserts condition {
  if (!condition) throw new InvariantError(what)
}

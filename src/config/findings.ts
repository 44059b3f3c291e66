/**
 * A collector of faults and warnings with their places.
 * Floor 1; decides nothing.
 */
import type { ConfigFault } from '../base/index.ts'
import type { ConfigTree, KeyPath } from './tree.ts'

/** Faults and warnings of one configuration, in the order in which they were found. */
export class Findings {
  readonly faults: ConfigFault[] = []
  readonly warnings: ConfigFault[] = []
  readonly #tree: ConfigTree

  constructor(tree: ConfigTree) {
    this.#tree = tree
  }

  /** Whether the operator wrote something at `path`. */
  isWritten(path: KeyPath): boolean {
    return this.#tree.valueAt(path) !== undefined
  }

  fault(path: KeyPath, problem: string, remedy: string): void {
    this.faults.push(this.#tree.fault(path, problem, remedy))
  }

  warn(path: KeyPath, problem: string, remedy: string): void {
    this.warnings.push(this.#tree.fault(path, problem, remedy))
  }

  /** Faults a weakening word that is not named in `unsafe_allow` beside it. */
  requireAllowed(path: KeyPath, name: string, allowed: readonly string[] | undefined, problem: string): void {
    if (allowed?.includes(name) === true) {
      this.warn(path, problem, `remove ${name} from unsafe_allow when it is no longer needed`)
      return
    }
    this.fault(path, problem, `remove it, or write unsafe_allow: [${name}] beside it if that is meant`)
  }
}

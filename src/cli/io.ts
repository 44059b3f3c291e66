/**
 * What a command touches of the process: its output, its environment, the time and its signals.
 * Floor 8; main.ts gives the real ones, tests give their own.
 */

/** A signal that a running gateway listens to. */
export type SignalName = 'SIGTERM' | 'SIGINT' | 'SIGHUP'

/** The process as commands see it. */
export interface CliIo {
  /** Writes to the standard output, as it is. */
  readonly out: (text: string) => void
  /** Writes to the standard error, as it is. */
  readonly err: (text: string) => void
  /** Reads the standard input to its end. */
  readonly readInput: () => Promise<string>
  readonly env: Readonly<Record<string, string | undefined>>
  /** Unix ms. */
  readonly nowMs: () => number
  readonly onSignal: (name: SignalName, listener: () => void) => void
  /** Version of authgw and of Node. */
  readonly version: string
  readonly nodeVersion: string
  /** Whether a core dump of this process would hold its memory, because the system does not let it be kept out. */
  readonly canDumpMemory: boolean
}

/** The roles, as options name them. */
export const ROLE_NAMES = ['workload', 'control-plane'] as const
/** A role, as an option names it. */
export type RoleName = (typeof ROLE_NAMES)[number]

/** Exit codes of every command. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const

/** Something the operator asked for that cannot be done; ends the command with exit code 2 and no stack trace. */
export class UsageError extends Error {
  readonly remedy: string
  constructor(problem: string, remedy: string) {
    super(problem)
    this.name = 'UsageError'
    this.remedy = remedy
  }
}

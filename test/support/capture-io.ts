/**
 * A process for commands: what they write is kept, and nothing else happens.
 */
import type { CliIo } from '../../src/cli/index.ts'

/** What a command has written. */
export interface Written {
  out: string
  err: string
}

/** Gives a process, and what commands have written to it. `over` replaces parts of it. */
export function captureIo(over: Partial<CliIo> = {}): { readonly io: CliIo; readonly text: Written } {
  const text: Written = { out: '', err: '' }
  const io: CliIo = {
    out: (more) => (text.out += more),
    err: (more) => (text.err += more),
    readInput: () => Promise.resolve(''),
    env: {},
    nowMs: () => Date.now(),
    onSignal: () => {},
    version: '1.2.3',
    nodeVersion: '26.0.0',
    canDumpMemory: false,
    ...over,
  }
  return { io, text }
}

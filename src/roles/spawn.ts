/**
 * Worker processes, with a pipe for values and sockets.
 * Floor 7; knows nothing of what is said. Not by node:cluster, which loses connections (docs/adr/0011).
 */
import { fork, type SendHandle } from 'node:child_process'
import type { Socket } from 'node:net'
import type { LinePort } from './line.ts'

/** A worker process that was started. */
export interface WorkerProcess {
  readonly pid: number
  readonly port: LinePort
  /** Calls `listener` once with how it ended, in words. */
  onExit(listener: (how: string) => void): void
  /** Ends it at once. */
  kill(): void
}

/** Starts a worker process. */
export type SpawnWorker = () => WorkerProcess

/** A program file and its arguments. */
export type WorkerProgram = readonly [file: string, ...args: string[]]

/** Starts processes of `program`, with the options that Node itself was given here. */
export function forkSpawner([file, ...args]: WorkerProgram): SpawnWorker {
  return () => {
    // Snapshots hold octets and infinities, which JSON loses.
    const child = fork(file, args, { serialization: 'advanced' })
    const listeners: ((how: string) => void)[] = []
    let how: string | null = null
    const end = (words: string): void => {
      if (how !== null) return
      how = words
      for (const listener of listeners) listener(words)
    }
    child.once('exit', (code, signal) => end(signal ?? `exit code ${code}`))
    // It could not be started, and will not exit; or something could not be sent, and its exit will tell.
    child.on('error', (error) => {
      if (child.pid === undefined) end(error.message)
    })
    return {
      pid: child.pid ?? -1,
      port: {
        send: (message, socket) => {
          if (child.connected) child.send(message, socket, { keepOpen: true }, () => {})
        },
        onMessage: (listener) =>
          void child.on('message', (message, handle?: SendHandle) => listener(message, handle as Socket)),
      },
      onExit: (listener) => {
        if (how === null) listeners.push(listener)
        else listener(how)
      },
      kill: () => void child.kill('SIGKILL'),
    }
  }
}

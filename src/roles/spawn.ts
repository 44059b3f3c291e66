/**
 * Worker processes by node:cluster: the supervisor holds the listening sockets and deals connections out in turn.
 * Floor 7; knows nothing of what is said. Round robin is set whatever the environment asks for: a worker that dies then
 * refuses nobody, since it never held a listening socket, and UNIX sockets work like the others.
 */
import cluster from 'node:cluster'
import { openSocketFile } from '../net/index.ts'
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

/** Prepares this process to be the supervisor of processes of `program`. */
export function clusterSpawner([exec, ...args]: WorkerProgram): SpawnWorker {
  cluster.schedulingPolicy = cluster.SCHED_RR
  // Snapshots hold octets and infinities, which JSON loses.
  cluster.setupPrimary({ exec, args, serialization: 'advanced' })
  cluster.on('listening', (_worker, { address, addressType }) => {
    if (addressType === -1) openSocketFile(address)
  })
  return () => {
    const worker = cluster.fork()
    // A worker that dies while something is sent to it is told by its exit.
    worker.on('error', () => {})
    return {
      pid: worker.process.pid ?? -1,
      port: {
        send: (message) => {
          if (worker.isConnected()) worker.send(message, undefined, undefined, () => {})
        },
        onMessage: (listener) => worker.on('message', listener),
      },
      onExit: (listener) => {
        worker.once('exit', (code, signal) => listener(signal ?? `exit code ${code}`))
      },
      kill: () => worker.process.kill('SIGKILL'),
    }
  }
}

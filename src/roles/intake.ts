/**
 * A worker's end of the connections that its supervisor accepts: sockets that arrive into the listener of their role.
 * Floor 7; accepts nothing itself. What nobody here wants goes back by a word, so that another worker gets it.
 */
import type { Socket } from 'node:net'
import { adoptSocket, type Endpoint, type SocketIntake } from '../net/index.ts'

/** The connections of one role. */
export class RemoteIntake implements SocketIntake {
  readonly #endpoints: readonly Endpoint[]
  #onSocket: ((socket: Socket) => void) | null = null

  /** @param endpoints where the supervisor accepts them */
  constructor(endpoints: readonly Endpoint[]) {
    this.#endpoints = endpoints
  }

  open(onSocket: (socket: Socket) => void): readonly Endpoint[] {
    this.#onSocket = onSocket
    return this.#endpoints
  }

  close(): void {
    this.#onSocket = null
  }

  /** Hands a socket over; false when it is not wanted. */
  take(socket: Socket): boolean {
    if (this.#onSocket === null) return false
    this.#onSocket(adoptSocket(socket))
    return true
  }
}

/**
 * Accepted connections to the workers, in turn, and to another one when a worker dies before it has taken them.
 * Floor 7; reads no octet. It keeps each socket until the worker has said that it has it: a socket on its way to a process
 * that dies would otherwise be open for its client and served by nobody.
 */
import type { Socket } from 'node:net'
import type { RoleName } from './role.ts'

/** A worker, as far as connections go to it. */
export interface Dealee {
  /** Sends a connection on its way; the worker says by its id whether it has taken it. */
  deal(connection: { readonly id: number; readonly role: RoleName }, socket: Socket): void
}

/** Connections that wait for a worker while there is none: those that the kernel would hold for a busy process. */
const MAX_WAITING = 1_024

/** A connection that nobody has taken yet. */
interface Dealt {
  readonly role: RoleName
  readonly socket: Socket
  /** Those who did not want it. */
  readonly declinedBy: Set<Dealee>
}

/** Deals connections out. */
export class Dealer {
  /** Connections closed because no worker was there for them. */
  refusedCount = 0
  readonly #workers = new Map<Dealee, Map<number, Dealt>>()
  /** While there is no worker. */
  readonly #waiting: Dealt[] = []
  #nextId = 1

  /** `worker` serves from now on. */
  add(worker: Dealee): void {
    this.#workers.set(worker, new Map())
    for (const dealt of this.#waiting.splice(0)) this.#deal(dealt)
  }

  /** `worker` has gone: what it has not taken goes to others. */
  remove(worker: Dealee): void {
    const open = this.#workers.get(worker)
    this.#workers.delete(worker)
    for (const dealt of open?.values() ?? []) this.#deal(dealt)
  }

  /** Gives a connection to a worker. */
  deal(role: RoleName, socket: Socket): void {
    this.#deal({ role, socket, declinedBy: new Set() })
  }

  /** `worker` has a connection, or does not want it. */
  settle(worker: Dealee, { id, isTaken }: { readonly id: number; readonly isTaken: boolean }): void {
    const open = this.#workers.get(worker)
    const dealt = open?.get(id)
    if (dealt === undefined) return
    open!.delete(id)
    if (isTaken) {
      // Closes this process's copy alone.
      dealt.socket.destroy()
      return
    }
    dealt.declinedBy.add(worker)
    this.#deal(dealt)
  }

  /** Closes what nobody has taken. */
  close(): void {
    const open = [...this.#workers.values()].flatMap((dealt) => [...dealt.values()])
    this.#workers.clear()
    for (const { socket } of [...open, ...this.#waiting.splice(0)]) socket.destroy()
  }

  #deal(dealt: Dealt): void {
    const { role, socket, declinedBy } = dealt
    if (socket.destroyed) return
    if (this.#workers.size === 0 && this.#waiting.length < MAX_WAITING) {
      this.#waiting.push(dealt)
      return
    }
    const worker = this.#choose(declinedBy)
    if (worker === null) {
      this.refusedCount++
      socket.destroy()
      return
    }
    const id = this.#nextId++
    const open = this.#workers.get(worker)!
    // Last in turn: a Map keeps the order of insertion.
    this.#workers.delete(worker)
    this.#workers.set(worker, open.set(id, dealt))
    worker.deal({ id, role }, socket)
  }

  /** Whose turn it is, of those with the fewest connections on their way: one that hangs gets no more. */
  #choose(declinedBy: ReadonlySet<Dealee>): Dealee | null {
    let chosen: Dealee | null = null
    let fewest = Infinity
    for (const [worker, open] of this.#workers) {
      if (open.size >= fewest || declinedBy.has(worker)) continue
      chosen = worker
      fewest = open.size
    }
    return chosen
  }
}

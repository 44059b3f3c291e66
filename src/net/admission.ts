/**
 * Who may come in: connections in total, per address while unverified, and TLS handshakes under way.
 * Floor 4; knows addresses and sockets, not identities or calls. http2.md §4.
 */
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import type { Clock } from '../base/index.ts'
import type { NetStats } from './stats.ts'

/** Limits on who may be connected. */
export interface AdmissionLimits {
  /** All connections of the listener. Default 10 000, less where the process may not open as many files. */
  readonly maxConnections: number
  /** Connections of one address without a verified certificate. Default 256: fleets sit behind NAT. */
  readonly maxConnectionsPerAddress: number
  /** TLS handshakes under way. Default 128. */
  readonly maxPendingHandshakes: number
}

/** A connection from accept to close. */
export interface Visitor {
  readonly socket: Socket
  /** Under which its address is counted; null when it is not. */
  readonly address: string | null
  /** The two ends of its TCP connection, which a TLS socket on top of it knows too; empty once the handshake is done. */
  ends: string
  readonly acceptedMs: number
}

/** File descriptors that are left to the rest of the process: egress, files, the admin server. */
export const RESERVED_FILES = 64
/** An honest handshake is done by then; one that is not gives way when there are too many. */
export const HONEST_HANDSHAKE_MS = 1_000

/** Counts visitors of one listener and turns away those that are too many. */
export class Admission {
  readonly limits: AdmissionLimits
  readonly #stats: NetStats
  readonly #clock: Clock
  readonly #countByAddress = new Map<string, number>()
  /** Visitors in a TLS handshake, oldest first, by their ends. */
  readonly #pending = new Map<string, Visitor>()
  /** Visitors that stand in `#countByAddress`. */
  readonly #counted = new Set<Visitor>()
  #openCount = 0

  constructor(stats: NetStats, clock: Clock, limits: Partial<AdmissionLimits> = {}) {
    this.#stats = stats
    this.#clock = clock
    this.limits = {
      maxConnections: Math.min(
        limits.maxConnections ?? 10_000,
        Math.max(1, openFileLimit() - RESERVED_FILES),
      ),
      maxConnectionsPerAddress: limits.maxConnectionsPerAddress ?? 256,
      maxPendingHandshakes: limits.maxPendingHandshakes ?? 128,
    }
  }

  /**
   * Lets a socket in and counts it until it closes; null when it is one too many.
   * @param address the key to count it under; null for a peer that is not limited by address
   * @param isTls whether a handshake follows
   */
  admit(socket: Socket, address: string | null, isTls: boolean): Visitor | null {
    const stats = this.#stats
    if (this.#openCount >= this.limits.maxConnections) {
      stats.refusedByTotal++
      return null
    }
    const sameAddress = address === null ? 0 : (this.#countByAddress.get(address) ?? 0)
    if (sameAddress >= this.limits.maxConnectionsPerAddress) {
      stats.refusedByAddress++
      return null
    }
    if (isTls && !this.#makeRoomForHandshake()) return null
    const visitor: Visitor = { socket, address, ends: endsOf(socket), acceptedMs: this.#clock.nowMs() }
    if (address !== null) {
      this.#countByAddress.set(address, sameAddress + 1)
      this.#counted.add(visitor)
    }
    if (isTls) {
      this.#pending.set(visitor.ends, visitor)
      stats.handshakesPending++
    }
    this.#openCount++
    stats.ingressOpen++
    // Not `once`: that keeps a wrapper for as long as the connection is open.
    socket.on('close', () => {
      this.#openCount--
      stats.ingressOpen--
      this.release(visitor)
    })
    return visitor
  }

  /** The visitor whose handshake a TLS socket has ended; null when it has gone. */
  find(socket: Socket): Visitor | null {
    return this.#pending.get(endsOf(socket)) ?? null
  }

  /** The handshake is done; a verified peer no longer counts against its address. */
  onHandshakeDone(visitor: Visitor, isVerified: boolean): void {
    this.#endHandshake(visitor)
    if (isVerified) this.#uncount(visitor)
  }

  /** The visitor no longer counts as pending or against its address. Safe to call twice. */
  release(visitor: Visitor): void {
    this.#endHandshake(visitor)
    this.#uncount(visitor)
  }

  /** Cuts everyone whose handshake is not done. */
  refuseAll(): void {
    for (const { socket } of this.#pending.values()) socket.destroy()
  }

  /** A slow handshake gives way to a new one; while all are young, the new one is refused. */
  #makeRoomForHandshake(): boolean {
    if (this.#pending.size < this.limits.maxPendingHandshakes) return true
    this.#stats.refusedByHandshakes++
    const [oldest] = this.#pending.values()
    if (oldest === undefined || this.#clock.nowMs() - oldest.acceptedMs < HONEST_HANDSHAKE_MS) return false
    this.release(oldest)
    oldest.socket.destroy()
    return true
  }

  #endHandshake(visitor: Visitor): void {
    if (this.#pending.get(visitor.ends) !== visitor) return
    this.#pending.delete(visitor.ends)
    visitor.ends = ''
    this.#stats.handshakesPending--
  }

  #uncount(visitor: Visitor): void {
    if (!this.#counted.delete(visitor)) return
    const left = this.#countByAddress.get(visitor.address!)! - 1
    if (left === 0) this.#countByAddress.delete(visitor.address!)
    else this.#countByAddress.set(visitor.address!, left)
  }
}

/** Both ends of a TCP connection: no two that are open share them. */
function endsOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress} ${socket.localPort}`
}

/** How many files this process may open (`ulimit -n`); Infinity where the system does not say. */
export function openFileLimit(limitsFile = '/proc/self/limits'): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync(limitsFile, 'latin1'))?.[1]
    return soft === undefined ? Infinity : Number(soft)
  } catch {
    return Infinity
  }
}

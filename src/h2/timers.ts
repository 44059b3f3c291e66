/**
 * What a connection does when time passes: one deadline on the wheel for the earliest of its times.
 * Floor 2; owns no timer. Times that judge the peer do not run while we do not read from it, or were late ourselves.
 */
import { Deadline, TransportError, type DeadlineWheel, type FaultToken } from '../base/index.ts'
import { H2Code } from '../frame/index.ts'
import type { H2Connection } from './connection.ts'
import { Keepalive, type KeepaliveOptions } from './keepalive.ts'

/** A wake-up this much too late means that the event loop stood still: nobody is blamed for that. */
const LATE_MS = 1000
/** How long the final GOAWAY waits for the answer to the drain PING. */
const DRAIN_ACK_MS = 1000

/** What the timers take from the connection's options. */
export interface TimerOptions extends KeepaliveOptions {
  readonly wheel: DeadlineWheel
  /** In [0, 1): moves the age by up to ± 10 %, so that connections made together do not end together. Default 0.5. */
  readonly jitter?: number
}

/** A connection without streams for so long lets its output buffer go: thousands may be idle. */
const REST_MS = 2000

/** The times of one connection; Infinity for those that do not run. Monotonic ms. */
export class ConnectionTimers {
  readonly #connection: H2Connection
  readonly #wheel: DeadlineWheel
  readonly #deadline: Deadline<ConnectionTimers>
  readonly #jitter: number
  readonly #keepalive: Keepalive
  #isStopped = false
  #isIdle = true
  /** When we stopped reading, because our answers are not taken. */
  #pausedSinceMs = Infinity
  #framesAtLook = 0
  #blocksAtLook = 0
  // The times that judge the peer.
  #prefaceAtMs = Infinity
  #settingsAckAtMs = Infinity
  #blockAtMs = Infinity
  #frameAtMs = Infinity
  #stallLookAtMs = Infinity
  /** When a peer that takes none of our answers is given up. */
  #unreadAtMs = Infinity
  // The times that are our own business.
  #idleAtMs = Infinity
  #restAtMs = Infinity
  #ageAtMs = Infinity
  #drainAckAtMs = Infinity
  #graceAtMs = Infinity

  constructor(connection: H2Connection, options: TimerOptions) {
    this.#connection = connection
    this.#wheel = options.wheel
    this.#jitter = options.jitter ?? 0.5
    this.#keepalive = new Keepalive(connection, options)
    this.#deadline = new Deadline<ConnectionTimers>(fireTimers, this)
  }

  start(): void {
    const { limits, turn, isServer } = this.#connection
    this.#keepalive.lastReceivedMs = turn.nowMs
    this.#prefaceAtMs = turn.nowMs + limits.prefaceTimeoutMs
    this.#settingsAckAtMs = turn.nowMs + limits.settingsAckTimeoutMs
    this.#idleAtMs = turn.nowMs + limits.idleTimeoutMs
    this.#restAtMs = turn.nowMs + REST_MS
    if (isServer) this.#ageAtMs = turn.nowMs + limits.maxAgeMs * (0.9 + 0.2 * this.#jitter)
    this.#arm()
  }

  /** Final: no deadline is set from now on. */
  stop(): void {
    this.#isStopped = true
    this.#wheel.clear(this.#deadline)
  }

  onReceived(): void {
    this.#keepalive.lastReceivedMs = this.#connection.turn.nowMs
  }

  /** The peer's first SETTINGS are here. */
  onPeerSettings(): void {
    this.#prefaceAtMs = Infinity
  }

  onSettingsAck(): void {
    this.#settingsAckAtMs = Infinity
  }

  /** After each chunk: what of a frame or a header block is incomplete, and how many of them were begun so far. */
  onAssembly(isMidFrame: boolean, isInBlock: boolean, frameCount: number, blockCount: number): void {
    const { turn, limits } = this.#connection
    if (!isMidFrame) {
      this.#frameAtMs = Infinity
    } else if (this.#frameAtMs === Infinity || frameCount !== this.#framesAtLook) {
      this.#framesAtLook = frameCount
      this.#frameAtMs = turn.nowMs + limits.frameTimeoutMs
      this.#armAtMost(this.#frameAtMs)
    }
    if (!isInBlock) {
      this.#blockAtMs = Infinity
    } else if (this.#blockAtMs === Infinity || blockCount !== this.#blocksAtLook) {
      this.#blocksAtLook = blockCount
      this.#blockAtMs = turn.nowMs + limits.headerBlockTimeoutMs
      this.#armAtMost(this.#blockAtMs)
    }
  }

  /** We stop reading until our answers are taken. */
  onPaused(): void {
    if (this.#pausedSinceMs !== Infinity) return
    this.#pausedSinceMs = this.#connection.turn.nowMs
    this.#unreadAtMs = this.#pausedSinceMs + this.#connection.limits.stallTimeoutMs
    this.#armAtMost(this.#unreadAtMs)
  }

  /** Our answers were taken: the peer gets back the time in which we did not read. */
  onResumed(): void {
    if (this.#pausedSinceMs === Infinity) return
    this.#forgive(this.#connection.turn.nowMs - this.#pausedSinceMs)
    this.#pausedSinceMs = Infinity
    this.#unreadAtMs = Infinity
    this.#arm()
  }

  /** The number of open streams has changed. */
  onStreamCount(count: number): void {
    const { turn, limits } = this.#connection
    if (count === 0) {
      this.#isIdle = true
      this.#stallLookAtMs = Infinity
      this.#keepalive.rest()
      this.#idleAtMs = turn.nowMs + limits.idleTimeoutMs
      this.#restAtMs = turn.nowMs + REST_MS
      this.#armAtMost(Math.min(this.#idleAtMs, this.#restAtMs))
    } else if (this.#isIdle) {
      this.#isIdle = false
      this.#idleAtMs = Infinity
      this.#restAtMs = Infinity
      this.#stallLookAtMs = turn.nowMs + limits.stallTimeoutMs
      this.#keepalive.begin(turn.nowMs)
      this.#armAtMost(Math.min(this.#stallLookAtMs, this.#keepalive.lookAtMs, this.#keepalive.ackAtMs))
    }
  }

  awaitDrainAck(): void {
    const { turn, limits } = this.#connection
    this.#drainAckAtMs = turn.nowMs + DRAIN_ACK_MS
    this.#graceAtMs = turn.nowMs + limits.ageGraceMs
    this.#arm()
  }

  /** An answer to a PING has come: false when it is not to ours, or late. */
  onPingAck(payload: Buffer): boolean {
    return this.#keepalive.onPingAck(payload)
  }

  #earliestMs(): number {
    const ownMs = Math.min(
      this.#idleAtMs,
      this.#restAtMs,
      this.#ageAtMs,
      this.#drainAckAtMs,
      this.#graceAtMs,
      this.#keepalive.lookAtMs,
      this.#unreadAtMs,
    )
    if (this.#pausedSinceMs !== Infinity) return ownMs
    return Math.min(
      ownMs,
      this.#prefaceAtMs,
      this.#settingsAckAtMs,
      this.#blockAtMs,
      this.#frameAtMs,
      this.#stallLookAtMs,
      this.#keepalive.ackAtMs,
    )
  }

  #arm(): void {
    if (!this.#isStopped) this.#wheel.set(this.#deadline, this.#earliestMs())
  }

  /** Wakes no later than `atMs`; a deadline that turns out too early costs one look. */
  #armAtMost(atMs: number): void {
    if (atMs < this.#deadline.atMs && !this.#isStopped) this.#wheel.set(this.#deadline, atMs)
  }

  /** The deadline has come. Only the wheel calls this. */
  fire(nowMs: number): void {
    const connection = this.#connection
    const lateMs = nowMs - this.#earliestMs()
    if (lateMs > LATE_MS) this.#forgive(lateMs)
    else if (nowMs >= this.#unreadAtMs) connection.fail('control_queue_flood')
    else if (this.#pausedSinceMs === Infinity) this.#judge(nowMs)
    if (!connection.isFinished) this.#act(nowMs)
    this.#arm()
  }

  /** Gives the peer the time that we lost. */
  #forgive(ms: number): void {
    this.#prefaceAtMs += ms
    this.#settingsAckAtMs += ms
    this.#blockAtMs += ms
    this.#frameAtMs += ms
    this.#stallLookAtMs += ms
    this.#keepalive.ackAtMs += ms
    this.#unreadAtMs += ms
  }

  #overdue(nowMs: number): FaultToken | null {
    if (nowMs >= this.#prefaceAtMs) return 'preface_late'
    if (nowMs >= this.#blockAtMs) return 'header_block_late'
    if (nowMs >= this.#frameAtMs) return 'frame_late'
    return nowMs >= this.#settingsAckAtMs ? 'settings_ack_late' : null
  }

  /** The times that blame the peer. */
  #judge(nowMs: number): void {
    const connection = this.#connection
    const overdue = this.#overdue(nowMs)
    if (overdue !== null) return connection.fail(overdue)
    if (this.#keepalive.isPeerGone(nowMs)) {
      connection.close(H2Code.NO_ERROR, new TransportError('no_response', 'the peer did not answer a PING'))
      return
    }
    if (nowMs >= this.#stallLookAtMs) {
      this.#stallLookAtMs = nowMs + connection.limits.stallTimeoutMs
      this.#lookForStalls()
    }
  }

  /** Streams whose data has waited since the last look and moved too little. */
  #lookForStalls(): void {
    const connection = this.#connection
    for (const stream of connection.streams.live()) {
      const isWaiting = stream.queue.bytes > 0
      if (isWaiting && stream.wasWaitingAtLook && stream.sentSinceLookBytes < connection.limits.stallBytes) {
        connection.life.fail(stream, 'stalled')
      }
      stream.wasWaitingAtLook = isWaiting
      stream.sentSinceLookBytes = 0
    }
  }

  /** The times that are our own business. */
  #act(nowMs: number): void {
    const connection = this.#connection
    if (nowMs >= this.#restAtMs) {
      this.#restAtMs = Infinity
      connection.writer.release()
    }
    if (nowMs >= this.#idleAtMs || nowMs >= this.#ageAtMs) {
      this.#idleAtMs = Infinity
      this.#ageAtMs = Infinity
      connection.departure.begin()
    }
    if (nowMs >= this.#drainAckAtMs) {
      this.#drainAckAtMs = Infinity
      connection.departure.announceEnd()
    }
    if (nowMs >= this.#graceAtMs) {
      connection.close(
        H2Code.NO_ERROR,
        new TransportError('local_close', 'the time for open streams is over'),
      )
      return
    }
    if (nowMs >= this.#keepalive.lookAtMs) this.#keepalive.look(nowMs)
  }
}

function fireTimers(nowMs: number, timers: ConnectionTimers): void {
  timers.fire(nowMs)
}

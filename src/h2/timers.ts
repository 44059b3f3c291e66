/**
 * What a connection does when time passes: one deadline on the wheel for the earliest of its times.
 * Floor 2; owns no timer. Times that judge the peer do not run while we do not read from it, or were late ourselves.
 */
import { Deadline, TransportError, type DeadlineWheel, type FaultToken } from '../base/index.ts'
import { H2Code } from '../frame/index.ts'
import type { H2Connection } from './connection.ts'

/** A wake-up this much too late means that the event loop stood still: nobody is blamed for that. */
const LATE_MS = 1000
/** How long the final GOAWAY waits for the answer to the drain PING. */
const DRAIN_ACK_MS = 1000

/** The times of one connection; Infinity for those that do not run. Monotonic ms. */
export class ConnectionTimers {
  readonly #connection: H2Connection
  readonly #wheel: DeadlineWheel
  readonly #deadline: Deadline<ConnectionTimers>
  readonly #jitter: number
  #keepaliveMs = Infinity
  #keepaliveTimeoutMs = Infinity
  #lastReceivedMs: number
  #framesAtAssembly = 0
  #prefaceAtMs = Infinity
  #settingsAckAtMs = Infinity
  #assemblyAtMs = Infinity
  #idleAtMs = Infinity
  #ageAtMs = Infinity
  #drainAckAtMs = Infinity
  #graceAtMs = Infinity
  #stallLookAtMs = Infinity
  #keepaliveAtMs = Infinity
  #keepaliveAckAtMs = Infinity

  /** @param jitter in [0, 1): moves the age by up to ± 10 %, so that connections made together do not end together */
  constructor(connection: H2Connection, wheel: DeadlineWheel, jitter: number) {
    this.#connection = connection
    this.#wheel = wheel
    this.#jitter = jitter
    this.#lastReceivedMs = connection.turn.nowMs
    this.#deadline = new Deadline<ConnectionTimers>(fireTimers, this)
  }

  start(keepaliveMs: number, keepaliveTimeoutMs: number): void {
    const { limits, turn, isServer } = this.#connection
    this.#keepaliveMs = keepaliveMs
    this.#keepaliveTimeoutMs = keepaliveTimeoutMs
    this.#prefaceAtMs = turn.nowMs + limits.prefaceTimeoutMs
    this.#settingsAckAtMs = turn.nowMs + limits.settingsAckTimeoutMs
    this.#idleAtMs = turn.nowMs + limits.idleTimeoutMs
    if (isServer) this.#ageAtMs = turn.nowMs + limits.maxAgeMs * (0.9 + 0.2 * this.#jitter)
    this.#arm()
  }

  stop(): void {
    this.#wheel.clear(this.#deadline)
  }

  onReceived(): void {
    this.#lastReceivedMs = this.#connection.turn.nowMs
  }

  /** The peer's first SETTINGS are here. */
  onPeerSettings(): void {
    this.#prefaceAtMs = Infinity
  }

  onSettingsAck(): void {
    this.#settingsAckAtMs = Infinity
  }

  /** After each chunk: whether a frame or header block is incomplete, and how many frames were seen so far. */
  onAssembly(isIncomplete: boolean, frameCount: number): void {
    if (!isIncomplete) {
      this.#assemblyAtMs = Infinity
      return
    }
    if (this.#assemblyAtMs !== Infinity && frameCount === this.#framesAtAssembly) return
    this.#framesAtAssembly = frameCount
    this.#assemblyAtMs = this.#connection.turn.nowMs + this.#connection.limits.frameTimeoutMs
    this.#armAtMost(this.#assemblyAtMs)
  }

  /** The number of open streams has changed. */
  onStreamCount(count: number): void {
    const nowMs = this.#connection.turn.nowMs
    if (count === 0) {
      this.#idleAtMs = nowMs + this.#connection.limits.idleTimeoutMs
      this.#stallLookAtMs = Infinity
      this.#keepaliveAtMs = Infinity
      return
    }
    this.#idleAtMs = Infinity
    if (this.#stallLookAtMs === Infinity) {
      this.#stallLookAtMs = nowMs + this.#connection.limits.stallTimeoutMs
      this.#keepaliveAtMs = nowMs + this.#keepaliveMs
      this.#armAtMost(Math.min(this.#stallLookAtMs, this.#keepaliveAtMs))
    }
  }

  awaitDrainAck(): void {
    const { turn, limits } = this.#connection
    this.#drainAckAtMs = turn.nowMs + DRAIN_ACK_MS
    this.#graceAtMs = turn.nowMs + limits.ageGraceMs
    this.#arm()
  }

  onKeepaliveAck(): void {
    this.#keepaliveAckAtMs = Infinity
  }

  #earliestMs(): number {
    return Math.min(
      this.#prefaceAtMs,
      this.#settingsAckAtMs,
      this.#assemblyAtMs,
      this.#idleAtMs,
      this.#ageAtMs,
      this.#drainAckAtMs,
      this.#graceAtMs,
      this.#stallLookAtMs,
      this.#keepaliveAtMs,
      this.#keepaliveAckAtMs,
    )
  }

  #arm(): void {
    this.#wheel.set(this.#deadline, this.#earliestMs())
  }

  /** Wakes no later than `atMs`; a deadline that turns out too early costs one look. */
  #armAtMost(atMs: number): void {
    if (atMs < this.#deadline.atMs) this.#wheel.set(this.#deadline, atMs)
  }

  /** The deadline has come. Only the wheel calls this. */
  fire(nowMs: number): void {
    const connection = this.#connection
    const lateMs = nowMs - this.#earliestMs()
    if (lateMs > LATE_MS) this.#forgive(lateMs)
    else if (!connection.wantsRead) this.#forgive(LATE_MS)
    else this.#judge(nowMs)
    if (connection.isFinished) return
    this.#act(nowMs)
    if (!connection.isFinished) this.#arm()
  }

  /** Gives the peer the time that we lost. */
  #forgive(ms: number): void {
    this.#prefaceAtMs += ms
    this.#settingsAckAtMs += ms
    this.#assemblyAtMs += ms
    this.#stallLookAtMs += ms
    this.#keepaliveAckAtMs += ms
  }

  /** The times that blame the peer. */
  #judge(nowMs: number): void {
    const connection = this.#connection
    const overdue: FaultToken | null =
      nowMs >= this.#prefaceAtMs
        ? 'preface_late'
        : nowMs >= this.#assemblyAtMs
          ? connection.isInHeaderBlock
            ? 'header_block_late'
            : 'frame_late'
          : nowMs >= this.#settingsAckAtMs
            ? 'settings_ack_late'
            : null
    if (overdue !== null) return connection.fail(overdue)
    if (nowMs >= this.#keepaliveAckAtMs) {
      connection.close(
        H2Code.NO_ERROR,
        new TransportError('no_response', 'the peer did not answer a keepalive PING'),
      )
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
    for (const stream of connection.streams.snapshot()) {
      const isWaiting = stream.queue.bytes > 0
      if (isWaiting && stream.wasWaitingAtLook && stream.sentSinceLookBytes < connection.limits.stallBytes) {
        connection.failStream(stream, 'stalled')
        connection.glitch(1)
      }
      stream.wasWaitingAtLook = isWaiting
      stream.sentSinceLookBytes = 0
    }
  }

  /** The times that are our own business. */
  #act(nowMs: number): void {
    const connection = this.#connection
    if (nowMs >= this.#idleAtMs || nowMs >= this.#ageAtMs) {
      this.#idleAtMs = Infinity
      this.#ageAtMs = Infinity
      connection.drainStreams()
    }
    if (nowMs >= this.#drainAckAtMs) {
      this.#drainAckAtMs = Infinity
      connection.announceEnd()
    }
    if (nowMs >= this.#graceAtMs) {
      connection.close(
        H2Code.NO_ERROR,
        new TransportError('local_close', 'the time for open streams is over'),
      )
      return
    }
    if (nowMs >= this.#keepaliveAtMs) this.#keepAlive(nowMs)
  }

  #keepAlive(nowMs: number): void {
    const quietMs = nowMs - this.#lastReceivedMs
    if (quietMs < this.#keepaliveMs) {
      this.#keepaliveAtMs = this.#lastReceivedMs + this.#keepaliveMs
      return
    }
    this.#keepaliveAtMs = nowMs + this.#keepaliveMs
    if (this.#keepaliveAckAtMs === Infinity) {
      this.#keepaliveAckAtMs = nowMs + this.#keepaliveTimeoutMs
      this.#connection.sendKeepalive()
    }
  }
}

function fireTimers(nowMs: number, timers: ConnectionTimers): void {
  timers.fire(nowMs)
}

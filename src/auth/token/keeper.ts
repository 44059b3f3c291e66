/**
 * Keeps one identity's token fresh: asks its source in time, spaces the attempts, and publishes snapshots.
 * Floor 2; knows neither calls nor HTTP. One keeper per identity in the whole process group; gates are its consumers,
 * perhaps in other processes: they read snapshots and send TokenRequests, both plain values.
 */
import { CredentialError, Published, SingleFlight } from '../../base/index.ts'
import type { Clock, CredentialErrorCode, Log, SnapshotSource, Timer } from '../../base/index.ts'
import { CLOCK_JUMP_MS, ClockWatch } from './clock-watch.ts'
import { AttemptPacing } from './pacing.ts'
import { isUsable } from './port.ts'
import type { TokenPort, TokenReply, TokenRequest, TokenSnapshot, TokenTrouble } from './port.ts'
import { MIN_REFRESH_GAP_MS, isBufferCapped, refreshAfterMs, unusedTailMs } from './schedule.ts'
import type { FetchedToken, TokenSource } from './source.ts'
import { TokenStats } from './stats.ts'

/** What a keeper needs. */
export interface TokenKeeperOptions {
  /** Name of the identity, for logs and connection pools. */
  readonly identity: string
  readonly source: TokenSource
  readonly clock: Clock
  readonly log: Log
  /** The operator's `expiry_buffer`; null for the default schedule. */
  readonly expiryBufferMs?: number | null
  /** For a whole attempt, discovery included; 5000 unless said otherwise. */
  readonly timeoutMs?: number
}

/** The clocks are compared this often while nothing else happens. */
const CLOCK_CHECK_MS = 30_000
/** Ends of the same token that differ by less are the same end. */
const SAME_END_MS = 1_000
const OPERATOR_FAULTS: ReadonlySet<CredentialErrorCode> = new Set([
  'invalid_client',
  'grant_refused',
  'secret_unreadable',
  'idp_issuer_mismatch',
])

/** The owner of one identity's token. */
export class TokenKeeper implements TokenPort {
  readonly stats = new TokenStats()
  readonly identity: string
  readonly #source: TokenSource
  readonly #clock: Clock
  readonly #log: Log
  readonly #expiryBufferMs: number | null
  readonly #timeoutMs: number
  readonly #published = new Published<TokenSnapshot>()
  readonly #flight = new SingleFlight<TokenReply>()
  readonly #pacing: AttemptPacing
  readonly #clocks: ClockWatch
  #timer: Timer | null = null
  /** For calls that wait for an attempt that has not begun; null when none do. */
  #nextReply: PromiseWithResolvers<TokenReply> | null = null
  #isRunning = false
  /** Start of the last successful refresh, whatever its cause. The first token is none: it may be replaced as soon as it is refused. */
  #refreshedAtMs = -Infinity
  #lastRejectedGeneration = 0
  /** Whether the clocks have come apart since the token was got, so that its end is uncertain until an attempt ends. */
  #isEndInDoubt = false
  #trouble: TokenTrouble | null = null
  /** Whether a token could be used when the last attempt failed. */
  #hadUsableAtFailure = false
  #warnedOfBuffer = false

  constructor(options: TokenKeeperOptions) {
    this.identity = options.identity
    this.#source = options.source
    this.#clock = options.clock
    this.#log = options.log.child({ identity: options.identity, grant: options.source.kind })
    this.#expiryBufferMs = options.expiryBufferMs ?? null
    this.#timeoutMs = options.timeoutMs ?? 5_000
    this.#pacing = new AttemptPacing(options.clock)
    this.#clocks = new ClockWatch(options.clock)
  }

  get tokens(): SnapshotSource<TokenSnapshot> {
    return this.#published
  }

  /** The provider's trouble, also while an older token still serves; null when the last attempt succeeded. */
  get degraded(): TokenTrouble | null {
    return this.#trouble
  }

  /** Gets the first token in the background and keeps it fresh from now on. Blocks nothing and never fails. */
  start(): void {
    if (this.#isRunning) return
    this.#isRunning = true
    void this.#attempt()
  }

  /** Ends all timers. An attempt under way is left alone and its result dropped. */
  close(): void {
    this.#isRunning = false
    this.#timer?.cancel()
    this.#timer = null
    this.#nextReply?.resolve(this.#failure('idp_unreachable'))
    this.#nextReply = null
  }

  /**
   * Gets a new token soon, because its material changed: a rotated client certificate, secret or token file.
   * Not held back by an earlier failure. Never rejects.
   */
  refreshNow(): Promise<TokenReply> {
    return this.#attempt()
  }

  requestToken(request: TokenRequest): Promise<TokenReply> {
    if (!this.#isRunning) return Promise.resolve(this.#failure('idp_unreachable'))
    this.#compareClocks()
    const { rejectedGeneration, waitMs } = request
    const current = this.#published.current
    if (current !== null && current.generation > (rejectedGeneration ?? 0) && this.#isCurrentUsable())
      return Promise.resolve({ kind: 'token', generation: current.generation })
    if (rejectedGeneration !== null) return this.#replaceRejected(rejectedGeneration, waitMs)
    return this.#attemptWithin(waitMs)
  }

  #isCurrentUsable(): boolean {
    const token = this.#published.current?.value
    return token !== undefined && isUsable(token, this.#clock.nowMs(), this.#clock.wallMs())
  }

  /** A refresh because of a refusal: at least 5 s after the last one, whatever the cause of that. */
  #replaceRejected(generation: number, waitMs: number): Promise<TokenReply> {
    if (generation > this.#lastRejectedGeneration) {
      this.#lastRejectedGeneration = generation
      this.stats.rejected++
      this.#log.warn({ generation }, 'the control plane refuses the token, getting another')
    }
    const allowedMs = this.#refreshedAtMs + MIN_REFRESH_GAP_MS
    const retryInMs = allowedMs - this.#clock.nowMs()
    // After a failure the pace of an outage decides, which is slower.
    if (retryInMs > waitMs && this.#trouble === null && !this.#flight.isFlying)
      return Promise.resolve({ kind: 'failure', reason: 'token_rejected', retryInMs })
    return this.#attemptWithin(waitMs, allowedMs).then((reply) =>
      reply.kind === 'failure' || reply.generation > generation
        ? reply
        : { kind: 'failure', reason: 'token_rejected', retryInMs: 0 },
    )
  }

  /** Joins the attempt under way, begins one if it may begin, or waits for the next if that may come soon enough. */
  #attemptWithin(waitMs: number, allowedMs = -Infinity): Promise<TokenReply> {
    const delayMs = Math.max(this.#pacing.earliestMs, allowedMs) - this.#clock.nowMs()
    if (this.#flight.isFlying || delayMs <= 0) return this.#attempt()
    this.#pacing.hurry(allowedMs)
    this.#arm()
    if (delayMs > waitMs) return Promise.resolve(this.#failure(this.#trouble?.reason ?? 'idp_unreachable'))
    this.#nextReply ??= Promise.withResolvers<TokenReply>()
    return this.#nextReply.promise
  }

  #failure(reason: CredentialErrorCode): TokenReply {
    return { kind: 'failure', reason, retryInMs: Math.max(this.#pacing.earliestMs - this.#clock.nowMs(), 0) }
  }

  #attempt(): Promise<TokenReply> {
    if (!this.#isRunning) return Promise.resolve(this.#failure('idp_unreachable'))
    const reply = this.#flight.run(() => this.#fetch())
    this.#nextReply?.resolve(reply)
    this.#nextReply = null
    return reply
  }

  async #fetch(): Promise<TokenReply> {
    this.#timer?.cancel()
    this.stats.attempts++
    const startMs = this.#clock.nowMs()
    const startWallMs = this.#clock.wallMs()
    const outcome = await this.#fetchInTime().catch((error: unknown) =>
      error instanceof CredentialError ? error : unexpected(),
    )
    this.stats.lastAttemptMs = this.#clock.nowMs() - startMs
    if (!this.#isRunning) return this.#failure('idp_unreachable')
    try {
      if (outcome instanceof CredentialError) return this.#onFailed(outcome, startMs)
      return this.#onFetched(outcome, startMs, startWallMs)
    } finally {
      this.#arm()
    }
  }

  async #fetchInTime(): Promise<FetchedToken> {
    const abort = new AbortController()
    const late = Promise.withResolvers<never>()
    const timer = this.#clock.setTimer(this.#timeoutMs, () => {
      late.reject(
        new CredentialError(
          'idp_timeout',
          `the identity provider gave no answer within ${this.#timeoutMs} ms`,
        ),
      )
      abort.abort()
    })
    try {
      return await Promise.race([this.#source.fetchToken(abort.signal), late.promise])
    } finally {
      timer.cancel()
    }
  }

  #onFetched(fetched: FetchedToken, startMs: number, startWallMs: number): TokenReply {
    const { lifeMs, recheckMs } = fetched
    this.stats.fetched++
    this.stats.lastSuccessWallMs = this.#clock.wallMs()
    const afterMs = refreshAfterMs(lifeMs, this.#expiryBufferMs, this.#clock.random())
    this.#pacing.onSuccess(startMs, startMs + Math.min(afterMs, recheckMs ?? Infinity))
    if (this.#published.current !== null) this.#refreshedAtMs = startMs
    this.#isEndInDoubt = false
    this.#warnOfBuffer(lifeMs)
    if (this.#trouble !== null) this.#log.info({ after: this.#trouble.reason }, 'token obtained again')
    this.#trouble = null
    this.#adopt(fetched, startMs, startWallMs)
    if (!this.#isCurrentUsable()) return this.#failure('token_unusable')
    return { kind: 'token', generation: this.#published.current!.generation }
  }

  /** Publishes the token, unless it is the one that stands already. */
  #adopt(fetched: FetchedToken, startMs: number, startWallMs: number): void {
    const { accessToken, lifeMs, certificateSha256 } = fetched
    const usableMs = lifeMs - unusedTailMs(lifeMs)
    const current = this.#published.current?.value
    if (
      current?.accessToken === accessToken &&
      !this.#isEndChanged(current, startMs + usableMs, startWallMs + usableMs)
    )
      return
    if (current !== undefined) this.stats.refreshes++
    this.stats.tokenLifeMs = lifeMs
    this.stats.tokenExpiryWallMs = startWallMs + lifeMs
    const { generation } = this.#published.publish({
      identity: this.identity,
      accessToken,
      lifeMs,
      usableUntilMs: startMs + usableMs,
      usableUntilWallMs: startWallMs + usableMs,
      expiresAtWallMs: startWallMs + lifeMs,
      certificateSha256,
    })
    const fields = { generation, life_seconds: Math.round(lifeMs / 1000) }
    if (generation === 1) this.#log.info(fields, 'token obtained')
    else this.#log.debug(fields, 'token refreshed')
  }

  /** Whether the end of a token got once more differs so much that consumers must know. A file's far end may drift. */
  #isEndChanged(current: TokenSnapshot, untilMs: number, untilWallMs: number): boolean {
    const leftMs = current.usableUntilMs - this.#clock.nowMs()
    return (
      untilMs < current.usableUntilMs - SAME_END_MS ||
      Math.abs(untilWallMs - untilMs - (current.usableUntilWallMs - current.usableUntilMs)) > CLOCK_JUMP_MS ||
      (untilMs > current.usableUntilMs + SAME_END_MS && leftMs < current.lifeMs / 2)
    )
  }

  #onFailed(error: CredentialError, startMs: number): TokenReply {
    this.stats.failures[error.code]++
    if (OPERATOR_FAULTS.has(error.code)) this.stats.authConfigErrors++
    this.#pacing.onFailure(startMs, this.#clock.nowMs(), error)
    this.#logFailure(error)
    if (this.#trouble?.reason !== error.code)
      this.#trouble = { reason: error.code, sinceMs: this.#clock.wallMs() }
    if (this.#isEndInDoubt) this.#trustMonotonic()
    return this.#failure(error.code)
  }

  /** One line when trouble begins or changes, one when the last good token has run out; repetitions at debug. */
  #logFailure(error: CredentialError): void {
    const hadUsable = this.#hadUsableAtFailure
    this.#hadUsableAtFailure = this.#isCurrentUsable()
    const fields = { code: error.code, detail: error.message, has_usable_token: this.#hadUsableAtFailure }
    if (this.#trouble !== null && hadUsable && !this.#hadUsableAtFailure)
      this.#log.warn(fields, 'the last good token has expired; calls are put off until there is another')
    else if (this.#trouble?.reason === error.code) this.#log.debug(fields, 'token still unavailable')
    else if (OPERATOR_FAULTS.has(error.code))
      this.#log.error(fields, 'the client credentials need an operator')
    else this.#log.warn(fields, 'token unavailable, trying again')
  }

  #arm(): void {
    this.#timer?.cancel()
    if (!this.#isRunning) return
    const delayMs = Math.min(this.#pacing.nextMs - this.#clock.nowMs(), CLOCK_CHECK_MS)
    this.#timer = this.#clock.setTimer(delayMs, () => this.#onTimer())
  }

  #onTimer(): void {
    this.#compareClocks()
    if (this.#flight.isFlying) return
    if (this.#clock.nowMs() >= this.#pacing.nextMs) void this.#attempt()
    else this.#arm()
  }

  /**
   * Notices that the clocks came apart. Forward, the machine may have slept: the token's end is in doubt, and one attempt
   * settles it; until then, and when it fails, the monotonic clock is believed. Backward, only the wall time is corrected.
   */
  #compareClocks(): void {
    const jumpMs = this.#clocks.takeJumpMs()
    if (jumpMs === 0) return
    this.stats.clockJumps++
    this.#log.info({ jump_seconds: Math.round(jumpMs / 1000) }, 'the clock was set, or the machine slept')
    if (this.#published.current === null) return
    if (jumpMs < 0 || this.#clock.nowMs() < this.#pacing.earliestMs) return this.#trustMonotonic()
    this.#isEndInDoubt = true
    void this.#attempt()
  }

  /** Publishes the token again, with its end on the wall clock as it stands now. */
  #trustMonotonic(): void {
    this.#isEndInDoubt = false
    const token = this.#published.current!.value
    const shiftMs = this.#clocks.offsetMs - (token.usableUntilWallMs - token.usableUntilMs)
    this.stats.tokenExpiryWallMs = token.expiresAtWallMs + shiftMs
    this.#published.publish({
      ...token,
      usableUntilWallMs: token.usableUntilWallMs + shiftMs,
      expiresAtWallMs: token.expiresAtWallMs + shiftMs,
    })
  }

  #warnOfBuffer(lifeMs: number): void {
    if (
      this.#expiryBufferMs === null ||
      this.#warnedOfBuffer ||
      !isBufferCapped(this.#expiryBufferMs, lifeMs)
    )
      return
    this.#warnedOfBuffer = true
    this.#log.warn(
      { expiry_buffer_seconds: this.#expiryBufferMs / 1000, life_seconds: lifeMs / 1000 },
      'expiry_buffer is more than 20 % of the life of a token and is capped there: otherwise every call would ask for one',
    )
  }
}

/** For what a source throws against its promise: its text may hold anything, so none of it is kept. */
function unexpected(): CredentialError {
  return new CredentialError('idp_malformed', 'the token source failed in an unexpected way')
}

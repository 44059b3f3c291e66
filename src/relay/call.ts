/**
 * One call: an ingress stream, a decision, an egress stream, and the octets between them.
 * Floor 3; knows no socket and decodes no payload. What each fault answers is no-loss.md.
 */
import type { Permit, Refusal, Verdict } from '../auth/index.ts'
import { invariant, NO_BYTES, type TransportError, type TransportErrorCode } from '../base/index.ts'
import { GrpcStatus } from '../grpc/index.ts'
import {
  H2Code,
  RESET_BY_GOAWAY,
  RESET_BY_PEER,
  type H2Connection,
  type H2Stream,
  type ResetCause,
} from '../h2/index.ts'
import type { HeaderList } from '../hpack/index.ts'
import { reasonAnswer, refusalAnswer, type Answer } from './answer.ts'
import {
  ADMITTING,
  CALL_TRANSITIONS,
  CLOSED,
  DIALLING,
  HALF_CLOSED_INGRESS,
  ILLEGAL,
  ON_CLOSE,
  ON_EGRESS_END,
  ON_INGRESS_END,
  ON_OPEN,
  ON_PERMIT,
  ON_REDIAL,
  ON_REFUSE,
  ON_RENEW,
  RELAYING,
  type CallEvent,
  type CallState,
} from './call-state.ts'
import { CallClock, type TimedCall } from './call-clock.ts'
import { CallRequest } from './call-request.ts'
import type { Client } from './clients.ts'
import type { IngressPeer, RelayContext } from './context.ts'
import type { Waiter } from './egress-pool.ts'
import type { HeadReading } from './intake.ts'
import { RELAY_REASONS, type RelayReason } from './reasons.ts'
import { endProblem, headProblem, readResponse, type ResponseReading } from './response.ts'

/** A call from its head to the end of both legs. Attached to both streams. */
export class Call implements Waiter, TimedCall {
  state: CallState = ADMITTING
  readonly ingress: H2Stream
  readonly peer: IngressPeer
  readonly #relay: RelayContext
  readonly #reading: HeadReading
  readonly #clock: CallClock
  readonly #request: CallRequest
  #permit: Permit | null = null
  /** Whose call it is, once it was let in; null before, and where no token says. */
  #client: Client | null = null
  #egress: H2Stream | null = null
  #hasForwardedHead = false
  /** Whether the egress stream has had the upstream's END_STREAM. */
  #hasEgressEnded = false
  #replayCount = 0
  #status = -1

  constructor(relay: RelayContext, ingress: H2Stream, peer: IngressPeer, reading: HeadReading) {
    this.#relay = relay
    this.ingress = ingress
    this.peer = peer
    this.#reading = reading
    this.#clock = new CallClock(relay, this, reading.timeoutMs)
    this.#request = new CallRequest(relay, ingress)
    relay.stats.callsStarted++
    relay.stats.callsOpen++
  }

  // ---- the decision -------------------------------------------------------------------------------------------

  /** Asks the gate, unless the same facts were permitted before and the permit still holds. */
  start(isEnd: boolean): void {
    this.#request.isEnded = isEnd
    const { plan } = this.#reading
    const { gate, turn } = this.#relay
    if (plan.permit !== null && gate.isCurrent(plan.permit, turn.wallMs)) return this.#onPermit(plan.permit)
    this.#decide(gate.admit(plan.facts(this.peer.identity, turn.wallMs, this.#reading.timeoutMs)))
  }

  /** Takes a verdict now or when it comes. The gate bounds the wait; the deadline of the call does so too. */
  #decide(verdict: Verdict | Promise<Verdict>): void {
    if (!(verdict instanceof Promise)) return this.#onVerdict(verdict)
    this.#clock.watch()
    // A caller that resets its stream does not take back the work that the verdict costs us.
    this.ingress.occupy()
    const onVerdict = (decided: Verdict): void => {
      this.#relay.turn.begin()
      this.ingress.vacate()
      try {
        this.#onVerdict(decided)
      } catch (error) {
        this.onBug(error)
      }
    }
    const onRejected = (error: unknown): void => {
      this.#relay.turn.begin()
      this.ingress.vacate()
      this.onBug(error)
    }
    verdict.then(onVerdict, onRejected)
  }

  #onVerdict(verdict: Verdict): void {
    if (this.state !== ADMITTING) return
    if (verdict.kind === 'permit') this.#onPermit(verdict)
    else this.#refuse(verdict)
  }

  #onPermit(permit: Permit): void {
    const { plan } = this.#reading
    plan.usePermit(permit)
    // A call that is sent again under a fresh credential counts once.
    if (this.#permit === null) {
      plan.permits!.count++
      if (!this.#enter(plan.client)) return this.fail('client_limit')
    }
    this.#permit = permit
    this.ingress.admit()
    this.#move(ON_PERMIT)
    this.#clock.endsAtMs = this.#relay.endsAtMs(permit)
    this.#seekConnection()
  }

  /** Row 21: rates and concurrency are counted per call, after the verdict. */
  #enter(client: Client | null): boolean {
    if (client === null) return true
    if (!client.enter(this.#relay.turn.nowMs)) return false
    this.#client = client
    client.count(this.#request.earlyBytes)
    return true
  }

  #refuse(refusal: Refusal): void {
    if (refusal.glitches > 0) this.ingress.connection.glitch(refusal.glitches)
    this.#answer(refusalAnswer(refusal))
  }

  // ---- the connection -----------------------------------------------------------------------------------------

  #seekConnection(refusing: H2Connection | null = null): void {
    const connection = this.#relay.pool.acquire(refusing)
    if (connection !== null) return this.#open(connection)
    this.#clock.beginWait()
    this.#relay.pool.wait(this)
  }

  /** Called by the pool among others that wait: a bug here is not theirs. */
  proceed(connection: H2Connection): void {
    try {
      if (this.state === DIALLING) this.#open(connection)
    } catch (error) {
      this.onBug(error)
    }
  }

  giveUp(error: TransportError | null): void {
    try {
      if (this.state === DIALLING) this.fail('egress_unreachable', error?.code ?? null)
    } catch (bug) {
      this.onBug(bug)
    }
  }

  #open(connection: H2Connection): void {
    const request = this.#request
    const head = this.#egressHead(this.#permit!)
    const timeout = this.#clock.timeoutField(this.#reading)
    const headBytes = head.sizeBytes + (timeout === null ? 0 : timeout.sizeBytes)
    if (headBytes > connection.maxPeerHeaderListBytes) return this.fail('header_too_large')
    const { isBare } = request
    const egress = connection.openStream(head, timeout, isBare, this)
    this.#egress = egress
    this.#hasEgressEnded = false
    this.#move(ON_OPEN)
    this.#clock.endWait()
    request.begin(egress, isBare)
    if (request.isEnded) this.#move(ON_INGRESS_END)
  }

  /** The head under this call's permit. While it waited the plan may have got a newer one, whose head is not for us. */
  #egressHead(permit: Permit): HeaderList {
    const { plan } = this.#reading
    if (plan.permit !== permit) return this.#relay.egressHead(plan, permit)
    plan.egress ??= this.#relay.egressHead(plan, permit)
    return plan.egress
  }

  // ---- the request --------------------------------------------------------------------------------------------

  onIngressData(payload: Buffer, isEnd: boolean): void {
    const request = this.#request
    if (isEnd) request.isEnded = true
    // The answer has ended and its trailers are on their way: what still comes is nobody's.
    if (this.state > HALF_CLOSED_INGRESS) return this.ingress.credit(payload.length)
    if (this.#client !== null) this.#client.count(payload.length)
    if (payload.length > 0 && !request.isMessageSmall(payload)) return this.fail('message_too_large')
    if (this.state === RELAYING) {
      request.forward(payload, isEnd, this.#egress!)
      if (isEnd) this.#move(ON_INGRESS_END)
    } else if (payload.length > 0) request.await(payload)
  }

  /** gRPC has no request trailers: they are dropped, the end is not. */
  onIngressTrailers(): void {
    this.onIngressData(NO_BYTES, true)
  }

  /** Egress has taken request octets. */
  onEgressSent(bytes: number): void {
    this.#request.onSent(bytes)
  }

  // ---- the response -------------------------------------------------------------------------------------------

  onEgressResponse(head: HeaderList, isEnd: boolean): void {
    this.#hasEgressEnded = isEnd
    if (head.isTruncated) return this.fail('header_too_large')
    const reading = readResponse(head, this.#relay)
    if (isEnd) return this.#onEnd(reading, true)
    const problem = headProblem(reading, this.#relay)
    if (problem !== null) return this.fail(problem)
    this.#hasForwardedHead = true
    this.#request.stopKeeping()
    this.ingress.sendHeaders(reading.passed, false)
  }

  onEgressData(payload: Buffer, isEnd: boolean): void {
    if (isEnd) {
      this.#hasEgressEnded = true
      // Row 16: a gRPC answer ends with trailers.
      if (this.#relay.isGrpcOnly) return this.fail('egress_malformed')
      this.#status = GrpcStatus.OK
      this.#endEgress()
    }
    this.ingress.sendData(payload, isEnd)
  }

  onEgressTrailers(trailers: HeaderList): void {
    this.#hasEgressEnded = true
    if (trailers.isTruncated) return this.fail('header_too_large')
    this.#onEnd(readResponse(trailers, this.#relay), false)
  }

  /** Row 18: what egress says is passed on octet by octet; rows 5, 6, 16, 17 and 29 are the exceptions. */
  #onEnd(reading: ResponseReading, isTrailersOnly: boolean): void {
    const { renews, holdsDenied, isGrpcOnly } = this.#relay
    const problem = endProblem(reading, this.#relay)
    if (problem !== null) return this.fail(problem)
    if (!isGrpcOnly) return this.#passEnd(reading, isTrailersOnly, GrpcStatus.OK)
    const { status, reason } = reading
    if (reason !== null) this.#relay.countReason(reason)
    if (status === GrpcStatus.UNAUTHENTICATED && renews)
      return this.#onUnauthenticated(reading, isTrailersOnly)
    if (status === GrpcStatus.PERMISSION_DENIED && holdsDenied) return this.fail('denied_held')
    this.#passEnd(reading, isTrailersOnly, status)
  }

  #passEnd(reading: ResponseReading, isTrailersOnly: boolean, status: number): void {
    this.#status = status
    this.#endEgress()
    if (isTrailersOnly) this.ingress.sendHeaders(reading.passed, true)
    else this.ingress.sendTrailers(reading.passed)
  }

  /** The answer has ended: what is left of the request is not wanted. */
  #endEgress(): void {
    this.#move(ON_EGRESS_END)
    this.#resetEgress()
    this.#request.drop()
  }

  /** Ends the egress stream, unless it ends by itself: then CANCEL would only puzzle the upstream. */
  #resetEgress(): void {
    const egress = this.#egress
    if (egress === null) return
    const isRequestSent = this.#request.isEnded && egress.queue.bytes === 0
    if (!this.#hasEgressEnded || !isRequestSent) egress.reset(H2Code.CANCEL)
  }

  // ---- refused credentials and replays ------------------------------------------------------------------------

  /** Rows 5 and 29: the control plane refused our token. */
  #onUnauthenticated(reading: ResponseReading, isTrailersOnly: boolean): void {
    if (!isTrailersOnly) return this.fail('stream_renewed')
    const verdict = this.#relay.gate.renew(this.#permit!)
    if (verdict === null) return this.#passEnd(reading, true, GrpcStatus.UNAUTHENTICATED)
    if (!(verdict instanceof Promise)) return this.#answer(refusalAnswer(verdict))
    const isSafe = reading.reason !== null || this.#relay.isOtlp(this.#reading.plan.path)
    if (!isSafe || !this.#canReplay()) {
      // The token is renewed all the same: the caller's next try carries the fresh one.
      void verdict.catch(() => {})
      return this.fail('credential_refused')
    }
    this.#relay.stats.renewals++
    this.#beginAgain(ON_RENEW)
    this.#decide(verdict)
  }

  #canReplay(): boolean {
    return this.#request.isReplayable && this.#replayCount < this.#relay.maxReplays
  }

  /** Puts the call back to before its egress stream: everything that was sent waits again. */
  #beginAgain(event: CallEvent): void {
    this.#replayCount++
    this.#relay.stats.replays++
    this.#resetEgress()
    this.#egress = null
    this.#move(event)
    this.#request.rewind()
  }

  /** The egress stream ended out of order: rows 14 and 15. */
  onEgressReset(code: number, cause: ResetCause): void {
    if (this.state !== RELAYING && this.state !== HALF_CLOSED_INGRESS) return
    // RFC 9113 §8.7: the peer promises that it has done nothing with the request.
    const isUntouched =
      cause === RESET_BY_GOAWAY || (cause === RESET_BY_PEER && code === H2Code.REFUSED_STREAM)
    if (!isUntouched || !this.#canReplay()) return this.fail('egress_closed')
    const refusing = this.#egress!.connection
    this.#beginAgain(ON_REDIAL)
    this.#seekConnection(refusing)
  }

  // ---- the end ------------------------------------------------------------------------------------------------

  /** Row 20: the caller has gone. */
  onIngressReset(): void {
    this.#egress?.reset(H2Code.CANCEL)
    this.#settle(GrpcStatus.CANCELLED)
  }

  /** The ingress stream is at its orderly end: trailers are out. */
  onIngressClosed(): void {
    this.#settle(this.#status)
  }

  /** Response octets have left for the caller. */
  onIngressSent(bytes: number): void {
    this.#egress?.credit(bytes)
  }

  /** Answers for a reason of our own. Harmless when an answer is already on its way. */
  fail(reason: RelayReason, detail: TransportErrorCode | null = null): void {
    if (CALL_TRANSITIONS[this.state]![ON_REFUSE] === ILLEGAL) return
    this.#relay.stats.answers[reason]++
    const isCallersDoing = reason === 'deadline' || reason === 'message_too_large'
    const costsUpstream = isCallersDoing && this.#egress !== null
    this.#answer(reasonAnswer(reason, this.peer.seesDetails, detail))
    if (costsUpstream) this.ingress.connection.countEarlyEnd(this.ingress)
  }

  #answer(answer: Answer): void {
    if (CALL_TRANSITIONS[this.state]![ON_REFUSE] === ILLEGAL) return
    this.#move(ON_REFUSE)
    this.#relay.pool.stopWaiting(this)
    this.#resetEgress()
    this.#request.drop()
    this.#status = answer.status
    if (this.#hasForwardedHead) this.ingress.sendTrailers(answer.trailers)
    else this.ingress.sendHeaders(answer.trailersOnly, true)
  }

  /** Both legs are done: everything held is given back, and the call is counted. */
  #settle(status: number): void {
    if (this.state === CLOSED) return
    this.#move(ON_CLOSE)
    const { stats, pool, turn } = this.#relay
    pool.stopWaiting(this)
    this.#clock.stop()
    this.#egress?.release()
    this.#request.drop()
    stats.callsOpen--
    this.#client?.leave()
    this.#reading.plan.series.observe(status, turn.nowMs - this.#clock.startedAtMs)
  }

  /** One of the call's times may have come. Only the wheel calls this. */
  onTime(nowMs: number): void {
    const reason = this.#clock.reasonAt(nowMs)
    if (reason === null) this.#clock.watch()
    else this.fail(reason)
  }

  // ---- bugs ---------------------------------------------------------------------------------------------------

  /** Row 28: a bug of ours ends this call only. Trailers that are already on their way are left to arrive. */
  onBug(error: unknown): void {
    this.#relay.onBug(error)
    try {
      this.fail('bug')
    } catch (second) {
      this.#relay.onBug(second)
    }
    const { ingress } = this
    if (this.state === CLOSED || (ingress.isEndQueued && !ingress.isOver)) return
    // Not even an answer: CANCEL is a code that callers try again after.
    ingress.reset(H2Code.CANCEL)
    this.#egress?.reset(H2Code.CANCEL)
    this.#settle(RELAY_REASONS.bug.status)
  }

  #move(event: CallEvent): void {
    const next = CALL_TRANSITIONS[this.state]![event]!
    invariant(next !== ILLEGAL, `call event ${event} in state ${this.state}`)
    this.state = next
  }
}

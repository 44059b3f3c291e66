/**
 * The workload's gate: puts the current token on calls, waits briefly for one, and answers when none can be had.
 * Floor 2; a consumer of one keeper's snapshots, perhaps of another process; knows neither the provider nor frames.
 */
import type { Clock } from '../base/index.ts'
import {
  METHOD_DENIED,
  OWN_AUTHORIZATION_DENIED,
  TOKEN_REJECTED,
  replacementPutOff,
  replacementUnavailable,
  tokenUnavailable,
} from './credential-refusals.ts'
import type { CallFacts, Gate } from './gate.ts'
import { MethodList } from './method-list.ts'
import { isUsable } from './token/port.ts'
import type { TokenFailure, TokenPort, TokenReply, TokenSnapshot, TokenTrouble } from './token/port.ts'
import { CredentialGateStats } from './token/stats.ts'
import { mintPermit } from './verdict.ts'
import type { Permit, Principal, Refusal, Verdict } from './verdict.ts'

/** What a CredentialGate needs. */
export interface CredentialGateOptions {
  /** Name of the identity: part of the key of egress connections. */
  readonly identity: string
  readonly port: TokenPort
  readonly clock: Clock
  /** The field that carries the token, lower case; `authorization` unless said otherwise. */
  readonly header?: string
  /** What stands before the token; `Bearer` unless said otherwise, empty for the bare token. */
  readonly scheme?: string
  /** What becomes of an `authorization` field of the caller's own; `overwrite` unless said otherwise. */
  readonly existing?: 'overwrite' | 'keep' | 'refuse'
  /** Methods and services that may be called; null (default) for the OTLP Export methods. */
  readonly allow?: readonly string[] | null
  /** no-loss.md row 2; `retry` unless said otherwise. */
  readonly onInvalidClient?: 'retry' | 'fail'
  /** no-loss.md row 5: after a second refusal, `hold` calls back (default) or `pass` the control plane's answer. */
  readonly onRejected?: 'hold' | 'pass'
  /** Who calls, for logs: the issuer and client as configured. */
  readonly principal?: Principal
  /**
   * SHA-256 (base64url) of the certificate with which connections to the control plane are made now; null for none. A token that is
   * bound to another one does not leave (RFC 8705 §3). Left out where connections are not known: nothing is compared.
   */
  readonly egressCertificate?: (() => string | null) | null
}

/** A call waits for a token at most this long, and at most this share of its time (no-loss.md row 4). */
const MAX_WAIT_MS = 2_000
const WAIT_SHARE = 0.6
/** A refusal this soon after a replacement is about the fresh token: another one would help no more. */
const SECOND_REFUSAL_MS = 30_000
/** Calls are answered here this long after the last refused one: a probe a second finds out earlier that it is over. */
const HOLD_MS = 5_000
const PROBE_SPACING_MS = 1_000
/** While a fresh token is refused, another is asked for this often: what was wrong may have been put right at the provider. */
const HELD_RENEWAL_MS = 10_000
/** Tells the control plane that a workload gateway retries for the caller (no-loss.md row 9a). */
const HOP_FIELD = ['x-authgw-hop', '1'] as const
const NOBODY: Principal = { issuer: '', subject: '', client: '' }

/** Calls are answered locally because the control plane refuses this token. */
interface Hold {
  readonly generation: number
  /** Unix ms. */
  readonly sinceMs: number
  /** Monotonic ms. */
  untilMs: number
  nextProbeMs: number
  /** Whether the fresh token was refused. If not, the hold is over as soon as the refused one may be replaced. */
  isSecond: boolean
}

/** Injects one identity's token. */
export class CredentialGate implements Gate {
  readonly stats = new CredentialGateStats()
  readonly #options: Required<CredentialGateOptions>
  readonly #clock: Clock
  readonly #port: TokenPort
  readonly #allowed: MethodList
  readonly #unsubscribe: () => void
  /** For calls that keep the caller's own credential: ours is not on them, so nothing of ours can expire. */
  readonly #keptPermit: Permit
  #permit: Permit | null = null
  /** Ends calls that wait for a token. */
  readonly #waiting = new Set<(verdict: Verdict) => void>()
  #isAsking = false
  #failure: TokenFailure | null = null
  /** Monotonic ms of the keeper's next attempt after `#failure`. */
  #failureEndsMs = -Infinity
  #renewal: { readonly generation: number; readonly verdict: Promise<Verdict> } | null = null
  #renewedGeneration = 0
  #renewedAtMs = -Infinity
  /** Monotonic ms of the last request for a token in place of a refused one. */
  #replacingAtMs = -Infinity
  #hold: Hold | null = null
  /** Since when the token is bound to another certificate than our connections have; null while it is not. */
  #unfitSince: { readonly ms: number; readonly wallMs: number } | null = null

  constructor(options: CredentialGateOptions) {
    this.#options = {
      header: 'authorization',
      scheme: 'Bearer',
      existing: 'overwrite',
      allow: null,
      onInvalidClient: 'retry',
      onRejected: 'hold',
      principal: NOBODY,
      egressCertificate: null,
      ...options,
    }
    this.#clock = options.clock
    this.#port = options.port
    this.#allowed = new MethodList(this.#options.allow)
    this.#keptPermit = mintPermit({
      principal: NOBODY,
      fields: [],
      dropsAuthorization: false,
      validUntilMs: Infinity,
      endsAtMs: Infinity,
      credentialGeneration: 0,
      egressIdentity: options.identity,
    })
    this.#unsubscribe = options.port.tokens.subscribe(() => this.#onSnapshot())
  }

  /** Why a token that is there cannot be used; null when it can. The provider's trouble is the keeper's to tell. */
  get degraded(): TokenTrouble | null {
    this.#endHold()
    if (this.#unfitSince !== null) return { reason: 'token_unusable', sinceMs: this.#unfitSince.wallMs }
    return this.#hold === null ? null : { reason: 'token_rejected', sinceMs: this.#hold.sinceMs }
  }

  /** Stops listening to the keeper. Calls that wait end by their time-out. */
  close(): void {
    this.#unsubscribe()
  }

  admit(call: CallFacts): Verdict | Promise<Verdict> {
    if (!this.#allowed.has(call.path)) {
      this.stats.denied++
      return METHOD_DENIED.of(call.path)
    }
    if (call.authorizationCount > 0 && this.#options.existing !== 'overwrite') {
      if (this.#options.existing === 'keep') return this.#keptPermit
      this.stats.denied++
      return OWN_AUTHORIZATION_DENIED
    }
    const permit = this.#usablePermit()
    if (permit !== null) return this.#isHeldBack() ? this.#heldRefusal() : permit
    const limitMs = Math.min(call.timeoutMs * WAIT_SHARE, MAX_WAIT_MS)
    if (this.#isUnfitForLong()) return this.#refuse()
    if (this.#failure !== null && this.#failureEndsMs - this.#clock.nowMs() > limitMs) return this.#refuse()
    return this.#waitForToken(limitMs)
  }

  isCurrent(permit: Permit, wallMs: number): boolean {
    if (permit === this.#keptPermit) return true
    const current = this.#port.tokens.current
    if (permit !== this.#permit || current?.generation !== permit.credentialGeneration) return false
    return (
      this.#hold === null &&
      isUsable(current.value, this.#clock.nowMs(), wallMs) &&
      this.#fitsConnections(current.value)
    )
  }

  /** Connections are made with another certificate from now on: calls that wait for that go on. */
  onEgressChange(): void {
    this.#onSnapshot()
  }

  renew(permit: Permit): Promise<Verdict> | Refusal | null {
    if (permit === this.#keptPermit) return null
    this.stats.rejections++
    const current = this.#usablePermit()
    const refused = permit.credentialGeneration
    this.#endPutOff()
    if (this.#hold !== null && this.#hold.generation === current?.credentialGeneration)
      return this.#hold.isSecond ? this.#refuseAgain(refused) : this.#heldRefusal()
    if (current !== null && current.credentialGeneration > refused) {
      this.stats.renewals++
      return Promise.resolve(current)
    }
    const isFresh = this.#clock.nowMs() - this.#renewedAtMs < SECOND_REFUSAL_MS
    if (refused === this.#renewedGeneration && isFresh) return this.#refuseAgain(refused)
    if (this.#renewal?.generation !== refused)
      this.#renewal = { generation: refused, verdict: this.#replace(refused) }
    return this.#renewal.verdict
  }

  /** The permit for the current snapshot, the same object until the generation changes; null when none is usable. */
  #usablePermit(): Permit | null {
    const current = this.#port.tokens.current
    if (current === null || !isUsable(current.value, this.#clock.nowMs(), this.#clock.wallMs())) {
      this.#unfitSince = null
      return null
    }
    if (!this.#fitsConnections(current.value)) {
      this.#unfitSince ??= { ms: this.#clock.nowMs(), wallMs: this.#clock.wallMs() }
      return null
    }
    this.#unfitSince = null
    if (this.#permit?.credentialGeneration !== current.generation)
      this.#permit = this.#mint(current.value, current.generation)
    return this.#permit
  }

  #fitsConnections({ certificateSha256 }: TokenSnapshot): boolean {
    const { egressCertificate } = this.#options
    return (
      certificateSha256 === null || egressCertificate === null || certificateSha256 === egressCertificate()
    )
  }

  /** Files that change together are read within a moment of each other; what lasts longer is a mistake, and no call waits for it. */
  #isUnfitForLong(): boolean {
    return this.#unfitSince !== null && this.#clock.nowMs() - this.#unfitSince.ms >= MAX_WAIT_MS
  }

  #mint(token: TokenSnapshot, generation: number): Permit {
    const { header, scheme, identity, principal } = this.#options
    const value = scheme === '' ? token.accessToken : `${scheme} ${token.accessToken}`
    return mintPermit({
      principal,
      fields: [[header, value], HOP_FIELD],
      dropsAuthorization: header === 'authorization',
      validUntilMs: token.usableUntilWallMs,
      endsAtMs: Infinity,
      credentialGeneration: generation,
      // A bound token must not leave on a connection made with another certificate (RFC 8705 §3).
      egressIdentity: token.certificateSha256 === null ? identity : `${identity}#${token.certificateSha256}`,
    })
  }

  #onSnapshot(): void {
    this.#failure = null
    const permit = this.#usablePermit()
    if (permit === null) return
    this.#endHold()
    for (const end of this.#waiting) end(permit)
  }

  #waitForToken(limitMs: number): Promise<Verdict> {
    this.stats.waits++
    const waited = Promise.withResolvers<Verdict>()
    const end = (verdict: Verdict): void => {
      timer.cancel()
      this.#waiting.delete(end)
      waited.resolve(verdict)
    }
    const timer = this.#clock.setTimer(limitMs, () => end(this.#refuse()))
    this.#waiting.add(end)
    if (!this.#isAsking) void this.#ask()
    return waited.promise
  }

  /** Asks the keeper once for all calls that wait. */
  async #ask(): Promise<void> {
    this.#isAsking = true
    const reply = await this.#request(null)
    this.#isAsking = false
    if (reply.kind === 'token') return this.#onSnapshot()
    this.#failure = reply
    this.#failureEndsMs = this.#clock.nowMs() + reply.retryInMs
    for (const end of this.#waiting) end(this.#refuse())
  }

  /** A port to another process may break: that is no answer, like a provider that gives none. */
  #request(rejectedGeneration: number | null): Promise<TokenReply> {
    const request = { rejectedGeneration, waitMs: MAX_WAIT_MS }
    return this.#port
      .requestToken(request)
      .catch(() => ({ kind: 'failure', reason: 'idp_unreachable', retryInMs: PROBE_SPACING_MS }))
  }

  /** Row 1 or 2, with the time that is left until the keeper's next attempt. */
  #refuse(): Refusal {
    const retryInMs = Math.max(this.#failureEndsMs - this.#clock.nowMs(), 0)
    const reason = this.#failure?.reason ?? (this.#unfitSince === null ? 'idp_timeout' : 'token_unusable')
    if (reason === 'invalid_client') this.stats.misconfigured++
    else this.stats.unavailable++
    return tokenUnavailable({ kind: 'failure', reason, retryInMs }, this.#options.onInvalidClient)
  }

  /** Gets a newer token than the refused one; all calls refused under it share the attempt. */
  async #replace(refused: number): Promise<Verdict> {
    const late = Promise.withResolvers<TokenReply>()
    const timer = this.#clock.setTimer(MAX_WAIT_MS, () =>
      late.resolve({ kind: 'failure', reason: 'idp_timeout', retryInMs: 0 }),
    )
    const reply = await Promise.race([this.#requestReplacement(refused), late.promise])
    timer.cancel()
    if (this.#renewal?.generation === refused) this.#renewal = null
    const permit = this.#usablePermit()
    if (permit !== null && permit.credentialGeneration > refused) {
      this.stats.renewals++
      return permit
    }
    if (reply.kind === 'token') return replacementUnavailable('idp_timeout')
    if (reply.reason === 'token_rejected') return this.#putOff(refused, reply.retryInMs)
    if (reply.reason === 'invalid_client') return tokenUnavailable(reply, this.#options.onInvalidClient)
    return replacementUnavailable(reply.reason)
  }

  async #requestReplacement(refused: number): Promise<TokenReply> {
    this.#replacingAtMs = this.#clock.nowMs()
    const reply = await this.#request(refused)
    if (reply.kind === 'token') {
      this.#renewedGeneration = reply.generation
      this.#renewedAtMs = this.#clock.nowMs()
    }
    return reply
  }

  /** Above 0: the token may be replaced only then. 0: it was replaced by itself, which is like a second refusal. */
  #putOff(refused: number, retryInMs: number): Refusal {
    this.#holdBack(refused, retryInMs === 0 ? null : this.#clock.nowMs() + retryInMs)
    return replacementPutOff(retryInMs)
  }

  /** The fresh token is refused too: this call is not worth another one, those after it may be. */
  #refuseAgain(generation: number): Refusal | null {
    const current = this.#port.tokens.current
    if (current !== null && this.#clock.nowMs() - this.#replacingAtMs >= HELD_RENEWAL_MS)
      void this.#requestReplacement(current.generation)
    if (this.#options.onRejected === 'pass') return null
    this.#holdBack(Math.max(generation, this.#hold?.generation ?? 0))
    return TOKEN_REJECTED
  }

  /** @param untilMs monotonic ms at which the token may be replaced; null after a second refusal */
  #holdBack(generation: number, untilMs: number | null = null): void {
    if (this.#options.onRejected === 'pass') return
    const nowMs = this.#clock.nowMs()
    this.#endHold()
    this.#hold ??= {
      generation,
      sinceMs: this.#clock.wallMs(),
      untilMs: 0,
      nextProbeMs: nowMs + PROBE_SPACING_MS,
      isSecond: false,
    }
    this.#hold.isSecond ||= untilMs === null
    this.#hold.untilMs = untilMs ?? nowMs + HOLD_MS
  }

  #heldRefusal(): Refusal {
    const hold = this.#hold!
    return hold.isSecond ? TOKEN_REJECTED : replacementPutOff(hold.untilMs - this.#clock.nowMs())
  }

  /** From the moment at which the refused token may be replaced, a refusal asks for another one. */
  #endPutOff(): void {
    if (this.#hold?.isSecond === false) this.#endHold()
  }

  /** Ends the hold when nothing was refused for a while, or when there is another token. */
  #endHold(): void {
    if (this.#hold === null) return
    const generation = this.#port.tokens.current?.generation
    if (generation !== this.#hold.generation || this.#clock.nowMs() >= this.#hold.untilMs) this.#hold = null
  }

  /** Whether this call is to be answered here; one a second goes through as a probe. */
  #isHeldBack(): boolean {
    this.#endHold()
    if (this.#hold === null) return false
    const nowMs = this.#clock.nowMs()
    if (nowMs >= this.#hold.nextProbeMs) {
      this.#hold.nextProbeMs = nowMs + PROBE_SPACING_MS
      this.stats.probes++
      return false
    }
    this.stats.heldBack++
    return true
  }
}

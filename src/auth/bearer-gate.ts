/**
 * The control plane's gate: a call with a bearer token in, a Permit or a Refusal out.
 * Floor 2; knows neither frames nor sockets, and fetches nothing: keys come from their owner through a port. Rows 4, 7,
 * 8, 9, 9a, 10, 11 and 29 of no-loss.md are answered here. RFC 6750, RFC 7519, RFC 8725, RFC 9068.
 */
import { ConfigError, type Clock, type Log } from '../base/index.ts'
import { faultsOf, type BearerGateOptions, type BearerGatePorts } from './bearer-gate-options.ts'
import { DenialLog, type DeniedCaller } from './denial-log.ts'
import type { CallFacts, Gate } from './gate.ts'
import { IdentityFields } from './identity.ts'
import type { KeyMatch } from './jwks/cache.ts'
import { judgeClaims, judgeTime, type TimeVerdict, type TokenClaims } from './jwt/claims.ts'
import { bearerToken, MAX_TOKEN_BYTES, parseToken, type ParsedToken } from './jwt/extract.ts'
import { ownMember } from './jwt/strict-json.ts'
import { MAX_ENTRY_MS, peerName, REJECTION_MS, TokenCaches, tokenHash } from './jwt/verified-cache.ts'
import { SignatureVerifier } from './jwt/verify.ts'
import type { Policy } from './policy/policy.ts'
import { calledMethod } from './policy/subject.ts'
import { MAX_WAIT_MS, Provider } from './provider.ts'
import { refusal, type RefusalDetails, type RuledRefusal } from './refusal.ts'
import { GateStats, OTHER_ISSUER } from './stats.ts'
import { mintPermit, type Permit, type Refusal, type RefusalReason, type Verdict } from './verdict.ts'

/** RetryInfo of a call whose token has just expired, in seconds (row 9a). */
const EXPIRED_RETRY_SECONDS = 5
const MAX_CACHED_PATH_LENGTH = 256
const LONG_LIFETIME_SECONDS = 3_600
const LONG_LIFETIME_WINDOW_MS = 3_600_000

/** Reasons that neither time nor new keys can change: the only ones for the negative cache, next to a bad signature. */
const FINAL: ReadonlySet<RefusalReason> = new Set<RefusalReason>([
  'token_malformed',
  'token_too_large',
  'token_encrypted',
  'token_alg',
  'token_header',
  'token_type',
  'token_issuer',
  'token_audience',
  'token_claims',
  'token_lifetime',
  'token_client',
  'token_binding',
])

/** A token that has passed every check but those that may have to wait. */
interface Candidate {
  readonly hash: string
  readonly parsed: ParsedToken
  readonly provider: Provider
  readonly claims: TokenClaims
}

/** Decides on every call by its bearer token. One per listener: a verdict holds for this listener only. */
export class BearerGate implements Gate {
  readonly stats = new GateStats()
  readonly identity: IdentityFields
  readonly #options: BearerGateOptions
  readonly #clock: Clock
  readonly #log: Log
  readonly #denials: DenialLog
  readonly #providers = new Map<string, Provider>()
  readonly #caches = new TokenCaches()
  readonly #verifier: SignatureVerifier
  readonly #unsubscribe: (() => void)[] = []
  #policy: Policy
  /** Grows with every change of keys, policy or trust. A permit carries the epoch it was made in. */
  #epoch = 1

  /** @throws ConfigError when the options cannot be worked with */
  constructor(options: BearerGateOptions, ports: BearerGatePorts) {
    const faults = faultsOf(options, ports)
    if (faults.length > 0) throw new ConfigError(faults)
    this.#options = options
    this.#policy = options.policy
    this.#clock = ports.clock
    this.#log = ports.log
    this.#denials = new DenialLog(ports.log, ports.clock)
    this.#verifier = new SignatureVerifier(ports.clock, this.stats)
    this.identity = new IdentityFields(options.claimHeaders ?? [])
    for (const provider of options.providers)
      this.#addProvider(new Provider(provider, ports.keys.get(provider.issuer)!, ports.clock, this.stats))
  }

  admit(call: CallFacts): Verdict | Promise<Verdict> {
    if (call.authorization === null || call.authorizationCount !== 1)
      return this.#refuse(call, call.authorizationCount > 1 ? 'token_duplicate' : 'token_missing')
    const token = bearerToken(call.authorization)
    if (token === null) return this.#refuse(call, 'token_malformed')
    if (token.length > MAX_TOKEN_BYTES) return this.#refuse(call, 'token_too_large')
    const hash = tokenHash(token)
    const nowMs = this.#clock.nowMs()
    const known = this.#caches.verdict(
      this.#verdictName(hash, call),
      this.#epoch,
      nowMs,
      this.#clock.wallMs(),
    )
    if (known !== null) {
      this.stats.verdictHits++
      return this.#count(call, known.verdict, { principal: known.principal, kid: known.kid })
    }
    const rejected = this.#caches.rejected(`${hash} ${peerName(call.peer)}`, this.#epoch, nowMs)
    if (rejected !== null) {
      this.stats.rejectionHits++
      return this.#refuse(call, rejected.reason, { ...this.#finalDetails(), issuer: rejected.issuer })
    }
    return this.#examine(call, hash, token, nowMs)
  }

  isCurrent(permit: Permit, wallMs: number): boolean {
    return permit.credentialGeneration === this.#epoch && wallMs < permit.validUntilMs
  }

  /** The collector's own UNAUTHENTICATED is passed on as it is. */
  renew(): null {
    return null
  }

  /** Puts another policy in place; verdicts made under the old one no longer hold. */
  replacePolicy(policy: Policy): void {
    this.#policy = policy
    this.#epoch++
  }

  /** The trust bundle or the revocation list has changed: verdicts about certificates no longer hold. */
  invalidateTrust(): void {
    this.#epoch++
  }

  /** Stops to follow the keys. */
  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe()
  }

  #addProvider(provider: Provider): void {
    this.#providers.set(provider.options.issuer, provider)
    this.#unsubscribe.push(provider.follow(() => this.#epoch++))
  }

  /** The part that needs no waiting: answers at once where it can, and goes on in the background where it cannot. */
  #examine(call: CallFacts, hash: string, token: string, nowMs: number): Verdict | Promise<Verdict> {
    const verified = this.#caches.verified(hash, nowMs)
    if (verified !== null) {
      const provider = this.#providers.get(verified.claims.principal.issuer)!
      if (verified.keyGeneration === provider.keyGeneration) {
        this.stats.tokenHits++
        return this.#conclude(call, hash, provider, verified.claims, verified.kid)
      }
    }
    this.stats.tokenMisses++
    const candidate = this.#judgeCheaply(call, hash, token)
    if ('kind' in candidate) return candidate
    const { provider, parsed } = candidate
    const match = candidate.provider.match(candidate.parsed.header)
    if (match === 'unusable') return this.#refuse(call, 'token_key_unusable', { parsed })
    // What nobody would look at costs neither a message nor a promise: a forger's signatures for a while, and unknown kids
    // while the owner may not fetch.
    if (typeof match === 'string') {
      if (provider.isQuietFor(waitMs(call))) return this.#refuseForKeys(call, candidate)
      return this.#guard(call, this.#verifyWithNewerKeys(call, candidate))
    }
    if (this.#verifier.isBarred(call.peer)) return this.#refuseForOverload(call, parsed)
    return this.#guard(call, this.#verify(call, candidate, match))
  }

  /** Shape, algorithm, issuer, claims, binding, time: everything that costs no signature. */
  #judgeCheaply(call: CallFacts, hash: string, token: string): Candidate | Refusal {
    const parsed = parseToken(token)
    if (typeof parsed === 'string') return this.#reject(call, hash, parsed, null)
    const issuer = ownMember(parsed.claims, 'iss')
    const provider = typeof issuer === 'string' ? this.#providers.get(issuer) : undefined
    if (provider === undefined) return this.#reject(call, hash, 'token_issuer', parsed)
    const wallMs = this.#clock.wallMs()
    const claims = judgeClaims(provider.options, parsed.header, parsed.claims, wallMs)
    if (typeof claims === 'string') return this.#reject(call, hash, claims, parsed)
    if (!provider.isPeerRight(claims.all, call.peer)) return this.#reject(call, hash, 'token_binding', parsed)
    const time = judgeTime(claims, wallMs, provider.leewayMs)
    // A later try may pass only if the signature is good: otherwise the answer is final at once.
    if (time !== 'current' && !this.#isWorthRetry(call, time))
      return this.#refuseForTime(call, time, { parsed })
    return { hash, parsed, provider, claims }
  }

  /** Row 7 and the end of row 9: the kid is not among the keys, or there are none. */
  async #verifyWithNewerKeys(call: CallFacts, candidate: Candidate): Promise<Verdict> {
    const startedMs = this.#clock.nowMs()
    const report = await this.#within(candidate.provider.requestKeys(), waitMs(call))
    const match = candidate.provider.match(candidate.parsed.header)
    if (typeof match !== 'string')
      return this.#verify(call, candidate, match, waitMs(call) - (this.#clock.nowMs() - startedMs))
    const { parsed } = candidate
    if (match === 'unusable') return this.#refuse(call, 'token_key_unusable', { parsed })
    if (match === 'unknown' && report !== null && report.fetchStartedAtMs >= call.receivedAtMs)
      return this.#refuse(call, 'token_unknown_key', { parsed })
    return this.#refuseForKeys(call, candidate)
  }

  async #verify(
    call: CallFacts,
    candidate: Candidate,
    keys: Exclude<KeyMatch, string>,
    budgetMs = waitMs(call),
  ): Promise<Verdict> {
    const { hash, parsed, provider, claims } = candidate
    const generation = provider.keyGeneration
    const check = {
      name: `${hash} ${generation} ${provider.options.issuer}`,
      token: parsed.token,
      alg: parsed.header.alg,
      keys,
      imported: provider.imported,
    }
    const flight = this.#verifier.verify(check, call.peer, budgetMs)
    const verdict = (await this.#within(flight, budgetMs)) ?? 'overload'
    if (verdict === 'overload') return this.#refuseForOverload(call, parsed)
    // The keys have changed meanwhile: neither answer says anything about the new ones.
    if (provider.keyGeneration !== generation) return this.#verifyAgain(call, candidate)
    if (verdict === 'invalid') return this.#reject(call, hash, 'token_signature', parsed)
    const keptUntilMs = this.#clock.nowMs() + MAX_ENTRY_MS
    this.#caches.keepVerified(hash, {
      claims,
      kid: parsed.header.kid,
      keyGeneration: generation,
      keptUntilMs,
    })
    return this.#conclude(call, hash, provider, claims, parsed.header.kid)
  }

  /** Row 21: no turn for this signature. */
  #refuseForOverload(call: CallFacts, parsed: ParsedToken): Refusal {
    return this.#refuse(call, 'verification_overload', { parsed, retryDelaySeconds: 1 })
  }

  #verifyAgain(call: CallFacts, candidate: Candidate): Verdict | Promise<Verdict> {
    const match = candidate.provider.match(candidate.parsed.header)
    return typeof match === 'string'
      ? this.#refuseForKeys(call, candidate)
      : this.#verify(call, candidate, match)
  }

  /** The token is genuine: judges what depends on the moment, the peer and the method. */
  #conclude(
    call: CallFacts,
    hash: string,
    provider: Provider,
    claims: TokenClaims,
    kid: string | null,
  ): Verdict {
    const wallMs = this.#clock.wallMs()
    const { principal } = claims
    if (!provider.isPeerRight(claims.all, call.peer))
      return this.#refuse(call, 'token_binding', { principal, kid })
    const time = judgeTime(claims, wallMs, provider.leewayMs)
    if (time !== 'current') return this.#refuseForTime(call, time, { principal, kid })
    this.#noteLifetime(call, claims, kid)
    const endsAtMs = claims.expiresAtMs + provider.leewayMs
    const validUntilMs = Math.min(endsAtMs, call.peer.notAfterMs, wallMs + MAX_ENTRY_MS)
    const verdict = this.#applyPolicy(call, claims, kid, endsAtMs, validUntilMs)
    // A long path is no method that anybody calls often: its name would only fill the cache.
    if (call.path.length > MAX_CACHED_PATH_LENGTH) return this.#count(call, verdict, { principal, kid })
    this.#caches.keepVerdict(this.#verdictName(hash, call), {
      verdict,
      principal,
      kid,
      epoch: this.#epoch,
      validUntilMs,
      keptUntilMs: this.#clock.nowMs() + MAX_ENTRY_MS,
    })
    return this.#count(call, verdict, { principal, kid })
  }

  #applyPolicy(
    call: CallFacts,
    claims: TokenClaims,
    kid: string | null,
    endsAtMs: number,
    validUntilMs: number,
  ): Permit | RuledRefusal {
    const { principal } = claims
    const decision = this.#policy.decide({
      method: calledMethod(call.path),
      principal,
      claims: claims.all,
      peer: call.peer,
    })
    const caller = callerOf(call, { principal, kid })
    for (const rule of decision.audited) {
      this.stats.audited++
      this.#denials.write(caller, `audit ${rule}`, 'the call matches an audit rule', { rule })
    }
    if (!decision.isAllowed && !this.#policy.isDryRun)
      return refusal('policy_denied', call.peer, { rule: decision.rule, validUntilMs })
    if (!decision.isAllowed) {
      this.stats.dryRunDenials++
      this.#denials.write(caller, `dry_run ${decision.rule}`, 'the policy would deny the call (dry run)', {
        rule: decision.rule,
      })
    }
    return mintPermit({
      principal,
      fields: this.identity.fieldsFor(claims, () => this.stats.claimsTooLong++),
      dropsAuthorization: this.#options.forwardsToken !== true,
      validUntilMs,
      endsAtMs,
      credentialGeneration: this.#epoch,
      egressIdentity: '',
    })
  }

  /** Whether the answer to a token outside its time is UNAVAILABLE: a later try, or a fresh token, will pass (row 9a). */
  #isWorthRetry(call: CallFacts, time: TimeVerdict): boolean {
    const isNear = time === 'expired_recently' || time === 'starts_soon'
    return isNear && !call.isAuthgwHop && this.#options.onExpired !== 'fail'
  }

  #refuseForTime(call: CallFacts, time: TimeVerdict, about: About): Refusal {
    const isEarly = time === 'starts_soon' || time === 'starts_later'
    if (isEarly) this.stats.clockSkew++
    if (this.#isWorthRetry(call, time))
      return this.#refuse(call, isEarly ? 'token_not_yet_valid' : 'token_expired_recently', {
        ...about,
        retryDelaySeconds: EXPIRED_RETRY_SECONDS,
      })
    return this.#refuse(call, isEarly ? 'token_not_yet_valid' : 'token_expired', about)
  }

  #refuseForKeys(call: CallFacts, { provider, parsed }: Candidate): Refusal {
    return this.#refuse(call, 'keys_unavailable', { parsed, retryDelaySeconds: provider.retryAfterSeconds() })
  }

  /** Refuses a token that stays refused, and remembers it for ten seconds. */
  #reject(call: CallFacts, hash: string, reason: RefusalReason, parsed: ParsedToken | null): Refusal {
    if (FINAL.has(reason) || reason === 'token_signature')
      this.#caches.keepRejected(`${hash} ${peerName(call.peer)}`, {
        reason,
        issuer: this.#issuerOf({ parsed }),
        epoch: this.#epoch,
        keptUntilMs: this.#clock.nowMs() + REJECTION_MS,
      })
    return this.#refuse(call, reason, {
      parsed,
      ...(FINAL.has(reason) ? this.#finalDetails() : {}),
    })
  }

  #finalDetails(): RefusalDetails {
    return { validUntilMs: this.#clock.wallMs() + REJECTION_MS }
  }

  #refuse(call: CallFacts, reason: RefusalReason, details: RefusalDetails & About = {}): Refusal {
    const refused = refusal(reason, call.peer, details)
    this.#count(call, refused, details)
    return refused
  }

  #count<T extends Permit | RuledRefusal>(call: CallFacts, verdict: T, about: About): T {
    if (verdict.kind === 'permit') this.stats.accepted++
    else {
      this.stats.refuse(verdict.reason, about.issuer ?? this.#issuerOf(about))
      this.#denials.write(callerOf(call, about), verdict.reason, 'a call is denied', {
        status: verdict.status,
        ...(verdict.rule === undefined ? {} : { rule: verdict.rule }),
      })
    }
    return verdict
  }

  /** The issuer that a refusal is counted under; empty where the token names none, or could not be read. */
  #issuerOf({ principal, parsed }: About): string {
    const issuer = principal?.issuer ?? (parsed ? (ownMember(parsed.claims, 'iss') ?? '') : '')
    if (issuer === '') return ''
    return typeof issuer === 'string' && this.#providers.has(issuer) ? issuer : OTHER_ISSUER
  }

  #noteLifetime(call: CallFacts, claims: TokenClaims, kid: string | null): void {
    if (claims.lifetimeSeconds <= LONG_LIFETIME_SECONDS) return
    this.stats.longLived++
    this.#denials.write(
      callerOf(call, { principal: claims.principal, kid }),
      'long_lifetime',
      'a token lives longer than an hour: shorten it at the provider, or set max_lifetime',
      { lifetime_seconds: Math.round(claims.lifetimeSeconds) },
      LONG_LIFETIME_WINDOW_MS,
    )
  }

  #verdictName(hash: string, call: CallFacts): string {
    return `${hash} ${peerName(call.peer)} ${call.path}`
  }

  /** Row 28: a defect of ours costs the call that met it, and nothing else. */
  async #guard(call: CallFacts, work: Promise<Verdict>): Promise<Verdict> {
    try {
      return await work
    } catch (err) {
      this.stats.bugs++
      this.#log.error({ err }, 'bug in authgw: a token could not be judged')
      return this.#refuse(call, 'keys_unavailable', { retryDelaySeconds: 1 })
    }
  }

  /** `work`, or null once `limitMs` have passed. */
  async #within<T>(work: Promise<T>, limitMs: number): Promise<T | null> {
    let cancel = (): void => {}
    const expired = new Promise<null>((resolve) => {
      const timer = this.#clock.setTimer(limitMs, () => resolve(null))
      cancel = () => timer.cancel()
    })
    return Promise.race([work, expired]).finally(() => cancel())
  }
}

/** What is known about a caller when it is refused. */
interface About {
  readonly parsed?: ParsedToken | null
  readonly principal?: DeniedCaller['principal']
  readonly kid?: string | null
  /** As it is counted; found out from the others when left out. */
  readonly issuer?: string
}

function callerOf(call: CallFacts, about: About): DeniedCaller {
  return {
    peer: call.peer,
    path: call.path,
    principal: about.principal ?? null,
    unverified: about.parsed ?? null,
    kid: about.kid ?? about.parsed?.header.kid ?? null,
  }
}

/** How long a call may wait: min(60 % of its time, 2 s). */
function waitMs(call: CallFacts): number {
  return Math.min(call.timeoutMs * 0.6, MAX_WAIT_MS)
}

/**
 * What travels between the keeper of a token and its gates: snapshots one way, requests and replies the other.
 * Floor 2; plain values only, so that an adapter can carry them between processes.
 */
import type { CredentialErrorCode, SnapshotSource } from '../../base/index.ts'

/** A token that may be used. Plain and immutable. */
export interface TokenSnapshot {
  /** Name of the identity, as configured. */
  readonly identity: string
  readonly accessToken: string
  readonly lifeMs: number
  /** Monotonic ms until which it is used. An adapter to another process adds the difference between the two clocks. */
  readonly usableUntilMs: number
  /** Unix ms until which it is used, as the wall clock stood when it was published. */
  readonly usableUntilWallMs: number
  /** Unix ms of its end. */
  readonly expiresAtWallMs: number
  /** The certificate it is bound to (RFC 8705): it leaves only on connections made with that. Null for a plain bearer. */
  readonly certificateSha256: string | null
}

/** Whether a token may be used now, on both clocks. */
export function isUsable(token: TokenSnapshot, nowMs: number, wallMs: number): boolean {
  return nowMs < token.usableUntilMs && wallMs < token.usableUntilWallMs
}

/** What a gate asks of the keeper. */
export interface TokenRequest {
  /** The generation that the control plane refused; null when the gate only has no usable token. */
  readonly rejectedGeneration: number | null
  /** How long the gate's calls can wait, in ms: when no attempt begins within it, the answer comes at once. */
  readonly waitMs: number
}

/** What the keeper answers. */
export type TokenReply =
  /** A usable token, newer than the rejected one, has been published under this generation. */
  | { readonly kind: 'token'; readonly generation: number }
  /** None can be had for now; the next attempt may come after `retryInMs`. */
  | TokenFailure

/** Why no token can be had. */
export interface TokenFailure {
  readonly kind: 'failure'
  readonly reason: CredentialErrorCode
  /**
   * With `token_rejected`: until the refused token may be replaced; 0 when it was just now, and the provider gave it again.
   */
  readonly retryInMs: number
}

/** The keeper as its consumers see it, by value and message only. */
export interface TokenPort {
  readonly tokens: SnapshotSource<TokenSnapshot>
  /** Asks for a usable token, or for a newer one than the control plane refused. Never rejects. */
  requestToken(request: TokenRequest): Promise<TokenReply>
}

/** Why an identity is in trouble, for readiness. */
export interface TokenTrouble {
  readonly reason: CredentialErrorCode
  /** Unix ms since when. */
  readonly sinceMs: number
}

/**
 * The room of identity: tokens got, tokens checked, and who may do what.
 * Floor 2; imports base only. A Permit can be made in this room alone.
 */
export * from './gate.ts'
export * from './ports.ts'
export { Permit, REFUSAL_REASONS } from './verdict.ts'
export type { PermitTerms, Principal, Refusal, RefusalReason, RefusalStatus, Verdict } from './verdict.ts'
export * from './otlp-methods.ts'
export { TokenKeeper } from './token/keeper.ts'
export type { TokenKeeperOptions } from './token/keeper.ts'
export { isUsable } from './token/port.ts'
export type {
  TokenFailure,
  TokenPort,
  TokenReply,
  TokenRequest,
  TokenSnapshot,
  TokenTrouble,
} from './token/port.ts'
export { OAuthTokenSource } from './token/client-credentials.ts'
export type { Grant, OAuthTokenOptions } from './token/client-credentials.ts'
export type { ClientAuthentication, SigningKey } from './token/assertion.ts'
export { TokenFileSource } from './token/file.ts'
export type { FetchedToken, SecretRef, TokenSource } from './token/source.ts'
export { CredentialGateStats, TokenStats } from './token/stats.ts'

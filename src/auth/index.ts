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
export { CredentialGate } from './credential-gate.ts'
export type { CredentialGateOptions } from './credential-gate.ts'
export { RoutedGate } from './routed-gate.ts'
export type { GateRoute } from './routed-gate.ts'
export { BearerGate } from './bearer-gate.ts'
export type { BearerGateOptions, BearerGatePorts } from './bearer-gate-options.ts'
export type { ProviderOptions } from './provider.ts'
export { MAX_LEEWAY_SECONDS } from './jwt/claims.ts'
export type { ClaimRules } from './jwt/claims.ts'
export { FETCH_COOLDOWN_MS, KeyKeeper } from './jwks/refresh.ts'
export type {
  KeyFetchCounts,
  KeyFetchFailure,
  KeyKeeperOptions,
  KeyKeeperPorts,
  KeyKeeperState,
  KeyOrigin,
} from './jwks/refresh.ts'
export type { KeyFetchReport, KeyRequest, KeySet, ProviderKeys } from './jwks/cache.ts'
export { readKeyDocument } from './jwks/document.ts'
export type { KeyDocument, PublicKey } from './jwks/document.ts'
export { isAllowedUrl } from './jwks/fetch.ts'
export type { KeyFetchPorts, KeySource } from './jwks/fetch.ts'
export { KeyCache } from './jwks/persist.ts'
export type { FileFacts, KeyCacheFiles, StoredKeySet } from './jwks/persist.ts'
export { Policy } from './policy/policy.ts'
export type { PolicyDecision, PolicyOptions, RuleTrace } from './policy/policy.ts'
export type { RuleAction, RuleOptions } from './policy/rule.ts'
export { calledMethod, type PolicySubject } from './policy/subject.ts'
export { checkClaimHeaders, IdentityFields, isReservedFieldName, RESERVED_PREFIX } from './identity.ts'
export type { ClaimHeader } from './identity.ts'
export { GateStats } from './stats.ts'
export { OpenGate } from './open-gate.ts'
export { describeToken, explainCall } from './explain.ts'
export type { DescribedToken, ExplainedCheck, ExplainQuestion, Explanation } from './explain.ts'
export { FIXED_AUTH_LIMITS } from './fixed-limits.ts'
export type { FixedLimit } from './fixed-limits.ts'

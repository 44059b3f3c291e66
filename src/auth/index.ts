/**
 * The room of identity: tokens got, tokens checked, and who may do what.
 * Floor 2; imports base only. A Permit can be made in this room alone.
 */
export * from './gate.ts'
export * from './ports.ts'
export { Permit, REFUSAL_REASONS } from './verdict.ts'
export type { PermitTerms, Principal, Refusal, RefusalReason, RefusalStatus, Verdict } from './verdict.ts'
export * from './otlp-methods.ts'

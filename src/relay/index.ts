/**
 * The room where ingress and egress meet: calls, admitted by a gate, forwarded frame by frame.
 * Floor 3; knows neither sockets, files nor configuration.
 */
export * from './ports.ts'
export { Relay } from './relay.ts'
export type { RelayOptions } from './relay.ts'
export { Client, NO_CLIENT_LIMITS } from './clients.ts'
export type { ClientLimits } from './clients.ts'
export { RELAY_REASONS } from './reasons.ts'
export type { RelayReason, RelayReasonEntry } from './reasons.ts'
export { ReplayBudget } from './replay.ts'
export { MethodSeries, PermitCount, RelayStats } from './stats.ts'
export { PickFirst } from './pick-first.ts'

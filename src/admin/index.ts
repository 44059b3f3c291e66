/**
 * The room of what operators and probes ask: HTTP pages, health over gRPC, readiness.
 * Floor 6; imports base and telemetry.
 */
export type { AdminEndpoint, ListeningAddress } from './endpoint.ts'
export { GrpcHealth } from './grpc-health.ts'
export type { GrpcHealthOptions } from './grpc-health.ts'
export { LIFECYCLE_STATES, Readiness } from './readiness.ts'
export type { Condition, LifecycleState, ReadinessOptions } from './readiness.ts'
export { READINESS_REASONS } from './readiness-reasons.ts'
export type { ReadinessReason } from './readiness-reasons.ts'
export { AdminRoutes } from './routes.ts'
export type { AdminPorts, AdminReply, AdminRequest } from './routes.ts'
export { AdminServer } from './server.ts'
export type { AdminLimits } from './server.ts'
export type { AdminTls } from './tls.ts'
export type { StatusSection } from './status-page.ts'

/**
 * The room of HTTP/2 connections: octets in, stream events out, and back.
 * Floor 2; knows no socket, no call, no gRPC.
 */
export { ByteBudget, TokenBucket } from './budget.ts'
export { H2Connection } from './connection.ts'
export type { H2ConnectionOptions } from './connection.ts'
export { RESET_BY_CLOSE, RESET_BY_FAULT, RESET_BY_GOAWAY, RESET_BY_PEER } from './handler.ts'
export type { H2Handler, ResetCause } from './handler.ts'
export { DEFAULT_H2_LIMITS, LIMITS } from './limits.ts'
export type { H2Limits, LimitEntry } from './limits.ts'
export { H2Stats } from './stats.ts'
export { H2Stream } from './stream.ts'
export { H2Code, h2CodeName } from '../frame/index.ts'

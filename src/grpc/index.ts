/**
 * The room of gRPC's own conventions on top of HTTP/2: status, trailers, paths, time-outs, message lengths.
 * Floor 1; knows no stream, no call and no policy.
 */
export * from './message-length.ts'
export * from './method-path.ts'
export * from './retry-info.ts'
export * from './status.ts'
export * from './timeout.ts'
export * from './trailers-only.ts'

/**
 * The room of things that know nothing of gRPC, HTTP or tokens.
 * Floor 0; imports nothing.
 */
export * from './backoff.ts'
export * from './bytes.ts'
export * from './chunk.ts'
export * from './chunk-pins.ts'
export * from './chunk-queue.ts'
export * from './clock.ts'
export * from './deadlines.ts'
export * from './errors.ts'
export * from './explanation.ts'
export * from './faults.ts'
export * from './histogram.ts'
export * from './invariant.ts'
export * from './log.ts'
export * from './ring.ts'
export * from './signature-algorithms.ts'
export * from './single-flight.ts'
export * from './snapshot.ts'

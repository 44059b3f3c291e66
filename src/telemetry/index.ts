/**
 * The room of what operators see: log lines and metrics.
 * Floor 5; imports base only. Numbers reach it as functions that read them, so that it knows no room that counts.
 */
export { Logger, LOG_LEVELS } from './logger.ts'
export type { LogEncoding, LoggerOptions, LogLevel, LogStats } from './logger.ts'
export { REDACTED, redactFields, redactText } from './redact.ts'

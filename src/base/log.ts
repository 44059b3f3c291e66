/**
 * The Log port: what rooms say to the operator, without knowing who writes it down.
 * Floor 0; knows neither pino nor a file descriptor. Never given a token, a secret or a key.
 */

/** Fields of a log line, in `lower_snake_case`. Values are JSON scalars, arrays of them, or errors under `err`. */
export type LogFields = Readonly<Record<string, unknown>>

/** Writes log lines. Never per RPC at `info` or above. */
export interface Log {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
  /** A log whose lines carry `fields` too. */
  child(fields: LogFields): Log
}

/** Says nothing. The default where a test does not care. */
export const NO_LOG: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => NO_LOG,
}

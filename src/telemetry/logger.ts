/**
 * Turns what rooms say through the Log port into lines on a file descriptor, by pino, without ever blocking the loop.
 * Floor 5; knows no room and no configuration file. The words are those of the collector's `service.telemetry.logs`.
 */
import pino from 'pino'
import type { Log, LogFields } from '../base/index.ts'
import { redactFields, redactText } from './redact.ts'

/** Severities, in the collector's words. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** One JSON object a line, or tab-separated text for people, as the collector writes them. */
export type LogEncoding = 'json' | 'console'

/** How logs are written. */
export interface LoggerOptions {
  /** Lines below it are not made. Default `info`, as the collector's. */
  readonly level?: LogLevel
  /** Default `json`. */
  readonly encoding?: LogEncoding
  /** A file descriptor, or a path to append to. Default 1, standard output. */
  readonly destination?: number | string
  /** What waits for a slow reader, in bytes; lines beyond it are dropped and counted. Default 1 MiB. */
  readonly maxBufferedBytes?: number
}

/** What a scrape reads of a logger. */
export interface LogStats {
  /** Lines handed to the destination, by level. */
  readonly lineCounts: Readonly<Record<LogLevel, number>>
  /** Lines that nobody will read: the reader was too slow, or has gone. */
  readonly droppedLineCount: number
  /** Times the operating system refused to take a line. */
  readonly writeErrorCount: number
}

const DEFAULT_MAX_BUFFERED_BYTES = 1024 * 1024

/** pino's numbers for the levels. */
const SEVERITY: Readonly<Record<LogLevel, number>> = { debug: 20, info: 30, warn: 40, error: 50 }

/** A destination that drops rather than blocks, and outlives its reader. */
class LogSink {
  readonly lineCounts: Record<LogLevel, number> = { debug: 0, info: 0, warn: 0, error: 0 }
  droppedLineCount = 0
  writeErrorCount = 0
  readonly #stream: ReturnType<typeof pino.destination>
  readonly #encoding: LogEncoding
  #reportedDropCount = 0
  #isBroken = false
  #lastError: Error | null = null

  constructor(options: LoggerOptions) {
    this.#encoding = options.encoding ?? 'json'
    this.#stream = pino.destination({
      dest: options.destination ?? 1,
      sync: false,
      // With 0 the stream cannot be asked to tell when all is written.
      minLength: 1,
      maxLength: options.maxBufferedBytes ?? DEFAULT_MAX_BUFFERED_BYTES,
    })
    this.#stream.on('drop', () => this.droppedLineCount++)
    this.#stream.on('drain', () => this.#reportDrops())
    this.#stream.on('error', (error: NodeJS.ErrnoException) => this.#onError(error))
    this.#stream.on('close', () => {
      this.#isBroken = true
    })
    this.#guardLastFlush()
  }

  /** Called by pino with one line of JSON. */
  write(line: string): void {
    if (this.#isBroken) this.droppedLineCount++
    else this.#stream.write(this.#encoding === 'json' ? line : toConsoleLine(line))
  }

  /** Resolves when all lines are with the operating system, or after `timeoutMs`. Never rejects. */
  flush(timeoutMs: number): Promise<void> {
    if (this.#isBroken) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs)
      this.#stream.flush(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  /** pino flushes once more when the process exits: a full disk must not change the exit code. */
  #guardLastFlush(): void {
    const stream = this.#stream
    const flushSync = stream.flushSync.bind(stream)
    stream.flushSync = () => {
      try {
        flushSync()
      } catch {
        this.writeErrorCount++
      }
    }
  }

  /** EPIPE: the reader has gone and no line can be written any more. All else may pass: a full disk, a signal. */
  #onError(error: NodeJS.ErrnoException): void {
    if (error === this.#lastError) return
    this.#lastError = error
    this.writeErrorCount++
    if (error.code === 'EPIPE' || error.code === 'EBADF') this.#isBroken = true
  }

  #reportDrops(): void {
    if (this.droppedLineCount === this.#reportedDropCount || this.#isBroken) return
    const count = this.droppedLineCount - this.#reportedDropCount
    this.#reportedDropCount = this.droppedLineCount
    const line = {
      level: 'warn',
      ts: timestamp(),
      msg: 'log lines were dropped: the reader is too slow',
      count,
    }
    this.write(`${JSON.stringify(line)}\n`)
  }
}

function timestamp(): string {
  return new Date().toISOString()
}

/** `2026-11-22T12:00:00.000Z⇥info⇥message⇥{"field": …}`, as the collector's console encoding. */
function toConsoleLine(line: string): string {
  const { level, ts, msg, ...fields }: Record<string, unknown> = JSON.parse(line)
  const rest = Object.keys(fields).length === 0 ? '' : `\t${JSON.stringify(fields)}`
  return `${String(ts)}\t${String(level)}\t${String(msg)}${rest}\n`
}

/** The level, shared by a logger and all its children, so that a reload changes them together. */
interface Threshold {
  severity: number
}

class PinoLog implements Log {
  readonly #pino: pino.Logger
  readonly #threshold: Threshold
  readonly #lineCounts: Record<LogLevel, number>

  constructor(logger: pino.Logger, threshold: Threshold, lineCounts: Record<LogLevel, number>) {
    this.#pino = logger
    this.#threshold = threshold
    this.#lineCounts = lineCounts
  }
  debug(fields: LogFields, message: string): void {
    this.#write('debug', fields, message)
  }
  info(fields: LogFields, message: string): void {
    this.#write('info', fields, message)
  }
  warn(fields: LogFields, message: string): void {
    this.#write('warn', fields, message)
  }
  error(fields: LogFields, message: string): void {
    this.#write('error', fields, message)
  }
  child(fields: LogFields): Log {
    return new PinoLog(this.#pino.child(redactFields(fields)), this.#threshold, this.#lineCounts)
  }
  #write(level: LogLevel, fields: LogFields, message: string): void {
    if (SEVERITY[level] < this.#threshold.severity) return
    this.#lineCounts[level]++
    this.#pino[level](redactFields(fields), redactText(message))
  }
}

/** The process's log. Everything written goes through `redactFields` and `redactText`. */
export class Logger extends PinoLog {
  readonly #sink: LogSink
  readonly #threshold: Threshold

  constructor(options: LoggerOptions = {}) {
    const sink = new LogSink(options)
    const threshold = { severity: SEVERITY[options.level ?? 'info'] }
    super(makePino(sink), threshold, sink.lineCounts)
    this.#sink = sink
    this.#threshold = threshold
  }

  /** What a scrape reads: live numbers. */
  get stats(): LogStats {
    return this.#sink
  }

  /** Changes the level of this logger and of all its children. */
  setLevel(level: LogLevel): void {
    this.#threshold.severity = SEVERITY[level]
  }

  /** Resolves when all lines are written, or after `timeoutMs` (default 1000). Call it before the process ends. */
  flush(timeoutMs = 1000): Promise<void> {
    return this.#sink.flush(timeoutMs)
  }
}

function makePino(sink: LogSink): pino.Logger {
  return pino(
    {
      level: 'debug',
      base: null,
      messageKey: 'msg',
      timestamp: () => `,"ts":"${timestamp()}"`,
      formatters: { level: (label) => ({ level: label }) },
      // Errors are described by redactFields already.
      serializers: { err: (described: unknown) => described },
    },
    sink,
  )
}

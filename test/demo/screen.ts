/**
 * What the demo shows: headings, steps and tables as plain lines, and, on a terminal, one block that is repainted in place.
 * Elsewhere the block becomes a line now and then. Colours only on a terminal and without NO_COLOR.
 */
import { styleText } from 'node:util'

/** Label and value of a row of the block. */
export type LiveRow = readonly [label: string, value: string]

/** Ms between two plain lines of the block. */
const PLAIN_EVERY_MS = 3_000

/** The demo's standard output. */
export class Screen {
  readonly #out: NodeJS.WriteStream
  readonly #startMs = performance.now()
  /** Whether lines can be painted over. */
  readonly isLive: boolean
  #paintedLines = 0
  #lastPlainMs = -Infinity

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
    this.isLive = out.isTTY && process.env['TERM'] !== 'dumb'
  }

  title(text: string, ...lines: readonly string[]): void {
    this.line('')
    this.line(this.#style('bold', text))
    for (const line of lines) this.line(this.#style('dim', `  ${line}`))
  }

  /** A part that is as expected, or not. */
  step(isGood: boolean, label: string, detail: string): void {
    const mark = isGood ? this.#style('green', '✓') : this.#style('red', '✗')
    this.line(`  ${mark} ${label.padEnd(27)} ${isGood ? this.#style('dim', detail) : detail}`)
  }

  note(text: string): void {
    this.line(`  ${text}`)
  }

  line(text: string): void {
    this.settle()
    this.#out.write(`${text}\n`)
  }

  /** Paints the block anew; elsewhere prints `summary` every three seconds. */
  live(rows: readonly LiveRow[], summary: string): void {
    if (!this.isLive) {
      const nowMs = performance.now()
      if (nowMs - this.#lastPlainMs < PLAIN_EVERY_MS) return
      this.#lastPlainMs = nowMs
      this.#out.write(`  ${this.#clock()}  ${summary}\n`)
      return
    }
    // A line that wraps could not be painted over.
    const width = Math.max(20, this.#out.columns - 14)
    const lines = rows.map(
      ([label, value]) => `  ${this.#style('cyan', label.padEnd(10))} ${cut(value, width)}\u001B[K\n`,
    )
    const up = this.#paintedLines > 0 ? `\u001B[${this.#paintedLines}A` : ''
    this.#out.write(up + lines.join(''))
    this.#paintedLines = rows.length
  }

  /** Leaves the block as it stands; the next one begins below. */
  settle(): void {
    this.#paintedLines = 0
    this.#lastPlainMs = -Infinity
  }

  /** Columns as wide as their widest cell; the first row is the head. */
  table(
    head: readonly string[],
    rows: readonly (readonly string[])[],
    isGood: (row: number) => boolean,
  ): void {
    const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]!.length)))
    const text = (row: readonly string[]): string =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('   ')
        .trimEnd()
    this.line(`    ${this.#style('dim', text(head))}`)
    rows.forEach((row, index) => {
      const mark = isGood(index) ? this.#style('green', '✓') : this.#style('red', '✗')
      this.line(`  ${mark} ${text(row)}`)
    })
  }

  #clock(): string {
    const seconds = Math.floor((performance.now() - this.#startMs) / 1000)
    return `${String(Math.floor(seconds / 60)).padStart(2, '0')}:${String(seconds % 60).padStart(2, '0')}`
  }

  #style(format: Parameters<typeof styleText>[0], text: string): string {
    return styleText(format, text, { stream: this.#out })
  }
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`
}

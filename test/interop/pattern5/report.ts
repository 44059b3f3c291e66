/** What a run prints: titles, tables, and lines that are as they should be or not. */
import { table } from '../tools/table.ts'

/** Collects verdicts while it prints. */
export class Report {
  /** Whether every check so far was as it should be. */
  isGood = true

  title(text: string): void {
    console.log(`\n${text}`)
  }

  line(text: string): void {
    console.log(`  ${text}`)
  }

  /** Prints a check, and remembers it. */
  check(isGood: boolean, text: string): void {
    this.isGood &&= isGood
    this.line(`${isGood ? '[+]' : '[-]'} ${text}`)
  }

  table(head: string[], rows: string[][]): void {
    console.log(table(head, rows))
  }
}

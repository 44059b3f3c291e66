/** Turns rows of words into an aligned table for a terminal or, as it is valid Markdown, for a file. */

/** Renders a Markdown table whose columns are padded to equal width; numbers are aligned to the right. */
export function table(head: string[], rows: string[][]): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, 3, ...rows.map((row) => (row[column] ?? '').length)),
  )
  const isNumeric = head.map((_, column) => rows.every((row) => /^[-\d.×%,/ ]*$/.test(row[column] ?? '')))
  const line = (cells: string[]): string =>
    `| ${cells.map((cell, column) => (isNumeric[column] ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!))).join(' | ')} |`
  const rule = `|${widths.map((width, column) => (isNumeric[column] ? `${'-'.repeat(width + 1)}:` : '-'.repeat(width + 2))).join('|')}|`
  return [line(head), rule, ...rows.map((row) => line(head.map((_, column) => row[column] ?? '')))].join('\n')
}

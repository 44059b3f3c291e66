import { expect, test } from 'vitest'
import { projectFiles, readProjectFile } from '../../support/project-files.ts'

/** Rows of the contract that operators read, by their stable numbers. */
const rows = [...readProjectFile('docs/no-loss.md').matchAll(/^\| (\d+a?) +\|/gm)].map((match) => match[1]!)

/** The rows that a story says it is about, in its first sentence: `Row 5 of`, `Rows 6 and 10 of`, `Rows 14 to 18 of`. */
function rowsOf(story: string): string[] {
  const said = /^ \* Rows? ([\da]+)(?: (and|to) ([\da]+))? of the no-loss contract/m.exec(story)
  if (said === null) return []
  const [, first, word, last] = said
  if (word !== 'to') return [first!, ...(last === undefined ? [] : [last])]
  return rows.slice(rows.indexOf(first!), rows.indexOf(last!) + 1)
}

test('the contract has its thirty rows: 1 to 29, and 9a', () => {
  const numbers = Array.from({ length: 29 }, (_, at) => String(at + 1))
  expect(rows.filter((row) => row !== '9a')).toEqual(numbers)
  expect(rows).toContain('9a')
})

test('each row of the contract has its story in test/scenario', () => {
  const stories = projectFiles('.test.ts', 'test/scenario')
  const told = new Set(stories.flatMap((file) => rowsOf(readProjectFile(file))))
  expect(rows.filter((row) => !told.has(row))).toEqual([])
})

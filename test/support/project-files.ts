/**
 * Turns the project's folder into its files, as those who check documents and deployment files need them.
 *
 * ```ts
 * projectFiles('.md')                       // README.md, docs/no-loss.md, … without packages and what is built
 * yamlBlocks(text)                          // the ```yaml blocks of a Markdown text
 * ```
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** The top of the project. */
export const PROJECT = resolve(import.meta.dirname, '../..')

const NOT_OURS = new Set(['node_modules', '.git', 'dist', 'coverage', '.cache'])

/** Paths from the top of all files that end with `extension`, sorted; dotted folders, packages and build results left out. */
export function projectFiles(extension: string, below = ''): string[] {
  const found: string[] = []
  for (const entry of readdirSync(join(PROJECT, below), { withFileTypes: true })) {
    const path = join(below, entry.name)
    if (entry.isDirectory() && !NOT_OURS.has(entry.name)) found.push(...projectFiles(extension, path))
    else if (entry.isFile() && entry.name.endsWith(extension)) found.push(path)
  }
  return found.sort()
}

/** Reads a file of the project. */
export const readProjectFile = (path: string): string => readFileSync(join(PROJECT, path), 'utf8')

/** The YAML blocks of a Markdown text. */
export const yamlBlocks = (markdown: string): string[] =>
  [...markdown.matchAll(/^```yaml[^\n]*\n([\s\S]*?)^```$/gm)].map((match) => match[1]!)

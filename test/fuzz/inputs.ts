/** The inputs of fuzzers that are kept, as hex in small files: what covers the code, and what once failed. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Which of the two folders of test/fuzz. */
export type InputKind = 'corpus' | 'regressions'

/** One input, by the name of its file. */
export interface Input {
  readonly name: string
  readonly bytes: Buffer
}

const folderOf = (kind: InputKind, target: string): string => join(import.meta.dirname, kind, target)

/** The inputs of a target. */
export function inputsOf(kind: InputKind, target: string): Input[] {
  const folder = folderOf(kind, target)
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => name.endsWith('.hex'))
    .sort()
    .map((name) => ({
      name,
      bytes: Buffer.from(readFileSync(join(folder, name), 'latin1').replaceAll(/\s+/g, ''), 'hex'),
    }))
}

/** Removes the inputs of a target. */
export function clearInputs(kind: InputKind, target: string): void {
  rmSync(folderOf(kind, target), { recursive: true, force: true })
}

/** Keeps an input in a file named after its octets, 32 of them a line. Gives the file's name. */
export function writeInput(kind: InputKind, target: string, bytes: Buffer): string {
  const folder = folderOf(kind, target)
  mkdirSync(folder, { recursive: true })
  const name = `${createHash('sha256').update(bytes).digest('hex').slice(0, 12)}.hex`
  const lines = bytes.toString('hex').match(/.{1,64}/g) ?? []
  writeFileSync(join(folder, name), `${lines.join('\n')}\n`)
  return name
}

/**
 * `npm run build`: src/main.ts and every runtime dependency into dist/, which runs with nothing beside it but Node.
 * What a command loads only when it is asked for stays a chunk of its own, so that a gateway starts without it.
 * @see docs/adr/0002-node-version-and-runtime.md
 */
import { chmodSync, existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig } from 'rolldown'
import type { Plugin } from 'rolldown'

/** The folders of the packages that `files` come from. */
function packageFolders(files: Iterable<string>): string[] {
  const folders = new Set<string>()
  for (const file of files) {
    const found = /^\0?(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)
    if (found !== null) folders.add(found[1]!)
  }
  return [...folders].sort()
}

/** Name, version, licence and licence text of the package in `folder`. @throws Error when it states no licence */
function licenceOf(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<
    string,
    string
  >
  if (typeof license !== 'string')
    throw new Error(`${folder} states no licence: look at it before it is shipped`)
  const files = readdirSync(folder).filter((file) => /^(licen[cs]e|notice|copying)(\..+)?$/i.test(file))
  const texts = files.map((file) => readFileSync(join(folder, file), 'utf8').trim())
  return [`${name} ${version}: ${license}`, ...texts].join('\n\n')
}

/** Writes LICENSES.txt: the licences of all that was bundled. */
const licences: Plugin = {
  name: 'licences',
  generateBundle(_, bundle) {
    const files = Object.values(bundle).flatMap((part) => (part.type === 'chunk' ? part.moduleIds : []))
    const folders = packageFolders(files).filter((folder) => existsSync(join(folder, 'package.json')))
    const source = `${folders.map(licenceOf).join(`\n\n${'-'.repeat(80)}\n\n`)}\n`
    this.emitFile({ type: 'asset', fileName: 'LICENSES.txt', source })
  },
}

/** Lets the program be started by its name. */
const executable: Plugin = {
  name: 'executable',
  writeBundle: ({ dir }) => chmodSync(join(dir!, 'authgw.js'), 0o755),
}

/**
 * How the program is started: a young generation of 4 MiB halves. Next to nothing of a call outlives its turn, so that a
 * larger one costs memory and saves no CPU; with a smaller one the calls in flight are copied again and again. And one heap of the
 * C library for all threads (docs/adr/0019-one-malloc-arena.md).
 */
const SHEBANG = '#!/usr/bin/env -S MALLOC_ARENA_MAX=1 node --max-semi-space-size=4'

export default defineConfig({
  input: { authgw: 'src/main.ts' },
  platform: 'node',
  plugins: [licences, executable],
  output: {
    dir: 'dist',
    cleanDir: true,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'chunks/[name]-[hash].js',
    banner: (chunk) => (chunk.isEntry ? SHEBANG : ''),
  },
})

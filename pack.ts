/**
 * `npm run package [-- --out FOLDER]`: the archive that `npm publish` takes, authgw-VERSION.tgz. It is packed from a folder of its
 * own below the system's temporary one, with a package.json that names what the program needs (Node) and nothing of what it is
 * made with; the checkout's is only read, so that no pack that fails or is cancelled can leave it changed.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

const PROJECT = import.meta.dirname
/** What the bundle does not need: it holds its packages, and whoever installs it has a Node. */
const ONLY_FOR_DEVELOPMENT = ['scripts', 'dependencies', 'devDependencies', 'optionalDependencies']

const { values } = parseArgs({ options: { out: { type: 'string', default: '.' } } })
const out = resolve(values.out)
const manifest = JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as Record<
  string,
  unknown
> & {
  readonly files: readonly string[]
}
const stage = mkdtempSync(join(tmpdir(), 'authgw-pack-'))
let running: ChildProcess | null = null
process.once('exit', () => {
  running?.kill('SIGKILL')
  rmSync(stage, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130))

/** Runs a program to its end. Not synchronously: a signal would be heard only after it. */
async function run(program: string, args: readonly string[], cwd: string): Promise<void> {
  running = spawn(program, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'] })
  const [code] = (await once(running, 'exit')) as [number | null]
  if (code !== 0) process.exit(1)
}

const build = ['-c', 'rolldown.config.ts', '--dir', join(stage, 'dist')]
await run(join(PROJECT, 'node_modules/.bin/rolldown'), build, PROJECT)
for (const file of [...manifest.files, 'README.md'])
  if (file !== 'dist') cpSync(join(PROJECT, file), join(stage, file), { recursive: true })
const shipped = Object.fromEntries(
  Object.entries(manifest).filter(([key]) => !ONLY_FOR_DEVELOPMENT.includes(key)),
)
writeFileSync(join(stage, 'package.json'), `${JSON.stringify(shipped, null, 2)}\n`)
await run('npm', ['pack', '--ignore-scripts', '--pack-destination', out], stage)

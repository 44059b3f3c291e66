/**
 * Runs a program once more where names have the addresses that a test wants: with a hosts file that this program and what it starts
 * see, and nobody else. It is a mount namespace of Linux, so that every resolver of the system obeys it: Node's, Go's, C's.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ABSENT, run } from '../tools/run.ts'

/** Set in the process that sees the hosts file. */
const INSIDE = 'AUTHGW_TEST_HOSTS'

/** Whether this process was started by `againWithHosts`. */
export const hasOwnHosts = (): boolean => process.env[INSIDE] !== undefined

/** Runs `program` with Node.js, its output here. Gives its exit code; ABSENT, with a word why, where no such namespace can be had. */
export async function againWithHosts(
  program: string,
  names: Readonly<Record<string, readonly string[]>>,
  timeoutMs: number,
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'authgw-hosts-'))
  const hosts = join(folder, 'hosts')
  const lines = Object.entries(names).flatMap(([name, all]) => all.map((address) => `${address} ${name}`))
  writeFileSync(hosts, `127.0.0.1 localhost\n${lines.join('\n')}\n`)
  const own = process.getuid?.() === 0 ? [] : ['--map-root-user']
  const enter = [...own, '--mount', 'sh', '-c', 'mount --bind "$0" /etc/hosts && exec "$@"', hosts]
  try {
    const trial = await run('unshare', [...enter, 'true'], { timeoutMs: 10_000 })
    if (trial.code !== 0) {
      const words = (trial.trouble ?? trial.stderr).trim().slice(-200)
      console.log(`ABSENT: no mount namespace for a hosts file: ${words}`)
      return ABSENT
    }
    const result = await run('unshare', [...enter, process.execPath, program], {
      env: { ...process.env, [INSIDE]: 'yes' },
      timeoutMs,
      onOutput: (text) => process.stdout.write(text),
    })
    if (result.trouble !== null) console.log(result.trouble)
    return result.code ?? 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Says which version of a program is on this machine, from what the program prints. */
import { isOnPath, run } from '../../test/interop/tools/run.ts'

/** A peer's standing by a program on the PATH: its version, or that it is not installed and how it would be. */
export async function programStanding(
  program: string,
  flag: string,
): Promise<{ version: string } | { absent: string }> {
  if (!(await isOnPath(program)))
    return { absent: `${program} is not installed: node test/interop/tools/install.ts` }
  const said = await run(program, [flag], { timeoutMs: 10_000 })
  const version = /\d+\.\d+(?:\.\d+)?/.exec(said.stdout + said.stderr)
  return { version: version?.[0] ?? 'of unknown version' }
}

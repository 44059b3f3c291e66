/**
 * Turns a component's description into an installed folder in a cache outside the checkout, once.
 * A folder is built under another name and renamed when complete, so that two installers cannot disturb each other.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** One real component that the interop suites and benches can use. */
export interface Component {
  name: string
  /** The pinned version; part of the folder's name. */
  version: string
  /** What it serves for, in a few words. */
  purpose: string
  /** Programs that must be there for it to be built; the reason for absence names the one that is missing. */
  needs: string[]
  /** Short name of a program → its path inside the folder; empty if its programs are on the PATH. */
  programs: Record<string, string>
  /**
   * Builds or unpacks into `folder`; `logFile` takes all output. Gives what is worth saying of it, such as parts left out.
   * @throws Error with the reason it cannot be had.
   */
  install(folder: string, logFile: string): Promise<string | void>
  /** Gives the version of what is on the system already, where a component is a system package; else absent. */
  system?: () => Promise<string | null>
}

/** What became of a component on this machine. */
export interface Standing {
  name: string
  version: string
  state: 'used' | 'absent'
  /** Where it came from and how long that took, or why it is not there. */
  remark: string
}

/** The cache folder: XDG_CACHE_HOME or ~/.cache, then authgw-tools. */
export const CACHE = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'authgw-tools')

const folderOf = (component: Component): string => join(CACHE, `${component.name}-${component.version}`)
const MARKER = 'installed.json'

/** What stands in the marker file of a complete folder. */
interface Marker {
  seconds: number
  note: string
}

/** The path of an installed program of a component, or null if the component is not in the cache. */
export function programPath(component: Component, program: string): string | null {
  const relative = component.programs[program]
  if (relative === undefined) throw new Error(`${component.name} has no program ${program}`)
  const path = join(folderOf(component), relative)
  return existsSync(join(folderOf(component), MARKER)) && existsSync(path) ? path : null
}

/** Makes sure that a component is there; never rejects. `isOnPath` tells whether a program is on this machine. */
export async function ensure(
  component: Component,
  isOnPath: (program: string) => Promise<boolean>,
): Promise<Standing> {
  const { name, version } = component
  const absent = (remark: string): Standing => ({ name, version, state: 'absent', remark })
  const system = component.system === undefined ? null : await component.system()
  if (system !== null) return { name, version: system, state: 'used', remark: 'system package' }
  const folder = folderOf(component)
  if (existsSync(join(folder, MARKER))) {
    const { seconds, note } = JSON.parse(readFileSync(join(folder, MARKER), 'utf8')) as Marker
    return { name, version, state: 'used', remark: `cached (built in ${seconds} s)${note}` }
  }
  for (const program of component.needs)
    if (!(await isOnPath(program))) return absent(`${program} is not on this machine`)

  const startedMs = performance.now()
  mkdirSync(CACHE, { recursive: true })
  const scratch = `${folder}.${process.pid}`
  const logFile = join(CACHE, `${name}-${version}.log`)
  rmSync(scratch, { recursive: true, force: true })
  mkdirSync(scratch)
  try {
    const said = await component.install(scratch, logFile)
    const note = typeof said === 'string' ? `; ${said}` : ''
    const missing = Object.values(component.programs).filter((path) => !existsSync(join(scratch, path)))
    if (missing.length > 0) return absent(`built, but ${missing.join(', ')} is not there`)
    const seconds = Math.round((performance.now() - startedMs) / 1000)
    if (component.system === undefined) {
      writeFileSync(join(scratch, MARKER), JSON.stringify({ seconds, note } satisfies Marker))
      rmSync(folder, { recursive: true, force: true })
      renameSync(scratch, folder)
      return { name, version, state: 'used', remark: `built in ${seconds} s${note}` }
    }
    const installed = await component.system()
    return installed === null
      ? absent('installed, but its programs are not on the PATH')
      : { name, version: installed, state: 'used', remark: `installed in ${seconds} s` }
  } catch (error) {
    return absent(error instanceof Error ? error.message : String(error))
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

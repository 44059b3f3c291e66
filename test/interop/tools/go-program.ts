/**
 * Turns a Go package path and a version into programs, in a go.mod of the tool's own.
 * (`go install path@version` refuses modules that carry replace directives; a module that requires them does not see those.)
 */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Component } from './cache.ts'
import { mustRun } from './run.ts'

/** What to build with Go. */
export interface GoProgram {
  name: string
  version: string
  purpose: string
  /** Short name → the package path to build. */
  packages: Record<string, string>
  /** Modules at versions, `path@version`; the first ones decide, the rest pin what those leave open. */
  modules: string[]
  /** A folder of own Go files that is built too, as the package `.`, under the short name `main`. */
  source?: string
  /** Build tags, linker flags and the like. */
  buildFlags?: string[]
  /** Seconds for the whole build; default 1200. */
  maxSeconds?: number
}

/** The environment of every Go command here: few jobs at once (AUTHGW_TOOLS_JOBS, default 2), no workspace, no C. */
export function goEnvironment(): NodeJS.ProcessEnv {
  const flags = `${process.env['GOFLAGS'] ?? ''} -p=${process.env['AUTHGW_TOOLS_JOBS'] ?? '2'}`.trim()
  return { ...process.env, GOFLAGS: flags, GOWORK: 'off', CGO_ENABLED: '0' }
}

/** Describes a component whose programs are built by Go into `bin/`. */
export function goProgram(program: GoProgram): Component {
  const names = [...Object.keys(program.packages), ...(program.source === undefined ? [] : ['main'])]
  return {
    name: program.name,
    version: program.version,
    purpose: program.purpose,
    needs: ['go'],
    programs: Object.fromEntries(names.map((name) => [name, join('bin', name)])),
    async install(folder, logFile) {
      const options = {
        cwd: folder,
        logFile,
        isBackground: true,
        env: goEnvironment(),
        timeoutMs: (program.maxSeconds ?? 1200) * 1000,
      }
      mkdirSync(join(folder, 'bin'))
      if (program.source === undefined) {
        writeFileSync(join(folder, 'go.mod'), `module authgw-tools/${program.name}\n\ngo 1.25\n`)
        // Without its version a package would be taken from the newest module that has it.
        const version = program.modules[0]!.split('@')[1]!
        const packages = Object.values(program.packages).map((path) => `${path}@${version}`)
        await mustRun('go', ['get', ...program.modules, ...packages], options)
      } else cpSync(program.source, folder, { recursive: true })
      const build = ['build', '-trimpath', '-ldflags=-s -w', ...(program.buildFlags ?? []), '-o']
      if (program.source !== undefined) await mustRun('go', [...build, join('bin', 'main'), '.'], options)
      for (const [name, path] of Object.entries(program.packages))
        await mustRun('go', [...build, join('bin', name), path], options)
    },
  }
}

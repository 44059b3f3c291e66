/**
 * Turns names of Debian, Maven, Python and npm packages into components: each through its ordinary client, by package name.
 */
import type { Component } from './cache.ts'
import { mustRun, run } from './run.ts'

/** Describes a component that is a set of Debian packages; its programs are then on the PATH. */
export function debianPackages(component: {
  name: string
  purpose: string
  packages: string[]
  /** All must be on the PATH for the component to count as there. */
  programs: string[]
}): Component {
  return {
    name: component.name,
    version: 'Debian',
    purpose: component.purpose,
    needs: ['apt-get'],
    programs: {},
    async system() {
      const found = await run('sh', [
        '-c',
        component.programs.map((name) => `command -v ${name}`).join(' && '),
      ])
      if (found.code !== 0) return null
      const query = await run('dpkg-query', ['-W', '-f=${Version}', component.packages[0]!])
      return query.code === 0 ? query.stdout.trim() : 'of unknown version'
    },
    async install(_folder, logFile) {
      if (process.getuid?.() !== 0)
        throw new Error(`not root: apt-get install ${component.packages.join(' ')}`)
      // RUNLEVEL=1 keeps the packages' services from being started.
      const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
      const options = { env, logFile, timeoutMs: 300_000 }
      const wait = ['-o', 'DPkg::Lock::Timeout=120']
      const install = [...wait, 'install', '-y', '--no-install-recommends', ...component.packages]
      if ((await run('apt-get', install, options)).code === 0) return
      await mustRun('apt-get', ['update'], options)
      await mustRun('apt-get', install, options)
    },
  }
}

/** Describes a zip from Maven's central repository, unpacked; `programs` are paths inside the zip's one folder. */
export function mavenZip(component: {
  name: string
  version: string
  purpose: string
  /** group:artifact; the version is the component's. */
  artifact: string
  programs: Record<string, string>
}): Component {
  const artifactId = component.artifact.split(':')[1]!
  return {
    ...component,
    needs: ['java', 'mvn', 'unzip'],
    async install(folder, logFile) {
      const options = { cwd: folder, logFile, timeoutMs: 600_000, isBackground: true }
      const coordinates = `${component.artifact}:${component.version}:zip`
      const get = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy'
      await mustRun('mvn', ['-B', '-q', get, `-Dartifact=${coordinates}`, '-DoutputDirectory=.'], options)
      await mustRun('unzip', ['-q', `${artifactId}-${component.version}.zip`], options)
      await mustRun('rm', [`${artifactId}-${component.version}.zip`], options)
    },
  }
}

/** Describes Python packages in a folder `lib` of their own, for PYTHONPATH. */
export function pythonPackage(component: {
  name: string
  version: string
  purpose: string
  /** The package, installed at the component's version, and others at `name==version`. */
  packages: string[]
  programs: Record<string, string>
}): Component {
  return {
    ...component,
    needs: ['python3'],
    async install(folder, logFile) {
      const options = { cwd: folder, logFile, timeoutMs: 600_000, isBackground: true }
      const pip = ['-m', 'pip', 'install', '-q', '--no-input', '--target', 'lib', ...component.packages]
      await mustRun('python3', pip, options)
    },
  }
}

/** Describes an npm package and what it needs, installed without running their scripts. */
export function npmPackage(component: {
  name: string
  version: string
  purpose: string
  /** The package, installed at the component's version. */
  package: string
  programs: Record<string, string>
  /** What is left to do in the folder. */
  finish?: (folder: string) => Promise<string | void>
}): Component {
  return {
    ...component,
    needs: ['npm'],
    async install(folder, logFile) {
      const options = { cwd: folder, logFile, timeoutMs: 300_000, isBackground: true }
      const flags = ['--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
      await mustRun('npm', ['install', ...flags, `${component.package}@${component.version}`], options)
      return component.finish?.(folder)
    },
  }
}

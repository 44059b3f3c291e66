/**
 * The engine of the coverage-guided fuzzers: libFuzzer with coverage of JavaScript, from npm. No dependency of the project:
 * whoever only builds and tests it is spared a hundred packages.
 */
import { join } from 'node:path'
import { fitToOlderLibc } from './older-libc.ts'
import { npmPackage } from './packages.ts'
import { run } from './run.ts'

/** Its prebuilt part wants glibc 2.38 or newer, and is fitted to an older one. */
export const jazzer = npmPackage({
  name: 'jazzer.js',
  version: '4.0.0',
  purpose: 'coverage-guided fuzzing',
  package: '@jazzer.js/core',
  programs: { jazzer: 'node_modules/@jazzer.js/core/dist/cli.js' },
  async finish(folder) {
    const addon = join(
      folder,
      `node_modules/@jazzer.js/fuzzer/prebuilds/fuzzer-${process.platform}-${process.arch}.node`,
    )
    const loads = (): ReturnType<typeof run> => run(process.execPath, ['-p', `require('${addon}') && 1`])
    if ((await loads()).code === 0) return ''
    const names = fitToOlderLibc(addon)
    const result = await loads()
    if (result.code !== 0) throw new Error(`its addon does not load: ${result.stderr.slice(0, 300)}`)
    return `fitted to an older libc (${names.join(', ')})`
  },
})

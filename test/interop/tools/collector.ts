/**
 * Turns the list of a stock collector's components into a collector binary, by the collector's own builder.
 * Components that the module proxy does not have are left out, and named in the table.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Component } from './cache.ts'
import { goEnvironment } from './go-program.ts'
import { mustRun, run } from './run.ts'

/** The newest release of which the module proxies have what these components need. */
const VERSION = '0.162.0'
const STABLE_VERSION = '1.68.0'
/** The newest releases of these extensions that they have; they build against the release above. */
const OAUTH2CLIENT_VERSION = '0.161.0'
const HEADERS_SETTER_VERSION = '0.158.0'
const CORE = 'go.opentelemetry.io/collector'
const CONTRIB = 'github.com/open-telemetry/opentelemetry-collector-contrib'

/** Kind of the builder's manifest → modules at versions. */
const PARTS: Record<string, string[]> = {
  receivers: [`${CORE}/receiver/otlpreceiver v${VERSION}`],
  exporters: [
    `${CORE}/exporter/otlpexporter v${VERSION}`,
    `${CORE}/exporter/otlphttpexporter v${VERSION}`,
    `${CORE}/exporter/debugexporter v${VERSION}`,
    `${CONTRIB}/exporter/fileexporter v${VERSION}`,
  ],
  processors: [
    `${CORE}/processor/batchprocessor v${VERSION}`,
    `${CONTRIB}/processor/resourceprocessor v${VERSION}`,
  ],
  extensions: [
    `${CONTRIB}/extension/oidcauthextension v${VERSION}`,
    `${CONTRIB}/extension/oauth2clientauthextension v${OAUTH2CLIENT_VERSION}`,
    `${CONTRIB}/extension/bearertokenauthextension v${VERSION}`,
    `${CONTRIB}/extension/headerssetterextension v${HEADERS_SETTER_VERSION}`,
    `${CONTRIB}/extension/storage/filestorage v${VERSION}`,
    `${CONTRIB}/extension/healthcheckextension v${VERSION}`,
  ],
  providers: [
    `${CORE}/confmap/provider/envprovider v${STABLE_VERSION}`,
    `${CORE}/confmap/provider/fileprovider v${STABLE_VERSION}`,
    `${CORE}/confmap/provider/yamlprovider v${STABLE_VERSION}`,
  ],
}

/** The stock collector with what the multi-cluster pattern needs on both sides. OTel-Arrow has a collector of its own. */
export const collector: Component = {
  name: 'otelcol',
  version: `${VERSION}+oauth2client.${OAUTH2CLIENT_VERSION}+headerssetter.${HEADERS_SETTER_VERSION}`,
  purpose: 'stock collector, both ends of the pattern',
  needs: ['go'],
  programs: { otelcol: 'bin/otelcol' },
  async install(folder, logFile) {
    const options = { cwd: folder, logFile, isBackground: true, env: goEnvironment(), timeoutMs: 1_500_000 }
    writeFileSync(join(folder, 'go.mod'), 'module authgw-tools/otelcol\n\ngo 1.25\n')
    mkdirSync(join(folder, 'bin'))
    await mustRun('go', ['get', `${CORE}/cmd/builder@v${VERSION}`], options)
    await mustRun('go', ['build', '-o', 'bin/builder', `${CORE}/cmd/builder`], options)
    const missing: string[] = []
    const manifest = [
      'dist:',
      '  module: authgw-tools/otelcol/dist',
      '  name: otelcol',
      '  output_path: ./dist',
      `  version: ${VERSION}`,
    ]
    for (const [kind, modules] of Object.entries(PARTS)) {
      manifest.push(`${kind}:`)
      for (const module of modules) {
        const query = ['list', '-m', module.replace(' ', '@')]
        if ((await run('go', query, { ...options, timeoutMs: 60_000 })).code === 0)
          manifest.push(`  - gomod: ${module}`)
        else missing.push(module.split(' ')[0]!.split('/').at(-1)!)
      }
    }
    writeFileSync(join(folder, 'builder.yaml'), `${manifest.join('\n')}\n`)
    const found = Object.values(PARTS)
      .flat()
      .filter((module) => !missing.includes(module.split(' ')[0]!.split('/').at(-1)!))
    const requires = [`${CORE}/otelcol v${VERSION}`, ...found].map((module) => `require ${module}\n`)
    // The builder's own `go mod tidy` would fetch what only the tests of dependencies need.
    const generate = ['--skip-get-modules', '--skip-compilation', '--config', 'builder.yaml']
    await mustRun(join(folder, 'bin/builder'), generate, options)
    writeFileSync(
      join(folder, 'dist/go.mod'),
      `module authgw-tools/otelcol/dist\n\ngo 1.25\n\n${requires.join('')}`,
    )
    const build = ['build', '-mod=mod', '-trimpath', '-ldflags=-s -w', '-o', '../bin/otelcol', '.']
    await mustRun('go', build, { ...options, cwd: join(folder, 'dist') })
    await mustRun('rm', ['bin/builder'], options)
    if (missing.length > 0) return `without ${missing.join(', ')}, which the module proxy does not have`
    return undefined
  },
}

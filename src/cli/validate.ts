/**
 * `authgw validate` and `authgw print-config`.
 * Floor 8; starts nothing.
 */
import { printConfig } from '../config/index.ts'
import { EXIT } from './io.ts'
import type { CliIo } from './io.ts'
import { formatWarnings } from './report.ts'
import { loadChosen } from './run.ts'
import type { ConfigChoice } from './run.ts'

/** Checks a configuration. @throws ConfigError with every fault */
export function runValidate(options: ConfigChoice & { readonly skipFiles?: boolean }, io: CliIo): number {
  const { config, warnings } = loadChosen(options, io, options.skipFiles !== true)
  io.err(formatWarnings(warnings))
  const roles = [
    config.workload && `workload on ${config.workload.listen.endpoint.text}`,
    config.controlPlane && `control plane on ${config.controlPlane.listen.endpoint.text}`,
  ].filter((role) => role !== undefined)
  io.out(`valid: ${roles.join(', ')}\n`)
  return EXIT.ok
}

/** Prints a configuration, secrets masked. @throws ConfigError with every fault */
export function runPrintConfig(options: ConfigChoice & { readonly defaults: boolean }, io: CliIo): number {
  const { tree } = loadChosen(options, io, false)
  io.out(printConfig(tree, options.defaults))
  return EXIT.ok
}

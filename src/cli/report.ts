/**
 * Faults and warnings of a configuration into lines for an operator.
 * Floor 8; knows no key.
 */
import type { ConfigFault } from '../base/index.ts'

/** One line each: `config.yaml:12:5  workload.upstream.tls.ca_file  <problem>  → <remedy>`. */
export function formatFaults(faults: readonly ConfigFault[]): string {
  return faults
    .map(({ position, path, problem, remedy }) => {
      const place = [position, path].filter((part) => part !== null && part !== '').join('  ')
      return `${place === '' ? '' : `${place}  `}${problem}  → ${remedy}\n`
    })
    .join('')
}

/** The lines of a refused configuration, with a last one that counts them. */
export function formatRefusal(faults: readonly ConfigFault[]): string {
  return `${formatFaults(faults)}${faults.length} fault${faults.length === 1 ? '' : 's'}; nothing was started\n`
}

/** The lines of warnings. */
export function formatWarnings(warnings: readonly ConfigFault[]): string {
  return formatFaults(warnings).replaceAll(/^(?=.)/gm, 'warning  ')
}

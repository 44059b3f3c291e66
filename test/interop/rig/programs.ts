/**
 * Turns the components in the cache into the paths of their programs, or into words about what is not there.
 */
import type { Component } from '../tools/cache.ts'
import { programPath } from '../tools/cache.ts'
import { cfssl, jaeger, keycloak, telemetrygen } from '../tools/catalog.ts'
import { collector } from '../tools/collector.ts'
import { isOnPath } from '../tools/run.ts'

/** The programs of the pattern. */
export interface Programs {
  readonly otelcol: string
  readonly telemetrygen: string
  readonly keycloak: string
  readonly jaeger: string
  readonly cfssl: string
  readonly cfssljson: string
}

const WHERE: Readonly<Record<keyof Programs, readonly [Component, string]>> = {
  otelcol: [collector, 'otelcol'],
  telemetrygen: [telemetrygen, 'telemetrygen'],
  keycloak: [keycloak, 'kc'],
  jaeger: [jaeger, 'all-in-one'],
  cfssl: [cfssl, 'cfssl'],
  cfssljson: [cfssl, 'cfssljson'],
}

/** The components that `findPrograms` needs. */
export const PATTERN_COMPONENTS: readonly Component[] = [
  ...new Set(Object.values(WHERE).map(([component]) => component)),
]

/** The programs, or the names of what is absent. */
export async function findPrograms(): Promise<Programs | string[]> {
  const found: Record<string, string> = {}
  const absent: string[] = []
  for (const [name, [component, program]] of Object.entries(WHERE)) {
    const path = programPath(component, program)
    if (path === null) absent.push(`${component.name} ${component.version}`)
    else found[name] = path
  }
  if (!(await isOnPath('java'))) absent.push('java')
  return absent.length > 0 ? [...new Set(absent)] : (found as unknown as Programs)
}

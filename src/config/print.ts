/**
 * A configuration into YAML that may be shown: as written, with what was left out at its default, secrets masked.
 * Floor 1.
 */
import { stringify } from 'yaml'
import { CONFIG_SCHEMA } from './schema.ts'
import { shapeOf } from './section.ts'
import type { Shape } from './section.ts'
import { isSection } from './tree.ts'
import type { TreeSection } from './tree.ts'

/** What stands in the place of a secret, as the collector prints it. */
export const MASK = '[REDACTED]'

const SECRET_FIELD =
  /^(?:authorization|proxy-authorization|cookie|.*(?:token|secret|api[-_]?key|password).*)$/i

/** Writes `tree` (LoadedConfig.tree) as YAML. `showsDefaults`: with the keys that were left out. */
export function printConfig(tree: TreeSection, showsDefaults = true): string {
  return stringify(shown(tree, shapeOf(CONFIG_SCHEMA), showsDefaults), { lineWidth: 0 })
}

function shown(value: unknown, shape: Shape, showsDefaults: boolean): unknown {
  if (shape.kind === 'section' && isSection(value)) {
    const section: TreeSection = {}
    for (const [name, schema] of Object.entries(shape.keys)) {
      const inner = shapeOf(schema)
      const chosen = value[name] ?? (showsDefaults && !inner.isOptional ? inner.defaultValue : undefined)
      if (chosen === undefined) continue
      const written = shown(chosen, inner, showsDefaults)
      const isEmpty = isSection(written) && Object.keys(written).length === 0 && value[name] === undefined
      if (!isEmpty) section[name] = written
    }
    return section
  }
  if (shape.kind === 'list' && Array.isArray(value) && shape.item !== null) {
    const item = shapeOf(shape.item)
    return value.map((inner) => shown(inner, item, showsDefaults))
  }
  if (shape.meta?.isSecret !== true) return maskedFields(value)
  return isSection(value) ? Object.fromEntries(Object.keys(value).map((name) => [name, MASK])) : MASK
}

/** Maps whose keys the operator chooses may hold a secret under a name that says so. */
function maskedFields(value: unknown): unknown {
  if (!isSection(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, SECRET_FIELD.test(name) ? MASK : inner]),
  )
}

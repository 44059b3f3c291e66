/**
 * What zod found wrong into faults that name the place, the problem and the remedy.
 * Floor 1; knows the schema only through its shapes.
 */
import type { z } from 'zod'
import type { ConfigFault } from '../base/index.ts'
import { quote } from './fields.ts'
import { CONFIG_SCHEMA } from './schema.ts'
import { shapeOf } from './section.ts'
import type { Shape } from './section.ts'
import { closestWord } from './suggest.ts'
import { isSection } from './tree.ts'
import type { ConfigTree, KeyPath } from './tree.ts'

const COLLECTOR_SECTIONS = ['receivers', 'processors', 'exporters', 'connectors', 'extensions', 'pipelines']

/** Turns one issue into faults: one for each unknown key, else one. */
export function faultsOfIssue(issue: z.core.$ZodIssue, tree: ConfigTree): ConfigFault[] {
  const path = issue.path.filter((key) => typeof key !== 'symbol')
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) =>
      tree.fault([...path, key], 'is an unknown key', unknownKeyRemedy(path, key)),
    )
  }
  if (issue.code === 'custom') {
    const remedy = (issue.params as { remedy?: string } | undefined)?.remedy ?? 'see docs/configuration.md'
    return [tree.fault(path, issue.message, remedy)]
  }
  const shape = shapeAt(path)
  const value = tree.valueAt(path)
  if (value === undefined) {
    const keys = Object.keys(shape?.keys ?? {}).slice(0, 3)
    return [tree.fault(path, 'is required and missing', `add it, with ${keys.join(', ')}`)]
  }
  return shape?.kind === 'list'
    ? [tree.fault(path, `is ${quote(value)}, not a list`, 'write one item a line, each after a dash')]
    : [tree.fault(path, `is ${quote(value)}, not a section`, 'write its keys below it, indented')]
}

/** The key beside it that an unknown key was probably meant to be; null when there is none. */
export function meantKey(path: KeyPath, key: string): string | null {
  return closestWord(key, Object.keys(shapeAt(path)?.keys ?? {}))
}

/** What the schema says about the key at `path`; null where there is none. */
export function shapeAt(path: KeyPath): Shape | null {
  let shape = shapeOf(CONFIG_SCHEMA)
  for (const key of path) {
    const next = typeof key === 'number' ? shape.item : (shape.keys[key] ?? null)
    if (next === null) return null
    shape = shapeOf(next)
  }
  return shape
}

function unknownKeyRemedy(path: KeyPath, key: string): string {
  const meant = meantKey(path, key)
  if (meant !== null) return `did you mean ${meant}?`
  if (COLLECTOR_SECTIONS.includes(key)) {
    return 'remove it: it belongs to a collector; authgw has workload and control_plane'
  }
  if (shapeAt([key]) !== null) return `move it to the top level: ${key} stands in no section`
  const elsewhere = pathsOfKey(key).slice(0, 2)
  if (elsewhere.length > 0) return `move it: ${key} stands in ${elsewhere.join(' or ')}`
  const known = Object.keys(shapeAt(path)?.keys ?? {})
  return known.length > 12
    ? 'remove it, or look it up in docs/configuration.md'
    : `remove it; the keys here are ${known.join(', ')}`
}

function pathsOfKey(wanted: string): string[] {
  const found: string[] = []
  const look = (shape: Shape, path: string): void => {
    if (shape.item !== null) look(shapeOf(shape.item), `${path}[]`)
    for (const [key, inner] of Object.entries(shape.keys)) {
      if (key === wanted && path !== '') found.push(path)
      look(shapeOf(inner), path === '' ? key : `${path}.${key}`)
    }
  }
  look(shapeOf(CONFIG_SCHEMA), '')
  return found
}

/** A key of a merged tree with what the schema says about it. */
export interface KnownKey {
  readonly path: KeyPath
  readonly value: unknown
  readonly shape: Shape
  /** Puts another value in its place. */
  readonly replace: (value: unknown) => void
}

/** Walks the keys of a tree that the schema knows, outer ones first. */
export function walkKnownKeys(root: unknown, visit: (key: KnownKey) => void): void {
  const walk = (holder: unknown, shape: Shape, path: KeyPath): void => {
    const entries = Array.isArray(holder)
      ? [...holder.entries()]
      : isSection(holder)
        ? Object.entries(holder)
        : []
    for (const [key, value] of entries) {
      const inner = typeof key === 'number' ? shape.item : (shape.keys[key] ?? null)
      if (inner === null) continue
      const innerShape = shapeOf(inner)
      let current = value as unknown
      const replace = (next: unknown): void => {
        current = next
        ;(holder as Record<string | number, unknown>)[key] = next
      }
      visit({ path: [...path, key], value: current, shape: innerShape, replace })
      walk(current, innerShape, [...path, key])
    }
  }
  walk(root, shapeOf(CONFIG_SCHEMA), [])
}

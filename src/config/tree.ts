/**
 * YAML texts and `--set a.b=c` into one tree of plain values, in which every value knows where it was written.
 * Floor 1; opens no file and knows no key.
 */
import { LineCounter, isAlias, isMap, isScalar, isSeq, parseDocument } from 'yaml'
import type { Document, Node, YAMLParseError } from 'yaml'
import type { ConfigFault } from '../base/index.ts'
import { interpolate } from './interpolate.ts'
import type { ValueSources } from './interpolate.ts'

/** The way to a value: keys of sections and indexes of lists. */
export type KeyPath = readonly (string | number)[]

/** A section of the tree. */
export type TreeSection = { [key: string]: unknown }

/** Where a value was written. */
export interface Place {
  /** `file:line:column`, or `--set path`. */
  readonly position: string
  /** Folder that relative paths start from. */
  readonly folder: string
}

/** Whether `value` is a section of a tree. */
export const isSection = (value: unknown): value is TreeSection =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Writes a path as operators do: `control_plane.oidc.providers[0].audience`. */
export function formatPath(path: KeyPath): string {
  return path.reduce<string>(
    (text, key) => (typeof key === 'number' ? `${text}[${key}]` : text === '' ? key : `${text}.${key}`),
    '',
  )
}

/** The most nodes a document may have, aliases counted as often as they are used: a guard against alias bombs. */
const MAX_NODES = 10_000

/** Values merged from several sources, the later ones winning, and the places they come from. */
export class ConfigTree {
  readonly root: TreeSection = {}
  readonly faults: ConfigFault[] = []
  readonly #places = new Map<string, Place>()
  #nodeCount = 0

  /** Merges a YAML text. `name` stands in positions; `folder` is where relative paths start. */
  addYaml(text: string, name: string, folder: string, sources: ValueSources): void {
    const lineCounter = new LineCounter()
    const document = parseDocument(text, { lineCounter, version: '1.2', merge: true, prettyErrors: false })
    const at = (offset: number): Place => {
      const { line, col } = lineCounter.linePos(offset)
      return { position: `${name}:${line}:${col}`, folder }
    }
    for (const error of ownErrors(document.errors)) {
      this.faults.push({ path: '', position: at(error.pos[0]).position, ...yamlRejection(error, text) })
    }
    if (document.errors.length > 0 || document.contents === null) return
    const value = this.#read(document.contents, [], document, at, sources)
    if (isSection(value)) this.#merge(this.root, value)
    else {
      const remedy = 'begin with workload: or control_plane:'
      this.faults.push({ path: '', position: at(0).position, problem: 'the file holds no section', remedy })
    }
  }

  /** Merges `a.b=c`. The value is read as YAML, each scalar as text. */
  addSetting(setting: string, folder: string, sources: ValueSources): void {
    const equals = setting.indexOf('=')
    const keys = setting.slice(0, equals).split('.')
    const place: Place = { position: `--set ${setting.slice(0, Math.max(0, equals))}`, folder }
    const document = parseDocument(setting.slice(equals + 1), { schema: 'failsafe', prettyErrors: false })
    if (
      equals < 1 ||
      keys.some((key) => !/^[A-Za-z0-9][A-Za-z0-9_]*$/.test(key)) ||
      document.errors.length > 0
    ) {
      const remedy = 'write --set control_plane.listen.endpoint=localhost:4317'
      this.faults.push({ path: '', position: '--set', problem: 'is not of the form a.b=c', remedy })
      return
    }
    const path = keys.map((key) => (/^\d+$/.test(key) ? Number(key) : key))
    const contents = document.contents
    const value = contents === null ? '' : this.#read(contents, path, document, () => place, sources)
    this.#put(path, value, place)
  }

  /** Where the value at `path`, or the nearest section around it, was written; null when nowhere. */
  placeOf(path: KeyPath): Place | null {
    for (let length = path.length; length >= 0; length--) {
      const place = this.#places.get(keyOf(path.slice(0, length)))
      if (place !== undefined) return place
    }
    return null
  }

  /** The value at `path`; undefined when there is none. */
  valueAt(path: KeyPath): unknown {
    let value: unknown = this.root
    for (const key of path) value = (value as Record<string | number, unknown> | null | undefined)?.[key]
    return value
  }

  /** Makes a fault with the position of `path`. */
  fault(path: KeyPath, problem: string, remedy: string): ConfigFault {
    return { path: formatPath(path), position: this.placeOf(path)?.position ?? null, problem, remedy }
  }

  #read(
    node: Node,
    path: KeyPath,
    document: Document,
    at: (offset: number) => Place,
    sources: ValueSources,
  ): unknown {
    const place = at(node.range?.[0] ?? 0)
    if (!this.#places.has(keyOf(path)) || typeof path.at(-1) === 'number')
      this.#places.set(keyOf(path), place)
    if (++this.#nodeCount > MAX_NODES) {
      if (this.#nodeCount === MAX_NODES + 1) {
        const remedy = 'use fewer anchors and aliases'
        this.faults.push({
          path: formatPath(path),
          position: place.position,
          problem: 'the file is too large',
          remedy,
        })
      }
      return null
    }
    if (isAlias(node)) {
      const target = node.resolve(document)
      return target === undefined ? null : this.#read(target, path, document, at, sources)
    }
    if (isSeq(node)) {
      return node.items.map((item, index) =>
        this.#read(item as Node, [...path, index], document, at, sources),
      )
    }
    if (isMap(node)) {
      const section: TreeSection = {}
      for (const pair of node.items) {
        const keyNode = pair.key as Node
        const key = isScalar(keyNode) ? keyText(keyNode.value) : ''
        const inner = key === '<<' ? path : [...path, key]
        if (key !== '<<') this.#places.set(keyOf(inner), at(keyNode.range?.[0] ?? 0))
        const value =
          pair.value === null ? null : this.#read(pair.value as Node, inner, document, at, sources)
        if (key === '<<' && isSection(value)) Object.assign(section, { ...value, ...section })
        else if (key === '__proto__') this.faults.push(this.fault(inner, 'is no key', 'remove it'))
        else section[key] = value
      }
      return section
    }
    return this.#readScalar(isScalar(node) ? node.value : null, path, sources)
  }

  #readScalar(value: unknown, path: KeyPath, sources: ValueSources): unknown {
    if (typeof value === 'bigint') return Number(value)
    if (typeof value !== 'string') return value
    const result = interpolate(value, sources)
    if ('text' in result) return result.text
    this.faults.push(this.fault(path, result.problem, result.remedy))
    return value
  }

  #merge(into: TreeSection, from: TreeSection): void {
    for (const [key, value] of Object.entries(from)) {
      const before = into[key]
      if (isSection(before) && isSection(value)) this.#merge(before, value)
      else into[key] = value
    }
  }

  #put(path: KeyPath, value: unknown, place: Place): void {
    let holder: Record<string | number, unknown> = this.root
    path.forEach((key, depth) => {
      if (depth === path.length - 1) {
        const before = holder[key]
        if (isSection(before) && isSection(value)) this.#merge(before, value)
        else holder[key] = value
        this.#places.set(keyOf(path), place)
        return
      }
      if (typeof holder[key] !== 'object' || holder[key] === null) holder[key] = {}
      if (!this.#places.has(keyOf(path.slice(0, depth + 1))))
        this.#places.set(keyOf(path.slice(0, depth + 1)), place)
      holder = holder[key] as Record<string | number, unknown>
    })
  }
}

/** Every key that is there twice, and the first error of form: the later ones follow from that. */
function ownErrors(errors: readonly YAMLParseError[]): YAMLParseError[] {
  const ofForm = errors.filter(({ code }) => code !== 'DUPLICATE_KEY')
  return ofForm.length > 0 ? ofForm.slice(0, 1) : [...errors]
}

/** What is wrong with the form of `text`, and what to do. */
function yamlRejection(error: YAMLParseError, text: string): Pick<ConfigFault, 'problem' | 'remedy'> {
  if (error.code === 'DUPLICATE_KEY') {
    const key = /^[\w.-]{1,60}/.exec(text.slice(error.pos[0]))?.[0] ?? 'this key'
    return { problem: `${key} is there twice`, remedy: 'keep one, with the keys of both below it' }
  }
  const problem = error.message.split(/[:\n]/)[0]!.replace(/\.$/, '')
  const remedy =
    error.code === 'TAB_AS_INDENT'
      ? 'indent by spaces'
      : /^Flow (map|seq)/.test(problem)
        ? 'close the { or [ that was opened before it'
        : 'mend the YAML; indentation is by spaces, and a text with ": " in it stands in quotes'
  return { problem, remedy }
}

/** A merge key is parsed as a symbol. */
const keyText = (value: unknown): string =>
  typeof value === 'symbol' ? '<<' : typeof value === 'string' ? value : JSON.stringify(value)

const keyOf = (path: KeyPath): string => path.join('\u0000')

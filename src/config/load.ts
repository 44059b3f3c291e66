/**
 * Configuration files and settings into one checked Config, or every fault in them at once.
 * Floor 1; reads files, and takes the environment and the time as arguments.
 */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { z } from 'zod'
import { ConfigError } from '../base/index.ts'
import type { ConfigFault } from '../base/index.ts'
import { checkConfig } from './check.ts'
import { checkFiles } from './check-files.ts'
import { Findings } from './findings.ts'
import { faultsOfIssue, meantKey, shapeAt, walkKnownKeys } from './issue-faults.ts'
import { CONFIG_SCHEMA } from './schema.ts'
import type { Config } from './schema.ts'
import { ConfigTree, formatPath } from './tree.ts'
import type { KeyPath, TreeSection } from './tree.ts'

/** What to load. */
export interface LoadOptions {
  /** YAML files; later ones win, key by key. */
  readonly files: readonly string[]
  /** Settings of the form `a.b=c`, which win over the files. */
  readonly settings?: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** Unix ms, to judge the validity of certificates by. */
  readonly nowMs: number
  /** Whether the files that the configuration names are opened and checked; default true. */
  readonly checksFiles?: boolean
}

/** A configuration that can be run. */
export interface LoadedConfig {
  readonly config: Config
  /** What is accepted and yet worth a line in the log. */
  readonly warnings: readonly ConfigFault[]
  /** The merged tree as written, for `print-config`. Holds secrets. */
  readonly tree: TreeSection
}

/**
 * Loads a configuration.
 * @throws ConfigError with every fault that was found
 */
export function loadConfig(options: LoadOptions): LoadedConfig {
  const tree = readTree(options)
  prepare(tree)
  const parsed = CONFIG_SCHEMA.safeParse(tree.root)
  const faults = [...tree.faults]
  const issues = parsed.error?.issues ?? []
  const mistyped = meantPaths(issues)
  faults.push(
    ...issues.flatMap((issue) => faultsOfIssue(issue, tree)).filter(({ path }) => !mistyped.has(path)),
  )
  const isReadable = tree.faults.every(({ path }) => path !== '')
  const findings = new Findings(tree)
  if (isReadable) {
    const { config, mended } = parsed.success ? { config: parsed.data, mended: [] } : parseWhatCanBe(tree)
    if (config !== null) {
      const found = checkConfig(config, tree)
      const isRoleMistyped = mistyped.has('workload') || mistyped.has('control_plane')
      faults.push(
        ...found.faults.filter(
          ({ path }) =>
            !mistyped.has(path) &&
            !(path === '' && isRoleMistyped) &&
            !mended.some((cut) => touches(path, cut)),
        ),
      )
      findings.warnings.push(...found.warnings)
    }
    warnOfNoEffect(tree, findings)
    if (options.checksFiles !== false) checkFiles(tree, findings, options.nowMs)
    faults.push(...findings.faults)
  }
  if (faults.length > 0 || !parsed.success) throw new ConfigError(inOrder(firstOfEachPath(faults)))
  return { config: parsed.data, warnings: inOrder(findings.warnings), tree: tree.root }
}

/** Keys that are only missing because they are mistyped: to name the mistyped one is enough. */
function meantPaths(issues: readonly z.core.$ZodIssue[]): Set<string> {
  const paths = new Set<string>()
  for (const issue of issues) {
    if (issue.code !== 'unrecognized_keys') continue
    const path = issue.path.filter((key) => typeof key !== 'symbol')
    for (const key of issue.keys) {
      const meant = meantKey(path, key)
      if (meant !== null) paths.add(formatPath([...path, meant]))
    }
  }
  return paths
}

function readTree(options: LoadOptions): ConfigTree {
  const tree = new ConfigTree()
  for (const file of options.files) {
    const folder = dirname(resolve(file))
    try {
      const text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file))
      tree.addYaml(text, file, folder, valueSources(options, folder))
    } catch (error) {
      tree.faults.push({ path: '', position: file, ...fileRejection(error) })
    }
  }
  const here = resolve('.')
  for (const setting of options.settings ?? []) {
    tree.addSetting(setting, here, valueSources(options, here))
  }
  return tree
}

/** Why a configuration file gives no text, and what to do. */
function fileRejection(error: unknown): Pick<ConfigFault, 'problem' | 'remedy'> {
  const code = (error as NodeJS.ErrnoException).code ?? 'error'
  if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA')
    return { problem: 'the file is not UTF-8', remedy: 'save it as UTF-8' }
  const problem = code === 'ENOENT' ? 'the file does not exist' : `the file cannot be read (${code})`
  return { problem, remedy: 'correct --config, or put the file there' }
}

function valueSources({ env }: LoadOptions, folder: string) {
  return { env, readFile: (path: string): string => readFileSync(resolve(folder, path), 'utf8') }
}

/** Makes paths absolute, and an empty section (`tls:`) one without keys. */
function prepare(tree: ConfigTree): void {
  walkKnownKeys(tree.root, ({ path, value, shape, replace }) => {
    if (value === null && shape.kind !== 'leaf') replace(shape.kind === 'list' ? [] : {})
    if (shape.meta?.pathKind !== undefined && typeof value === 'string' && value !== '') {
      replace(resolve(tree.placeOf(path)?.folder ?? '', value))
    }
  })
}

/**
 * Puts samples in the place of what the schema refuses until it accepts the rest, so that the rest can be checked in
 * the same run. Gives the paths that were touched; what is found there or around them is not to be trusted.
 */
function parseWhatCanBe(tree: ConfigTree): { config: Config | null; mended: string[] } {
  const root = structuredClone(tree.root)
  const mended: string[] = []
  for (let round = 0; round < 16; round++) {
    const parsed = CONFIG_SCHEMA.safeParse(root)
    if (parsed.success) return { config: parsed.data, mended }
    for (const issue of parsed.error.issues) {
      const path = issue.path.filter((key) => typeof key !== 'symbol')
      if (issue.code === 'unrecognized_keys') issue.keys.forEach((key) => mend(root, [...path, key]))
      else {
        mend(root, path)
        mended.push(formatPath(path))
      }
    }
  }
  return { config: null, mended }
}

/** Removes the value at `path`; puts a sample there where there is none. */
function mend(root: TreeSection, path: KeyPath): void {
  const last = path.at(-1)
  const holder = path
    .slice(0, -1)
    .reduce<unknown>((value, key) => (value as Record<string | number, unknown> | undefined)?.[key], root)
  if (typeof holder !== 'object' || holder === null || last === undefined) return
  const values = holder as Record<string | number, unknown>
  const shape = shapeAt(path)
  if (values[last] !== undefined && typeof last === 'string') delete values[last]
  else values[last] = shape?.kind === 'leaf' ? shape.meta?.sample : {}
}

/** Whether one path is the other or lies within it. */
function touches(a: string, b: string): boolean {
  const isWithin = (inner: string, outer: string): boolean =>
    outer === '' || inner === outer || inner.startsWith(`${outer}.`) || inner.startsWith(`${outer}[`)
  return isWithin(a, b) || isWithin(b, a)
}

function warnOfNoEffect(tree: ConfigTree, findings: Findings): void {
  walkKnownKeys(tree.root, ({ path, value, shape }) => {
    const reason = shape.meta?.noEffect
    if (reason !== undefined && value !== undefined) {
      findings.warn(path, `has no effect here: ${reason}`, 'remove it, or leave it')
    }
  })
}

/** What is found first about a key is its cause; what is found later about the same key follows from it. */
function firstOfEachPath(faults: readonly ConfigFault[]): ConfigFault[] {
  return faults.filter(
    ({ path }, index) => path === '' || faults.findIndex((other) => other.path === path) === index,
  )
}

/** In the order of the files' lines; what has no line comes last. */
function inOrder(faults: readonly ConfigFault[]): ConfigFault[] {
  const lineOf = ({ position }: ConfigFault): [string, number, number] => {
    const parts = /^(.*):(\d+):(\d+)$/.exec(position ?? '')
    return parts === null ? ['\uFFFF', 0, 0] : [parts[1]!, Number(parts[2]), Number(parts[3])]
  }
  return faults.toSorted((a, b) => {
    const [fileA, lineA, columnA] = lineOf(a)
    const [fileB, lineB, columnB] = lineOf(b)
    return fileA === fileB ? lineA - lineB || columnA - columnB : fileA < fileB ? -1 : 1
  })
}

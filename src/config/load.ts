/**
 * Configuration files and settings into one checked Config, or every fault in them at once.
 * Floor 1; reads files, and takes the environment and the time as arguments.
 */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { ConfigError } from '../base/index.ts'
import type { ConfigFault } from '../base/index.ts'
import { checkConfig } from './check.ts'
import { checkFiles } from './check-files.ts'
import { Findings } from './findings.ts'
import { faultsOfIssue, walkKnownKeys } from './issue-faults.ts'
import { CONFIG_SCHEMA } from './schema.ts'
import type { Config } from './schema.ts'
import { ConfigTree, formatPath, isSection } from './tree.ts'
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
  const isKnown = (fault: ConfigFault): boolean =>
    faults.some(({ path }) => path !== '' && path === fault.path)
  for (const issue of parsed.error?.issues ?? []) {
    faults.push(...faultsOfIssue(issue, tree).filter((fault) => !isKnown(fault)))
  }
  const isReadable = tree.faults.every(({ path }) => path !== '')
  const findings = new Findings(tree)
  if (isReadable) {
    const { config, pruned } = parsed.success ? { config: parsed.data, pruned: [] } : parseWhatCanBe(tree)
    if (config !== null) {
      const found = checkConfig(config, tree)
      faults.push(...found.faults.filter(({ path }) => !pruned.some((cut) => touches(path, cut))))
      findings.warnings.push(...found.warnings)
    }
    warnOfNoEffect(tree, findings)
    if (options.checksFiles !== false) checkFiles(tree, findings, options.nowMs)
    faults.push(...findings.faults)
  }
  if (faults.length > 0 || !parsed.success) throw new ConfigError(inOrder(faults))
  return { config: parsed.data, warnings: inOrder(findings.warnings), tree: tree.root }
}

function readTree(options: LoadOptions): ConfigTree {
  const tree = new ConfigTree()
  for (const file of options.files) {
    const folder = dirname(resolve(file))
    try {
      const text = readFileSync(file, 'utf8').replace(/^\uFEFF/, '')
      tree.addYaml(text, file, folder, valueSources(options, folder))
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'error'
      const problem = code === 'ENOENT' ? 'the file does not exist' : `the file cannot be read (${code})`
      tree.faults.push({
        path: '',
        position: file,
        problem,
        remedy: 'correct --config, or put the file there',
      })
    }
  }
  const here = resolve('.')
  for (const setting of options.settings ?? []) {
    tree.addSetting(setting, here, valueSources(options, here))
  }
  return tree
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
 * Leaves out what the schema refuses until it accepts the rest, so that the rest can be checked in the same run.
 * Gives the paths of values that were left out; what is found there or around them is not to be trusted.
 */
function parseWhatCanBe(tree: ConfigTree): { config: Config | null; pruned: string[] } {
  const root = structuredClone(tree.root)
  const pruned: string[] = []
  for (let round = 0; round < 16; round++) {
    const parsed = CONFIG_SCHEMA.safeParse(root)
    if (parsed.success) return { config: parsed.data, pruned }
    for (const issue of parsed.error.issues) {
      const path = issue.path.filter((key) => typeof key !== 'symbol')
      if (issue.code === 'unrecognized_keys') issue.keys.forEach((key) => prune(root, [...path, key]))
      else pruned.push(formatPath(prune(root, path)))
    }
  }
  return { config: null, pruned }
}

/** Removes the value at `path`, or the innermost section or list around it that can be removed. */
function prune(root: TreeSection, path: KeyPath): KeyPath {
  const list = path.findIndex((key) => typeof key === 'number')
  let cut = list === -1 ? path : path.slice(0, list)
  const holderOf = (target: KeyPath): unknown =>
    target.slice(0, -1).reduce<unknown>((value, key) => (isSection(value) ? value[key] : undefined), root)
  while (cut.length > 1) {
    const holder = holderOf(cut)
    if (isSection(holder) && holder[cut.at(-1)!] !== undefined) break
    cut = cut.slice(0, -1)
  }
  const holder = holderOf(cut)
  if (isSection(holder)) delete holder[cut.at(-1)!]
  return cut
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

/**
 * The schema into docs/configuration.md and authgw.schema.json.
 * Floor 1; writes no file.
 */
import { z } from 'zod'
import { formatSize } from './size.ts'
import { FIELDS } from './fields.ts'
import { CONFIG_SCHEMA } from './schema.ts'
import { shapeOf } from './section.ts'
import type { Shape } from './section.ts'

/** Gives authgw.schema.json: JSON Schema 2020-12, for editors. */
export function renderJsonSchema(): string {
  const schema = z.toJSONSchema(CONFIG_SCHEMA, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      const meta = FIELDS.get(zodSchema)
      if (meta?.json !== undefined) Object.assign(jsonSchema, meta.json)
    },
  })
  return `${JSON.stringify({ ...schema, title: 'authgw configuration' }, null, 2)}\n`
}

const HEAD = `<!-- Generated from src/config/schema*.ts by \`authgw render-docs\`; changes here are overwritten. -->

# Configuration

YAML, with durations as in Go (\`30s\`, \`5m\`, \`1h30m\`) and sizes as \`64KiB\` or \`4MiB\`. \`\${env:NAME}\`, \`\${env:NAME:-default}\` and
\`\${file:PATH}\` stand for an environment variable or the content of a file; \`$$\` is a dollar sign. Paths are relative to the folder of the
file that names them. \`--config\` may be given several times: later files win, key by key; \`--set a.b=c\` wins over files.
Unknown keys are refused. \`authgw validate\` lists every fault with its line; \`authgw print-config\` shows what is in force.

A word that weakens security (\`insecure\`, \`insecure_skip_verify\`, \`ignore_audience\`, plaintext off the machine, an issuer over http) needs
\`unsafe_allow: [name]\` beside it, and gives a warning at each start. Certificates, keys and secrets are read again when they change;
\`SIGHUP\` reads the configuration again.

Editors check the file with \`authgw.schema.json\`: begin it with \`# yaml-language-server: $schema=authgw.schema.json\`.
`

/** Gives docs/configuration.md: every section with its keys, their types, defaults and meanings. */
export function renderConfigurationPage(): string {
  const parts = [HEAD]
  const seen = new Map<unknown, string>()
  const addSection = (path: string, shape: Shape, inherited: string): void => {
    const source = shape.source ?? inherited
    const rows: string[] = []
    const inner: (() => void)[] = []
    for (const [key, schema] of Object.entries(shape.keys)) {
      const child = shapeOf(schema)
      const at = path === '' ? key : `${path}.${key}`
      const body = child.item === null ? child : shapeOf(child.item)
      if (body.kind === 'section') {
        const heading = child.item === null ? at : `${at}[]`
        const first = seen.get(body.keys)
        rows.push(
          row(
            key,
            child.item === null ? 'section' : 'list',
            presence(child),
            linked(child, body, first ?? heading),
          ),
        )
        if (first === undefined) {
          seen.set(body.keys, heading)
          inner.push(() => addSection(heading, body, source))
        }
      } else {
        rows.push(row(key, typeOf(child), presence(child), child.description))
      }
    }
    if (path !== '') parts.push(`## \`${path}\``)
    parts.push(`${shape.description} Words: ${source}.`)
    parts.push(['| key | type | default | meaning |', '|---|---|---|---|', ...rows].join('\n'))
    for (const add of inner) add()
  }
  addSection('', shapeOf(CONFIG_SCHEMA), 'authgw')
  return `${parts.join('\n\n').replaceAll(/\n{3,}/g, '\n\n')}\n`
}

const row = (...cells: readonly string[]): string =>
  `| ${cells.map((cell, index) => (index === 0 ? `\`${cell}\`` : cell.replaceAll('|', '\\|'))).join(' | ')} |`

const typeOf = (shape: Shape): string => (shape.meta?.type ?? 'anything').replace(/^an? /, '')

function presence(shape: Shape): string {
  if (shape.kind !== 'leaf')
    return shape.isOptional ? '–' : shape.defaultValue === undefined ? '**required**' : ''
  if (shape.defaultValue === undefined)
    return shape.isOptional ? (shape.meta?.fallback ?? '–') : '**required**'
  const { defaultValue } = shape
  if (shape.meta?.unit === 'Bytes' && typeof defaultValue === 'number' && !shape.meta.type.includes('MiB')) {
    return `\`${formatSize(defaultValue)}\``
  }
  return `\`${Array.isArray(defaultValue) ? `[${defaultValue.join(', ')}]` : typeof defaultValue === 'string' ? defaultValue : JSON.stringify(defaultValue)}\``
}

function linked(outer: Shape, inner: Shape, heading: string): string {
  const text = outer.description === '' ? inner.description : outer.description
  return `${text} See [\`${heading}\`](#${heading.replaceAll(/[^a-z0-9_-]/g, '')}).`
}

/** A key under `limits` as operators read it. */
export interface LimitKey {
  readonly key: string
  /** As it would be written; null when there is none. */
  readonly defaultText: string | null
  readonly description: string
}

/** The keys under `limits`, in the order of the schema; those of sections within by their path. */
export function limitKeys(): readonly LimitKey[] {
  const rowsOf = (shape: Shape, prefix: string): LimitKey[] =>
    Object.entries(shape.keys).flatMap(([key, schema]) => {
      const inner = shapeOf(schema)
      if (inner.kind === 'section') return rowsOf(inner, `${prefix}${key}.`)
      const text = presence(inner).replaceAll('`', '')
      return [
        {
          key: prefix + key,
          defaultText: inner.defaultValue === undefined ? null : text,
          description: inner.description,
        },
      ]
    })
  return rowsOf(shapeOf(shapeOf(CONFIG_SCHEMA).keys['limits']!), '')
}

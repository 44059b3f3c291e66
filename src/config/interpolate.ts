/**
 * `${env:NAME}`, `${env:NAME:-default}`, `${file:PATH}` and `$$` in a scalar into the text they stand for.
 * Floor 1; reads nothing itself: it is given the environment and a reader. Done after the YAML is parsed, so that
 * a value can never become a key or a list; what is put in is not looked at again.
 */
import type { Rejection } from './fields.ts'

/** Where values come from. */
export interface ValueSources {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Content of a file, its path as written. Throws the operating system's error. */
  readonly readFile: (path: string) => string
}

/** The text with every reference replaced, or why that cannot be. */
export type Interpolated = { readonly text: string } | Rejection

const REFERENCE = /\$\$|\$\{([^}]*)\}?/g

/** Replaces the references in `text`. A `$` that begins none stays. A file's last line break is dropped. */
export function interpolate(text: string, sources: ValueSources): Interpolated {
  if (!text.includes('$')) return { text }
  let rejection: Rejection | null = null
  const replaced = text.replaceAll(REFERENCE, (whole, inner: string | undefined) => {
    if (whole === '$$') return '$'
    const value = whole.endsWith('}')
      ? resolveReference(inner ?? '', sources)
      : { problem: 'holds ${ that is not closed', remedy: 'end it with }, or write $$ for a dollar sign' }
    if (typeof value === 'string') return value
    rejection ??= value
    return ''
  })
  return rejection ?? { text: replaced }
}

/** What is not understood is not repeated: it may be a part of a secret that happens to hold a dollar sign. */
function resolveReference(reference: string, sources: ValueSources): string | Rejection {
  const env = /^env:([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s.exec(reference)
  if (env !== null) {
    const value = sources.env[env[1]!]
    if (value !== undefined && (value !== '' || env[2] === undefined)) return value
    return (
      env[2] ?? {
        problem: `the environment variable ${env[1]} is not set`,
        remedy: `set it, or write \${env:${env[1]}:-default}`,
      }
    )
  }
  const file = /^file:(.+)$/s.exec(reference)
  if (file !== null) return readReferenced(file[1]!, sources)
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(reference)
    ? { problem: 'holds ${NAME}, which has no scheme', remedy: 'write ${env:NAME}, or $$ for a dollar sign' }
    : {
        problem: 'holds ${…} that is neither env nor file',
        remedy: 'write ${env:NAME}, ${file:PATH}, or $$ for a dollar sign',
      }
}

function readReferenced(path: string, sources: ValueSources): string | Rejection {
  try {
    return sources.readFile(path).replace(/\r?\n$/, '')
  } catch (error) {
    return {
      problem: `the file ${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`,
      remedy: 'put the file there and let this user read it',
    }
  }
}

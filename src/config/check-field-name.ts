/**
 * Which metadata names authgw may set: not those that carry the call itself.
 * Floor 1. auth.md §5.
 */
import type { Findings } from './findings.ts'
import type { KeyPath } from './tree.ts'

const RESERVED = new Set([
  'te',
  'content-type',
  'content-length',
  'host',
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'trailer',
])

/** Faults a name that is no field name, that names the call itself, or that is hop by hop. */
export function checkFieldName(name: string, path: KeyPath, findings: Findings): void {
  const lower = name.toLowerCase()
  if (!/^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(lower)) {
    findings.fault(path, `"${name}" is no metadata name`, 'write letters, digits, - and _, such as x-tenant')
  } else if (RESERVED.has(lower) || lower.startsWith('grpc-')) {
    findings.fault(path, `"${name}" belongs to the protocol`, 'choose another name, such as x-tenant')
  } else if (lower.endsWith('-bin')) {
    findings.fault(path, `"${name}" would be read as binary`, 'choose a name that does not end in -bin')
  }
}

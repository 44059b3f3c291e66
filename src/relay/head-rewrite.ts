/**
 * What changes in a head on its way through: ingress fields and a Permit in, egress fields out.
 * Floor 3; knows no stream. Unknown metadata passes in its order, duplicates and `-bin` values untouched.
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
import { isReservedFieldName, type Permit } from '../auth/index.ts'
import { HeaderField, HeaderList } from '../hpack/index.ts'

/** The field by which a workload authgw marks its calls; selects only a status (no-loss.md row 9a). */
export const HOP_FIELD = 'x-authgw-hop'

/** What the egress leg is called. */
export interface EgressNames {
  /** `http` or `https`. */
  readonly scheme: string
  readonly authority: string
  /** Names to strip besides the reserved ones, lower case with `_` as `-`: those that identity is put under. */
  readonly strippedNames: ReadonlySet<string>
  /** Set on every head, unless the permit sets the same name. */
  readonly upstreamHeaders: readonly (readonly [name: string, value: string])[]
}

/** `_` equals `-`: CGI-minded servers fold them, so a spoofed `x_authgw_subject` must go too. */
export function foldName(name: string): string {
  return name.includes('_') ? name.replaceAll('_', '-') : name
}

/** Whether a caller's field of this name never reaches the upstream: what stands there is ours, or absent (auth.md §5). */
function isStripped(name: string, names: EgressNames): boolean {
  return isReservedFieldName(name) || names.strippedNames.has(foldName(name))
}

/** The egress head: stable fields only; `grpc-timeout` travels beside it, since it differs from call to call. */
export function egressHead(head: readonly HeaderField[], permit: Permit, names: EgressNames): HeaderList {
  const fields: HeaderField[] = []
  const fromPermit = new Set(permit.fields.map(([name]) => name))
  const ours = names.upstreamHeaders.filter(([name]) => !fromPermit.has(name))
  const set = new Set([...fromPermit, ...ours.map(([name]) => name)].map(foldName))
  let hasAuthority = false
  for (const field of head) {
    const { name } = field
    if (name === ':scheme') fields.push(new HeaderField(name, names.scheme))
    else if (name === ':authority') {
      hasAuthority = true
      fields.push(new HeaderField(name, names.authority))
    } else if (name.charCodeAt(0) === 0x3a) fields.push(field)
    else if (isForwarded(name, permit, names, set)) {
      if (!hasAuthority) fields.push(new HeaderField(':authority', names.authority))
      hasAuthority = true
      fields.push(field)
    }
  }
  if (!hasAuthority) fields.push(new HeaderField(':authority', names.authority))
  for (const [name, value] of [...ours, ...permit.fields]) fields.push(new HeaderField(name, value))
  return new HeaderList(fields)
}

function isForwarded(name: string, permit: Permit, names: EgressNames, set: ReadonlySet<string>): boolean {
  if (name === 'host' || name === 'grpc-timeout' || set.has(foldName(name))) return false
  if (name === 'authorization' && permit.dropsAuthorization) return false
  return !isStripped(name, names)
}

/**
 * Turns `:path` into a service and a method, or into the reason why it names none.
 * Floor 1; knows no policy. A path that two servers could read differently is refused before a policy sees it.
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md (Path)
 */

/** Why a path names no method. Stable: it is a metric label. */
export const PATH_FAULTS = {
  empty: 'The path is empty.',
  no_leading_slash: 'The path does not begin with a slash.',
  no_method: 'The path is not `/service/method`.',
  empty_segment: 'The path has an empty segment.',
  dot_segment: 'The path has a segment `.` or `..`.',
  forbidden_octet: 'The path has a percent sign, question mark, number sign or backslash.',
  not_printable: 'The path has white space, a control character or an octet above 126.',
} as const

export type PathFault = keyof typeof PATH_FAULTS

/** The method that a path names, or why it names none. */
export type MethodPath =
  | { readonly isValid: true; readonly service: string; readonly method: string }
  | { readonly isValid: false; readonly why: PathFault }

const SLASH = 0x2f
const DOT = 0x2e

/**
 * Parses `:path` of a gRPC call, `/package.Service/Method`. The method is what follows the last slash, as servers read
 * it. Every fault but `empty` (a stream fault, RFC 9113 §8.3.1) is answered UNIMPLEMENTED.
 */
export function parseMethodPath(path: string): MethodPath {
  if (path.length === 0) return refuse('empty')
  if (path.charCodeAt(0) !== SLASH) return refuse('no_leading_slash')
  let segmentStart = 1
  for (let at = 1; at <= path.length; at++) {
    const char = at === path.length ? SLASH : path.charCodeAt(at)
    if (char === SLASH) {
      const fault = segmentFault(path, segmentStart, at)
      if (fault !== null) return refuse(fault)
      segmentStart = at + 1
    } else if (char <= 0x20 || char >= 0x7f) {
      return refuse('not_printable')
    } else if (isForbidden(char)) {
      return refuse('forbidden_octet')
    }
  }
  const lastSlash = path.lastIndexOf('/')
  if (lastSlash === 0) return refuse('no_method')
  return { isValid: true, service: path.slice(1, lastSlash), method: path.slice(lastSlash + 1) }
}

/** `%`, `?`, `#` and `\`: where servers and proxies differ in what they make of a path. */
function isForbidden(char: number): boolean {
  return char === 0x25 || char === 0x3f || char === 0x23 || char === 0x5c
}

function segmentFault(path: string, start: number, end: number): PathFault | null {
  if (start === end) return end === path.length ? 'no_method' : 'empty_segment'
  if (path.charCodeAt(start) !== DOT) return null
  if (end - start === 1) return 'dot_segment'
  return end - start === 2 && path.charCodeAt(start + 1) === DOT ? 'dot_segment' : null
}

const refuse = (why: PathFault): MethodPath => ({ isValid: false, why })

import { expect, test } from 'vitest'
import { PATH_FAULTS, parseMethodPath } from '../../../src/grpc/index.ts'
import type { PathFault } from '../../../src/grpc/index.ts'

test.each([
  [
    '/opentelemetry.proto.collector.trace.v1.TraceService/Export',
    'opentelemetry.proto.collector.trace.v1.TraceService',
    'Export',
  ],
  ['/Service/Method', 'Service', 'Method'],
  ['/a/b/c', 'a/b', 'c'],
  ['/.hidden/...', '.hidden', '...'],
  ["/a-b_c~!$&'()*+,;=:@/d", "a-b_c~!$&'()*+,;=:@", 'd'],
])('%s names a method', (path, service, method) => {
  expect(parseMethodPath(path)).toEqual({ isValid: true, service, method })
})

const refused: [path: string, why: PathFault][] = [
  ['', 'empty'],
  ['*', 'no_leading_slash'],
  ['pkg.Service/Method', 'no_leading_slash'],
  ['http://host/pkg.Service/Method', 'no_leading_slash'],
  ['/', 'no_method'],
  ['/Service', 'no_method'],
  ['/Service/', 'no_method'],
  ['//', 'empty_segment'],
  ['//Service/Method', 'empty_segment'],
  ['/Service//Method', 'empty_segment'],
  ['/./Method', 'dot_segment'],
  ['/Service/.', 'dot_segment'],
  ['/Service/..', 'dot_segment'],
  ['/allowed/../denied/Method', 'dot_segment'],
  ['/Service%2fMethod/x', 'forbidden_octet'],
  ['/Service/Method?x=1', 'forbidden_octet'],
  ['/Service/Method#x', 'forbidden_octet'],
  ['/Service\\Method/x', 'forbidden_octet'],
  ['/Service/Me thod', 'not_printable'],
  ['/Service/Method\t', 'not_printable'],
  ['/Service/M\u00e9thod', 'not_printable'],
  ['/Service/Method\u007f', 'not_printable'],
]

test.each(refused)('"%s" names none: %s', (path, why) => {
  expect(parseMethodPath(path)).toEqual({ isValid: false, why })
})

test('each reason is reached', () => {
  expect(new Set(refused.map(([, why]) => why))).toEqual(new Set(Object.keys(PATH_FAULTS)))
})

import { describe, expect, test } from 'vitest'
import {
  HPACK_DECODER_DEFAULTS,
  HpackDecoder,
  HpackEncoder,
  INDEXED_FIELD,
  NEVER_INDEXED_FIELD,
  UNINDEXED_FIELD,
} from '../../../src/hpack/index.ts'
import { decoded, encoded, hex, listOf, pairs } from './blocks.ts'

type Pairs = [string, string][]
interface Step {
  readonly octets: string
  readonly fields: Pairs
  readonly tableBytes: number
}

const REQUESTS: Pairs[] = [
  [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'www.example.com'],
  ],
  [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'www.example.com'],
    ['cache-control', 'no-cache'],
  ],
  [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':path', '/index.html'],
    [':authority', 'www.example.com'],
    ['custom-key', 'custom-value'],
  ],
]
const response = (status: string, date: string): Pairs => [
  [':status', status],
  ['cache-control', 'private'],
  ['date', date],
  ['location', 'https://www.example.com'],
]
const RESPONSES: Pairs[] = [
  response('302', 'Mon, 21 Oct 2013 20:13:21 GMT'),
  response('307', 'Mon, 21 Oct 2013 20:13:21 GMT'),
  [
    ...response('200', 'Mon, 21 Oct 2013 20:13:22 GMT'),
    ['content-encoding', 'gzip'],
    ['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'],
  ],
]
const steps = (lists: Pairs[], tableBytes: number[], octets: string[]): Step[] =>
  lists.map((fields, i) => ({ fields, octets: octets[i]!, tableBytes: tableBytes[i]! }))

const C3 = steps(
  REQUESTS,
  [57, 110, 164],
  [
    '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
    '8286 84be 5808 6e6f 2d63 6163 6865',
    '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
  ],
)
const C4 = steps(
  REQUESTS,
  [57, 110, 164],
  [
    '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
    '8286 84be 5886 a8eb 1064 9cbf',
    '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
  ],
)
const C5 = steps(
  RESPONSES,
  [222, 222, 215],
  [
    `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120
   474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
    '4803 3330 37c1 c0bf',
    `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738
   666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33
   3630 303b 2076 6572 7369 6f6e 3d31`,
  ],
)
const C6 = steps(
  RESPONSES,
  [222, 222, 215],
  [
    `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718
   63c7 8f0b 97c8 e9ae 82ae 43d3`,
    '4883 640e ffc1 c0bf',
    `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7
   b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
  ],
)

describe('RFC 7541 Appendix C.2: representations', () => {
  const cases = [
    {
      name: 'C.2.1 a literal that is inserted',
      octets: '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572',
      field: ['custom-key', 'custom-header', INDEXED_FIELD],
      tableBytes: 55,
    },
    {
      name: 'C.2.2 a literal without indexing',
      octets: '040c 2f73 616d 706c 652f 7061 7468',
      field: [':path', '/sample/path', UNINDEXED_FIELD],
      tableBytes: 0,
    },
    {
      name: 'C.2.3 a literal never indexed',
      octets: '1008 7061 7373 776f 7264 0673 6563 7265 74',
      field: ['password', 'secret', NEVER_INDEXED_FIELD],
      tableBytes: 0,
    },
    { name: 'C.2.4 an indexed field', octets: '82', field: [':method', 'GET', INDEXED_FIELD], tableBytes: 0 },
  ] as const

  test.each(cases)('$name is decoded', ({ octets, field, tableBytes }) => {
    const decoder = new HpackDecoder()
    const list = decoded(decoder, hex(octets))
    expect(list.fields.map(({ name, value, indexing }) => [name, value, indexing])).toEqual([field])
    expect(decoder.tableBytes).toBe(tableBytes)
  })

  test.each(cases.slice(1))('$name is encoded', ({ octets, field }) => {
    expect(encoded(new HpackEncoder(), listOf([...field])).toString('hex')).toBe(hex(octets).toString('hex'))
  })
})

describe('RFC 7541 Appendix C.3 to C.6: blocks in a row on one connection', () => {
  const sequences = [
    { name: 'C.3 requests, plain', maxTableBytes: 4096, steps: C3 },
    { name: 'C.4 requests, Huffman', maxTableBytes: 4096, steps: C4 },
    { name: 'C.5 responses, plain, with evictions', maxTableBytes: 256, steps: C5 },
    { name: 'C.6 responses, Huffman, with evictions', maxTableBytes: 256, steps: C6 },
  ]

  test.each(sequences)('$name: decoded to the fields and the table size', ({ maxTableBytes, steps }) => {
    const decoder = new HpackDecoder({ ...HPACK_DECODER_DEFAULTS, maxTableBytes })
    for (const { octets, fields, tableBytes } of steps) {
      expect(pairs(decoder.decode(hex(octets), 0))).toEqual(fields)
      expect(decoder.tableBytes).toBe(tableBytes)
    }
  })

  test.each([sequences[1]!, sequences[3]!])(
    '$name: encoded to the same octets once each field was seen before',
    ({ maxTableBytes, steps }) => {
      const encoder = new HpackEncoder()
      encoder.setPeerMaxTableBytes(maxTableBytes)
      const distinct = new Map(steps.flatMap(({ fields }) => fields.map((field) => [field.join(), field])))
      encoded(encoder, listOf(...distinct.values()))
      expect(encoder.tableBytes).toBe(0)
      for (const { octets, fields, tableBytes } of steps) {
        expect(encoded(encoder, listOf(...fields)).toString('hex')).toBe(hex(octets).toString('hex'))
        expect(encoder.tableBytes).toBe(tableBytes)
      }
    },
  )
})

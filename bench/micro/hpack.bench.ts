/**
 * Nanoseconds a header block to decode and to encode, for the profiles of real clients: with all memos, without the memo
 * of whole blocks and lists (what the rest of the design is worth), and by a plain twin that remembers nothing.
 * Run: `node bench/micro/hpack.bench.ts`. Rounds alternate; figures are medians of CPU time, and ratios are what counts.
 */
import { HeaderField, HeaderList, HpackDecoder, HpackEncoder } from '../../src/hpack/index.ts'
import { PlainDecoder, PlainEncoder, type PlainField } from '../../test/support/plain-hpack.ts'

const ROUNDS = 9
/** Blocks of one connection: few enough to stay in the cache, as octets just read from a socket are. */
const BLOCKS = 1500
const TARGET = Buffer.alloc(65_536)
const TOKEN = `Bearer ${Buffer.from('{"iss":"https://idp.example.com","aud":"otel"}'.repeat(18)).toString('base64url')}`

const BASE: PlainField[] = [
  [':method', 'POST', false],
  [':scheme', 'http', false],
  [':path', '/opentelemetry.proto.collector.trace.v1.TraceService/Export', false],
  [':authority', 'otel.example.com:4317', false],
  ['content-type', 'application/grpc', false],
  ['user-agent', 'OTel-OTLP-Exporter-Go/1.38.0 grpc-go/1.76.0', false],
  ['te', 'trailers', false],
  ['grpc-accept-encoding', 'gzip', false],
]
const hexOf = (i: number, digits: number): string => i.toString(16).padStart(digits, 'a')

/** What each profile sends in its call number `i`. */
const PROFILES: Record<string, (i: number) => PlainField[]> = {
  'constant, all indexed': () => [...BASE, ['authorization', TOKEN, false]],
  'grpc-go: grpc-timeout varies, indexed': (i) => [
    ...BASE,
    ['authorization', TOKEN, false],
    ['grpc-timeout', `${9_999_000 - i}u`, false],
  ],
  'grpc-js: token never indexed': () => [...BASE, ['authorization', TOKEN, true]],
  'grpc-js with traceparent, indexed': (i) => [
    ...BASE,
    ['authorization', TOKEN, true],
    ['traceparent', `00-${hexOf(i * 7919, 32)}-${hexOf(i, 16)}-01`, false],
  ],
}

type Way = (lists: HeaderList[], blocks: Buffer[]) => void

/** Nothing may be optimised away: each way adds what it saw. */
let sink = 0

const DECODE: Way[] = [
  (_, blocks) => {
    const decoder = new HpackDecoder()
    for (const block of blocks) sink += decoder.decode(block, 0)!.fields.length
  },
  (_, blocks) => {
    const decoder = new HpackDecoder()
    // A kind that is new each time never meets the memo of blocks.
    for (let i = 0; i < blocks.length; i++) sink += decoder.decode(blocks[i]!, i)!.fields.length
  },
  (_, blocks) => {
    const decoder = new PlainDecoder()
    for (const block of blocks) sink += decoder.decode(block).length
  },
]

const TIMEOUT = new HeaderField('grpc-timeout', '4999m')
const withoutTimeout = (list: HeaderList): HeaderList =>
  list.fields.at(-1)!.name === 'grpc-timeout' ? new HeaderList(list.fields.slice(0, -1)) : list

const ENCODE: Way[] = [
  (lists) => {
    const encoder = new HpackEncoder()
    for (const list of lists) sink += encoder.encode(list, TIMEOUT, TARGET, 0)
  },
  (lists) => {
    const encoder = new HpackEncoder()
    // A list that is new each time never meets the memo of lists.
    for (const list of lists)
      sink += encoder.encode(new HeaderList(list.fields, list.sizeBytes), TIMEOUT, TARGET, 0)
  },
  (lists) => {
    const encoder = new PlainEncoder()
    for (const list of lists) {
      const fields = list.fields.map(({ name, value, indexing }): PlainField => [name, value, indexing === 2])
      sink += encoder.encode([...fields, [TIMEOUT.name, TIMEOUT.value, false]]).length
    }
  },
]

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

function measure(way: Way, lists: HeaderList[], blocks: Buffer[]): number {
  const before = process.cpuUsage()
  let count = 0
  do {
    way(lists, blocks)
    count += blocks.length
  } while (process.cpuUsage(before).user < 20_000)
  const used = process.cpuUsage(before)
  return ((used.user + used.system) * 1000) / count
}

function report(title: string, ways: Way[], lists: HeaderList[], blocks: Buffer[]): void {
  const ns: number[][] = ways.map(() => [])
  for (let round = -2; round < ROUNDS; round++) {
    ways.forEach((way, i) => {
      const figure = measure(way, lists, blocks)
      if (round >= 0) ns[i]!.push(figure)
    })
  }
  const [ours, memoless, plain] = ns.map(median) as [number, number, number]
  const column = (figure: number): string => `${figure.toFixed(0).padStart(7)} ns`
  console.log(
    `${title.padEnd(46)}${column(ours)}${column(memoless)}${column(plain)}   ${(plain / ours).toFixed(1)} ×`,
  )
}

console.log(
  `node ${process.version}; CPU a block: all memos, without block or list memo, plain twin; plain / all`,
)
for (const [name, fieldsOf] of Object.entries(PROFILES)) {
  const client = new PlainEncoder()
  const blocks = Array.from({ length: BLOCKS }, (_, i) => client.encode(fieldsOf(i)))
  const decoder = new HpackDecoder()
  const lists = blocks.map((block) => decoder.decode(block, 0)!)
  report(`decode ${name}`, DECODE, lists, blocks)
  report(`encode ${name}`, ENCODE, lists.map(withoutTimeout), blocks)
}
if (sink === 0) throw new Error('nothing was measured')

/**
 * What a proxy must know of a request head: its list of fields, the verdict on them, and the block for the other leg. The memo of
 * blocks with the note on its list, against a twin that decodes and encodes plainly and finds the verdict in a Map by the
 * fields' text, as a cache beside an HTTP/2 library would.
 * Run: node bench/micro/memo.bench.ts; medians of CPU time, ratios count.
 */
import { HeaderField, HeaderList, HpackDecoder, HpackEncoder } from '../../src/hpack/index.ts'
import { PlainDecoder, PlainEncoder } from '../../test/support/plain-hpack.ts'
import type { PlainField } from '../../test/support/plain-hpack.ts'

const ROUNDS = 9
const BLOCKS = 20_000
const TARGET = Buffer.alloc(65_536)
const TOKEN = `Bearer ${'x'.repeat(1_100)}`
const KIND = 0

interface Verdict {
  isPermit: boolean
  egress: HeaderList
}

/** Heads as clients send them, in a list that the encoder has seen, so that its block is all indices from the second on. */
const HEAD = new HeaderList([
  new HeaderField(':method', 'POST'),
  new HeaderField(':scheme', 'http'),
  new HeaderField(':path', '/opentelemetry.proto.collector.trace.v1.TraceService/Export'),
  new HeaderField(':authority', 'otel.example.com:4317'),
  new HeaderField('content-type', 'application/grpc'),
  new HeaderField('te', 'trailers'),
  new HeaderField('authorization', TOKEN),
])

function blocksOf(count: number): Buffer[] {
  const encoder = new HpackEncoder()
  return Array.from({ length: count }, () =>
    Buffer.from(TARGET.subarray(0, encoder.encode(HEAD, null, TARGET, 0))),
  )
}

/** The verdict and the head without the token: what a gate would say of these fields. */
const judge = (list: HeaderList): Verdict => ({
  isPermit: list.first('authorization') === TOKEN,
  egress: new HeaderList(list.fields.filter(({ name }) => name !== 'authorization')),
})

function withMemo(blocks: Buffer[]): number {
  const decoder = new HpackDecoder()
  const encoder = new HpackEncoder()
  let permits = 0
  for (const block of blocks) {
    const list = decoder.decode(block, KIND)!
    const verdict = (list.annotation ??= judge(list)) as Verdict
    if (verdict.isPermit && encoder.encode(verdict.egress, null, TARGET, 0) > 0) permits++
  }
  return permits
}

/** The twin's verdict: the same, for the fields as it knows them. */
interface PlainVerdict {
  isPermit: boolean
  egress: PlainField[]
}

function withMap(blocks: Buffer[]): number {
  const decoder = new PlainDecoder()
  const encoder = new PlainEncoder()
  const verdicts = new Map<string, PlainVerdict>()
  let permits = 0
  for (const block of blocks) {
    const fields = decoder.decode(block)
    const key = fields.map(([name, value]) => `${name}\0${value}`).join('\0')
    let verdict = verdicts.get(key)
    if (verdict === undefined) {
      const egress = fields.filter(([name]) => name !== 'authorization')
      verdict = { isPermit: egress.length < fields.length && key.endsWith(TOKEN), egress }
      verdicts.set(key, verdict)
    }
    if (verdict.isPermit && encoder.encode(verdict.egress).length > 0) permits++
  }
  return permits
}

const WAYS = { 'memo of blocks': withMemo, 'twin with a Map': withMap }
const blocks = blocksOf(BLOCKS)
const nanos = new Map<string, number[]>(Object.keys(WAYS).map((name) => [name, []]))
for (let round = -2; round < ROUNDS; round++)
  for (const [name, way] of Object.entries(WAYS)) {
    const before = process.cpuUsage()
    const permits = way(blocks)
    if (permits !== BLOCKS) throw new Error(`${name} let ${permits} of ${BLOCKS} calls pass`)
    const { user, system } = process.cpuUsage(before)
    if (round >= 0) nanos.get(name)!.push(((user + system) * 1000) / BLOCKS)
  }
console.log(`node ${process.version}; CPU a call for list, verdict and block of the other leg`)
for (const [name, all] of nanos) {
  const middle = all.toSorted((a, b) => a - b)[all.length >> 1]!
  console.log(`${name.padEnd(18)}${middle.toFixed(0).padStart(8)} ns`)
}

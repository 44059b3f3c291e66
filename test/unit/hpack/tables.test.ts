import { describe, expect, test } from 'vitest'
import { DynamicTable } from '../../../src/hpack/dynamic-table.ts'
import { HeaderField } from '../../../src/hpack/index.ts'
import {
  STATIC_FIELDS,
  STATIC_TABLE_LENGTH,
  staticFieldIndex,
  staticNameIndex,
} from '../../../src/hpack/static-table.ts'

describe('the static table (RFC 7541 Appendix A)', () => {
  test.each([
    [1, ':authority', ''],
    [2, ':method', 'GET'],
    [3, ':method', 'POST'],
    [5, ':path', '/index.html'],
    [7, ':scheme', 'https'],
    [8, ':status', '200'],
    [14, ':status', '500'],
    [16, 'accept-encoding', 'gzip, deflate'],
    [23, 'authorization', ''],
    [31, 'content-type', ''],
    [58, 'user-agent', ''],
    [61, 'www-authenticate', ''],
  ])('entry %i is %s', (index, name, value) => {
    expect([STATIC_FIELDS[index]!.name, STATIC_FIELDS[index]!.value]).toEqual([name, value])
  })

  test('each entry is found by its name and value', () => {
    expect(STATIC_FIELDS.length - 1).toBe(STATIC_TABLE_LENGTH)
    for (let index = 1; index <= STATIC_TABLE_LENGTH; index++) {
      const { name, value } = STATIC_FIELDS[index]!
      expect(staticFieldIndex(name, value)).toBe(index)
    }
  })

  test('a name gives its first entry, an unknown name or value gives 0', () => {
    expect(staticNameIndex(':status')).toBe(8)
    expect(staticNameIndex('x-nothing')).toBe(0)
    expect(staticFieldIndex(':status', '299')).toBe(0)
    expect(staticFieldIndex('www-authenticate', 'x')).toBe(0)
    expect(staticFieldIndex('x-nothing', '')).toBe(0)
  })
})

describe('the dynamic table (RFC 7541 §4)', () => {
  const field = (value: string): HeaderField => new HeaderField('n', value)
  const values = (table: DynamicTable): string[] =>
    Array.from({ length: table.length }, (_, index) => table.at(index).value)

  test('the newest entry comes first, and the oldest leaves', () => {
    const table = new DynamicTable(34 * 3)
    for (const value of ['1', '2', '3', '4']) table.insert(field(value))
    expect(values(table)).toEqual(['4', '3', '2'])
    expect([table.sizeBytes, table.length, table.insertedCount]).toEqual([102, 3, 4])
  })

  test('an entry larger than the table empties it and stays out (§4.4)', () => {
    const table = new DynamicTable(100)
    table.insert(field('1'))
    table.insert(field('x'.repeat(68)))
    expect([table.sizeBytes, table.length]).toEqual([0, 0])
    table.insert(field('x'.repeat(67)))
    expect([table.sizeBytes, table.length]).toEqual([100, 1])
  })

  test('a smaller bound evicts at once, a larger one brings nothing back (§4.3)', () => {
    const table = new DynamicTable(200)
    for (const value of ['1', '2', '3']) table.insert(field(value))
    table.resize(70)
    expect(values(table)).toEqual(['3', '2'])
    table.resize(0)
    expect(values(table)).toEqual([])
    table.resize(200)
    table.insert(field('4'))
    expect(values(table)).toEqual(['4'])
  })

  test('it holds as many entries as fit, in order, over many evictions', () => {
    const table = new DynamicTable(4096)
    for (let i = 0; i < 1000; i++) table.insert(field(String(i % 10)))
    expect(table.length).toBe(120)
    expect(values(table)).toEqual(Array.from({ length: 120 }, (_, index) => String((999 - index) % 10)))
  })
})

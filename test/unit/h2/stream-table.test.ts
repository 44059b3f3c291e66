import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import type { H2Stream } from '../../../src/h2/index.ts'
import { StreamTable } from '../../../src/h2/stream-table.ts'

const streamOf = (id: number): H2Stream => ({ id }) as H2Stream

test('a stream is found until it is removed', () => {
  const table = new StreamTable()
  const stream = streamOf(1)
  expect(table.find(1)).toBeUndefined()
  table.add(stream)
  expect(table.find(1)).toBe(stream)
  expect(table.find(33)).toBeUndefined()
  table.remove(stream)
  table.remove(stream)
  expect(table.find(1)).toBeUndefined()
  expect(table.size).toBe(0)
})

test('tables that never had a stream have nothing in common once one has', () => {
  const [table, other] = [new StreamTable(), new StreamTable()]
  other.remove(streamOf(1))
  table.add(streamOf(1))
  expect(other.find(1)).toBeUndefined()
  expect(other.toArray()).toEqual([])
  expect(new StreamTable().find(1)).toBeUndefined()
})

test('a stream that stays for ever does not make the table grow while others come and go', () => {
  const table = new StreamTable()
  const stays = streamOf(1)
  table.add(stays)
  for (let id = 3; id < 20_000; id += 2) {
    const stream = streamOf(id)
    table.add(stream)
    expect(table.find(id)).toBe(stream)
    table.remove(stream)
  }
  expect(table.find(1)).toBe(stays)
  expect(table.toArray()).toEqual([stays])
})

test('any sequence of openings and ends is what a Map makes of it', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(60))), (steps) => {
      const table = new StreamTable()
      const model = new Map<number, H2Stream>()
      for (const [isOpening, number] of steps) {
        const id = 2 * number + 1
        const known = model.get(id)
        if (isOpening && known === undefined) {
          const stream = streamOf(id)
          model.set(id, stream)
          table.add(stream)
        } else if (!isOpening && known !== undefined) {
          model.delete(id)
          table.remove(known)
        }
        for (let other = 1; other <= 121; other += 2) expect(table.find(other)).toBe(model.get(other))
        expect(table.size).toBe(model.size)
      }
      expect(table.toArray().map(({ id: one }) => one)).toEqual([...model.keys()].sort((a, b) => a - b))
    }),
    { numRuns: 200 },
  )
})

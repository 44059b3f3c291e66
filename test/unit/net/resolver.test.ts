import { describe, expect, test, vi } from 'vitest'
import { NetStats } from '../../../src/net/index.ts'
import { parseEndpoint } from '../../../src/net/address.ts'
import { Resolver } from '../../../src/net/resolver.ts'
import type { LookupAll } from '../../../src/net/resolver.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'

function resolver(lookup: LookupAll, endpoint = 'collector.example:4317') {
  const clock = new FakeClock()
  const stats = new NetStats()
  const onChange = vi.fn<() => void>()
  const made = new Resolver({ endpoint: parseEndpoint(endpoint), clock, stats, onChange, lookup })
  return { clock, stats, onChange, resolver: made }
}

const failing: LookupAll = () =>
  Promise.reject(Object.assign(new Error('getaddrinfo'), { code: 'EAI_AGAIN' }))

describe('a resolver', () => {
  test('gives all addresses, IPv4 and IPv6, each once, and tells of them', async () => {
    const { resolver: subject, onChange } = resolver(() =>
      Promise.resolve(['10.0.0.1', 'fd00::1', '10.0.0.1']),
    )
    await subject.start()
    expect([...subject.addresses].sort()).toEqual(['10.0.0.1:4317', '[fd00::1]:4317'])
    expect(onChange).toHaveBeenCalledTimes(1)
  })

  test('orders them by chance, and keeps the order while they stay the same', async () => {
    const lookup = vi.fn<LookupAll>(() => Promise.resolve(['10.0.0.1', '10.0.0.2', '10.0.0.3']))
    const { resolver: subject, clock, onChange } = resolver(lookup)
    clock.randomValue = 0
    await subject.start()
    expect(subject.addresses).toEqual(['10.0.0.2:4317', '10.0.0.3:4317', '10.0.0.1:4317'])
    const before = subject.addresses
    clock.randomValue = 0.99
    lookup.mockResolvedValue(['10.0.0.3', '10.0.0.2', '10.0.0.1'])
    await clock.advance(30_000)
    expect(lookup).toHaveBeenCalledTimes(2)
    expect(subject.addresses).toBe(before)
    expect(onChange).toHaveBeenCalledTimes(1)
  })

  test('asks again every 30 s and tells of a change', async () => {
    const lookup = vi.fn<LookupAll>(() => Promise.resolve(['10.0.0.1']))
    const { resolver: subject, clock, onChange, stats } = resolver(lookup)
    await subject.start()
    await clock.advance(29_999)
    expect(lookup).toHaveBeenCalledTimes(1)
    lookup.mockResolvedValue(['10.0.0.9'])
    await clock.advance(1)
    expect(subject.addresses).toEqual(['10.0.0.9:4317'])
    expect(onChange).toHaveBeenCalledTimes(2)
    await clock.advance(300_000)
    expect(stats.resolutions).toBe(12)
  })

  test('asks soon after a failed dial, but never twice within a second', async () => {
    const lookup = vi.fn<LookupAll>(() => Promise.resolve(['10.0.0.1']))
    const { resolver: subject, clock } = resolver(lookup)
    await subject.start()
    await clock.advance(5_000)
    for (let i = 0; i < 100; i++) subject.resolveAgain()
    await settle()
    expect(lookup).toHaveBeenCalledTimes(2)
    subject.resolveAgain()
    await clock.advance(999)
    expect(lookup).toHaveBeenCalledTimes(2)
    subject.resolveAgain()
    await clock.advance(1)
    expect(lookup).toHaveBeenCalledTimes(3)
  })

  test('keeps the last good addresses while the name server fails, and recovers', async () => {
    const lookup = vi.fn<LookupAll>(() => Promise.resolve(['10.0.0.1']))
    const { resolver: subject, clock, onChange, stats } = resolver(lookup)
    await subject.start()
    lookup.mockImplementation(failing)
    await clock.advance(30_000)
    expect(subject.addresses).toEqual(['10.0.0.1:4317'])
    expect(subject.lastError).toMatchObject({
      code: 'dns',
      message: 'resolve collector.example: the name server does not answer (EAI_AGAIN)',
    })
    expect(stats.resolutionsFailed).toBe(1)
    lookup.mockResolvedValue([])
    await clock.advance(30_000)
    expect(subject.lastError?.message).toContain('the name does not resolve')
    lookup.mockResolvedValue(['10.0.0.1'])
    await clock.advance(30_000)
    expect(subject.lastError).toBeNull()
    expect(onChange).toHaveBeenCalledTimes(1)
  })

  test('starts without an address when the first resolution fails', async () => {
    const { resolver: subject } = resolver(failing)
    await subject.start()
    expect(subject.addresses).toEqual([])
    expect(subject.lastError?.code).toBe('dns')
  })

  test.each([
    ['10.0.0.7:4317', '10.0.0.7:4317'],
    ['[::1]:4317', '[::1]:4317'],
    ['unix:///run/x.sock', 'unix:/run/x.sock'],
  ])('never asks for %s', async (endpoint, address) => {
    const lookup = vi.fn<LookupAll>()
    const { resolver: subject, clock } = resolver(lookup, endpoint)
    await subject.start()
    subject.resolveAgain()
    await clock.advance(60_000)
    expect(subject.addresses).toEqual([address])
    expect(lookup).not.toHaveBeenCalled()
  })

  test('asks no more once it is closed, and ignores an answer that comes late', async () => {
    let answer: (addresses: string[]) => void = () => {}
    const lookup = vi.fn<LookupAll>(() => new Promise((resolve) => (answer = resolve)))
    const { resolver: subject, clock, onChange } = resolver(lookup)
    const started = subject.start()
    subject.close()
    answer(['10.0.0.1'])
    await started
    subject.resolveAgain()
    await clock.advance(120_000)
    expect(lookup).toHaveBeenCalledTimes(1)
    expect(onChange).not.toHaveBeenCalled()
    expect(clock.timerCount).toBe(0)
  })
})

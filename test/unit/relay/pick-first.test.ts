import { expect, test } from 'vitest'
import { TransportError } from '../../../src/base/index.ts'
import type { H2Connection } from '../../../src/h2/index.ts'
import { PickFirst, type DialListener, type EgressDialer } from '../../../src/relay/index.ts'

/** A dialer whose addresses answer as they are told. */
class ScriptedDialer implements EgressDialer {
  addresses: readonly string[] = ['10.0.0.1:4317', '10.0.0.2:4317', '10.0.0.3:4317']
  generation = 1
  readonly authority = 'collector.example.com:4317'
  readonly scheme = 'https'
  onChange: () => void = () => {}
  resolutions = 0
  readonly dialled: string[] = []
  readonly down = new Set<string>()
  dial(address: string, listener: DialListener): void {
    this.dialled.push(address)
    if (!this.down.has(address)) listener.onConnected()
    else listener.onDialFailed(new TransportError('connect_refused', `dial ${address}: refused`))
  }
  resolveAgain(): void {
    this.resolutions++
  }
}

function setUp() {
  const inner = new ScriptedDialer()
  const dialer = new PickFirst(inner)
  const outcomes: string[] = []
  const dial = (): void =>
    dialer.dial(dialer.addresses[0]!, {
      onConnected: () => {
        outcomes.push('connected')
        return {} as H2Connection
      },
      onDialFailed: (error) => outcomes.push(error.message),
    })
  return { inner, dialer, outcomes, dial }
}

test('the first address that works is taken, and every further connection goes there too', () => {
  const { inner, outcomes, dial } = setUp()
  inner.down.add('10.0.0.1:4317')
  dial()
  dial()
  expect(inner.dialled).toEqual(['10.0.0.1:4317', '10.0.0.2:4317', '10.0.0.2:4317'])
  expect(outcomes).toEqual(['connected', 'connected'])
})

test('it stays there though an earlier one is back, and begins anew when its own has gone', () => {
  const { inner, dial } = setUp()
  inner.down.add('10.0.0.1:4317')
  dial()
  inner.down.delete('10.0.0.1:4317')
  dial()
  expect(inner.dialled.at(-1)).toBe('10.0.0.2:4317')
  inner.down.add('10.0.0.2:4317')
  dial()
  expect(inner.dialled.slice(-2)).toEqual(['10.0.0.2:4317', '10.0.0.1:4317'])
})

test('when none works, the last reason is told, once', () => {
  const { inner, outcomes, dial } = setUp()
  for (const address of inner.addresses) inner.down.add(address)
  dial()
  expect(inner.dialled).toHaveLength(3)
  expect(outcomes).toEqual(['dial 10.0.0.3:4317: refused'])
})

test('to the pool it is one address, by the endpoint’s name, and none before it is resolved', () => {
  const { inner, dialer } = setUp()
  expect(dialer.addresses).toEqual(['collector.example.com:4317'])
  expect(dialer.authority).toBe('collector.example.com:4317')
  expect(dialer.scheme).toBe('https')
  inner.addresses = []
  expect(dialer.addresses).toEqual([])
  dialer.resolveAgain()
  expect(inner.resolutions).toBe(1)
})

test('connections to an address that is no longer the endpoint’s take no new calls; others stay', () => {
  const { inner, dialer, dial } = setUp()
  let changes = 0
  dialer.onChange = () => changes++
  dial()
  inner.addresses = ['10.0.0.1:4317', '10.0.0.9:4317']
  inner.onChange()
  expect(dialer.generation).toBe(1)
  inner.addresses = ['10.0.0.9:4317']
  inner.onChange()
  expect(dialer.generation).toBe(2)
  inner.generation = 2
  inner.onChange()
  expect(dialer.generation).toBe(3)
  expect(changes).toBe(3)
  dial()
  expect(inner.dialled).toEqual(['10.0.0.1:4317', '10.0.0.9:4317'])
})
